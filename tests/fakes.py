"""Fakes of the four doors. Each passes the same contract test as the real one."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from debship.errors import Failed
from debship.run import Completed, Word, failure


@dataclass
class FakeRun:
    """Answers programs from a table: the first words of a command, then what it leaves."""

    answers: dict[tuple[str, ...], Completed | Exception] = field(default_factory=dict)
    calls: list[tuple[str, ...]] = field(default_factory=list)
    cwd: Path | None = None  # of the last call, as its environment is
    env: Mapping[str, str | None] = field(default_factory=dict)

    def answer(self, *words: str, stdout: bytes = b"", stderr: bytes = b"", code: int = 0) -> None:
        self.answers[words] = Completed(words, code, stdout, stderr)

    def __call__(
        self,
        argv: Sequence[Word],
        *,
        cwd: Path | None = None,
        env: Mapping[str, str | None] | None = None,
        stdin: bytes = b"",
        timeout: float | None = None,
        check: bool = True,
    ) -> Completed:
        words = tuple(str(word) for word in argv)
        self.calls.append(words)
        self.cwd, self.env = cwd, env or {}
        for length in range(len(words), 0, -1):
            found = self.answers.get(words[:length])
            if isinstance(found, Exception):
                raise found
            if found is not None:
                completed = Completed(words, found.returncode, found.stdout, found.stderr)
                if check and completed.returncode:
                    raise Failed(failure(completed))
                return completed
        raise Failed(f"{words[0]} is not installed on this machine", "see: debship doctor")
