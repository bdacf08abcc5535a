"""Roots of Debian releases: made once by mmdebstrap(1), kept by content, never written to.

Whoever needs to write puts an overlay on one.
"""

import contextlib
import errno
import fcntl
import hashlib
import os
import re
import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from pathlib import Path

from debship.debian.releases import Release, this_machine
from debship.errors import Failed
from debship.kept_roots import sweep, use
from debship.mirrors import MIRRORS, entries, mirror_lines, named
from debship.run import Run, Word

_FORMAT = 1  # raise it where the same packages must give another root

_GRANT = "usermod --add-subuids 100000-165535 --add-subgids 100000-165535 USER"

_UNREACHED = re.compile(r"E: Failed to fetch \S+ .*(connect|resolv|timed out|40[34] )")

RENEW = "debship cache --clear, and the next build makes it anew"
_HOLE = re.compile(r"failed to run command|shared libraries|mount point does not exist")

_ABSENT = re.compile(
    r"Unable to locate package (?P<name>\S+)|Package '(?P<other>\S+)' has no installation candidate"
)

# force-unsafe-io halves the writing; both files would be read again by every later apt and dpkg
# of the root, which must behave as on any Debian machine.
_FAST = (
    "--dpkgopt=force-unsafe-io",
    '--aptopt=Acquire::Languages "none"',
    '--customize-hook=rm "$1/etc/dpkg/dpkg.cfg.d/99mmdebstrap" '
    '"$1/etc/apt/apt.conf.d/99mmdebstrap"',
)


def isolated() -> tuple[str, ...]:
    """Give the words that put a program into mount and process namespaces of its own.

    Of a process that is killed, nothing goes on: its children die with it, its mounts with them.
    Who is not root is root of a user namespace there, with the ids that subuid(5) grants.
    """
    user = () if os.geteuid() == 0 else ("--user", "--map-root-user", "--map-auto")
    dies = ("setpriv", "--pdeathsig", "KILL")
    return (*dies, "unshare", *user, "--mount", "--pid", "--fork", "--kill-child", "--")


def damaged(told: str) -> str | None:
    """Say the way out where a root lacks what it was made with; None where it does not."""
    return f"the root is damaged: {RENEW}" if _HOLE.search(told) else None


def not_allowed(told: str) -> str | None:
    """Say the way out where ``isolated`` is not allowed; None where something else is wrong."""
    if re.search(r"no line matching user|/etc/sub[ug]id", told):
        return f"as root: {_GRANT}; or run debship as root"
    if re.search(r"newuidmap|newgidmap|uid range|uid_map|unshare failed|subordinate", told):
        return f"as root: apt-get install uidmap; {_GRANT} (in a container, it takes --privileged)"
    return None


def remove(folder: Path, run: Run) -> None:
    """Remove a folder in which a namespace wrote, its other users too."""
    shutil.rmtree(folder, ignore_errors=True)
    if folder.exists():
        run([*isolated(), "rm", "--recursive", "--force", folder], check=False)


def clean_root(
    release: Release,
    packages: tuple[str, ...],
    *,
    run: Run,
    cache: Path,
    say: Callable[[str], None],
    apt: Path = Path("/etc/apt"),
    mirrors: Path = MIRRORS,
    os_release: Path = Path("/etc/os-release"),
) -> Path:
    """Give a root of a release: essential packages, apt, and these packages.

    It is made where the cache lacks it, which takes about 25 s. It must not be written to. It stays
    as long as this process lives, at least; one that nobody used for a month goes when another is made.

    Args:
        release: of which distribution.
        packages: what else is installed, by name.
        run: the door to local programs.
        cache: the folder that keeps roots; made where it is missing.
        say: hears what is being done.
        apt: this machine's configuration of apt, which names the mirror.
        mirrors: files in the format of sources.list(5), which name other mirrors: those of a
            release that has one there come before apt's.
        os_release: says which release this machine runs (os-release(5)).

    Raises:
        Failed: mmdebstrap failed, or apt's configuration names no mirror for the release, or the
            cache cannot be written.
    """
    root = cache / f"{release.codename}-{content_key(release, packages)}"
    if not os.access(root, os.R_OK):
        made_kept(cache)
    use(root)
    if root.is_dir():
        return root
    with _alone(root.with_suffix(".lock"), say):
        if root.is_dir():
            return root
        for dead in cache.glob(f"{root.name}.making-*"):
            remove(dead, run)
        machine = this_machine(os_release.read_text())
        mirror = mirror_lines(release, machine, entries(apt), named(mirrors))
        say(f"making a root of {release.codename}, once")
        _make(root, release, packages, mirror, run)
    sweep(cache, partial(remove, run=run))
    return root


def made_kept(folder: Path) -> Path:
    """Make a folder of the cache, where it is missing.

    Raises:
        Failed: it cannot be made, or not be written to.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        why = "" if os.access(folder, os.W_OK) else os.strerror(errno.EACCES)
    except OSError as error:
        why = str(error.strerror)
    if why:
        raise Failed(
            f"{folder}: nothing can be kept there: {why}", "DEBSHIP_CACHE names another folder"
        )
    return folder


def content_key(release: Release, packages: Iterable[str]) -> str:
    """Name what a root holds; the order of packages and the mirror do not matter."""
    words = (str(_FORMAT), release.distribution, release.codename, *sorted(set(packages)))
    return hashlib.sha256("\n".join(words).encode()).hexdigest()[:16]


def _make(
    root: Path, release: Release, packages: tuple[str, ...], mirror: tuple[str, ...], run: Run
) -> None:
    room = Path(tempfile.mkdtemp(prefix=f"{root.name}.making-", dir=root.parent))
    try:
        room.chmod(0o755)
        argv: list[Word] = [
            *(*isolated(), "mmdebstrap", "--mode=root", "--variant=minbase", "--format=directory"),
            # Debian's apt is required and comes by itself, Ubuntu's does not.
            f"--include={','.join(sorted({'apt', *packages}))}",
            *_FAST,
            *_proxies(run),
            release.codename,
            room / "root",
            "-",
        ]
        try:
            run(argv, stdin="".join(f"{line}\n" for line in mirror).encode())
        except Failed as error:
            raise _explained(error, release, root.parent) from error
        (room / "root").rename(root)
    finally:
        remove(room, run)


def _explained(error: Failed, release: Release, cache: Path) -> Failed:
    if not shutil.which("mmdebstrap"):
        return Failed(
            f"a clean root of {release.codename} is made by mmdebstrap, which is not installed",
            "apt-get install --no-install-recommends mmdebstrap",
        )
    absent = _ABSENT.search(error.message)
    if absent:
        return Failed(
            f"{release.codename} has no package {absent['name'] or absent['other']} on this machine's mirror",
            "a package may have another name in another release",
        )
    told = "\n".join(error.message.splitlines()[1:])
    if os.strerror(errno.ENOSPC) in error.message:
        return Failed(
            f"a root of {release.codename} cannot be made: the disk of {cache} is full",
            "make room, or have roots elsewhere: DEBSHIP_CACHE names the folder",
        )
    if _UNREACHED.search(told):
        return Failed(
            f"the archive of {release.codename} cannot be reached\n{told}",
            f"mirror and proxy are those of this machine's apt; {MIRRORS}/{release.codename}.sources "
            "names another mirror, in the format of sources.list(5)",
        )
    hint = not_allowed(error.message)
    if hint:
        return Failed(f"a root of {release.codename} cannot be made on this machine\n{told}", hint)
    return error


def _proxies(run: Run) -> tuple[str, ...]:
    """The proxies of the machine's apt, which mmdebstrap does not read by itself."""
    dump = run(["apt-config", "dump", "--no-empty", "--format", '%f "%v";%n', "Acquire"]).text
    return tuple(
        f"--aptopt={line}"
        for line in dump.splitlines()
        if re.match(r"Acquire::https?::(\S+::)?Proxy ", line, re.IGNORECASE)
    )


@contextlib.contextmanager
def _alone(lock: Path, say: Callable[[str], None]) -> Iterator[None]:
    """Hold a lock that the kernel lets go when its holder dies."""
    with lock.open("w") as held:
        try:
            fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say("waiting for another debship that makes the same root")
            fcntl.flock(held, fcntl.LOCK_EX)
        yield
