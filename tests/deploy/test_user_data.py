"""The script by which a new instance installs what the fleet has."""

import subprocess
from dataclasses import replace
from pathlib import Path, PurePosixPath

import pytest
from test_roll import SECRETS, Rig

from debship.config.fleet import ManagedFile
from debship.deploy import apt
from debship.deploy.configuration import RenderedFile, render_without_secrets
from debship.deploy.user_data import user_data
from debship.model import DebVersion, PackageName, Secret
from debship.publish.sources import sources_text


def test_it_holds_no_secret_and_the_files_without_one(tmp_path: Path) -> None:
    rig = Rig(tmp_path)
    plain = tmp_path / "plain.j2"
    plain.write_text("region = '{{ region }}'\n")
    own = tmp_path / "own.j2"
    own.write_text("{{ host }}\n")
    files = (
        *rig.app.files,
        ManagedFile(PurePosixPath("/etc/auth/plain"), plain),
        ManagedFile(PurePosixPath("/etc/auth/own"), own),
    )
    app = replace(rig.app, files=files, variables={"region": "eu"})
    rendered = render_without_secrets(app)
    assert [file.path for file in rendered] == ["/etc/auth/plain"]
    script = user_data(PackageName("auth"), DebVersion("1.1-1"), "Types: deb\n", rendered)
    assert SECRETS not in script
    assert script.startswith("#!/bin/sh\n")
    assert "install auth=1.1-1\n" in script
    subprocess.run(["sh", "-n"], input=script.encode(), check=True)


KEY = """\
-----BEGIN PGP PUBLIC KEY BLOCK-----

mDMEZ
=Ab1c
-----END PGP PUBLIC KEY BLOCK-----
"""
SOURCES = sources_text("http://apt.example.com", "production", ("main",), KEY)


def test_an_old_apt_finds_the_key_beside_its_source() -> None:
    text, key = apt.with_key_beside(SOURCES)
    assert key == KEY
    assert text.endswith(f"Components: main\nSigned-By: {apt.KEYRING}\n")


@pytest.mark.parametrize(("version", "beside"), [("2.2.4", True), ("2.3.10", False)])
def test_an_instance_of_whatever_release_can_read_the_source(
    tmp_path: Path, version: str, beside: bool
) -> None:
    script = user_data(PackageName("auth"), DebVersion("1.1-1"), SOURCES, ())
    stubs = tmp_path / "bin"
    stubs.mkdir()
    for name, code in {"dpkg-query": f"echo {version}", "apt-get": "", "chown": ""}.items():
        (stubs / name).write_text(f"#!/bin/sh\n{code}\n")
        (stubs / name).chmod(0o755)
    script = script.replace("/etc/apt", str(tmp_path))
    path = f"{stubs}:/usr/sbin:/usr/bin:/sbin:/bin"
    subprocess.run(["sh"], input=script.encode(), check=True, env={"PATH": path})
    written = (tmp_path / "sources.list.d/debship.sources").read_text()
    text, key = apt.with_key_beside(SOURCES)
    assert written.replace(str(tmp_path), "/etc/apt") == (text if beside else SOURCES)
    keyring = tmp_path / "keyrings/debship.asc"
    assert (keyring.read_text() if beside else keyring.exists()) == (key if beside else False)


def test_a_file_of_the_packages_own_user_comes_after_it_and_the_service_starts_anew(
    tmp_path: Path,
) -> None:
    """The others lie there before the service starts, and are not written twice."""
    etc = tmp_path / "etc"
    files = [
        RenderedFile(f"{etc}/{name}", owner, owner, 0o640, Secret(name))
        for name, owner in (("plain", "root"), ("own", "_tiny"))
    ]
    script = user_data(PackageName("tiny"), DebVersion("1.1-1"), SOURCES, files)
    stubs, log, there = tmp_path / "bin", tmp_path / "log", tmp_path / "there"
    units = "/lib/systemd/system/tiny.service\\n/usr/lib/systemd/system/tiny-job@.service\\n/etc/x"
    programs = {
        "dpkg-query": f"case $1 in -L) printf '{units}\\n';; *) echo 2.6.2;; esac",
        "apt-get": f"case $* in *install*) ls {etc} >> {log}; touch {there};; esac",
        "getent": f"[ $2 = root ] || [ -e {there} ]",
        "chown": f'case $2 in _tiny*) [ -e {there} ];; esac && echo "chown $2 $3" >> {log}',
        "systemctl": f'[ $1 = is-enabled ] && echo enabled || echo "$*" >> {log}',
    }
    stubs.mkdir()
    for name, code in programs.items():
        (stubs / name).write_text(f"#!/bin/sh\n{code}\n")
        (stubs / name).chmod(0o755)
    path = f"{stubs}:/usr/sbin:/usr/bin:/sbin:/bin"
    script = script.replace("/etc/apt", str(tmp_path / "apt"))
    subprocess.run(["sh"], input=script.encode(), check=True, env={"PATH": path})
    said = log.read_text().splitlines()
    assert said[1:] == [
        f"chown root:root {etc}/plain.new",
        "plain",
        f"chown _tiny:_tiny {etc}/own.new",
        "reset-failed tiny.service",
        "restart tiny.service",
    ]
    assert (etc / "own").read_text() == "own"
    assert sorted(file.name for file in etc.iterdir()) == ["own", "plain"]
