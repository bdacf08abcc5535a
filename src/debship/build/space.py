"""What no disk takes: one that is full, in words that say which, and a name that is too long."""

import errno
import functools
import inspect
import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import ParamSpec, TypeVar

from debship.errors import Failed, Refused

P = ParamSpec("P")
T = TypeVar("T")

_FULL = (errno.ENOSPC, errno.EDQUOT)
# As programs say it that are run.
_WORDS = tuple(os.strerror(number) for number in _FULL)


def told_if_full(build: Callable[P, T]) -> Callable[P, T]:
    """Make a build say which disk is full, whichever program or step found it so.

    A name that is too long, it names.

    Args:
        build: a function whose argument ``output`` is the folder that the package goes to.
    """

    @functools.wraps(build)
    def told(*args: P.args, **settings: P.kwargs) -> T:
        full: Exception
        try:
            return build(*args, **settings)
        except OSError as error:
            if error.errno == errno.ENAMETOOLONG:
                raise Refused(f"no file system takes such a name: {error.filename}") from error
            if error.errno not in _FULL:
                raise
            full, said = error, str(error)
        except Failed as error:
            told_already = "a disk is full" in error.message
            if told_already or not any(word in error.message for word in _WORDS):
                raise
            full, said = error, error.message
        output = inspect.signature(build).bind(*args, **settings).arguments["output"]
        raise _full(said, output) from full

    return told


def _full(message: str, output: Path) -> Failed:
    there = next(path for path in (output, *output.parents) if path.exists())
    places = {"the build": Path(tempfile.gettempdir()), "the package": there}
    free = ", ".join(f"{_free(path)} free for {what} in {path}" for what, path in places.items())
    return Failed(
        f"a disk is full: {message}\n  {free}",
        "make room, or build elsewhere: TMPDIR=/elsewhere debship build --output /elsewhere "
        "(uv's downloads: UV_CACHE_DIR)",
    )


def _free(path: Path) -> str:
    state = os.statvfs(path)
    return f"{state.f_bavail * state.f_frsize // 1_000_000} MB"
