"""The lock and the records of a host: the scripts as sh runs them, and the fake, by one contract."""

import grp
import json
import os
import pwd
import signal
import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import pytest

from debship.config.fleet import FleetApp, HookSettings, ManagedFile
from debship.deploy import records
from debship.deploy.command import put_words
from debship.deploy.fence import Fenced, GuardedHost, guarded
from debship.deploy.holder import seems_alive
from debship.deploy.hooks import bounded
from debship.deploy.host import Answer, Host
from debship.deploy.lock import (
    Lock,
    NotBroken,
    _lock_script,
    break_lock,
    lock_path,
    show_lock,
)
from debship.deploy.plan import plan_roll
from debship.deploy.process import is_dead, this_process
from debship.deploy.records import Before
from debship.errors import Failed, Refused
from debship.model import DebVersion, PackageName

from fakes_fleet import FakeClock, FakeHost, File, OneByOne

AUTH = PackageName("auth")


@dataclass
class LocalHost:
    """This machine, as a host whose /var/lib/debship is elsewhere."""

    address: str
    root: Path
    calls: int = 0

    def run(self, argv: Sequence[str], *, stdin: bytes = b"", timeout: float = 60.0) -> Answer:
        words = [word.replace("/var/lib/debship", str(self.root)) for word in argv]
        done = subprocess.run(words, input=stdin, capture_output=True, check=False, timeout=timeout)
        return Answer(done.returncode, done.stdout, done.stderr)

    def put(self, path: str, data: bytes, *, owner: str, group: str, mode: int) -> None:
        raise NotImplementedError

    def close(self) -> None:
        pass


@pytest.fixture(params=["real", "fake"])
def host(request: pytest.FixtureRequest, tmp_path: Path):
    if request.param == "real":
        return LocalHost("a", tmp_path / "state")
    return FakeHost("a", FakeClock())


def lock_of(roll: str, *, dead=lambda _process: False, clock=None) -> Lock:
    clock = clock or FakeClock()
    return Lock(AUTH, roll, f"{roll}@here", f"here/{roll}", clock, OneByOne(), dead)


def held(lock: Lock, *hosts: Host):
    doors = {host.address: host for host in hosts}
    return lock.held(doors, lambda name: doors[name])


def test_a_lock_is_taken_held_and_let_go(host: Host) -> None:
    assert show_lock(host, AUTH) is None
    with held(lock_of("r1"), host) as mine:
        holder = show_lock(host, AUTH)
        assert (holder.roll, holder.by, holder.number) == ("r1", "r1@here", 1)
        assert mine["a"].run(("true",)).returncode == 0
    assert show_lock(host, AUTH) is None


def test_who_holds_it_is_one_word_in_its_line(host: Host) -> None:
    lock = lock_of("r1")
    lock.by = "Jane  Doe\t@here"
    with held(lock, host):
        assert show_lock(host, AUTH).by == "Jane_Doe_@here"
    assert show_lock(host, AUTH) is None


def test_numbers_grow(host: Host) -> None:
    for number in (1, 2):
        with held(lock_of(f"r{number}"), host):
            assert show_lock(host, AUTH).number == number


def test_who_lost_the_lock_is_fenced_and_does_nothing_more(host: Host, tmp_path: Path) -> None:
    with held(lock_of("r1"), host) as mine:
        break_lock(host, AUTH, show_lock(host, AUTH))
        with pytest.raises(Fenced, match="a: this roll no longer holds the lock"):
            mine["a"].run(("rm", "-f", "--", str(tmp_path / "nothing")))
        with pytest.raises(Fenced):
            mine["a"].confirm()


def test_a_host_that_grumbles_turns_a_roll_away_all_the_same(host: Host) -> None:
    """A missing locale, a name that sudo cannot resolve: each of its answers has a line before it."""
    said, run = b"bash: warning: setlocale: LC_ALL: cannot change locale\n", host.run

    def grumbling(argv: Sequence[str], **more) -> Answer:
        answer = run(argv, **more)
        return Answer(answer.returncode, answer.stdout, said + answer.stderr)

    with held(lock_of("r1"), host) as mine:
        host.run = grumbling
        mine["a"].confirmed = -1000.0
        mine["a"].confirm()
        break_lock(host, AUTH, show_lock(host, AUTH))
        mine["a"].confirmed = -1000.0
        with pytest.raises(Fenced, match="a: this roll no longer holds the lock: fenced by -"):
            mine["a"].confirm()


def test_a_lock_that_cannot_be_seen_is_not_taken_for_ours() -> None:
    host = FakeHost("a", FakeClock())
    with held(lock_of("r1"), host) as mine:
        host.run = lambda *_args, **_kwargs: Answer(127, b"", b"sh: not found")
        mine["a"].confirmed = -1000.0
        with pytest.raises(Failed, match="a: the lock could not be seen: sh: not found"):
            mine["a"].confirm()


def test_an_exit_code_of_a_command_is_no_fence(tmp_path: Path) -> None:
    host = LocalHost("a", tmp_path)
    with held(lock_of("r1"), host) as mine:
        assert mine["a"].run(("sh", "-c", "echo later >&2; exit 75")).returncode == 75


def test_what_a_guarded_command_says_is_what_it_says(tmp_path: Path) -> None:
    host = LocalHost("a", tmp_path)
    with held(lock_of("r1"), host) as mine:
        answer = mine["a"].run(
            ("sh", "-c", 'cat; echo "$1" >&2; exit 3', "x", "a b; $c"), stdin=b"in"
        )
    assert answer == Answer(3, b"in", b"a b; $c\n")


def test_a_command_that_a_signal_ends_has_an_exit_code(tmp_path: Path) -> None:
    """Over a connection a signal has none, and would be a link that was lost."""
    host = LocalHost("a", tmp_path)
    with held(lock_of("r1"), host) as mine:
        assert mine["a"].run(("sh", "-c", "kill -SEGV $$")).returncode == 128 + signal.SIGSEGV
        hook = HookSettings("h", "before-host", ("sh", "-c", "kill -KILL $$"))
        assert mine["a"].run(bounded(hook)).returncode == 128 + signal.SIGKILL


def test_what_a_hook_leaves_does_not_hold_the_lock(tmp_path: Path) -> None:
    host = LocalHost("a", tmp_path)
    leave = 'sleep 60 > /dev/null 2>&1 & echo "$! $1"'
    hook = HookSettings("h", "before-host", ("sh", "-c", leave, "x", "a b; $c"))
    with held(lock_of("r1"), host) as mine:
        answer = mine["a"].run(bounded(hook))
        left, word = answer.text.rstrip().split(" ", 1)
        assert (answer.returncode, word) == (0, "a b; $c")
    try:
        assert show_lock(host, AUTH) is None
    finally:
        os.kill(int(left), signal.SIGTERM)


def test_a_hook_that_hangs_is_ended_with_what_it_began(tmp_path: Path) -> None:
    host = LocalHost("a", tmp_path)
    begin = "sleep 61 & echo $!; sleep 62"
    hook = HookSettings("h", "before-host", ("sh", "-c", begin), timeout=0.3)
    with held(lock_of("r1"), host) as mine:
        start = time.monotonic()
        answer = mine["a"].run(bounded(hook), timeout=20)
        assert time.monotonic() - start < 10
    assert answer.returncode == 124
    assert b"timeout: sending signal TERM" in answer.stderr
    gone = Path(f"/proc/{int(answer.text)}/stat")
    assert not gone.exists() or ") Z " in gone.read_text()
    assert show_lock(host, AUTH) is None


def test_a_lock_that_is_held_still_is_not_called_broken() -> None:
    host = FakeHost("a", FakeClock())
    host.lock, host.working = ["r1", "4", "T", "ann@ci", "here/1"], 1
    holder = show_lock(host, AUTH)
    with pytest.raises(NotBroken, match="a: the lock was not broken: a command of ann") as caught:
        break_lock(host, AUTH, holder)
    assert "fuser -v /var/lib/debship/auth/lock" in caught.value.hint
    host.lock, host.working = ["r2", "5", "T", "bob@ci", "here/2"], 0
    with pytest.raises(NotBroken, match=r"it is held by bob@ci since T .* by now"):
        break_lock(host, AUTH, holder)


@pytest.mark.acceptance  # it waits for seconds
def test_nobody_takes_a_lock_while_a_command_of_its_holder_runs(tmp_path: Path) -> None:
    """The command holds the file shared; who would take it over waits, and then is refused."""
    host = LocalHost("a", tmp_path)
    with held(lock_of("r1"), host) as mine:
        guard = mine["a"]
        words = guarded(("sleep", "6"), guard.path, guard.roll)
        words = [word.replace("/var/lib/debship", str(tmp_path)) for word in words]
        running = subprocess.Popen(words)
        try:
            script = ("sh", "-s", "--", "take", lock_path(AUTH), "r2", "T", "r2@x", "x", "r1")
            answer = host.run(script, stdin=_lock_script())
            assert answer.text.startswith("held r1 ")
        finally:
            running.wait()
        assert host.run(script, stdin=_lock_script()).text == "taken 2\n"


def test_a_roll_that_lives_is_not_disturbed_and_is_named() -> None:
    clock = FakeClock()
    host = FakeHost("a", clock)
    host.lock = ["r1", "4", "2026-01-01", "ann@ci", "there/1"]

    class Beating(OneByOne):
        def together(self, calls):
            host.heard = clock.at
            return super().together(calls)

    second = lock_of("r2", clock=clock)
    second.workers = Beating()
    with (
        pytest.raises(Refused, match=r"auth is being rolled by ann@ci since 2026-01-01") as caught,
        held(second, host),
    ):
        pass
    assert "fab unlock" in caught.value.hint
    assert host.lock[0] == "r1"


def test_a_roll_that_is_silent_for_a_lease_is_followed() -> None:
    clock = FakeClock()
    hosts = [FakeHost(name, clock) for name in "ab"]
    for host in hosts:
        host.lock, host.heard = ["r1", "4", "T", "ann@ci", "there/1"], clock.at
    with held(lock_of("r2", clock=clock), *hosts):
        assert [host.lock[:2] for host in hosts] == [["r2", "5"]] * 2
    assert 30 <= clock.at - 1000 < 40


def test_a_process_of_this_machine_that_is_gone_is_followed_at_once() -> None:
    clock = FakeClock()
    host = FakeHost("a", clock)
    host.lock, host.heard = ["r1", "4", "T", "ann@ci", "here/1"], clock.at
    with held(lock_of("r2", dead=lambda process: process == "here/1", clock=clock), host):
        assert host.lock[0] == "r2"
    assert clock.at - 1000 < 5


def test_of_two_that_begin_one_gets_all() -> None:
    clock = FakeClock()
    hosts = [FakeHost(name, clock) for name in "abc"]
    with held(lock_of("r1", clock=clock), *hosts):
        for host in hosts:
            host.heard = clock.at + 1000  # its heart beats
        with pytest.raises(Refused), held(lock_of("r2", clock=clock), *hosts):
            pass
        assert {host.lock[0] for host in hosts} == {"r1"}


def test_a_damaged_lock_is_an_error() -> None:
    host = FakeHost("a", FakeClock())
    host.run = lambda *_args, **_kwargs: Answer(0, b"what", b"")
    with pytest.raises(Failed, match="a: what it said of the lock cannot be read") as raised:
        show_lock(host, AUTH)
    assert "/var/lib/debship/auth/lock" in raised.value.hint


def test_what_is_known_dead_does_not_seem_alive() -> None:
    host = FakeHost("a", FakeClock())
    host.lock, host.heard = ["r1", "4", "T", "ann@ci", "here/1"], host.clock.at
    holder = show_lock(host, AUTH)
    assert seems_alive([holder], lambda _process: False) is holder
    assert seems_alive([holder], lambda _process: True) is None


def test_a_process_is_known_by_its_boot_its_namespace_its_number_and_its_start() -> None:
    me = this_process()
    assert not is_dead(me)
    here, number, _start = me.rsplit("/", 2)
    assert is_dead(f"{here}/{number}/1")  # its number was given to another
    assert is_dead(f"{here}/4194303/1")
    assert not is_dead(f"elsewhere/{number}/1")
    assert not is_dead("nonsense")


@pytest.fixture
def managed(host: Host, tmp_path: Path) -> str:
    """A managed file, and what is in it."""
    path = str(tmp_path / "etc" / "a file; $x")
    if isinstance(host, FakeHost):
        host.files[path] = File(b"old")
    else:
        Path(path).parent.mkdir()
        Path(path).write_text("old")
        Path(path).chmod(0o604)
    return path


def read(host: Host, path: str) -> bytes:
    return host.run(("cat", "--", path)).stdout


def write(host: Host, path: str, data: bytes) -> None:
    if isinstance(host, FakeHost):
        host.files[path] = File(data)
    else:
        Path(path).write_bytes(data)


def test_a_folder_where_a_file_belongs_is_refused_and_gets_nothing(tmp_path: Path) -> None:
    """A secret would lie in it under a name that nobody knows, and the file would differ for ever."""
    host, path = LocalHost("a", tmp_path / "state"), tmp_path / "tiny.conf"
    path.mkdir()
    me, mine = pwd.getpwuid(os.getuid()).pw_name, grp.getgrgid(os.getgid()).gr_name
    answer = host.run(put_words(str(path), me, mine, 0o600), stdin=b"hunter2")
    assert answer.returncode != 0
    assert str(path) in answer.complaint
    record_out(host, str(path))
    assert records.return_files(host, AUTH, (str(path),)) == ()
    assert list(tmp_path.glob("tiny.conf*/**/*")) == []
    assert list(tmp_path.glob("tiny.conf*")) == [path]


def test_files_that_cannot_be_put_back_leave_no_copy(tmp_path: Path) -> None:
    host, path = LocalHost("a", tmp_path / "state"), tmp_path / "tiny.conf"
    path.write_text("hunter2")
    record_out(host, str(path))
    path.unlink()
    path.mkdir()
    with pytest.raises(Failed, match=r"a: its files could not be put back: .*tiny\.conf"):
        records.return_files(host, AUTH, (str(path),))
    assert [p.name for p in tmp_path.iterdir() if "tiny" in p.name] == ["tiny.conf"]
    assert list(path.iterdir()) == []


def plan_for(path: str, roll: str = "r1"):
    files = (ManagedFile(PurePosixPath(path), Path("t")),)
    app = FleetApp("auth", AUTH, ("a",), files=files)
    return plan_roll(app, DebVersion("1.1-1"), ("a",), roll=roll, by="me@here")


def record_out(host: Host, path: str, *, keep: bool = True, roll: str = "r1") -> None:
    records.record_out(
        host,
        plan_for(path, roll),
        Before(DebVersion("1.0-1"), previous="0.9-1"),
        places=(),
        files={path: "digest"},
        clock=FakeClock(),
        keep=keep,
    )


def out_of(host: Host) -> dict:
    return json.loads(read(host, "/var/lib/debship/auth/out.json"))


def test_files_are_kept_and_put_back_as_they_were(host: Host, managed: str) -> None:
    record_out(host, managed)
    assert (out_of(host)["before"], out_of(host)["roll"]) == ("1.0-1", "r1")
    assert records.return_files(host, AUTH, (managed,)) == ()
    write(host, managed, b"new")
    record_out(host, managed, roll="r2")  # another roll goes on with what this one left
    assert out_of(host)["roll"] == "r2"
    assert records.return_files(host, AUTH, (managed,)) == (managed,)
    assert read(host, managed) == b"old"
    if isinstance(host, LocalHost):
        assert Path(managed).stat().st_mode & 0o777 == 0o604
        assert [p.name for p in Path(managed).parent.iterdir()] == ["a file; $x"]
        kept = next((host.root / "auth" / "kept").rglob("a file*"))
        assert kept.exists()
        assert (host.root / "auth" / "kept").stat().st_mode & 0o077 == 0
        assert (host.root / "auth" / "out.json").stat().st_mode & 0o077 == 0


def test_what_was_kept_before_stays_where_it_is_to_be_gone_back_to(
    host: Host, managed: str
) -> None:
    record_out(host, managed)
    records.settle(host, plan_for(managed), "changed", Before(DebVersion("1.0-1")), FakeClock())
    write(host, managed, b"new")
    record_out(host, managed, keep=False)
    records.return_files(host, AUTH, (managed,))
    assert read(host, managed) == b"old"


def test_a_turn_that_ended_leaves_its_version_and_a_line_in_the_history(
    host: Host, managed: str
) -> None:
    for outcome, version, previous in (
        ("changed", "1.1-1", "1.0-1"),
        ("returned", "1.0-1", "0.9-1"),
    ):
        record_out(host, managed)
        was = Before(DebVersion("1.0-1"), previous="0.9-1")
        records.settle(host, plan_for(managed), outcome, was, FakeClock())
        assert host.run(("cat", "--", "/var/lib/debship/auth/out.json")).returncode != 0
        left = json.loads(read(host, "/var/lib/debship/auth/version.json"))
        assert (left["version"], left["previous"]) == (version, previous)
    lines = records.read_history(host, AUTH)
    assert [line["outcome"] for line in lines] == ["changed", "returned"]
    assert {line["wanted"] for line in lines} == {"1.1-1"}


def test_a_record_that_cannot_be_written_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "state").write_text("in the way")
    with pytest.raises(Failed, match="could not be written down"):
        record_out(LocalHost("a", tmp_path / "state"), "/etc/x")


def test_a_history_that_was_cut_off_is_read_as_far_as_it_goes() -> None:
    host = FakeHost("a", FakeClock())
    path = "/var/lib/debship/auth/history.jsonl"
    host.files[path] = File(b'{"roll": "r1"}\n[]\n{"roll": ')
    assert records.read_history(host, AUTH) == ({"roll": "r1"},)


def test_a_guarded_host_counts_the_calls_of_the_door_below() -> None:
    inner = FakeHost("a", FakeClock())
    inner.lock = ["r1", "1", "T", "me", "x"]
    guard = GuardedHost(inner, lock_path(AUTH), "r1", inner.clock, [])
    guard.run(("true",))
    guard.put("/etc/x", b"1", owner="root", group="root", mode=0o600)
    assert guard.calls == inner.calls == 2
    assert inner.files["/etc/x"].content == b"1"
