"""A bare host that is made able to receive."""

import functools
from collections.abc import Sequence
from dataclasses import dataclass, field

import pytest

from debship.deploy import apt
from debship.deploy import bootstrap as preparing
from debship.deploy.host import Answer
from debship.errors import Failed
from debship.publish.sources import sources_text

from fakes_fleet import LISTS_LOCKED, FakeClock

bootstrap = functools.partial(preparing.bootstrap, clock=FakeClock())
KEY = "-----BEGIN PGP PUBLIC KEY BLOCK-----\n\nmDMEZ\n-----END PGP PUBLIC KEY BLOCK-----\n"
SOURCES = sources_text("http://apt.example.com", "production", ("main",), KEY)
GATE = ("/usr/local/sbin/debship-gate-auth", "#!/usr/bin/python3 -I\n")


@dataclass
class Bare:
    """A host with nothing on it but what a bootstrap asks for."""

    version: str = "2.6.1"  # of apt
    lacks: str = ""  # a word of a command that fails
    files: dict[str, bytes] = field(default_factory=dict)
    modes: dict[str, str] = field(default_factory=dict)
    address: str = "h1"
    locked: int = 0  # times that another apt has the lists

    def run(self, argv: Sequence[str], *, stdin: bytes = b"", timeout: float = 60.0) -> Answer:
        if self.lacks and any(self.lacks in word for word in argv):
            return Answer(1, b"", b"E: it says no")
        if argv[-1] == "update" and self.locked:
            self.locked -= 1
            return Answer(100, b"", LISTS_LOCKED)
        if argv[0] == "cat":
            there = self.files.get(argv[-1])
            return Answer(0 if there is not None else 1, there or b"", b"")
        if argv[0] == "find":
            rightly = self.modes.get(argv[1]) == argv[3]
            return Answer(0, argv[1].encode() if rightly else b"", b"")
        return Answer(0, self.version.encode() if argv[0] == "sh" else b"", b"")

    def put(self, path: str, data: bytes, *, owner: str, group: str, mode: int) -> None:
        self.files[path] = data
        self.modes[path] = f"{mode:04o}"

    def close(self) -> None:
        pass


@pytest.mark.parametrize("version", ["2.3.10", "2.6.1", "3.2.0"])
def test_a_source_has_its_key_inside(version: str) -> None:
    host = Bare(version)
    assert bootstrap(host, SOURCES) == (f"wrote {apt.SOURCE}",)
    assert host.files == {apt.SOURCE: SOURCES.encode()}
    assert bootstrap(host, SOURCES) == ()


@pytest.mark.parametrize("version", ["2.0.11", "2.2.4"])
def test_where_apt_reads_no_key_inside_it_lies_beside(version: str) -> None:
    host = Bare(version)
    # The key first: a source never names a file that is not there.
    assert bootstrap(host, SOURCES) == (f"wrote {apt.KEYRING}", f"wrote {apt.SOURCE}")
    assert host.files[apt.KEYRING].decode() == KEY
    assert f"Signed-By: {apt.KEYRING}\n" in host.files[apt.SOURCE].decode()
    assert bootstrap(host, SOURCES) == ()


@pytest.mark.parametrize(
    ("lacks", "says"),
    [
        ("systemd", "no host that a package can serve on"),
        ("/usr/bin/python3", "the gate is a program of /usr/bin/python3"),
        ("update", "the repository could not be read\nE: it says no"),
    ],
)
def test_what_a_host_lacks_is_said(lacks: str, says: str) -> None:
    with pytest.raises(Failed, match=says):
        bootstrap(Bare(lacks=lacks), SOURCES, GATE)


def test_without_a_gate_no_python_is_asked_for() -> None:
    host = Bare(lacks="/usr/bin/python3")
    assert bootstrap(host, SOURCES) == (f"wrote {apt.SOURCE}",)
    with pytest.raises(Failed):
        bootstrap(host, SOURCES, GATE)
    assert GATE[0] not in host.files


def test_an_apt_of_somebody_else_is_waited_for() -> None:
    assert bootstrap(Bare(locked=3), SOURCES) == (f"wrote {apt.SOURCE}",)
    with pytest.raises(Failed, match="Could not get lock /var/lib/apt/lists/lock"):
        bootstrap(Bare(locked=1000), SOURCES)


def test_a_gate_that_sudo_could_not_run_is_put_right() -> None:
    host = Bare()
    bootstrap(host, SOURCES, GATE)
    host.modes[GATE[0]] = "0644"
    assert bootstrap(host, SOURCES, GATE) == (f"wrote {GATE[0]}",)
    assert bootstrap(host, SOURCES, GATE) == ()


def test_a_host_whose_shell_talks_is_named() -> None:
    with pytest.raises(Failed, match="h1: what it said of its apt cannot be read") as caught:
        bootstrap(Bare("Welcome to h1\n2.6.2"), SOURCES)
    assert ".bashrc" in (caught.value.hint or "")
