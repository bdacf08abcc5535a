"""Other tools read what we publish, and read our pool themselves, and come to the same."""

import json
import os
import re
import subprocess
from pathlib import Path

import pytest

from debship.publish.recipe import publish
from debship.publish.snapshot import read_indices
from debship.publish.store.directory import DirectoryStore
from debship.publish.suite import init
from debship.run import run
from publishing import make_publisher, served, settings

pytestmark = pytest.mark.acceptance

OURS = ("md5sum", "sha1", "sha512", "description-md5")  # what apt-ftparchive adds to ours


@pytest.fixture
def repository(tmp_path: Path, home, debs):
    folder = tmp_path / "repository"
    publisher = make_publisher(DirectoryStore(folder), home.ring())
    init(publisher, settings(components=("main", "extra")))
    odd = debs("odd", "1:2.0+b1~rc1", more="X-Odd:   kept\nSection: net\nPre-Depends: dpkg\n")
    publish(publisher, "production", [debs(version="1.0"), debs(version="1.1"), odd])
    publish(publisher, "production", [debs("libdoc", "1", "all")], component="extra")
    publish(publisher, "production", [debs("auth", "1.1", "arm64")])
    return folder, publisher


def stanzas(text: str) -> set[frozenset[tuple[str, str]]]:
    found = set()
    for paragraph in text.strip().split("\n\n"):
        fields = re.findall(r"^(\S+):[ \t]*(.*(?:\n[ \t].*)*)", paragraph, re.M)
        pairs = {(name.lower(), value.strip()) for name, value in fields}
        found.add(frozenset(pair for pair in pairs if pair[0] not in OURS))
    return found


def test_apt_ftparchive_reads_the_same_from_our_pool(repository) -> None:
    folder, publisher = repository
    release = publisher.snapshot("production").release
    ours = set()
    for index in read_indices(publisher.store, release, release.settings.parts).values():
        for _, stanza in index.stanzas():
            ours |= stanzas(stanza.decode())
    theirs = run(["apt-ftparchive", "packages", "pool"], cwd=folder).stdout.decode()
    assert len(ours) == 5
    assert ours == stanzas(theirs)


def test_apt_ftparchive_hashes_the_same(repository) -> None:
    folder, publisher = repository
    release = publisher.snapshot("production").release
    text = run(["apt-ftparchive", "release", folder / "dists/production"]).text
    theirs = set(re.findall(r"^ ([0-9a-f]{64}) +(\d+) (\S+Packages\.gz)$", text, re.M))
    ours = {(it.sha256, str(it.size), path) for path, it in release.files.items()}
    assert theirs == {it for it in ours if it[2].endswith(".gz")}
    assert len(theirs) == 4


def test_aptly_mirrors_all_of_it(repository, home, tmp_path: Path) -> None:
    folder, _ = repository
    conf = tmp_path / "aptly.conf"
    conf.write_text(json.dumps({"rootDir": str(tmp_path / "aptly"), "gpgProvider": "gpg"}))
    trusted = tmp_path / "trusted.gpg"
    trusted.write_bytes(home.ring().gpg("--export", home.fingerprints[0]).stdout)

    def aptly(*words: str) -> str:
        environment = {**os.environ, "GNUPGHOME": str(tmp_path)}
        argv = ["aptly", f"-config={conf}", *words]
        done = subprocess.run(argv, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    with served(folder) as (url, asked):
        aptly("mirror", "create", f"-keyring={trusted}", "here", url, "production")
        aptly("mirror", "update", f"-keyring={trusted}", "here")
    listed = aptly("mirror", "show", "-with-packages", "here")
    names = sorted(
        line.strip() for line in listed.split("Packages:")[1].splitlines() if line.strip()
    )
    assert names == [
        "auth_1.0_amd64",
        "auth_1.1_amd64",
        "auth_1.1_arm64",
        "libdoc_1_all",
        "odd_1:2.0+b1~rc1_amd64",
    ]
    assert any(path.endswith("/binary-amd64/Packages.gz") for path in asked)  # the old name
