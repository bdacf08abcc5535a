"""Which keys sign, and how one follows another."""

import contextlib
import signal
import subprocess
import sys
import tempfile
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from debship.debian.releases import release
from debship.errors import Misused, Refused
from debship.publish.keys import Key, inspect, problem
from debship.publish.recipe import publish
from debship.publish.rotation import add_key, retire_key
from debship.publish.scratch import scratch, sweep
from debship.publish.signing import generate
from debship.publish.snapshot import read_snapshot
from debship.publish.suite import init, public_keys
from debship.roots import clean_root
from debship.run import run
from fakes_store import MemoryStore
from publishing import gpg_home, make_publisher, settings

NOW = datetime(2026, 6, 1, tzinfo=UTC)
SOUND = Key("F" * 40, "x", "ed25519", 255, None, "", bound=True)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({}, None),
        ({"algorithm": "rsa4096", "bits": 4096}, None),
        ({"algorithm": "rsa2048", "bits": 2048}, None),
        ({"algorithm": "nistp256"}, None),
        ({"algorithm": "rsa1024", "bits": 1024}, "Debian 13 refuses rsa1024"),
        ({"algorithm": "dsa2048", "bits": 2048}, "Debian 13 refuses dsa2048"),
        ({"algorithm": "brainpoolP256r1"}, "Debian 13 refuses brainpoolP256r1"),
        ({"lost": "expired"}, "it is expired"),
        ({"lost": "revoked"}, "it is revoked"),
        ({"expires": NOW + timedelta(days=10)}, "it expires on 2026-06-11"),
        ({"expires": NOW + timedelta(days=15)}, None),
        ({"bound": False}, "SHA-1"),
    ],
)
def test_what_hosts_would_not_believe(change, says) -> None:
    found = problem(replace(SOUND, **change), NOW)
    assert found is None if says is None else says in found


def test_a_short_rsa_key_ends_before_apt_refuses_it() -> None:
    short = replace(SOUND, algorithm="rsa2048", bits=2048)
    assert problem(short, datetime(2029, 3, 1, tzinfo=UTC))


def make(home, *words: str) -> str:
    options = ("--batch", "--no-tty", "--pinentry-mode", "loopback", "--passphrase", "")
    done = run(["gpg", "--homedir", home.path, "--status-fd", "1", *options, *words])
    return next(line.split()[-1] for line in done.text.splitlines() if "KEY_CREATED" in line)


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("--quick-generate-key", "x", "ed25519", "sign", "never"), None),
        (("--quick-generate-key", "x", "rsa3072", "sign", "never"), None),
        (("--quick-generate-key", "x", "nistp256", "sign", "2y"), None),
        (("--quick-generate-key", "x", "rsa1024", "sign", "never"), "rsa1024"),
        (("--quick-generate-key", "x", "ed25519", "sign", "7d"), "within 14 days"),
        (("--quick-generate-key", "x", "ed25519", "cert", "never"), "unable to sign"),
        (
            (
                *("--cert-digest-algo", "SHA1"),
                *("--quick-generate-key", "x", "ed25519", "sign", "never"),
            ),
            "SHA-1",
        ),
    ],
)
def test_gpg_s_word_on_a_key_is_understood(words, says) -> None:
    with gpg_home(0) as home:
        fingerprint = make(home, *words)
        ring = replace(home, fingerprints=(fingerprint,)).ring()
        packets = ring.gpg("--export", fingerprint).stdout
        known = inspect(ring, fingerprint, packets)
    found = problem(known, datetime.now(UTC))
    assert (found is None) if says is None else says in (found or "")


def test_a_weak_key_is_refused_before_the_first_write(debs) -> None:
    memory = MemoryStore()
    with gpg_home(0) as home:
        fingerprint = make(home, "--quick-generate-key", "x", "rsa1024", "sign", "never")
        ring = replace(home, fingerprints=(fingerprint,)).ring()
        with pytest.raises(Refused, match="refuses rsa1024"):
            init(make_publisher(memory, ring), settings())
    assert memory.objects == {}


class TestRotation:
    @pytest.fixture
    def both(self, publisher, home):
        return replace(
            make_publisher(publisher.store, home.ring(0, 1)),
            clock=publisher.clock,
        )

    def signers(self, publisher) -> set[str]:
        given = public_keys(publisher.store, "production", run)
        return set(read_snapshot(publisher.store, "production", given, run).signers)

    def test_both_sign_then_the_new_one_alone(self, publisher, both, home, debs) -> None:
        old, new = home.fingerprints
        add_key(both, "production", new)
        assert self.signers(both) == {old, new}
        assert public_keys(both.store, "production", run).trusted == {old, new}
        assert not add_key(both, "production", new).changed
        publish(both, "production", [debs()])
        assert self.signers(both) == {old, new}
        retire_key(both, "production", old)
        assert self.signers(both) == {new}
        assert public_keys(both.store, "production", run).trusted == {new}
        publish(make_publisher(both.store, home.ring(1)), "production", [debs(version="2")])

    def test_who_holds_one_of_two_keys_does_not_publish(self, publisher, both, home, memory, debs):
        add_key(both, "production", home.fingerprints[1])
        memory.writes.clear()
        with pytest.raises(Refused, match=f"secret key of {home.fingerprints[1]} is not here"):
            publish(publisher, "production", [debs()])
        assert memory.writes == []

    def test_the_last_key_is_not_retired(self, publisher, home) -> None:
        with pytest.raises(Refused, match="the only key"):
            retire_key(publisher, "production", home.fingerprints[0])
        with pytest.raises(Misused, match="does not sign it"):
            retire_key(publisher, "production", home.fingerprints[1])

    def test_an_extra_key_does_not_sign_by_itself(self, publisher, both, home, debs) -> None:
        publish(both, "production", [debs()])
        assert self.signers(both) == {home.fingerprints[0]}


def test_a_second_key_of_the_same_name_is_another_key() -> None:
    with gpg_home(0) as home:
        first, second = (generate("archive signing key", run, home.path) for _ in range(2))
        assert first != second
        listed = run(["gpg", "--homedir", home.path, "--list-secret-keys", "--with-colons"]).text
        assert first in listed
        assert second in listed


class TestScratch:
    """What a publisher that was killed leaves: a home with a secret key, and an agent."""

    KILLED = """
import os, pathlib, signal, sys
from debship.publish import scratch
scratch._MEMORY = pathlib.Path(sys.argv[1])
from debship.model import Secret
from debship.publish.signing import keyring
from debship.run import run
with keyring((), Secret(sys.stdin.read()), None, run) as ring:
    ring.sign(b"x", ring.fingerprints)
    print(ring.home, flush=True)
    os.kill(os.getpid(), signal.SIGKILL)
"""

    def test_the_next_publisher_takes_it_away(self, home, tmp_path, monkeypatch) -> None:
        with tempfile.TemporaryDirectory(prefix="dsk-") as short:  # gpg-agent's socket lies in it
            monkeypatch.setattr("debship.publish.scratch._MEMORY", Path(short))
            text = home.ring().gpg("--armor", "--export-secret-keys", home.fingerprints[0]).text
            done = subprocess.run(
                [sys.executable, "-c", self.KILLED, short],
                input=text,
                capture_output=True,
                text=True,
                check=False,
            )
            left = Path(done.stdout.strip())
            assert done.returncode == -signal.SIGKILL
            assert list(left.glob("private-keys-v1.d/*.key"))
            with scratch() as living:
                assert sweep(run) == 1
                assert living.exists()
            assert list(Path(short).iterdir()) == []
            agent = f"--homedir {left}"
            assert not any(agent in words for words in commands())

    def test_what_is_not_ours_stays(self, tmp_path, monkeypatch) -> None:
        monkeypatch.setattr("debship.publish.scratch._MEMORY", tmp_path)
        target = tmp_path / "precious"
        target.mkdir()
        (target / ".held").touch()
        (tmp_path / "debship-run-link").symlink_to(target)
        (tmp_path / "debship-run-plain").mkdir()
        assert sweep(run) == 0
        assert target.exists()


def commands() -> list[str]:
    """The command lines of all processes."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            found.append(path.read_bytes().replace(b"\0", b" ").decode(errors="replace"))
    return found


@pytest.mark.acceptance
def test_what_the_sqv_of_debian_13_refuses_within_a_year_is_refused(tmp_path) -> None:
    """The policy is apt's own; sqv is asked what it would say a year after each date."""
    cache = Path("/var/cache/debship/roots")
    root = clean_root(release("trixie"), (), run=run, cache=cache, say=print)
    made = {
        "ed25519": ("--quick-generate-key", "x", "ed25519", "sign", "never"),
        "nistp256": ("--quick-generate-key", "x", "nistp256", "sign", "never"),
        "rsa3072": ("--quick-generate-key", "x", "rsa3072", "sign", "never"),
        "rsa2048": ("--quick-generate-key", "x", "rsa2048", "sign", "never"),
        "rsa1024": ("--quick-generate-key", "x", "rsa1024", "sign", "never"),
        "dsa2048": ("--quick-generate-key", "x", "dsa2048", "sign", "never"),
        "brainpoolP256r1": ("--quick-generate-key", "x", "brainpoolP256r1", "sign", "never"),
        "sha1": (
            *("--cert-digest-algo", "SHA1"),
            *("--quick-generate-key", "x", "ed25519", "sign", "never"),
        ),
    }
    taken = {}
    for name, words in made.items():
        with gpg_home(0) as home:
            fingerprint = make(home, *words)
            ring = replace(home, fingerprints=(fingerprint,)).ring()
            packets = ring.gpg("--export", fingerprint).stdout
            (tmp_path / "key").write_bytes(packets)
            (tmp_path / "signed").write_bytes(ring.sign(b"text\n", [fingerprint]))
            known = inspect(ring, fingerprint, packets)
        for now in (datetime(year, 11, 1, tzinfo=UTC) for year in (2026, 2027, 2028, 2029)):
            within = f"{now + timedelta(days=365):%Y-%m-%d}"
            believed = sqv(root, tmp_path, within)
            ours = problem(known, now) is None
            assert believed or not ours, f"{name} on {within}: {problem(known, now)}"
            taken[name, now.year] = ours
    assert all(taken[name, 2029] for name in ("ed25519", "nistp256", "rsa3072"))
    assert (taken["rsa2048", 2028], taken["rsa2048", 2029]) == (True, False)
    assert not any(taken[name, 2026] for name in ("rsa1024", "dsa2048", "sha1"))


def sqv(root: Path, folder: Path, date: str) -> bool:
    """Ask whether the sqv in a root believes what lies in a folder, on a date."""
    script = (
        'mount --bind "$2" "$1/mnt"; cd "$1/mnt"; rm -f text; '
        "export SEQUOIA_CRYPTO_POLICY=/usr/share/apt/default-sequoia.config; "
        'exec chroot "$1" sqv --policy-as-of "$3" --keyring /mnt/key '
        "--cleartext /mnt/signed --output /mnt/text"
    )
    mount = ["unshare", "--mount", "--propagation", "private", "sh", "-euc", script, "sh"]
    return run([*mount, root, folder, date], check=False).returncode == 0
