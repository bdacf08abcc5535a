"""The package that brings hosts the keys, as dpkg, apt and lintian see it."""

import subprocess
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from debship.debian.archive import read_archive
from debship.deploy.apt import SOURCE, with_key_beside
from debship.errors import Misused
from debship.model import DebVersion
from debship.publish.keyring_package import KeyringPackage
from debship.publish.recipe import publish
from debship.publish.sources import sources, sources_text
from debship.publish.store.directory import DirectoryStore
from debship.publish.suite import init
from debship.run import run
from publishing import settings

DATE = datetime(2026, 11, 24, 11, 30, 5, tzinfo=UTC)


@pytest.fixture
def made(home) -> KeyringPackage:
    keys = home.ring().certificates(home.fingerprints[:1])
    team = "Platform Team <platform@example.com>"
    return KeyringPackage(settings(), keys, "https://apt.example.com/debian", team, DATE)


def test_the_same_keys_give_the_same_bytes(made, tmp_path: Path) -> None:
    (tmp_path / "again").mkdir()
    first, second = made.write(tmp_path), made.write(tmp_path / "again")
    assert first.name == "example-production-archive-keyring_2026.11.24.113005_all.deb"
    assert first.read_bytes() == second.read_bytes()
    assert read_archive(first).fields["section"] == "misc"


def test_of_two_publications_of_a_minute_the_later_is_newer(made) -> None:
    later = replace(made, date=made.date.replace(second=6))
    assert later.version > made.version
    a_minute_only = DebVersion("2026.11.24.1130")  # what earlier ones had
    assert made.version > a_minute_only


def test_dpkg_finds_all_in_it(made, tmp_path: Path) -> None:
    path = made.write(tmp_path)
    run(["dpkg-deb", "-R", path, tmp_path / "x"])
    key = tmp_path / "x/usr/share/keyrings/example-production-archive-keyring.asc"
    assert key.read_text().strip() == made.keys.armored.strip()
    subprocess.run(["md5sum", "-c", "--quiet", "DEBIAN/md5sums"], cwd=tmp_path / "x", check=True)


KEY = "/usr/share/keyrings/example-production-archive-keyring.asc"


class TestTheOneSource:
    """apt takes one suite by one Signed-By alone, and bootstrap may have written a source first."""

    @pytest.fixture
    def folder(self, tmp_path: Path) -> Path:
        folder = tmp_path / "root/etc/apt/sources.list.d"
        folder.mkdir(parents=True)
        return folder

    @pytest.fixture
    def script(self, made, tmp_path: Path):
        """Run a maintainer script of the package on a root (dpkg(1), DPKG_ROOT)."""
        run(["dpkg-deb", "-e", made.write(tmp_path), tmp_path / "scripts"])

        def call(name: str, *words: str) -> None:
            env = {"DPKG_ROOT": str(tmp_path / "root")}
            run([tmp_path / "scripts" / name, *words], env=env)

        return call

    def inline(self, made, suite: str = "production") -> str:
        return sources_text(made.url, suite, ("main",), made.keys.armored)

    @pytest.mark.parametrize("beside", [False, True])
    def test_that_of_bootstrap_names_the_package_s_key_and_comes_back(
        self, made, folder, script, beside
    ) -> None:
        source, text = folder / "debship.sources", self.inline(made)
        text = with_key_beside(text)[0] if beside else text
        source.write_text(text)
        for _ in range(2):
            script("postinst", "configure", "")
            assert source.read_text() == (
                "Types: deb\nURIs: https://apt.example.com/debian\nSuites: production\n"
                f"Components: main\nSigned-By: {KEY}\n"
            )
            assert [path.name for path in folder.glob("*.sources")] == ["debship.sources"]
        script("postrm", "remove")
        assert source.read_text() == text
        script("postrm", "purge")
        assert [path.name for path in folder.iterdir()] == ["debship.sources"]

    def test_where_there_is_none_it_is_where_bootstrap_puts_it(self, folder, script) -> None:
        script("postinst", "configure", "")
        (source,) = folder.iterdir()
        assert str(source).endswith(SOURCE)
        assert f"Signed-By: {KEY}\n" in source.read_text()
        script("postrm", "remove")
        assert list(folder.iterdir()) == []

    def test_that_of_another_suite_is_left_alone(self, made, folder, script) -> None:
        other = folder / "debship.sources"
        other.write_text(self.inline(made, "staging"))
        script("postinst", "configure", "")
        assert other.read_text() == self.inline(made, "staging")
        assert (folder / "example-production-archive-keyring.sources").exists()
        script("postrm", "purge")
        assert list(folder.iterdir()) == [other]

    def test_bootstrap_after_it_is_followed_by_the_next_upgrade(self, made, folder, script):
        script("postinst", "configure", "")
        (folder / "debship.sources").write_text(self.inline(made))
        script("postinst", "configure", "1")
        (source,) = folder.glob("*.sources")
        assert f"Signed-By: {KEY}\n" in source.read_text()


@pytest.mark.acceptance
@pytest.mark.parametrize("first", ["bootstrap", "package"])
def test_apt_reads_the_suite_before_and_after(
    publisher, home, debs, trixie, tmp_path: Path, first
) -> None:
    """Real apt and dpkg, in a root of its own."""
    repository = DirectoryStore(tmp_path / "mnt/repository")
    there = publisher._replace(store=repository)
    init(there, settings())
    publish(there, "production", [debs()])
    snapshot, url = there.snapshot("production"), "file:///mnt/repository"
    made = KeyringPackage(settings(), there.ours, url, "Team <team@example.com>", DATE)
    made.write(tmp_path / "mnt").rename(tmp_path / "mnt/keyring.deb")
    (tmp_path / "mnt/debship.sources").write_text(sources(snapshot, there.ours, url))
    script = """
for name in upper work root; do mkdir "$2/$name"; done
mount -t tmpfs none "$2/upper"
mkdir "$2/upper/data" "$2/upper/work"
mount -t overlay overlay -o "lowerdir=$1,upperdir=$2/upper/data,workdir=$2/upper/work" "$2/root"
mount --bind /dev "$2/root/dev"
mount --bind "$2/mnt" "$2/root/mnt"
exec chroot "$2/root" sh -euxc '
    rm -rf /etc/apt/sources.list /etc/apt/sources.list.d/*
    update() { apt-get -q -o APT::Sandbox::User=root -o APT::Update::Error-Mode=any update; apt-cache policy auth | grep "Candidate: 1.0"; }
    bootstrap() { cp /mnt/debship.sources /etc/apt/sources.list.d/; }
    package() { dpkg -i /mnt/keyring.deb; }
    if [ "$1" = bootstrap ]; then
        bootstrap; update; package; update; package; update
        dpkg -r example-production-archive-keyring; update
        dpkg -P example-production-archive-keyring; update
    else
        package; update; bootstrap; update; package; update
    fi
' sh "$3"
"""
    mount = ["unshare", "--mount", "--propagation", "private", "sh", "-euc", script, "sh"]
    done = run([*mount, trixie, tmp_path, first])
    assert "\nW: " not in done.stdout.decode() + done.stderr.decode()


@pytest.mark.parametrize("who", ["nobody", "a <b>", "x <a@b>\nX-Evil: yes", ""])
def test_a_maintainer_that_is_none_is_misused(made, who: str) -> None:
    with pytest.raises(Misused, match="is no maintainer"):
        replace(made, maintainer=who)


@pytest.mark.acceptance
def test_lintian_has_nothing_to_say(made, tmp_path: Path) -> None:
    path = made.write(tmp_path)
    said = run(["lintian", "--fail-on", "error,warning", path], check=False)
    assert (said.returncode, said.text) == (0, "")
