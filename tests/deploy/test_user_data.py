"""The script by which a new instance installs what the fleet has."""

import subprocess
from dataclasses import replace
from pathlib import Path, PurePosixPath

from test_roll import SECRETS, Rig

from debship.config.fleet import ManagedFile
from debship.deploy.configuration import render_without_secrets
from debship.deploy.user_data import user_data
from debship.model import DebVersion, PackageName


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
