"""One real host, on which packages are installed and asked."""

from pathlib import Path

from examples.rehearsal import Rehearsal

from debship.debian.releases import Release, this_machine
from debship.run import Completed

# What changes on any host at any time; everything else must be as it was.
RESTLESS = (
    *("/proc", "/sys", "/dev", "/run", "/tmp", "/var/tmp", "/var/log", "/var/cache"),
    *("/var/lib/apt", "/var/lib/dpkg", "/var/backups", "/root", "/var/lib/systemd/timers"),
    *("/var/lib/systemd/random-seed", "/var/lib/private"),
    "'/usr/lib/python3.*/__pycache__'",  # the interpreter's own, written when it first runs with -O
)


class House:
    """A host of the lab, and the folder that packages for it are built in."""

    def __init__(self, stage: Rehearsal, release: Release) -> None:
        self.stage, self.release = stage, release

    @property
    def options(self) -> tuple[str, ...]:
        """Of the build of a package for it."""
        here = this_machine(Path("/etc/os-release").read_text())
        return () if self.release == here else ("--release", self.release.codename, "--no-smoke")

    @property
    def suffix(self) -> str:
        """What the versions of such packages end with."""
        return self.release.suffix if self.options else ""

    @property
    def folder(self) -> Path:
        return self.stage.folder

    @property
    def address(self) -> str:
        return self.stage.hosts[0]

    def build(self, folder: Path, *options: str) -> Path:
        # How hard wheels are compressed is not what these tests are about.
        words = ("build", folder, "--level", "3", "--output", self.folder / "packages", *options)
        return Path(self.stage.debship(*words).text.splitlines()[0])

    def sh(self, line: str, *, check: bool = True, stdin: bytes = b"") -> Completed:
        return self.stage.enter(self.address, "sh", "-c", line, check=check, stdin=stdin)

    def apt(self, *words: str) -> None:
        quiet = ("env", "DEBIAN_FRONTEND=noninteractive", "apt-get", "-q", "-y")
        self.stage.enter(self.address, *quiet, *words)

    def state(self, unit: str) -> tuple[str, str]:
        shown = self.sh(f"systemctl is-active {unit}; systemctl is-enabled {unit}", check=False)
        active, enabled = shown.text.splitlines()[:2]
        return active, enabled

    def put(self, content: bytes, path: str) -> None:
        self.sh(f"mkdir -p $(dirname {path}) && cat > {path}", stdin=content)

    def install(self, deb: Path) -> None:
        self.put(deb.read_bytes(), f"/tmp/{deb.name}")
        self.apt("install", f"/tmp/{deb.name}")

    def files(self) -> set[str]:
        skip = " -o ".join(f"-path {path}" for path in RESTLESS)
        return set(self.sh(f"find / \\( {skip} \\) -prune -o -print").text.splitlines())

    def health(self, port: int = 8101) -> str:
        """What auth says of itself, once it answers."""
        return self.asked(f"http://127.0.0.1:{port}/healthz").replace(" ", "")

    def asked(self, url: str) -> str:
        """What answers there, within 20 s; curl by itself would look once a second."""
        return self.sh(f"timeout 20 sh -c 'until curl -fsS {url}; do sleep 0.1; done'").text
