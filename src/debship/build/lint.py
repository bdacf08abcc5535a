"""Debian's own opinion of a package: lintian."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from debship.errors import Failed
from debship.run import Run

# Its tags as it prints them: E: auth: no-copyright-file, and for files of others no package.
_TAG = re.compile(r"[EW]: .*")


@dataclass(frozen=True, slots=True)
class Opinion:
    """What lintian says of packages.

    Attributes:
        tags: errors and warnings that nothing overrides, a line each.
        overridden: how many others our overrides, each with its reason beside it, silence.
    """

    tags: tuple[str, ...]
    overridden: int


def lint(paths: Sequence[Path], run: Run) -> Opinion:
    """Run lintian.

    Raises:
        Failed: it is not installed, or could not do its work.
    """
    try:
        # It takes a policy of its own from ~/.lintianrc, which is no affair of the package.
        done = run(
            [
                "lintian",
                "--no-cfg",
                "--allow-root",
                "--show-overrides",
                "--fail-on",
                "none",
                *paths,
            ],
            env={"LC_ALL": "C.UTF-8"},
        )
    except Failed as error:
        if "not installed" in error.message:
            raise Failed(error.message, "apt-get install lintian") from error
        raise
    lines = done.stdout.decode(errors="replace").splitlines()
    overridden = sum(line.startswith("O: ") for line in lines)
    return Opinion(tuple(line for line in lines if _TAG.fullmatch(line)), overridden)
