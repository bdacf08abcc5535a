"""What a user types and sees."""

import base64
import json
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from debship.cli.main import main
from debship.cli.publish import _named
from debship.deploy.apt import with_key_beside
from debship.publish.signing import certificates, generate
from debship.run import run
from publishing import gpg_home

pytestmark = pytest.mark.slow

SUITE = ("--suite", "production")


@dataclass
class Done:
    returncode: int
    stdout: str
    stderr: str


@pytest.fixture
def debship(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    """Run a command in this process, as `debship` would."""

    def call(*words, env: dict[str, str], check: bool = True) -> Done:
        with monkeypatch.context() as patch:
            patch.delenv("DEBSHIP_SIGNING_KEY", raising=False)
            patch.setattr("time.sleep", lambda seconds: None)  # a second for each publication
            for name, value in env.items():
                patch.setenv(name, value)
            patch.setattr("sys.argv", ["debship", *map(str, words)])
            try:
                main()
                code = 0
            except SystemExit as left:
                code = int(left.code or 0)
        done = Done(code, *capsys.readouterr())
        assert not check or code == 0, done.stderr
        return done

    return call


@pytest.fixture
def user(tmp_path, home, debship):
    """Run commands on a repository that was made."""
    store = tmp_path / "repository"

    def call(*words, check: bool = True, env: dict[str, str] | None = None):
        return debship(*words, env=env or {**home.env, "DEBSHIP_STORE": str(store)}, check=check)

    call("repo", "init", *SUITE)
    call.store = store
    return call


def test_a_package_is_published_and_seen(user, debs) -> None:
    path = debs(version="1.2").deb.path
    done = user("publish", *SUITE, path)
    *packages, publication = done.stdout.splitlines()
    assert packages == ["auth 1.2 amd64 production"]
    assert len(publication) == 64
    assert user("publish", *SUITE, path).stdout == "unchanged\n"
    assert user("repo", "list", *SUITE).stdout == "auth 1.2 amd64 main\n"
    assert user("repo", "verify", *SUITE).stdout.startswith("sound: 1 packages")


@pytest.mark.parametrize(
    ("file", "architecture"),
    [
        ("auth_1.0_amd64.deb", "amd64"),
        ("auth_1.0-1~deb13u1_all.deb", "all"),
        ("auth.deb", ""),
        ("auth_1.0_...deb", ""),
        ("auth_1.0_amd64\n.deb", ""),
        ("auth_.deb", ""),
    ],
)
def test_an_architecture_is_told_by_a_file_s_name(file, architecture) -> None:
    assert _named(Path("debs") / file) == architecture


def test_machines_get_one_envelope(user, debs) -> None:
    archive = debs(version="1.2")
    planned = json.loads(user("publish", *SUITE, "--plan", "--json", archive.deb.path).stdout)
    assert planned["result"]["uploads"][0]["path"] == "pool/main/a/auth/auth_1.2_amd64.deb"
    done = json.loads(user("publish", *SUITE, "--json", archive.deb.path).stdout)
    assert (done["debship"], done["command"]) == (1, "publish")
    assert done["result"]["packages"][0]["sha256"] == archive.deb.sha256
    listed = json.loads(user("repo", "list", *SUITE, "--json").stdout)
    assert listed["result"]["publication"] == done["result"]["publication"]


def test_a_plan_changes_nothing(user, debs) -> None:
    before = sorted(user.store.rglob("*"))
    done = user("publish", *SUITE, "--plan", debs().deb.path)
    assert done.stdout.splitlines()[0].startswith("upload pool/main/a/auth/auth_1.0_amd64.deb (")
    assert done.stdout.splitlines()[-1] == "index production main amd64"
    assert sorted(user.store.rglob("*")) == before


@pytest.mark.parametrize(
    ("words", "code", "says"),
    [
        (("publish", "missing.deb", *SUITE), 2, "missing.deb: No such file"),
        (("publish", "/etc/hostname", *SUITE), 3, "it is not a .deb"),
        (("publish", "/etc/hostname", *SUITE), 3, "hint: name .debs alone, such as /etc/*.deb"),
        (("publish", *SUITE), 2, "Missing argument"),
        (("repo", "list", "--suite", "nowhere"), 3, "an unsigned store"),
        (("repo", "list", "--suite", "nowhere"), 3, "hint: debship repo init --suite nowhere"),
        (("repo", "list", "--suite", "nowhere"), 3, "else look at --suite and --store"),
        (("repo", "list", "--suite", "../x"), 2, "is not a path in a repository"),
        (("repo", "promote", "auth", "--from", "staging"), 2, "no suite"),
        (("repo", "rollback", *SUITE, "--to", "beef"), 2, "production: no publication beef"),
        (("repo", "list", "--store", "gs://x", *SUITE), 2, "not a store"),
        (("repo", "init", *SUITE, "--key", "--version"), 2, "gpg has no secret key"),
        (("repo", "init", *SUITE, "--origin", "Other"), 3, "would become 'Other'"),
    ],
)
def test_a_mistake_is_one_message(user, words, code: int, says: str) -> None:
    done = user(*words, check=False)
    assert done.returncode == code
    assert says in done.stderr
    assert "Traceback" not in done.stderr
    assert done.stdout == ""


def test_without_a_key_the_way_out_is_shown(user, debs, home) -> None:
    env = {"GNUPGHOME": str(home.path), "DEBSHIP_STORE": str(user.store)}
    done = user("publish", *SUITE, debs().deb.path, env=env, check=False)
    assert done.returncode == 2
    assert "--generate-key" in done.stderr


def test_a_key_can_be_made(tmp_path, debship) -> None:
    with gpg_home(0) as home:
        env = {"GNUPGHOME": str(home.path)}
        store = ("--store", tmp_path / "r", *SUITE)
        done = debship("repo", "init", *store, "--generate-key", env=env)
        key = done.stdout.splitlines()[0].removeprefix("key ")
        assert len(key) == 40
        listed = debship("repo", "list", *store, "--key", key, env=env)
        assert listed.stdout == ""


def test_no_key_is_made_for_a_suite_that_cannot_be(tmp_path, debship, user) -> None:
    (tmp_path / "file").write_text("")
    with gpg_home(0) as home:
        env = {"GNUPGHOME": str(home.path)}
        for words in (
            ("--store", user.store, *SUITE),
            ("--store", tmp_path / "r", "--suite", "../x"),
            ("--store", tmp_path / "r", *SUITE, "--origin", "x\ny"),
        ):
            done = debship("repo", "init", *words, "--generate-key", env=env, check=False)
            assert done.returncode in (1, 2, 3), words
            keys = run(["gpg", "--homedir", home.path, "--list-secret-keys", "--with-colons"])
            assert "sec:" not in keys.text, words
        file = ("--store", tmp_path / "file", *SUITE)
        done = debship("repo", "init", *file, "--generate-key", env=env, check=False)
        assert done.returncode == 1
        assert "made key " in done.stderr


def test_the_key_s_text_in_the_environment_is_shown_nowhere(user, debs, home) -> None:
    text = home.ring().gpg("--armor", "--export-secret-keys", home.fingerprints[0]).text
    env = {"DEBSHIP_SIGNING_KEY": text, "DEBSHIP_STORE": str(user.store), "GNUPGHOME": "/nowhere"}
    done = user("publish", *SUITE, debs().deb.path, env=env)
    assert "PRIVATE" not in done.stdout + done.stderr


def test_a_key_in_another_form_is_refused_and_shown_nowhere(user, debs, home) -> None:
    text = home.ring().gpg("--armor", "--export-secret-keys", home.fingerprints[0]).text
    coded = base64.b64encode(text.encode()).decode()
    for value in (coded, text.partition("\n\n")[2]):
        env = {"DEBSHIP_SIGNING_KEY": value, "DEBSHIP_STORE": str(user.store)}
        done = user("publish", *SUITE, debs().deb.path, env=env, check=False)
        assert done.returncode == 2
        assert "neither a fingerprint nor a key as armored text" in done.stderr
        assert not any(word in done.stderr for word in value.split() if len(word) > 20)


def test_the_sources_of_hosts(user, golden) -> None:
    text = user("repo", "sources", *SUITE, "--url", "https://apt.example.com/debian/").stdout
    head, key = text.split("Signed-By:\n")
    golden("publish/production.sources", head)
    lines = key.splitlines()
    assert all(line.startswith(" ") and line.strip() for line in lines)
    assert lines[0] == " -----BEGIN PGP PUBLIC KEY BLOCK-----"
    assert lines[1] == " ."


@pytest.mark.acceptance
def test_apt_s_word_is_the_exit_code(user, debs, tmp_path) -> None:
    path = debs().deb.path
    assert user("publish", *SUITE, "--check", path).stdout.startswith("auth 1.0")
    elsewhere = ("--url", (tmp_path / "elsewhere").as_uri())
    done = user("publish", *SUITE, "--check", *elsewhere, path, check=False)
    assert done.returncode == 1
    assert "is the URL the one that serves this store?" in done.stderr


def test_a_suite_s_life(user, debs) -> None:
    staging = ("--suite", "staging")
    user("repo", "init", *staging)
    user("publish", *staging, debs(version="1.0").deb.path, debs(version="1.1").deb.path)
    done = user("repo", "promote", "auth=1.0", "--from", "staging", "--to", "production")
    assert done.stdout.splitlines()[0] == "auth 1.0 amd64 production"
    good = done.stdout.splitlines()[1]
    user("repo", "promote", "auth", "--from", "staging", *SUITE)
    lines = user("repo", "log", *SUITE).stdout.splitlines()
    assert [line.split()[2:] for line in lines] == [["+auth=1.1:amd64"], ["+auth=1.0:amd64"], []]
    assert lines[1].split()[0] == good[:12]
    user("repo", "rollback", *SUITE, "--to", good[:12])
    assert user("repo", "list", *SUITE).stdout == "auth 1.0 amd64 main\n"
    logged = json.loads(user("repo", "log", *SUITE, "--json").stdout)["result"]["publications"]
    assert logged[0]["removed"] == [{"package": "auth", "version": "1.1", "architecture": "amd64"}]
    no_key = {"DEBSHIP_STORE": str(user.store)}
    assert user("repo", "gc", *SUITE, "--plan", env=no_key).stdout == "0 bytes\n"
    planned = user("repo", "gc", *staging, "--keep", 1, "--days", 0, "--plan").stdout
    assert planned == "unlist auth 1.0 amd64 staging\n0 bytes\n"
    user("repo", "gc", *staging, "--keep", 1, "--days", 0, "--json")
    assert user("repo", "list", *staging).stdout == "auth 1.1 amd64 main\n"


def test_a_key_follows_another(user, home) -> None:
    old, new = home.fingerprints
    done = user("repo", "key", "add", new, *SUITE)
    assert "give hosts the new .sources" in done.stderr
    listed = user("repo", "key", "list", *SUITE).stdout.splitlines()
    assert sorted(listed) == sorted(f"{one} ed25519 never ok" for one in (old, new))
    assert user("repo", "key", "retire", old, *SUITE, check=False).returncode == 3
    both = {**home.env, "DEBSHIP_STORE": str(user.store), "DEBSHIP_SIGNING_KEY": f"{old} {new}"}
    user("repo", "key", "retire", old, *SUITE, env=both)
    (row,) = json.loads(user("repo", "key", "list", *SUITE, "--key", new, "--json").stdout)[
        "result"
    ]["keys"]
    assert (row["fingerprint"], row["problem"]) == (new, None)


def test_a_suite_that_gives_out_another_key_than_signs_is_told(user, home) -> None:
    old, new = home.fingerprints
    given = user.store / "dists/production/key.asc"
    given.write_text(home.ring(1).certificates([new]).armored)
    done = user("repo", "verify", *SUITE, "--key", old, check=False)
    assert done.returncode == 1
    assert f"key.asc: it lacks {old}, which signs the suite" in done.stdout
    assert f"{old} ed25519 never ok" in user("repo", "key", "list", *SUITE, "--key", old).stdout
    user("repo", "key", "add", old, *SUITE, "--key", old)
    assert user("repo", "verify", *SUITE, "--key", old).stdout.startswith("sound")


@pytest.mark.parametrize("form", ["{0}", "{1}", "0x{1}", "{2}", "{3}"])
def test_a_key_has_the_same_names_everywhere(tmp_path, debship, form) -> None:
    with gpg_home(0) as own:
        one, two = (generate(f"{x} <{x}@example.com>", run, own.path) for x in ("one", "two"))

        def named(key: str, address: str) -> str:
            spaced = " ".join(key[at : at + 4] for at in range(0, 40, 4))
            return form.format(key, key[-16:], spaced, f"{address}@example.com")

        env = {"GNUPGHOME": str(own.path), "DEBSHIP_STORE": str(tmp_path / "r")}
        debship("repo", "init", *SUITE, "--key", one, env=env)
        debship("repo", "key", "add", named(two, "two"), *SUITE, "--key", one, env=env)
        words = (named(one, "one"), *SUITE, "--key", two)
        debship("repo", "key", "retire", *words, env=env)
        listed = debship("repo", "key", "list", *SUITE, "--key", two, env=env).stdout
        assert listed == f"{two} ed25519 never ok\n"
        done = debship("repo", "key", "retire", *words, env=env, check=False)
        assert (done.returncode, "does not sign it" in done.stderr) == (2, True)


class TestWhatIsGivenOut:
    """Whoever may write to the store may write to key.asc, which nobody signs."""

    @pytest.fixture
    def strange(self, user, home) -> str:
        """A key that does not sign, put into key.asc."""
        text = home.ring(0, 1).certificates(home.fingerprints).armored
        (user.store / "dists/production/key.asc").write_text(text)
        return home.fingerprints[1]

    @pytest.mark.parametrize("named", [True, False])
    def test_a_key_that_does_not_sign_reaches_no_host(
        self, user, home, strange, tmp_path, named
    ) -> None:
        env = {"DEBSHIP_STORE": str(user.store), **(home.env if named else {})}
        (given,) = sources_keys(user("repo", "sources", *SUITE, env=env).stdout)
        assert given == home.fingerprints[0]
        words = ("--maintainer", "Team <team@example.com>", "--output", tmp_path / "out")
        made = user("repo", "key", "package", *SUITE, *words, env=env).stdout.strip()
        run(["dpkg-deb", "-x", made, tmp_path / "x"])
        (key,) = (tmp_path / "x/usr/share/keyrings").iterdir()
        assert certificates(key.read_text(), run).trusted == {home.fingerprints[0]}
        done = user("repo", "verify", *SUITE, env=env, check=False)
        assert done.returncode == 1
        assert f"key.asc: it gives out {strange}, which does not sign" in done.stdout

    def test_a_signature_more_makes_no_host_trust_it(self, user, home, strange) -> None:
        inrelease = user.store / "dists/production/InRelease"
        text = user.store.joinpath("dists/production/Release").read_bytes()
        inrelease.write_bytes(home.ring(0, 1).sign(text, home.fingerprints))
        done = user("repo", "sources", *SUITE, check=False)
        assert (done.returncode, done.stdout) == (3, "")
        assert f"error: production: {strange} signs it too, and is no key of ours" in done.stderr
        assert "--key" in done.stderr
        both = ("--key", home.fingerprints[0], "--key", strange)
        given = sources_keys(user("repo", "sources", *SUITE, *both).stdout)
        assert given == set(home.fingerprints)

    def test_an_armor_that_is_none_of_gpg_s_gets_nowhere(self, user, home) -> None:
        given = user.store / "dists/production/key.asc"
        given.write_text("Trusted: yes\n\n" + given.read_text() + "Trusted: yes\n")
        env = {"DEBSHIP_STORE": str(user.store)}
        assert "Trusted" not in user("repo", "sources", *SUITE, env=env).stdout

    @pytest.mark.parametrize("damaged", [None, "", "x", "-----BEGIN PGP PUBLIC KEY BLOCK-----\n"])
    def test_a_file_that_is_lost_is_named_and_written_again(self, user, home, damaged) -> None:
        given = user.store / "dists/production/key.asc"
        before = given.read_text()
        for way in (("key", "add", home.fingerprints[0]), ("init",)):
            given.unlink()
            if damaged is not None:
                given.write_text(damaged)
            env = {"DEBSHIP_STORE": str(user.store)}
            done = user("repo", "list", *SUITE, env=env, check=False)
            assert done.returncode == 3
            assert "error: dists/production/key.asc: it " in done.stderr
            assert "hint: debship repo key add" in done.stderr
            assert "/dev/shm" not in done.stderr
            user("repo", "list", *SUITE)
            assert "key.asc: it " in user("repo", "verify", *SUITE, check=False).stdout
            user("repo", *way, *SUITE, "--key", home.fingerprints[0])
            assert given.read_text() == before
            user("repo", "list", *SUITE, env=env)


def sources_keys(text: str) -> set[str]:
    _, key = with_key_beside(text)
    return set(certificates(key, run).trusted)


def test_the_keys_become_a_package(user, tmp_path) -> None:
    words = ("--url", "https://apt.example.com/debian/", "--maintainer", "Team <team@example.com>")
    made = user(
        "repo", "key", "package", *SUITE, *words, "--output", tmp_path / "out"
    ).stdout.strip()
    done = user("publish", *SUITE, made)
    assert done.stdout.startswith("debship-production-archive-keyring 20")
    wrong = user("repo", "key", "package", *SUITE, *words[:3], "nobody", check=False)
    assert (wrong.returncode, "no maintainer" in wrong.stderr) == (2, True)


def test_what_the_environment_says_of_the_date(user, debs, home) -> None:
    env = {**home.env, "DEBSHIP_STORE": str(user.store)}
    done = user(
        "publish", *SUITE, debs().deb.path, env={**env, "SOURCE_DATE_EPOCH": "soon"}, check=False
    )
    assert (done.returncode, 'SOURCE_DATE_EPOCH is "soon"' in done.stderr) == (2, True)
    ahead = {**env, "SOURCE_DATE_EPOCH": "4102444800"}
    done = user("publish", *SUITE, debs().deb.path, env=ahead, check=False)
    assert (done.returncode, "in the future" in done.stderr) == (3, True)
    past = {**env, "SOURCE_DATE_EPOCH": "1700000000"}
    before = json.loads(user("repo", "log", *SUITE, "--json").stdout)["result"]["publications"][0]
    done = user("publish", *SUITE, "--json", debs().deb.path, env=past)
    then = datetime.fromisoformat(before["date"]) + timedelta(seconds=1)
    assert json.loads(done.stdout)["result"]["date"] == then.isoformat()


@pytest.mark.parametrize("url", ["x y", "no-url", "https://x\nTrusted: yes", "http://[x/"])
def test_a_url_that_would_break_out_is_misused(user, url: str) -> None:
    done = user("repo", "sources", *SUITE, "--url", url, check=False)
    assert (done.returncode, done.stdout) == (2, "")


def test_no_password_gets_where_all_hosts_read(user) -> None:
    for words in (
        ("repo", "sources", *SUITE, "--url", "https://ann:s3cr3t@example.com/debian"),
        ("repo", "list", *SUITE, "--store", "s3://ann:s3cr3t@bucket/debian"),
    ):
        done = user(*words, check=False)
        assert (done.returncode, done.stdout) == (2, "")
        assert "holds a user or a password" in done.stderr
        assert "s3cr3t" not in done.stderr
