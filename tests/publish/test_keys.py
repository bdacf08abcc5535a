"""Which keys sign, and how one follows another."""

import contextlib
import os
import signal
import socket
import subprocess
import sys
import tempfile
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from debship.debian.releases import release
from debship.errors import Failed, Misused, Refused
from debship.publish.key_file import public_keys
from debship.publish.keys import Algorithm, Key, described, problem, way_out
from debship.publish.page_html import parse
from debship.publish.recipe import publish
from debship.publish.rotation import add_key, retire_key
from debship.publish.scratch import scratch, sweep
from debship.publish.signing import Keyring, generate, listed
from debship.publish.snapshot import read_snapshot
from debship.publish.suite import init
from debship.roots import clean_root
from debship.run import run
from fakes_store import MemoryStore
from publishing import S3Server, gpg_home, make_publisher, settings
from until import until

NOW = datetime(2026, 6, 1, tzinfo=UTC)
SOUND = Key("F" * 40, "x", (Algorithm("ed25519", 255),), None, "", bound=True)


def made_by(*names: str) -> dict[str, object]:
    bits = {"rsa1024": 1024, "rsa2048": 2048, "dsa2048": 2048, "rsa4096": 4096}
    return {"algorithms": tuple(Algorithm(name, bits.get(name, 256)) for name in names)}


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({}, None),
        (made_by("rsa4096"), None),
        (made_by("rsa2048"), None),
        (made_by("nistp256"), None),
        (made_by("ed25519", "rsa4096"), None),
        (made_by("rsa1024"), "Debian 13 refuses rsa1024"),
        (made_by("ed25519", "rsa1024"), "Debian 13 refuses rsa1024"),
        (made_by("dsa2048"), "Debian 13 refuses dsa2048"),
        (made_by("brainpoolP256r1"), "Debian 13 refuses brainpoolP256r1"),
        ({"lost": "expired"}, "it is expired"),
        ({"lost": "revoked"}, "it is revoked"),
        ({"expires": NOW + timedelta(days=10)}, "it expires on 2026-06-11"),
        ({"expires": NOW + timedelta(days=15)}, None),
        ({"bound": False}, "SHA-1"),
    ],
)
def test_what_hosts_would_not_believe(change, says) -> None:
    found = problem(SOUND._replace(**change), NOW)
    assert found is None if says is None else says in found


@pytest.mark.parametrize(
    ("change", "says", "says_not"),
    [
        ({"lost": "expired"}, ["--quick-set-expire FFF", "fab bootstrap", "anew"], "key add"),
        ({"lost": "revoked"}, ["key retire", "anew"], "expire"),
        ({"lost": "unable to sign"}, ["--quick-generate-key"], "expire"),
        ({"expires": NOW + timedelta(days=10)}, ["--quick-set-expire FFF", "key add"], "'*'"),
        (
            {"expires": NOW, **made_by("ed25519", "ed25519")},
            ["F 2y, and gpg", "2y '*'", "fab bootstrap"],
            "anew",
        ),
        (made_by("rsa1024"), ["--quick-generate-key", "key add"], "expire"),
        (made_by("dsa2048"), ["--quick-generate-key", "key add"], "expire"),
        ({"bound": False}, ["--cert-digest-algo SHA512", "fab bootstrap"], "generate"),
    ],
)
def test_each_problem_has_a_way_out_of_its_own(change, says, says_not) -> None:
    hint = way_out(SOUND._replace(**change), NOW)
    assert all(text in hint for text in says)
    assert says_not not in hint


def test_a_short_rsa_key_ends_before_apt_refuses_it() -> None:
    short = SOUND._replace(**made_by("rsa2048"))
    assert problem(short, datetime(2029, 3, 1, tzinfo=UTC))


def make(home, *words: str) -> str:
    options = ("--batch", "--no-tty", "--pinentry-mode", "loopback", "--passphrase", "")
    done = run(["gpg", "--homedir", home.path, "--status-fd", "1", *options, *words])
    return next((x.split()[-1] for x in done.text.splitlines() if "KEY_CREATED" in x), "")


def revoke(home, fingerprint: str) -> None:
    """Import the certificate that gpg made with the key; a colon keeps it from being used."""
    text = (home.path / f"openpgp-revocs.d/{fingerprint}.rev").read_text()
    at = text.index(":-----BEGIN")
    run(["gpg", "--homedir", home.path, "--batch", "--import"], stdin=text[at + 1 :].encode())


def generated(algorithm: str = "ed25519", use: str = "sign", lasts: str = "never") -> list[str]:
    return ["--quick-generate-key", "x", algorithm, use, lasts]


def with_subkey(*words: str) -> list[str]:
    return ["--quick-add-key", "KEY", "ed25519", "sign", *(words or ("never",))]


SHA1 = ["--cert-digest-algo", "SHA1", "--allow-weak-key-signatures"]
NEW_SIGNATURE = ["--quick-set-expire", "KEY", "2y"]
LAST_YEAR = ["--faked-system-time", f"{datetime.now(UTC) - timedelta(days=400):%Y%m%dT000000}"]


def key(home, *steps: list[str]) -> str:
    """Make a key in several steps, the later ones with KEY for its fingerprint."""
    fingerprint = ""
    for step in steps:
        fingerprint = fingerprint or make(home, *step)
        if "KEY" in step:
            make(home, *(fingerprint if word == "KEY" else word for word in step))
    return fingerprint


@pytest.mark.slow
@pytest.mark.parametrize(
    ("steps", "says"),
    [
        ([generated()], None),
        ([generated("rsa3072")], None),
        ([generated("nistp256", lasts="2y")], None),
        ([generated("rsa1024")], "rsa1024"),
        ([generated(lasts="7d")], "within 14 days"),
        ([LAST_YEAR + generated(lasts="30d")], "is expired"),
        ([generated(use="cert")], "unable to sign"),
        ([SHA1 + generated()], "SHA-1"),
        ([SHA1 + generated(), ["--cert-digest-algo", "SHA512", *NEW_SIGNATURE]], None),
        ([LAST_YEAR + generated(), SHA1 + NEW_SIGNATURE], "SHA-1"),
        ([generated(use="cert"), with_subkey()], None),
        ([generated("rsa1024", "cert"), with_subkey()], "rsa1024"),
        ([generated(use="cert", lasts="7d"), with_subkey()], "within 14 days"),
        ([generated(), with_subkey("7d")], "within 14 days"),
        ([LAST_YEAR + generated(), LAST_YEAR + with_subkey("30d")], None),
        ([generated(), SHA1 + with_subkey()], "SHA-1"),
    ],
)
def test_gpg_s_word_on_a_key_is_understood(steps, says) -> None:
    with gpg_home(0) as home:
        fingerprint = key(home, *steps)
        ring = replace(home, fingerprints=(fingerprint,)).ring()
        secret = described(ring.listing)[fingerprint]
        public = described(listed(ring.certificates([fingerprint]).armored, run))[fingerprint]
    assert public == secret
    found = problem(secret, datetime.now(UTC))
    assert (found is None) if says is None else says in (found or "")


def test_what_signs_is_what_is_here() -> None:
    """Of a secret key that is kept elsewhere gpg lists a stub, and signs with another."""
    with gpg_home(0) as home:
        fingerprint = key(home, generated("rsa3072"), with_subkey())
        both = Keyring(run, home=home.path).found([fingerprint])
        grips = [line.split(":")[9] for line in both.listing.splitlines() if line[:3] == "grp"]
        (home.path / f"private-keys-v1.d/{grips[1]}.key").unlink()
        one = Keyring(run, home=home.path).found([fingerprint])
    signs = [described(ring.listing)[fingerprint].algorithms[0].name for ring in (both, one)]
    assert signs == ["ed25519", "rsa3072"]


def test_a_weak_key_is_refused_before_the_first_write(debs) -> None:
    memory = MemoryStore()
    with gpg_home(0) as home:
        fingerprint = key(home, generated("rsa1024"))
        ring = replace(home, fingerprints=(fingerprint,)).ring()
        with pytest.raises(Refused, match="refuses rsa1024"):
            init(make_publisher(memory, ring), settings())
    assert memory.objects == {}


@pytest.fixture
def both(publisher, home):
    return make_publisher(publisher.store, home.ring(0, 1))._replace(clock=publisher.clock)


@pytest.mark.slow
class TestRotation:
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
        with pytest.raises(
            Refused, match=f"secret key of {home.fingerprints[1]} is not named"
        ) as it:
            publish(publisher, "production", [debs()])
        assert f'DEBSHIP_SIGNING_KEY="{" ".join(sorted(home.fingerprints))}"' in it.value.hint
        assert memory.writes == []

    def test_a_key_that_is_about_to_expire_is_followed(self, publisher, home) -> None:
        expiring = key(home, generated(lasts="7d"))
        ring = replace(home, fingerprints=(expiring, home.fingerprints[0])).ring(0, 1)
        both = make_publisher(publisher.store, ring)._replace(clock=publisher.clock)
        signed = both.keys.sign(publisher.snapshot("production").release.render(), [expiring])
        publisher.store.write("dists/production/InRelease", signed)
        with pytest.raises(Refused, match="within 14 days"):
            publish(both, "production", [])
        add_key(both, "production", home.fingerprints[0])
        assert self.signers(both) == {expiring, home.fingerprints[0]}
        retire_key(both, "production", expiring)
        assert self.signers(both) == {home.fingerprints[0]}

    @pytest.mark.parametrize("how", ["expired", "revoked"])
    def test_a_key_that_can_sign_no_more_adds_none(self, publisher, home, memory, how) -> None:
        steps = [LAST_YEAR + generated(lasts="30d")] if how == "expired" else [generated()]
        with gpg_home(0) as own:
            old, new = key(own, *steps), generate("new", run, own.path)
            words = [] if how == "revoked" else LAST_YEAR
            ring = Keyring(run, home=own.path)
            signed = ring.gpg(
                *words,
                "--local-user",
                old,
                "--clearsign",
                stdin=publisher.snapshot("production").release.render(),
            )
            publisher.store.write("dists/production/InRelease", signed.stdout)
            if how == "revoked":
                revoke(own, old)
            ring = ring.found([old, new])
            both = make_publisher(publisher.store, ring)._replace(clock=publisher.clock)
            memory.writes.clear()
            with pytest.raises(Refused, match=f"{old}: it is {how}") as caught:
                add_key(both, "production", new)
            assert "docs/how-to/repository.md" in caught.value.hint
            assert memory.writes == []

    def test_the_last_key_is_not_retired(self, publisher, home) -> None:
        with pytest.raises(Refused, match="the only key"):
            retire_key(publisher, "production", home.fingerprints[0])
        with pytest.raises(Misused, match="does not sign it"):
            retire_key(publisher, "production", home.fingerprints[1])

    def test_a_retirement_that_was_cut_off_is_finished_by_another(
        self, publisher, both, home, memory
    ) -> None:
        old, new = home.fingerprints
        add_key(both, "production", new)

        def forbidden(path: str) -> None:
            if path.endswith("key.asc"):
                raise Failed(f"{path}: 403")

        memory.before_write = forbidden
        with pytest.raises(Failed, match="403"):
            retire_key(both, "production", old)
        assert self.signers(both) == {new}
        memory.before_write = lambda path: None
        assert not retire_key(both, "production", old).changed
        assert public_keys(memory, "production", run).trusted == {new}
        with pytest.raises(Misused, match="does not sign it"):
            retire_key(both, "production", old)

    def test_a_key_that_cannot_sign_is_not_given_out(self, both, home, memory) -> None:
        def fails(path: str) -> None:
            if path.endswith("InRelease"):
                raise Failed("no commit")

        memory.before_write = fails
        with pytest.raises(Failed, match="no commit"):
            add_key(both, "production", home.fingerprints[1])
        assert public_keys(memory, "production", run).trusted == {home.fingerprints[0]}

    def test_an_extra_key_does_not_sign_by_itself(self, publisher, both, home, debs) -> None:
        publish(both, "production", [debs()])
        assert self.signers(both) == {home.fingerprints[0]}


@pytest.mark.slow
class TestAnExtendedKey:
    """What hosts know of a key ends when they were told that it does."""

    @pytest.fixture
    def short(self, memory, clock):
        """Publishers of a suite whose key lasts twenty days, and how to make it last longer."""
        memory.time = clock.now
        with gpg_home(0) as home:
            fingerprint = key(home, generated(lasts="20d"))

            def opened():
                ring = Keyring(run, home=home.path).found([fingerprint])
                made = make_publisher(memory, ring, clock)
                return made._replace(ours=ring.certificates([fingerprint]))

            def extend() -> None:
                make(home, "--quick-set-expire", fingerprint, "2y")

            init(opened(), settings())
            yield opened, extend

    def given(self, memory) -> Key:
        text = memory.read("dists/production/key.asc").data.decode()
        (found,) = described(listed(text, run)).values()
        return found

    @pytest.mark.parametrize("again", [False, True])
    def test_it_is_given_out_by_the_next_publication(
        self, short, memory, clock, debs, again
    ) -> None:
        opened, extend = short
        publish(opened(), "production", [debs()])
        clock.at += timedelta(days=8)
        with pytest.raises(Refused, match="within 14 days") as caught:
            publish(opened(), "production", [debs(version="2")])
        assert "gpg --quick-set-expire" in caught.value.hint
        assert "fab bootstrap" in caught.value.hint
        extend()
        said: list[str] = []
        publisher = opened()._replace(say=said.append)
        publish(publisher, "production", [debs(version="1.0" if again else "2")])
        assert self.given(memory).expires > clock.at + timedelta(days=700)
        assert any("fab bootstrap" in line for line in said)
        page = parse(memory.read("index.html").data)["production"]
        assert page.key.strip() == publisher.ours.armored.strip()

    def test_who_does_not_know_of_it_takes_nothing_back(self, short, memory, debs) -> None:
        opened, extend = short
        before = opened()
        extend()
        publish(opened(), "production", [debs()])
        after = memory.read("dists/production/key.asc").data
        publish(before, "production", [debs(version="2")])
        assert memory.read("dists/production/key.asc").data == after

    def test_one_that_is_as_it_was_is_not_written_again(self, publisher, both, memory, debs):
        add_key(both, "production", both.keys.fingerprints[1])
        memory.writes.clear()
        publish(both, "production", [debs()])
        publish(both, "production", [debs()])
        assert "dists/production/key.asc" not in memory.writes


def test_a_second_key_of_the_same_name_is_another_key() -> None:
    with gpg_home(0) as home:
        first, second = (generate("archive signing key", run, home.path) for _ in range(2))
        assert first != second
        listed = run(["gpg", "--homedir", home.path, "--list-secret-keys", "--with-colons"]).text
        assert first in listed
        assert second in listed


@pytest.mark.slow
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

    ENDED = """
import pathlib, sys
from debship.publish import scratch
scratch._MEMORY = pathlib.Path(sys.argv[1])
from debship.program import program
sys.argv = ["debship", *sys.argv[2:]]
program()
"""

    def test_a_signal_takes_it_away_at_once(self, home, tmp_path, debs) -> None:
        secret = home.ring().gpg("--armor", "--export-secret-keys", home.fingerprints[0]).text
        deb = debs().deb.path
        with (
            tempfile.TemporaryDirectory(prefix="dsk-") as short,
            socket.create_server(("127.0.0.1", 0)) as silent,  # a store that never answers
        ):
            env = {
                **os.environ,
                **S3Server(f"http://127.0.0.1:{silent.getsockname()[1]}").env,
                "DEBSHIP_SIGNING_KEY": secret,
            }
            words = ("publish", "--store", "s3://bucket/debian", "--suite", "x", str(deb))
            argv = [sys.executable, "-c", self.ENDED, short, *words]
            process = subprocess.Popen(argv, env=env, stderr=subprocess.PIPE)
            until(lambda: list(Path(short).glob("debship-run-*/private-keys-v1.d/*.key")))
            process.terminate()
            process.communicate(timeout=30)
            assert process.returncode == 128 + signal.SIGTERM
            assert list(Path(short).rglob("*")) == []

    def test_what_is_not_ours_stays(self, tmp_path, monkeypatch) -> None:
        monkeypatch.setattr("debship.publish.scratch._MEMORY", tmp_path)
        target = tmp_path / "precious"
        target.mkdir()
        (target / ".held").touch()
        (tmp_path / "debship-run-link").symlink_to(target)
        (tmp_path / "debship-run-plain").mkdir()
        new, link = tmp_path / "debship-new-young", tmp_path / "debship-new-link"
        new.mkdir()
        link.symlink_to(target)
        os.utime(link, (1, 1), follow_symlinks=False)
        assert sweep(run) == 0
        assert target.exists()
        assert new.exists()

    def test_a_folder_whose_maker_died_in_its_first_moment_goes(
        self, tmp_path, monkeypatch
    ) -> None:
        monkeypatch.setattr("debship.publish.scratch._MEMORY", tmp_path)
        for name, with_lock in (("debship-new-1", False), ("debship-new-2", True)):
            (tmp_path / name).mkdir()
            if with_lock:
                (tmp_path / name / ".held").touch()
            os.utime(tmp_path / name, (1, 1))
        assert sweep(run) == 2
        assert list(tmp_path.iterdir()) == []


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
        **{name: [generated(name)] for name in ("ed25519", "nistp256", "rsa3072", "rsa2048")},
        **{name: [generated(name)] for name in ("rsa1024", "dsa2048", "brainpoolP256r1")},
        "sha1": [SHA1 + generated()],
        "subkey": [generated("rsa3072", "cert"), with_subkey()],
        "subkey of rsa1024": [generated("rsa1024", "cert"), with_subkey()],
        "subkey by sha1": [generated(), SHA1 + with_subkey()],
    }
    taken = {}
    for name, steps in made.items():
        with gpg_home(0) as home:
            fingerprint = key(home, *steps)
            ring = replace(home, fingerprints=(fingerprint,)).ring()
            (tmp_path / "key").write_bytes(ring.gpg("--export", fingerprint).stdout)
            (tmp_path / "signed").write_bytes(ring.sign(b"text\n", [fingerprint]))
            known = described(ring.listing)[fingerprint]
        for now in (datetime(year, 11, 1, tzinfo=UTC) for year in (2026, 2027, 2028, 2029)):
            within = f"{now + timedelta(days=365):%Y-%m-%d}"
            believed = sqv(root, tmp_path, within)
            ours = problem(known, now) is None
            assert believed or not ours, f"{name} on {within}: {problem(known, now)}"
            taken[name, now.year] = ours
    assert all(taken[name, 2029] for name in ("ed25519", "nistp256", "rsa3072", "subkey"))
    assert (taken["rsa2048", 2028], taken["rsa2048", 2029]) == (True, False)
    weak = ("rsa1024", "dsa2048", "sha1", "subkey of rsa1024", "subkey by sha1")
    assert not any(taken[name, 2026] for name in weak)


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
