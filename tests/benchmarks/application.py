"""The application that `make bench-build` packages: its code changes, or one small dependency."""

import json
import os
import shutil
import sys
from pathlib import Path

from tests.benchmarks.service import COMMAND, DEBSHIP, NEEDS, PYPROJECT, PYTHON, run

SMALL = ("1.1.0", "1.0.1", "1.0.0", "0.10.0")  # of jmespath, a small dependency: what changes
_SLOW = "PYTHONDONTWRITEBYTECODE"  # everybody's Python is compiled, as pip leaves it
_CODE = """\
from flask import Flask

app = Flask(__name__)
EDIT = {edit}
"""


class Application:
    """Its sources, its locks, and a cache of debship's own."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.sources = folder, folder / "auth"
        self.bin = Path(sys.executable).parent
        self.environment = {name: value for name, value in os.environ.items() if name != _SLOW}
        self.environment |= {
            "UV_PYTHON_DOWNLOADS": "never",
            "DEBSHIP_CACHE": str(folder / "cache"),
            "SOURCE_DATE_EPOCH": "1700000000",
        }
        self.edits = 0

    def run(self, *argv: object) -> str:
        """Run a program; what it printed."""
        return run(*argv, env=self.environment)

    def make(self) -> None:
        """Write the application and its locks; warm uv's cache."""
        (self.sources / "src/auth").mkdir(parents=True)
        warm = self.folder / "warm"
        for small in SMALL:
            self.lock(small)
            self.run(self.bin / "uv", "venv", "--quiet", "--clear", "--python", PYTHON, warm)
            words = ("pip", "sync", "--quiet", "--require-hashes", "--python", warm / "bin/python")
            self.run(self.bin / "uv", *words, self.sources / "requirements.txt")
        shutil.rmtree(warm)
        self.layout("whole")
        self.lock(SMALL[0])
        self.edit()

    def layout(self, layout: str) -> None:
        """Let its next packages have a layout."""
        (self.sources / "debship.toml").write_text(DEBSHIP.format(layout=layout, command=COMMAND))

    def lock(self, small: str) -> None:
        """Lock it, with one version of the small dependency."""
        (self.folder / "in.txt").write_text("\n".join((*NEEDS, f"jmespath=={small}")))
        words = ("pip", "compile", "--quiet", "--generate-hashes", "--python", PYTHON)
        kept = self.folder / f"lock-{small}.txt"
        if not kept.exists():
            self.run(self.bin / "uv", *words, self.folder / "in.txt", "-o", kept)
        shutil.copy(kept, self.sources / "requirements.txt")

    def edit(self) -> None:
        """Change the code, and make the wheel anew."""
        self.edits += 1
        (self.sources / "src/auth/__init__.py").write_text(_CODE.format(edit=self.edits))
        project = PYPROJECT.format(version=f"1.0.{self.edits}", needs=json.dumps(NEEDS))
        (self.sources / "pyproject.toml").write_text(project)
        for made in ("dist", "build"):
            shutil.rmtree(self.sources / made, ignore_errors=True)
        self.run(self.bin / "uv", "build", "--quiet", "--wheel", "--python", PYTHON, self.sources)

    def debship(self, level: int, output: str = "out") -> list[str]:
        """The command that builds it."""
        words = ("build", self.sources, "--level", level, "--output", self.folder / output)
        return [str(self.bin / "debship"), *map(str, words)]

    def build_for(self, codename: str, layout: str) -> list[Path]:
        """Its next version, built for a release."""
        self.layout(layout)
        self.edit()
        words = (*self.debship(9, f"{codename}-{layout}"), "--release", codename, "--no-smoke")
        return [Path(line) for line in self.run(*words).splitlines()]

    def forget(self) -> None:
        """Empty debship's cache."""
        shutil.rmtree(self.folder / "cache", ignore_errors=True)

    def deb(self, output: str = "out") -> Path:
        """The application's package that was built last."""
        found = (self.folder / output).glob("auth_*.deb")
        return max(found, key=lambda path: path.stat().st_mtime_ns)
