"""The door to a host: a real one over its sshd, and the fake, held to one contract."""

import os
import socket
import time
from pathlib import Path

import pytest
from examples.rehearsal import Rehearsal

from debship.config.fleet import SshSettings
from debship.deploy.command import received
from debship.deploy.fence import GuardedHost
from debship.deploy.host import FabricHost, Host, LinkLost, Unreachable
from debship.errors import Failed

from fakes_fleet import FakeClock, FakeHost

pytestmark = pytest.mark.acceptance


def settings_of(stage: Rehearsal, known_hosts: Path | None = None) -> SshSettings:
    ssh = stage.lab["ssh"]
    return SshSettings(
        user="root",
        identity=Path(ssh["identity"]),
        known_hosts=known_hosts or Path(ssh["known_hosts"]),
        connect_timeout=3,
    )


@pytest.fixture
def real(stage: Rehearsal):
    host = FabricHost(stage.hosts[0], settings_of(stage))
    yield host
    host.close()


@pytest.fixture(params=["real", "fake"])
def host(request: pytest.FixtureRequest) -> Host:
    if request.param == "fake":
        return FakeHost("fake", FakeClock())
    return request.getfixturevalue("real")


@pytest.fixture
def folder(stage: Rehearsal):
    """A folder on the host that the test has for itself."""
    path = stage.enter(stage.hosts[0], "mktemp", "-d").text
    yield path
    stage.enter(stage.hosts[0], "rm", "-rf", "--", path)


class TestContract:
    def test_what_was_put_can_be_read(self, host: Host, folder: str) -> None:
        path = f"{folder}/a folder that is missing/a file; echo $(id)"
        host.put(path, b"one\n\x00\xfftwo", owner="root", group="root", mode=0o640)
        answer = host.run(("cat", "--", path))
        assert (answer.returncode, answer.stdout) == (0, b"one\n\x00\xfftwo")

    def test_what_was_removed_is_gone(self, host: Host, folder: str) -> None:
        host.put(f"{folder}/file", b"", owner="root", group="root", mode=0o600)
        assert host.run(("rm", "-f", "--", f"{folder}/file")).returncode == 0
        assert host.run(("cat", "--", f"{folder}/file")).returncode != 0

    def test_calls_are_counted(self, host: Host) -> None:
        host.run(("test", "-r", "/etc/passwd"))
        host.run(("test", "-r", "/etc/passwd"))
        assert host.calls == 2

    def test_it_can_be_closed_and_used_again(self, host: Host) -> None:
        host.run(("test", "-r", "/etc/passwd"))
        host.close()
        assert host.run(("test", "-r", "/etc/passwd")).returncode == 0


def test_a_file_has_its_owner_and_mode_and_no_trace_beside_it(
    stage: Rehearsal, real: FabricHost, folder: str
) -> None:
    for content in (b"old", b"new"):
        real.put(f"{folder}/secret", content, owner="root", group="daemon", mode=0o640)
    look = ("stat", "-c", "%a %U %G %n")
    assert (
        stage.enter(real.address, *look, f"{folder}/secret").text
        == f"640 root daemon {folder}/secret"
    )
    assert stage.enter(real.address, "cat", f"{folder}/secret").text == "new"
    assert stage.enter(real.address, "ls", "-A", folder).text == "secret"


def test_a_file_that_cannot_be_written_fails_without_showing_its_content(
    stage: Rehearsal, real: FabricHost, folder: str
) -> None:
    with pytest.raises(Failed) as caught:
        real.put(f"{folder}/x", b"hunter2", owner="nobody-here", group="root", mode=0o600)
    assert "hunter2" not in caught.value.message
    assert stage.enter(real.address, "ls", "-A", folder).text == ""


def test_words_reach_the_program_as_they_are(real: FabricHost) -> None:
    assert real.run(("printf", "%s", "a b; echo $(id) 'c'")).text == "a b; echo $(id) 'c'"


def test_exit_code_output_and_large_input_arrive_whole(real: FabricHost) -> None:
    data = os.urandom(3_000_000)
    assert real.run(("cat",), stdin=data).stdout == data
    answer = real.run(("sh", "-c", "echo out; echo err >&2; exit 7"))
    assert (answer.returncode, answer.stdout, answer.stderr) == (7, b"out\n", b"err\n")


def test_input_that_does_not_come_whole_runs_nothing(stage: Rehearsal, folder: str) -> None:
    """Half of it because the link was lost; or nothing because the roller was stopped."""
    took = ("tee", f"{folder}/file")
    half = stage.enter(stage.hosts[0], *received(took, 9), stdin=b"half", check=False)
    assert half.returncode == 74
    # What is read from and written to by oneself never ends, as with a roller that sleeps.
    line = 'mkfifo "$0" && timeout 20 "$@" <> "$0"; code=$?; rm "$0"; exit $code'
    silent = ("sh", "-c", line, f"{folder}/fifo", *received(took, 9, within=0.5))
    assert stage.enter(stage.hosts[0], *silent, check=False).returncode == 74
    assert stage.enter(stage.hosts[0], "ls", "-A", folder).text == ""
    assert "debship." not in stage.enter(stage.hosts[0], "ls", "-A", "/dev/shm").text


def test_a_call_waits_for_no_delayed_acknowledgement(real: FabricHost) -> None:
    took = []
    for _ in range(20):
        start = time.monotonic()
        real.run(("true",))
        took.append(time.monotonic() - start)
    # Linux delays an acknowledgement by 40 ms at least (tcp(7)).
    assert min(took) < 0.03


def test_what_arrives_together_with_the_end_is_not_lost(real: FabricHost) -> None:
    for _ in range(200):
        assert real.run(("echo", "whole")).stdout == b"whole\n"


def test_a_program_that_does_not_end_is_unknown_not_failed(real: FabricHost) -> None:
    start = time.monotonic()
    with pytest.raises(LinkLost, match=r"no end within 0\.5 s"):
        real.run(("sleep", "20"), timeout=0.5)
    assert time.monotonic() - start < 3


def test_a_connection_that_dies_is_noticed_at_once(real: FabricHost) -> None:
    start = time.monotonic()
    with pytest.raises(LinkLost, match="closed"):
        real.run(("sh", "-c", "kill -9 $PPID; sleep 20"), timeout=20)
    assert time.monotonic() - start < 5
    assert real.run(("true",)).returncode == 0


def test_a_guarded_program_that_a_signal_ends_is_no_lost_link(
    stage: Rehearsal, real: FabricHost, folder: str
) -> None:
    stage.enter(real.address, "sh", "-c", f"echo 'r1 1 T me x' > {folder}/lock")
    guard = GuardedHost(real, f"{folder}/lock", "r1", FakeClock(), [])
    assert guard.run(("sh", "-c", "kill -SEGV $$")).returncode == 139


def test_a_program_killed_by_a_signal_is_unknown(real: FabricHost) -> None:
    with pytest.raises(LinkLost):
        real.run(("sh", "-c", "kill -9 $$"))


def test_a_host_whose_key_is_not_known_is_refused(stage: Rehearsal, tmp_path: Path) -> None:
    (tmp_path / "known_hosts").write_text("")
    stranger = FabricHost(stage.hosts[0], settings_of(stage, tmp_path / "known_hosts"))
    with pytest.raises(Unreachable, match="not found in known_hosts"):
        stranger.run(("true",))


def test_a_host_whose_key_has_changed_is_refused(stage: Rehearsal, tmp_path: Path) -> None:
    other = Path(f"{stage.lab['ssh']['identity']}.pub").read_text().split()
    (tmp_path / "known_hosts").write_text(f"{stage.hosts[0]} {other[0]} {other[1]}\n")
    changed = FabricHost(stage.hosts[0], settings_of(stage, tmp_path / "known_hosts"))
    with pytest.raises(Unreachable):
        changed.run(("true",))


def test_a_host_that_is_not_there_is_unreachable() -> None:
    with pytest.raises(Unreachable, match="no connection"):
        FabricHost("127.0.0.1", SshSettings(user="root", port=1, connect_timeout=2)).run(("true",))


def test_a_silent_host_is_given_up_in_the_time_that_is_stated() -> None:
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        settings = SshSettings(user="root", port=silent.getsockname()[1], connect_timeout=1)
        start = time.monotonic()
        with pytest.raises(Unreachable):
            FabricHost("127.0.0.1", settings).run(("true",))
        assert time.monotonic() - start < 5
