"""What keeps a host from being reached at all, told before a connection is there."""

import subprocess
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import paramiko
import pytest

from debship.config.fleet import SshSettings
from debship.deploy import host as host_module
from debship.deploy.command import command_line
from debship.deploy.host import Answer, FabricHost, Unreachable


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("Host bastion\n HostName 127.0.0.9\nHost *\n ProxyJump bastion\n", "Host * !NAME"),
        ("Host *\n Port abc\n", "'abc'"),
        ('Host "x\n User me\n', "Unparsable"),
    ],
)
def test_a_mistake_in_the_ssh_configuration_is_told(
    text: str, why: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / ".ssh").mkdir()
    (tmp_path / ".ssh/config").write_text(text)
    monkeypatch.setenv("HOME", str(tmp_path))
    with pytest.raises(Unreachable) as caught:
        FabricHost("127.0.0.1", SshSettings(user="root")).run(("true",))
    assert caught.value.message.startswith("127.0.0.1: the ssh configuration cannot be used: ")
    assert why in caught.value.message
    assert "~/.ssh/config" in (caught.value.hint or "")


def test_a_file_of_known_hosts_that_is_missing_is_named(tmp_path: Path) -> None:
    missing = tmp_path / "known_hosts"
    with pytest.raises(Unreachable) as caught:
        FabricHost("127.0.0.1", SshSettings(user="root", known_hosts=missing)).run(("true",))
    assert caught.value.message == f"127.0.0.1: no connection: {missing}: No such file or directory"


@dataclass
class Session:
    """A channel to a host that says what it is told to."""

    says: Callable[[str], Answer]
    closed: bool = False
    eof_received: bool = True
    exit_status: int = -1
    status_event: threading.Event = field(default_factory=threading.Event)
    _out: bytes = b""
    _err: bytes = b""

    def exec_command(self, line: str) -> None:
        answer = self.says(line)
        self.exit_status, self._out, self._err = answer.returncode, answer.stdout, answer.stderr

    def settimeout(self, _: float) -> None:
        pass

    shutdown_write = close = lambda _self: None

    def exit_status_ready(self) -> bool:
        return True

    def recv_ready(self) -> bool:
        return bool(self._out)

    def recv_stderr_ready(self) -> bool:
        return bool(self._err)

    def recv(self, _: int) -> bytes:
        out, self._out = self._out, b""
        return out

    def recv_stderr(self, _: int) -> bytes:
        err, self._err = self._err, b""
        return err


@dataclass
class Connection:
    """A connection to such a host; it has no session to give for some times."""

    says: Callable[[str], Answer]
    user: str = "ops"
    busy: int = 0
    is_connected: bool = True

    @property
    def transport(self) -> "Connection":
        return self

    def open_session(self, timeout: float) -> Session:
        if self.busy:
            self.busy -= 1
            raise paramiko.ChannelException(2, "Connect failed")
        return Session(self.says)

    def close(self) -> None:
        self.is_connected = False


def reached(connection: Connection, gate: str = "") -> FabricHost:
    return FabricHost("h", SshSettings(), gate, _connection=connection)


@pytest.mark.parametrize("user", ["ops", "root"])
def test_a_user_who_can_run_nothing_is_named_not_the_host(user: str) -> None:
    says = Answer(1, b"This account is currently not available.\n", b"")
    with pytest.raises(Unreachable) as caught:
        reached(Connection(lambda _: says, user)).run(("test", "-x", "/usr/bin/python3"))
    assert caught.value.message.startswith(f"h: {user} can run no program")
    assert "This account is currently not available." in caught.value.message
    assert (caught.value.hint or "").startswith(
        f"{user} needs a login shell that reads what sh does"
    )
    assert ("sudo" in (caught.value.hint or "")) is (user != "root")


def test_a_gate_that_is_not_there_is_named() -> None:
    says = Answer(1, b"", b"sudo: /usr/local/sbin/gate: command not found\n")
    with pytest.raises(Unreachable) as caught:
        reached(Connection(lambda _: says), "/usr/local/sbin/gate").run(("true",))
    assert "for /usr/local/sbin/gate (fab bootstrap --login ADMIN" in (caught.value.hint or "")


def test_a_program_that_fails_where_others_run_is_an_answer_and_asked_about_once() -> None:
    lines: list[str] = []

    def says(line: str) -> Answer:
        lines.append(line)
        return Answer(0 if "debship-proof" in line else 3, b"", b"")

    host = reached(Connection(says))
    assert [host.run(("false",)).returncode for _ in range(2)] == [3, 3]
    assert sum("debship-proof" in line for line in lines) == 1


def test_a_shell_that_reads_lines_of_one_row_alone_is_named() -> None:
    def says(line: str) -> Answer:
        return Answer(1, b"", b"Unmatched.\n") if "\n" in line else Answer(0, b"", b"")

    host = reached(Connection(says))
    assert host.run(("true",)).returncode == 0
    with pytest.raises(Unreachable, match="Unmatched"):
        host.run(("sh", "-c", "true\ntrue"))


def test_a_session_that_the_host_still_ends_is_waited_for() -> None:
    assert reached(Connection(lambda _: Answer(0, b"", b""), busy=2)).run(("true",)).returncode == 0


def test_a_host_that_gives_no_session_lets_no_program_begin(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(host_module, "SESSION", 0.1)
    with pytest.raises(Unreachable, match="h: it lets no program begin: Connect failed") as caught:
        reached(Connection(lambda _: Answer(0, b"", b""), busy=1000)).run(("true",))
    assert "MaxSessions" in (caught.value.hint or "")


def test_a_backslash_is_the_same_for_every_shell() -> None:
    words = ("printf", "%s|", r"a\\b", r"\'", "it's", "$HOME", "two\nlines")
    line = command_line(words)
    # Within single quotes fish reads a backslash before another, or before a quote.
    assert "\\" not in "".join(line.split("'")[1::2])
    done = subprocess.run(["sh", "-c", line], check=True, capture_output=True, text=True)
    assert done.stdout == "".join(f"{word}|" for word in words[2:])
