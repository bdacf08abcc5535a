"""uv, run as a program: it resolves, builds and installs."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from debship.run import Completed, Run, Word

# A user's shell may hold what would lead uv, or what it starts, to another Python.
_CLEAN: Mapping[str, str | None] = {
    "UV_PYTHON_DOWNLOADS": "never",
    "UV_PYTHON": None,
    "UV_PROJECT_ENVIRONMENT": None,
    "UV_COMPILE_BYTECODE": None,
    "VIRTUAL_ENV": None,
    "PYTHONPATH": None,
    "PYTHONHOME": None,
}


@dataclass(frozen=True, slots=True)
class Uv:
    """A uv that uses one interpreter and one date."""

    run: Run
    date: int  # seconds since 1970: SOURCE_DATE_EPOCH of what it builds

    def __call__(self, *words: Word, cwd: Path | None = None) -> Completed:
        """Run ``uv WORDS``; what it would show a person is in the error, where it fails."""
        from uv import find_uv_bin

        env = {**_CLEAN, "SOURCE_DATE_EPOCH": str(self.date)}
        return self.run([find_uv_bin(), *words], cwd=cwd, env=env)
