"""The door to a host, and the only import of fabric."""

import contextlib
import logging
import socket
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from debship.config.fleet import SshSettings
from debship.deploy.command import command_line, proof, put_words, received
from debship.errors import Failed, Uncertain

DEAD = 20.0  # seconds without an acknowledgement after which a link counts as lost (tcp(7))

# Why what a host says may have lines before it, in a hint.
TALKS = "a shell that prints text where nobody is logged in (.bashrc, ~/.ssh/rc) does so"

# What a roll needs of a host before it can ask or write down anything, in a hint.
WRITABLE = "there, /dev/shm and /var/lib/debship must be there and writable, with room"

SESSION = 3.0  # seconds that are waited for the session of the call before to end (MaxSessions)

_SILENT = logging.NullHandler()


class Unreachable(Failed):
    """The host did not let us in: nothing was begun there."""


class LinkLost(Uncertain):
    """The link to the host was lost, or a call ran out of time: what it began may go on there."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What a program on a host left."""

    returncode: int
    stdout: bytes
    stderr: bytes

    @property
    def text(self) -> str:
        """Its standard output as text."""
        return self.stdout.decode(errors="replace")

    @property
    def complaint(self) -> str:
        """The end of what it said, for people."""
        wrote = (self.stderr.strip() or self.stdout.strip()).decode(errors="replace")
        return "\n".join(wrote.splitlines()[-15:])


class Host(Protocol):
    """One host of a fleet, reached over one connection.

    Every call is bounded in time; a call that does not end in time, or whose link is lost,
    raises ``LinkLost``: unknown, not failed.
    """

    @property
    def address(self) -> str:
        """What people and records call it."""
        ...

    def run(self, argv: Sequence[str], *, stdin: bytes = b"", timeout: float = 60.0) -> Answer:
        """Run a program as root to its end; any exit code is an answer."""
        ...

    def put(self, path: str, data: bytes, *, owner: str, group: str, mode: int) -> None:
        """Write a file atomically, with its owner and mode, making the folder it lies in."""
        ...

    def close(self) -> None:
        """Let the connection go; the next call opens it again."""
        ...


@dataclass
class FabricHost:
    """A host over SSH. Its key must be known: an unknown or changed one is refused.

    Fabric reads the user's ssh configuration and opens the connection; programs run on channels
    of our own, because Fabric's ``run`` cannot notice a dead peer (fabric#2197) and reads what
    it is to send one byte each 10 ms.
    """

    address: str
    settings: SshSettings
    gate: str = ""  # the program that sudo lets the user run; "": any
    calls: int = 0  # programs run on the host so far
    _connection: Any = field(default=None, repr=False)
    _proven: bool = False  # whether a program of ours went well over this connection

    def run(self, argv: Sequence[str], *, stdin: bytes = b"", timeout: float = 60.0) -> Answer:
        """Run a program as root to its end; see ``Host``."""
        self._open()
        self.calls += 1
        words = self._as_root(argv)
        if stdin:
            words = received(words, len(stdin))
        answer = self._call(words, stdin, timeout)
        if answer.returncode != 0 and not self._proven:
            self._must_run_programs()
        # A line of one row is read by shells that read no other.
        self._proven |= answer.returncode != 0 or any("\n" in word for word in words)
        return answer

    def _as_root(self, argv: Sequence[str]) -> tuple[str, ...]:
        sudo = ("sudo", "-n", "--", *((self.gate,) if self.gate else ()))
        return tuple(argv) if self._is_root else (*sudo, *argv)

    def _call(self, words: Sequence[str], stdin: bytes, timeout: float) -> Answer:
        import paramiko

        try:
            with contextlib.closing(self._session(timeout)) as channel:
                return _exchange(channel, command_line(words), stdin, timeout)
        except (OSError, EOFError, paramiko.SSHException) as error:
            self.close()
            raise LinkLost(f"{self.address}: the link was lost: {_reason(error)}") from error

    def _session(self, timeout: float) -> Any:
        """Open a channel; the host may still be ending that of the call before."""
        import paramiko

        deadline = time.monotonic() + SESSION
        while True:
            try:
                return self._connection.transport.open_session(timeout=min(timeout, 10.0))
            except paramiko.ChannelException as error:
                if time.monotonic() > deadline:
                    raise Unreachable(
                        f"{self.address}: it lets no program begin: {error.text}",
                        "look at MaxSessions in its /etc/ssh/sshd_config (sshd_config(5))",
                    ) from error
                time.sleep(0.05)

    def _must_run_programs(self) -> None:
        """See that what failed could begin at all.

        Raises:
            Unreachable: the user's shell, or sudo, runs nothing.
        """
        answer = self._call(proof(self._as_root(("true",))), b"", 60.0)
        if answer.returncode == 0:
            return
        user, root = self._connection.user, self._is_root
        sudo = "" if root else ", and sudo without a password or a terminal"
        gate = f" for {self.gate} (fab bootstrap --login ADMIN puts it there)" if self.gate else ""
        raise Unreachable(
            f"{self.address}: {user} can run no program {'' if root else 'as root '}there: "
            f"{answer.complaint or f'exit code {answer.returncode}'}",
            f"{user} needs a login shell that reads what sh does{sudo}{gate}",
        )

    def put(self, path: str, data: bytes, *, owner: str, group: str, mode: int) -> None:
        """Write a file atomically; see ``Host``.

        Raises:
            Failed: the host could not write it; the message never shows the content.
        """
        answer = self.run(put_words(path, owner, group, mode), stdin=data)
        if answer.returncode != 0:
            raise Failed(f"{self.address}: {path} could not be written: {answer.complaint}")

    def close(self) -> None:
        """Let the connection go."""
        connection, self._connection = self._connection, None
        if connection is not None:
            with contextlib.suppress(Exception):
                connection.close()

    @property
    def _is_root(self) -> bool:
        return bool(self._connection.user == "root")

    def _open(self) -> None:
        if self._connection is not None and self._connection.is_connected:
            return
        import fabric
        import paramiko

        # Paramiko's threads would print tracebacks of what we raise in words of our own.
        logging.getLogger("paramiko").addHandler(_SILENT)
        settings = self.settings
        options: dict[str, Any] = {"banner_timeout": settings.connect_timeout}
        if settings.identity:
            options |= {"key_filename": str(settings.identity), "look_for_keys": False}
        try:
            connection = fabric.Connection(
                self.address,
                user=settings.user,
                port=settings.port,
                connect_timeout=settings.connect_timeout,
                connect_kwargs=options,
            )
        except (OSError, ValueError, RecursionError, paramiko.SSHException) as error:
            looped = "ProxyJump is meant for the jump host too (Host * !NAME leaves that out)"
            why = looped if isinstance(error, RecursionError) else _reason(error)
            raise Unreachable(
                f"{self.address}: the ssh configuration cannot be used: {why}",
                "mend ~/.ssh/config, or /etc/ssh/ssh_config",
            ) from error
        # Fabric would take any key that a stranger shows.
        connection.client.set_missing_host_key_policy(paramiko.RejectPolicy())
        try:
            if settings.known_hosts:
                connection.client.load_host_keys(str(settings.known_hosts))
            else:
                connection.client.load_system_host_keys()
            connection.open()
        except (OSError, EOFError, paramiko.SSHException) as error:
            with contextlib.suppress(Exception):
                connection.close()
            raise Unreachable(
                f"{self.address}: no connection: {_reason(error)}", _way_in(error, connection)
            ) from error
        self._proven = False
        connection.transport.set_keepalive(5)  # so that there is something to acknowledge
        # Without it each call waits 40 ms for the other side's delayed acknowledgement; a
        # connection through a proxy command has no socket to tell.
        with contextlib.suppress(AttributeError, OSError):
            sock = connection.transport.sock
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, int(DEAD * 1000))
        self._connection = connection


def _exchange(channel: Any, line: str, stdin: bytes, timeout: float) -> Answer:
    """Run one line on a channel; the deadline holds for all of it.

    Raises:
        TimeoutError: it did not end in time; closing the channel does not end the program.
    """
    deadline = time.monotonic() + timeout
    channel.settimeout(min(timeout, 10.0))
    channel.exec_command(line)
    if stdin:
        channel.sendall(stdin)
    channel.shutdown_write()
    out, err = bytearray(), bytearray()
    while True:
        # Looked at before reading: what arrives together with the end is still read after it.
        # A channel of a connection that died is closed without an end of its output.
        ended = channel.closed or (channel.eof_received and channel.exit_status_ready())
        while channel.recv_ready():
            out += channel.recv(65536)
        while channel.recv_stderr_ready():
            err += channel.recv_stderr(65536)
        if ended:
            break
        if time.monotonic() > deadline:
            raise TimeoutError(f"no end within {timeout:g} s")
        channel.status_event.wait(0.01)
    if channel.exit_status < 0:
        raise EOFError("the connection was closed before the program's exit code came")
    return Answer(channel.exit_status, bytes(out), bytes(err))


def _way_in(error: BaseException, connection: Any) -> str:
    """What lets us in where we were not, for a hint."""
    import paramiko

    if isinstance(error, paramiko.BadHostKeyException):
        return (
            "where the host was made anew: put its new key into known_hosts, in place of the old "
            "one; else somebody may stand between"
        )
    if isinstance(error, paramiko.AuthenticationException):
        return (
            f"does it let {connection.user} in with this key? see ssh.user and ssh.identity in "
            "fleet.toml, and PermitRootLogin (sshd_config(5))"
        )
    return "check that it is up, that ssh reaches it, and that its key is in known_hosts"


def _reason(error: BaseException) -> str:
    text = error.strerror if isinstance(error, OSError) else None
    if text and isinstance(error, OSError) and error.filename:
        text = f"{error.filename}: {text}"
    return text or str(error).removeprefix("[Errno None] ") or type(error).__name__
