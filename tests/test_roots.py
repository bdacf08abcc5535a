import os
import shutil
import signal
import threading
import time
from multiprocessing import get_context
from pathlib import Path

import pytest

from debship.debian.releases import release
from debship.errors import Failed
from debship.kept_roots import kept_roots, sweep
from debship.mirrors import AptEntry, entries, mirror_lines, named
from debship.roots import clean_root, content_key, damaged, not_allowed
from debship.run import Completed, run

BOOKWORM, TRIXIE = release("bookworm"), release("trixie")


def quiet(step: str) -> None:
    pass


@pytest.fixture
def apt(tmp_path: Path) -> Path:
    folder = tmp_path / "apt"
    (folder / "sources.list.d").mkdir(parents=True)
    (folder / "sources.list").write_text(
        "# deb http://gone.example/debian bookworm main\n"
        "deb cdrom:[Debian]/ bookworm main\n"
        "deb-src http://mirror.example/debian bookworm main\n"
    )
    (folder / "sources.list.d" / "debian.sources").write_text(
        "Types: deb deb-src\n"
        "# a comment, as Debian's images have it\n"
        "URIs: http://mirror.example/debian\n"
        "Suites: bookworm bookworm-updates\n"
        "Components: main contrib\n"
        "\n"
        "Enabled: no\n"
        "Types: deb\n"
        "URIs: http://off.example/debian\n"
        "Suites: bookworm-security\n"
        "Components: main\n"
    )
    (folder / "sources.list.d" / "security.list").write_text(
        "deb [arch=amd64 signed-by=/x.gpg] http://security.example/debian bookworm-security main # s\n"
        "deb http://other.example nodistro main\n"
    )
    return folder


@pytest.fixture
def os_release(tmp_path: Path) -> Path:
    path = tmp_path / "os-release"
    path.write_text("VERSION_CODENAME=bookworm\n")
    return path


def test_the_mirror_is_the_machines_own(apt: Path) -> None:
    keyring = "[signed-by=/usr/share/keyrings/debian-archive-keyring.gpg]"
    assert mirror_lines(TRIXIE, BOOKWORM, entries(apt)) == (
        f"deb {keyring} http://mirror.example/debian trixie main",
        f"deb {keyring} http://security.example/debian trixie-security main",
    )


def test_a_machine_without_a_mirror_says_so() -> None:
    archives = [AptEntry("http://a.example", "bookworm", ("contrib",))]
    with pytest.raises(Failed, match="names no mirror of bookworm main"):
        mirror_lines(BOOKWORM, BOOKWORM, archives)


def test_ubuntu_does_not_come_from_debians_mirror(apt: Path) -> None:
    with pytest.raises(Failed, match="bookworm has no mirror of noble"):
        mirror_lines(release("noble"), BOOKWORM, entries(apt))


def test_a_mirror_that_is_named_comes_first(apt: Path, tmp_path: Path) -> None:
    (tmp_path / "noble.sources").write_text(
        "Types: deb\n"
        "URIs: http://ubuntu.example/ubuntu\n"
        "Suites: noble noble-security\n"
        "Components: main universe\n"
        "Signed-By: /srv/keys/ubuntu.gpg\n"
    )
    mirrors = named(tmp_path)
    signed = "[signed-by=/srv/keys/ubuntu.gpg]"
    assert mirror_lines(release("noble"), BOOKWORM, entries(apt), mirrors) == (
        f"deb {signed} http://ubuntu.example/ubuntu noble main universe",
        f"deb {signed} http://ubuntu.example/ubuntu noble-security main universe",
    )
    assert "mirror.example" in mirror_lines(TRIXIE, BOOKWORM, entries(apt), mirrors)[0]


def test_a_root_is_named_by_what_it_holds() -> None:
    key = content_key(BOOKWORM, ("curl", "dbus"))
    assert key == content_key(BOOKWORM, ("dbus", "curl", "curl"))
    assert len({key, content_key(TRIXIE, ("curl", "dbus")), content_key(BOOKWORM, ("curl",))}) == 3


class Bootstrap:
    """Stands for mmdebstrap: writes a file, waits, ends well or not."""

    def __init__(self, seconds: float = 0, code: int = 0) -> None:
        self.seconds, self.code, self.calls = seconds, code, []

    def __call__(self, argv, *, stdin: bytes = b"", **_) -> Completed:
        words = tuple(map(str, argv))
        if "mmdebstrap" not in words:
            proxy = b'Acquire::http::Proxy "http://proxy.example:3128";\nAcquire::Retries "3";\n'
            return Completed(words, 0, proxy, b"")
        self.calls.append((words, stdin.decode()))
        root = Path(words[-2])
        (root / "etc").mkdir(parents=True)
        time.sleep(self.seconds)
        if self.code:
            raise Failed("mmdebstrap exited with 1")
        (root / "etc/debian_version").write_text("12.0\n")
        return Completed(words, 0, b"", b"")


def make(cache: Path, apt: Path, os_release: Path, door) -> Path:
    return clean_root(
        BOOKWORM, ("curl",), run=door, cache=cache, say=quiet, apt=apt, os_release=os_release
    )


def test_a_root_is_made_once(tmp_path: Path, apt: Path, os_release: Path) -> None:
    door = Bootstrap()
    roots = {make(tmp_path / "c", apt, os_release, door) for _ in range(2)}
    [root] = roots
    assert (root / "etc/debian_version").exists()
    [(words, sources)] = door.calls
    assert "--include=apt,curl" in words  # Ubuntu's apt is not required, as Debian's is
    assert '--aptopt=Acquire::http::Proxy "http://proxy.example:3128";' in words
    assert not any("Retries" in word for word in words)
    assert "http://mirror.example/debian bookworm main" in sources


def test_two_makers_make_one_root(tmp_path: Path, apt: Path, os_release: Path) -> None:
    door, roots = Bootstrap(seconds=0.2), []
    makers = [
        threading.Thread(target=lambda: roots.append(make(tmp_path / "c", apt, os_release, door)))
        for _ in range(3)
    ]
    for maker in makers:
        maker.start()
    for maker in makers:
        maker.join()
    assert len(door.calls) == 1
    assert len(set(roots)) == 1


def test_a_failed_maker_leaves_nothing(tmp_path: Path, apt: Path, os_release: Path) -> None:
    with pytest.raises(Failed):
        make(tmp_path / "c", apt, os_release, Bootstrap(code=1))
    assert not [path for path in (tmp_path / "c").iterdir() if path.is_dir()]


def test_a_killed_maker_leaves_nothing_that_is_taken_for_a_root(
    tmp_path: Path, apt: Path, os_release: Path
) -> None:
    cache = tmp_path / "c"
    maker = get_context("fork").Process(
        target=make, args=(cache, apt, os_release, Bootstrap(seconds=60))
    )
    maker.start()
    while not list(cache.glob("*.making-*/root/etc")):
        time.sleep(0.01)
    os.kill(maker.pid, signal.SIGKILL)
    maker.join()
    root = make(cache, apt, os_release, Bootstrap())
    assert (root / "etc/debian_version").exists()
    assert [path for path in cache.iterdir() if path.is_dir()] == [root]


def _uses(cache: Path, apt: Path, os_release: Path, told) -> None:
    make(cache, apt, os_release, Bootstrap())
    told.send("used")
    told.recv()


def test_what_nobody_used_for_long_goes_when_another_is_made(
    tmp_path: Path, apt: Path, os_release: Path
) -> None:
    cache = tmp_path / "c"
    old, young = cache / "bookworm-old", cache / "trixie-young"
    for root, days in ((old, 31), (young, 2)):
        root.mkdir(parents=True)
        os.utime(root, (time.time() - days * 86400,) * 2)
    root = make(cache, apt, os_release, Bootstrap())
    assert [kept.path for kept in kept_roots(cache)] == [young, root]
    assert not old.exists()


def test_a_root_in_use_stays_until_its_user_has_ended(
    tmp_path: Path, apt: Path, os_release: Path
) -> None:
    cache = tmp_path / "c"
    ours, theirs = get_context("fork").Pipe()
    user = get_context("fork").Process(target=_uses, args=(cache, apt, os_release, theirs))
    user.start()
    assert ours.recv() == "used"
    sweep(cache, shutil.rmtree, unused=0)
    [kept] = kept_roots(cache)
    ours.send("end")
    user.join()
    sweep(cache, shutil.rmtree, unused=0)
    assert kept_roots(cache) == ()
    assert not kept.path.exists()


@pytest.mark.acceptance
@pytest.mark.skipif(not shutil.which("mmdebstrap"), reason="mmdebstrap is not installed")
def test_a_real_root_reads_no_option_that_made_it_fast(tmp_path: Path) -> None:
    root = clean_root(BOOKWORM, (), run=run, cache=tmp_path, say=quiet)
    assert (root / "etc/debian_version").read_text().startswith("12.")
    assert not list(root.glob("etc/*/*.d/99mmdebstrap"))
    assert not [line for line in Path("/proc/mounts").read_text().splitlines() if str(root) in line]


@pytest.mark.parametrize(
    "told",
    [
        'unshare: no line matching user "ann" in /etc/subuid',
        "unshare: failed to find a range in /etc/subgid",
    ],
)
def test_who_has_no_ids_of_others_is_told_how_to_get_some(told: str) -> None:
    hint = not_allowed(told) or ""
    assert "usermod --add-subuids 100000-165535 --add-subgids 100000-165535 USER" in hint
    assert "privileged" not in hint


@pytest.mark.parametrize("kind", ["a file", "below a file", "for others"])
def test_a_cache_that_keeps_nothing_is_named(
    tmp_path: Path, apt: Path, os_release: Path, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache = tmp_path / "c"
    if kind == "for others":
        monkeypatch.setattr("os.access", lambda path, mode: False)
    else:
        cache.write_text("")
    cache = cache / "roots" if kind == "below a file" else cache
    with pytest.raises(Failed, match=rf"{cache}: nothing can be kept there: ") as raised:
        make(cache, apt, os_release, Bootstrap())
    assert raised.value.hint == "DEBSHIP_CACHE names another folder"


@pytest.mark.parametrize(
    ("told", "message", "hint"),
    [
        (
            "E: Failed to fetch http://m/InRelease  Could not connect to m:80. - connect (111)",
            "the archive of bookworm cannot be reached",
            "bookworm.sources names another mirror",
        ),
        (
            "E: Failed to fetch http://m/InRelease  Temporary failure resolving 'm'",
            "the archive of bookworm cannot be reached",
            "mirror and proxy are those of this machine's apt",
        ),
        ("E: Write error - write (28: No space left on device)", "is full", "DEBSHIP_CACHE"),
    ],
)
def test_what_mmdebstrap_fails_of_has_a_way_out(
    tmp_path: Path, apt: Path, os_release: Path, told: str, message: str, hint: str
) -> None:
    class Failing(Bootstrap):
        def __call__(self, argv, **words) -> Completed:
            if "mmdebstrap" in argv:
                raise Failed(f"mmdebstrap exited with 1: mmdebstrap\n  {told}")
            return super().__call__(argv, **words)

    with pytest.raises(Failed, match=message) as raised:
        make(tmp_path / "c", apt, os_release, Failing())
    assert hint in (raised.value.hint or "")


@pytest.mark.parametrize(
    "told",
    [
        "chroot: failed to run command '/bin/sh': No such file or directory",
        "/bin/sh: error while loading shared libraries: libc.so.6: file too short",
        "mount: /x/merged/sys: mount point does not exist.",
    ],
)
def test_a_root_with_holes_is_made_anew(told: str) -> None:
    assert damaged(told) == (
        "the root is damaged: debship cache --clear, and the next build makes it anew"
    )
    assert damaged("mount: permission denied") is None
