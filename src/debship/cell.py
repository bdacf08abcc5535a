"""A cell: a clean root with a throw-away layer on it, and the programs that run inside.

The root itself is never written to. What runs in a cell sees the release's own files, the folders
that it is shown (at the paths that they have outside), the machine's network and certificates,
and nothing else of the machine. The cell has mount and process namespaces of its own: all that
was mounted and all that still runs in it end with it, also where its maker is killed.
"""

import contextlib
import hashlib
import os
import re
import shutil
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from debship.errors import Failed, Refused
from debship.roots import isolated, not_allowed, remove
from debship.run import Completed, Run, Spawned, Word, failure, shown, spawn

PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

# What the programs of a cell find instead of the machine's own.
_ENVIRONMENT: Mapping[str, str | None] = {
    "DEBIAN_FRONTEND": "noninteractive",
    "PATH": PATH,
    "LC_ALL": "C.UTF-8",
    "SYSTEMD_LOG_COLOR": "0",
    **dict.fromkeys(("LANG", "LANGUAGE", "TMPDIR", "TMP", "TEMP", "LD_PRELOAD", "LD_LIBRARY_PATH")),
    **dict.fromkeys(("PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV", "XDG_RUNTIME_DIR")),
    **dict.fromkeys(("XDG_CACHE_HOME", "XDG_CONFIG_HOME", "XDG_DATA_HOME", "XDG_STATE_HOME")),
}

# Where to ask, and whom to trust: names, certificates (the folder's links point to the second),
# indexes of packages. Of a file that the environment names as certificates, the folder too.
_MACHINE = (
    *("/etc/ssl/certs", "/usr/share/ca-certificates", "/usr/local/share/ca-certificates"),
    *("/etc/uv", "/etc/pip.conf"),
)
_HOME = (".netrc", ".config/uv", ".config/pip", ".pip")
_CERTIFICATES = (
    *("SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "PIP_CERT"),
    *("NODE_EXTRA_CA_CERTS", "GIT_SSL_CAINFO", "AWS_CA_BUNDLE"),
)
_COPIED = (Path("/etc/resolv.conf"), Path("/etc/hosts"))

# Folders of a root that nothing may be shown over.
_TAKEN = re.compile(
    r"/|/(bin|boot|dev|etc|lib\w*|proc|run|sbin|sys|tmp|usr|var)(/(bin|sbin|lib\w*))?"
)

# The first process reaps what its children leave behind; it runs until it is killed.
_HOLD = (
    'set -e; mount -t overlay -o "$3" overlay "$2"; mount --all --fstab "$1" --target-prefix "$2"; '
    'exec chroot "$2" /bin/sh -c "echo ready; sleep infinity; :"'
)
_SECONDS = 30.0  # until a cell is ready; it takes 0.03


@dataclass(frozen=True, slots=True)
class Show:
    """A file or folder of the machine that a cell sees, at the same path.

    Attributes:
        writes: what becomes of what is written there: it cannot be, it goes through to the
            machine, or it is seen in the cell alone and gone with it (folders only).
    """

    path: Path
    writes: Literal["refused", "kept", "dropped"] = "refused"


@dataclass(frozen=True, slots=True)
class Layer:
    """A layer for writes on a folder that is not written to (overlayfs)."""

    lower: Path
    folder: Path  # a new one

    @property
    def upper(self) -> Path:
        """Where what is written goes."""
        return self.folder / "upper"

    @property
    def options(self) -> str:
        """Options for mount(8). volatile: nobody waits for the disk, for what is thrown away."""
        work = self.folder / "work"
        user = "" if os.geteuid() == 0 else ",userxattr"
        return f"lowerdir={self.lower},upperdir={self.upper},workdir={work},volatile{user}"

    def make(self) -> None:
        """Make its folders.

        Raises:
            Refused: an option of mount(8) cannot hold the path.
        """
        for path in (self.lower, self.folder):
            if set(":,\\") & set(str(path)):
                raise Refused(f"{path}: an overlay's path may have no colon, comma or backslash")
        self.upper.mkdir(parents=True)
        self.upper.chmod(self.lower.stat().st_mode & 0o7777)
        (self.folder / "work").mkdir()


@dataclass(frozen=True, slots=True)
class Cell:
    """Programs that run inside a root; a ``Run``.

    Attributes:
        name: of the release, for messages.
        first: the process that holds the cell.
        run: the door to the machine's programs.
        environment: what is set or taken away for each program.
        inherits: whether programs see the environment of this process besides.
    """

    name: str
    first: int
    run: Run
    environment: Mapping[str, str | None]
    inherits: bool

    @property
    def root(self) -> Path:
        """What its programs call ``/``, for this process. Not to be resolved: it is a link to /."""
        return Path(f"/proc/{self.first}/root")

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
        """Run a program of the release to its end; see ``Run``."""
        words = tuple(str(word) for word in argv)
        user = () if os.geteuid() == 0 else ("--user",)
        merged = {**self.environment, **(env or {})}
        kept = [f"{name}={value}" for name, value in merged.items() if value is not None]
        own = () if self.inherits else ("--ignore-environment", *kept)
        outer = (
            *("nsenter", f"--target={self.first}", *user, "--mount", "--pid", "--root"),
            *("env", f"--chdir={cwd or '/'}", *own, *words),
        )
        try:
            done = self.run(outer, env=merged, stdin=stdin, timeout=timeout, check=False)
        except Failed as error:
            told = error.message.replace(shown(outer), shown(words)).replace("nsenter", words[0], 1)
            raise Failed(f"{told} (in a root of {self.name})", error.hint) from error
        completed = Completed(words, done.returncode, done.stdout, done.stderr)
        if done.returncode == 127 and done.stderr.startswith(b"env: "):
            raise Failed(
                f"{words[0]} is not installed in a clean root of {self.name}",
                "name the package that has it under [build] needs",
            )
        if check and completed.returncode != 0:
            raise Failed(f"in a root of {self.name}: {failure(completed)}")
        return completed


@contextlib.contextmanager
def open_cell(
    root: Path,
    *,
    name: str,
    layer: Path,
    show: Iterable[Show],
    environment: Mapping[str, str] | None,
    variables: Mapping[str, str],
    run: Run,
) -> Iterator[Cell]:
    """Open a cell, and take it away again.

    Args:
        root: of a release, as ``clean_root`` makes it.
        name: of the release.
        layer: a new folder for what is written; removed afterwards.
        show: what else is seen inside.
        environment: of this process; None: its programs see nothing of that, and nothing of the
            machine's user.
        variables: what is set inside besides.
        run: the door to the machine's programs.

    Raises:
        Failed: this machine (or container) does not let us mount.
        Refused: something is to be shown where the root has its own files.
    """
    home = Path((environment or {}).get("HOME") or "/root")
    shows = _seen(show, home, environment)
    below = Layer(root, layer / "root")
    below.make()
    for one in shows:
        _make_place(one.path, below)
        if one.writes == "dropped":
            _layer_of(one, layer).make()
    _make_place(home, below)
    for file in _COPIED:
        if file.is_file():
            _make_place(file, below)
            shutil.copyfile(file, below.upper / file.relative_to("/"))
    (layer / "fstab").write_text(mounts(shows, layer))
    merged = layer / "merged"
    merged.mkdir()
    held = spawn(
        (*isolated(), "sh", "-c", _HOLD, "sh", layer / "fstab", merged, below.options),
        log=layer / "log",
    )
    try:
        first = _ready(held, layer / "log", name)
        own = {**_ENVIRONMENT, "HOME": str(home), **variables}
        yield Cell(name, first, run, own, inherits=environment is not None)
    finally:
        _end(held)
        remove(layer, run)


def mounts(shows: Iterable[Show], layer: Path) -> str:
    """Write the mounts of a cell in the format of fstab(5); what lies in another comes after it."""
    rows = [
        ("proc", "/proc", "proc", "nosuid,nodev,noexec"),
        ("/sys", "/sys", "none", "rbind,ro"),
        # An old systemd-analyze moves the processes of the machine about that it finds here.
        ("tmpfs", "/sys/fs/cgroup", "tmpfs", "ro,mode=755,nosuid,nodev,noexec"),
        ("/dev", "/dev", "none", "rbind"),
        ("tmpfs", "/run", "tmpfs", "mode=755,nosuid,nodev"),
    ]
    for one in sorted(shows, key=lambda one: one.path):
        path = str(one.path)
        if one.writes == "dropped":
            rows.append(("overlay", path, "overlay", _layer_of(one, layer).options))
        else:
            rows.append((path, path, "none", "bind" if one.writes == "kept" else "bind,ro"))
    return "".join(f"{' '.join(map(_escaped, row))} 0 0\n" for row in rows)


def _layer_of(show: Show, layer: Path) -> Layer:
    return Layer(show.path, layer / hashlib.sha256(bytes(show.path)).hexdigest()[:16])


def _seen(
    show: Iterable[Show], home: Path, environment: Mapping[str, str] | None
) -> tuple[Show, ...]:
    """What is shown: what was asked for, and of the machine what network and indexes need."""
    asked = tuple(show)
    for one in asked:
        if _TAKEN.fullmatch(str(one.path)):
            raise Refused(
                f"{one.path} cannot be seen in a root of another release: it has its own",
                "move the project to a folder of its own, such as /srv/NAME",
            )
    wanted = [Path(path) for path in _MACHINE]
    if environment is not None:
        wanted += [home / entry for entry in _HOME]
        wanted += [Path(environment[name]) for name in _CERTIFICATES if environment.get(name)]
    own = [path for path in wanted if path.is_absolute() and os.access(path, os.R_OK)]
    shows = {one.path: one for one in (*(Show(path) for path in own), *asked)}
    covered = [one for one in shows.values() if not _lies_in(one, shows.values())]
    return tuple(sorted(covered, key=lambda one: one.path))


def _lies_in(one: Show, others: Iterable[Show]) -> bool:
    return any(
        other.path != one.path
        and one.path.is_relative_to(other.path)
        and one.writes in ("refused", other.writes)
        for other in others
    )


def _make_place(path: Path, layer: Layer) -> None:
    """Make a place to mount on in a layer; a folder there hides the mode of the one below."""
    inner = path.relative_to("/")
    for parent in (*reversed(inner.parents[:-1]), *([inner] if path.is_dir() else ())):
        folder, like = layer.upper / parent, layer.lower / parent
        if not folder.is_dir():
            folder.mkdir()
            folder.chmod(like.stat().st_mode & 0o7777 if like.is_dir() else 0o755)
    if not path.is_dir():
        (layer.upper / inner).touch()


def _escaped(path: str) -> str:
    return re.sub(r"[\s\\#]", lambda match: f"\\{ord(match[0]):03o}", path)


def _ready(held: Spawned, log: Path, name: str) -> int:
    deadline = time.monotonic() + _SECONDS
    while held.process.poll() is None and time.monotonic() < deadline:
        if log.read_bytes().endswith(b"ready\n"):
            return int(Path(f"/proc/{held.pid}/task/{held.pid}/children").read_text())
        time.sleep(0.002)
    told = log.read_text(errors="replace").strip().replace("\n", "\n  ")
    raise Failed(
        f"a root of {name} cannot be entered on this machine\n  {told}",
        not_allowed(told) or "in a container, this takes --privileged (it mounts)",
    )


def _end(held: Spawned) -> None:
    """Kill the first process inside, and all else there with it; then the one that waits for it."""
    with contextlib.suppress(OSError, ValueError):
        os.kill(int(Path(f"/proc/{held.pid}/task/{held.pid}/children").read_text()), 9)
        held.process.wait()
    held.process.kill()
    held.process.wait()
