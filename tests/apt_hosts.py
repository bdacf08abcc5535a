"""Hosts whose apt is the real one, of this machine or of another Debian."""

from pathlib import Path

from debship.publish.check import apt_words, prepare
from debship.run import Completed, run

# Mounts live in a namespace of their own and go with the process.
IN_ROOT = """
mount --bind /dev "$1/dev" && mount --bind "$2" "$1/mnt" && mount -t tmpfs none "$1/tmp"
root="$1"; shift 2
exec chroot "$root" "$@"
"""


class Host:
    """An apt with a state of its own, which remembers what it saw."""

    def __init__(self, folder: Path, text: str, root: Path | None) -> None:
        self.folder, self.root = folder, root
        prepare(folder, text)

    @property
    def seen(self) -> Path:
        """The folder as apt sees it."""
        return Path("/mnt") if self.root else self.folder

    def __call__(self, *words: str) -> Completed:
        argv = [*apt_words(self.seen, ["amd64"]), *words]
        if self.root:
            inner = ["sh", "-euc", f"cd /mnt; exec {' '.join(map(str, argv))}"]
            mount = ["unshare", "--mount", "--propagation", "private", "sh", "-euc", IN_ROOT, "sh"]
            return run([*mount, self.root, self.folder, *inner])
        return run(argv, cwd=self.folder)

    def fetched(self) -> list[str]:
        return sorted(path.name for path in self.folder.glob("*.deb"))


class Machine(Host):
    """A host whose apt and dpkg install for real, below a folder."""

    def __init__(self, folder: Path, text: str, root: Path | None) -> None:
        super().__init__(folder, text, root)
        self._system = folder / "system"
        for name in ("info", "updates", "triggers"):
            (self._system / "var/lib/dpkg" / name).mkdir(parents=True)
        (self._system / "var/lib/dpkg/status").touch()
        (folder / "var/log/apt").mkdir(parents=True)

    def install(self, version: str, *packages: str) -> None:
        """Hear what is new, install packages of a version, and see what is in them."""
        system = self.seen / "system"
        options = (
            f"Dir::State::status={system}/var/lib/dpkg/status",
            f"DPkg::Options::=--root={system}",
            "DPkg::Options::=--force-unsafe-io",
            "DPkg::Use-Pty=0",
        )
        words = [word for option in options for word in ("-o", option)]
        self(*words, "update")
        self(*words, "-y", "install", *(f"{package}={version}" for package in packages))
        for package in packages:
            readme = self._system / f"usr/share/doc/{package}/README"
            assert readme.read_text() == f"{package} {version}\n"
