"""What uv complains of, said with the place and the way out."""

import contextlib
import re
from collections.abc import Iterator

from debship.build.backends import naming
from debship.build.plan import BuildPlan
from debship.errors import DebshipError, Failed, Misused, Refused

_NO_BACKEND = re.compile(r"no trusted hash was provided for: `(?P<name>[^`]+)`")
_OTHER_HASH = re.compile(r"Hash mismatch for `(?P<name>[^`]+)`")
_NO_FILE = re.compile(
    r"Package `(?P<name>[^`]+)` can't be installed because it doesn't have"
    r"|Because (?P<pinned>\S+) has no (?:wheels|usable wheels)"
    r"|(?P<python>incompatible with the `pylock\.toml`'s Python requirement)"
)
_OTHER_PYTHON = re.compile(
    r"Python version \(\S+\) does not satisfy Python(?P<wants>\S+) "
    r"and (?:you require )?(?P<name>[A-Za-z0-9._-]+)"
)
_NO_LOGIN = re.compile(r"authentication credentials|\b40[13] (?:Unauthorized|Forbidden)")
_NO_BUILD = re.compile(
    r"Failed to (?:download and )?build `(?P<name>[^`]+)`|Build failures usually"
)
_BROKEN = re.compile(
    r"Failed to extract archive: (?P<file>[^\s(]+\.whl)"
    r"|Failed to install: (?P<other>[^\s(]+\.whl)[^\n]*\n\s*cause: (?:The wheel is invalid|Scripts must)"
)
_NO_LOCK = re.compile(
    r"Invalid hash digest|or the start of a requirement|must have their versions pinned"
    r"|Not a valid `pylock\.toml` file|Failed to parse (?:lockfile )?`[^`]*uv\.lock`"
)
_CLASH = re.compile(r"Failed to install: (?:.*\n)*?.*\(os error (?:17|20|21)\)")
# Of a project, before a line of its code runs.
_PROJECT = {
    "Invalid metadata format in: pyproject.toml": "mend [project] of pyproject.toml",
    "Expected a Python module at: ": (
        'a module that is not called as the project is: module-name = "NAME" under '
        "[tool.uv.build-backend]"
    ),
}


@contextlib.contextmanager
def explained(plan: BuildPlan) -> Iterator[None]:
    """Turn what uv complains of while it installs or builds into what a user can act on."""
    try:
        yield
    except Failed as error:
        if error.hint is not None:
            raise
        raise _explained(error, plan) from error


def _explained(error: Failed, plan: BuildPlan) -> DebshipError:
    """Refused or Misused where the input is at fault, Failed where the world is; uv's own words follow."""
    lock, text = plan.lock, error.message
    _, _, said = text.partition("\n")
    if match := _NO_BACKEND.search(text):
        what = f"nothing names the hash of {match['name']}, which a wheel is built with"
        way = naming(match["name"], lock, plan.backends, plan.release.python)
        return Refused(f"{_place(plan)}: {what}\n{said}", way)
    if match := _OTHER_HASH.search(text):
        return Refused(
            f"{lock.path}: what was downloaded of {match['name']} is not what was locked\n{said}",
            "find out who replaced the file before you lock it anew",
        )
    if match := _NO_FILE.search(text):
        name, python = match["name"] or match["pinned"] or "it", plan.release.python
        way = lock.hint_for(python) if match["python"] else lock.hint_upgrading(name)
        return Refused(
            f"{lock.path}: {name} has no file for Python {python} on {plan.machine}\n{said}", way
        )
    if match := _OTHER_PYTHON.search(text):
        release = plan.release
        what = (
            f"{match['name']} wants Python{match['wants']}, {release.codename} has {release.python}"
        )
        return Refused(f"{lock.path}: {what}\n{said}", lock.hint_for(release.python))
    if _NO_LOCK.search(text):
        return Misused(f"{lock.path}: uv cannot take it as a lock\n{said}", lock.hint)
    return Failed(text, _way_out(text))


def _place(plan: BuildPlan) -> str:
    return str(plan.backends or plan.lock.path)


def _way_out(text: str) -> str | None:
    if _NO_LOGIN.search(text):
        return (
            "who may log in to the index, uv reads from UV_INDEX_NAME_USERNAME and "
            "UV_INDEX_NAME_PASSWORD, or from ~/.netrc"
        )
    if match := _BROKEN.search(text):
        return f"{match['file'] or match['other']} itself is amiss: lock another version, or tell who makes it"
    if _CLASH.search(text):
        return "another wheel brings a folder where this one brings a file: lock one of the two"
    for said, way in _PROJECT.items():
        if said in text:
            return way
    if _NO_BUILD.search(text):
        return "Debian packages that it needs to be compiled go under [build] needs"
    return None
