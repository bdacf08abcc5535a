"""uv, run as a program: it resolves, builds and installs."""

import shlex
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
    "UV_BUILD_CONSTRAINT": None,
    "VIRTUAL_ENV": None,
    "PYTHONPATH": None,
    "PYTHONHOME": None,
    # What uv complains of is read (complaints.py) and told on; folded, it is neither found nor nice.
    "COLUMNS": "1000",
    # What builds wheels (setuptools, hatchling) is downloaded too: by its hash, or not at all.
    "UV_REQUIRE_BUILD_HASHES": "1",
}


@dataclass(frozen=True, slots=True)
class Uv:
    """A uv that uses one interpreter and one date.

    Attributes:
        date: seconds since 1970: SOURCE_DATE_EPOCH of what it builds.
        backends: a requirements.txt with the hashes of what may build wheels; None: nothing
            may but uv's own backend, which is part of uv.
        source: the folder that C code is compiled in; what is compiled does not name it.
        cache: a cache of its own instead of the user's.
    """

    run: Run
    date: int
    backends: Path | None = None
    source: Path | None = None
    cache: Path | None = None

    def __call__(
        self, *words: Word, cwd: Path | None = None, env: Mapping[str, str] | None = None
    ) -> Completed:
        """Run ``uv WORDS``; what it would show a person is in the error, where it fails."""
        from uv import find_uv_bin

        told = {**self._environment, **(env or {})}
        return self.run([find_uv_bin(), *words], cwd=cwd, env=told)

    @property
    def constraints(self) -> tuple[Word, ...]:
        """Words for the commands that may build a wheel."""
        return ("--build-constraints", self.backends) if self.backends else ()

    @property
    def _environment(self) -> Mapping[str, str | None]:
        env = {**_CLEAN, "SOURCE_DATE_EPOCH": str(self.date)}
        if self.cache is not None:
            env["UV_CACHE_DIR"] = str(self.cache)
        if self.source is not None:
            # Debug information holds the path, and nobody would strip it: a wheel's own libraries
            # become unloadable (auditwheel#716), so nothing is stripped.
            flags = shlex.join(("-g0", f"-ffile-prefix-map={self.source}=."))
            env |= {"CFLAGS": flags, "CXXFLAGS": flags}
        return env
