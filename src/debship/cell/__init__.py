"""A cell: a clean root with a throw-away layer on it, and the programs that run inside.

The root itself is never written to. What runs in a cell sees the release's own files, the folders
that it is shown (at the paths that they have outside), the machine's network and certificates,
and nothing else of the machine. The cell has mount and process namespaces of its own: all that
was mounted and all that still runs in it end with it, also where its maker is killed.
"""

import contextlib
import os
import shutil
import threading
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from debship.cell.overlay import Overlay, make_place
from debship.cell.shows import Show, layer_of, mounts, seen
from debship.errors import Failed
from debship.roots import damaged, isolated, not_allowed, remove
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

_COPIED = (Path("/etc/resolv.conf"), Path("/etc/hosts"))

# The first process reaps what its children leave behind; it runs until it is killed. In a container
# the layer may lie on an overlay, which the kernel does not take for another's upper: then it goes to
# memory, at the same path, for this namespace alone.
_HOLD = """\
set -e
if ! mount -t overlay -o "$3" overlay "$2" 2>/dev/null; then
    cd "$4"
    mount -t tmpfs -o mode=0755 tmpfs "$4"
    cp --archive . "$4"
    cd /
    mount -t overlay -o "$3" overlay "$2"
fi
mount --all --fstab "$1" --target-prefix "$2"
exec chroot "$2" /bin/sh -c "echo ready; /bin/sleep infinity; :"
"""
_SECONDS = 30.0  # until a cell is ready; it takes 0.03


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
    shows = seen(show, home, environment)
    below = Overlay(root, layer / "root")
    below.make()
    for one in shows:
        make_place(one.path, below)
        if one.writes == "dropped":
            layer_of(one, layer).make()
    make_place(home, below)
    for file in _COPIED:
        if file.is_file():
            make_place(file, below)
            shutil.copyfile(file, below.upper / file.relative_to("/"))
    (layer / "fstab").write_text(mounts(shows, layer))
    merged = layer / "merged"
    merged.mkdir()
    held = spawn(
        (*isolated(), "sh", "-c", _HOLD, "sh", layer / "fstab", merged, below.options, layer),
        log=layer / "log",
        env={"LD_PRELOAD": None},  # what is loaded here is not there inside, and complains of it
    )
    try:
        first = _ready(held, layer / "log", name)
        own = {**_ENVIRONMENT, "HOME": str(home), **variables}
        yield Cell(name, first, run, own, inherits=environment is not None)
    finally:
        _end(held)
        remove(layer, run)


def _ready(held: Spawned, log: Path, name: str) -> int:
    deadline = time.monotonic() + _SECONDS
    # Where faketime turns the clock, as build --verify has it do, time.sleep() raises EINVAL.
    pause = threading.Event()
    while held.process.poll() is None and time.monotonic() < deadline:
        if b"ready" in log.read_bytes().splitlines():
            return int(Path(f"/proc/{held.pid}/task/{held.pid}/children").read_text())
        pause.wait(0.002)
    told = log.read_text(errors="replace").strip().replace("\n", "\n  ")
    raise Failed(
        f"a root of {name} cannot be entered on this machine\n  {told}",
        damaged(told) or not_allowed(told) or "in a container, this takes --privileged (it mounts)",
    )


def _end(held: Spawned) -> None:
    """Kill the first process inside, and all else there with it; then the one that waits for it."""
    with contextlib.suppress(OSError, ValueError):
        os.kill(int(Path(f"/proc/{held.pid}/task/{held.pid}/children").read_text()), 9)
        held.process.wait()
    held.process.kill()
    held.process.wait()
