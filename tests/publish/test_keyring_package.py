"""The package that brings hosts the keys, as dpkg, apt and lintian see it."""

import subprocess
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from debship.debian.archive import read_archive
from debship.errors import Misused
from debship.model import DebVersion
from debship.publish.keyring_package import KeyringPackage
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
    sources = tmp_path / "x/etc/apt/sources.list.d/example-production-archive-keyring.sources"
    assert (
        "Signed-By: /usr/share/keyrings/example-production-archive-keyring.asc"
        in sources.read_text()
    )
    key = tmp_path / "x/usr/share/keyrings/example-production-archive-keyring.asc"
    assert key.read_text().strip() == made.keys.armored.strip()
    subprocess.run(["md5sum", "-c", "--quiet", "DEBIAN/md5sums"], cwd=tmp_path / "x", check=True)
    assert (tmp_path / "x/DEBIAN/conffiles").read_text().startswith("/etc/apt/sources.list.d/")


@pytest.mark.parametrize("who", ["nobody", "a <b>", "x <a@b>\nX-Evil: yes", ""])
def test_a_maintainer_that_is_none_is_misused(made, who: str) -> None:
    with pytest.raises(Misused, match="is no maintainer"):
        replace(made, maintainer=who)


@pytest.mark.acceptance
def test_lintian_has_nothing_to_say(made, tmp_path: Path) -> None:
    path = made.write(tmp_path)
    said = run(["lintian", "--fail-on", "error,warning", path], check=False)
    assert (said.returncode, said.text) == (0, "")
