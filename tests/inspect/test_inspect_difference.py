"""What changed from one package to another is told wheel by wheel."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from inspected import SITE, package, wheel

from debs import make_deb
from debship.cli.diff import command
from debship.inspect.contents import read_contents
from debship.inspect.difference import difference
from debship.inspect.exact import exact_differences

UNIT = "usr/lib/systemd/system/auth.service"
BEFORE = {
    **wheel("auth", "1.2.0", {"auth/app.py": "one\n", "auth/gone.py": "\n"}),
    **wheel("flask", "3.0.0", {"flask/a.py": "1\n"}),
    **wheel("same", "1.0", {"same/a.py": "1\n"}),
    **wheel("old", "1.0"),
    f"{SITE}/auth/__pycache__/app.cpython-311.pyc": "one",
    UNIT: "[Service]\nExecStart=/x --workers 2\n",
    "etc/auth/auth.conf": "workers = 2\n",
    "usr/share/doc/auth/README": "x",
}
AFTER = {
    **wheel("auth", "1.3.0", {"auth/app.py": "two\n", "auth/new.py": "\n"}),
    **wheel("flask", "3.1.0", {"flask/a.py": "2\n"}),
    **wheel("same", "1.0", {"same/a.py": "2\n"}),
    **wheel("fresh", "2.0"),
    f"{SITE}/auth/__pycache__/app.cpython-311.pyc": "two",
    UNIT: "[Service]\nExecStart=/x --workers 4\n",
    "etc/auth/auth.conf": "workers = 4\n",
    "usr/bin/tool": "x",
}
CONFFILES = {"conffiles": "/etc/auth/auth.conf\n"}


@pytest.fixture
def debs(tmp_path: Path) -> tuple[Path, Path]:
    return (
        package(tmp_path, BEFORE, control={**CONFFILES, "prerm": "#!/bin/sh\n"}),
        package(
            tmp_path,
            AFTER,
            version="2.0-1",
            control={**CONFFILES, "postinst": "#!/bin/sh\n"},
            more="Depends: python3.11, libpq5\nInstalled-Size: 80\n",
        ),
    )


def _call(*words: object) -> Result:
    return CliRunner().invoke(command, [str(word) for word in words], catch_exceptions=False)


def test_what_changed(debs: tuple[Path, Path]) -> None:
    done = _call(*debs)
    assert done.exit_code == 0
    lines = done.stdout.splitlines()
    assert lines[0].startswith("auth 1.0-1 -> 2.0-1 (")
    assert lines[2:] == [
        "depends",
        "  + libpq5",
        "  - libc6 (>= 2.34)",
        "",
        "distributions",
        "  ~ auth 1.2.0 -> 1.3.0 (files: 2 changed, 1 added, 1 removed)",
        "  ~ flask 3.0.0 -> 3.1.0 (files: 2 changed, 0 added, 0 removed)",
        "  + fresh 2.0 (254 B)",
        "  - old 1.0",
        "",
        "files of auth",
        "  ~ auth/__init__.py",
        "  ~ auth/app.py",
        "  + auth/new.py",
        "  - auth/gone.py",
        "",
        "files of same",
        "  ~ same/a.py",
        "",
        "units",
        f"  ~ {UNIT}",
        "      -ExecStart=/x --workers 2",
        "      +ExecStart=/x --workers 4",
        "",
        "conffiles",
        "  ~ etc/auth/auth.conf",
        "",
        "maintainer scripts",
        "  + postinst",
        "  - prerm",
        "",
        "other files",
        "  + usr/bin/tool",
        "  - usr/share/doc/auth/README",
    ]


def test_the_same_for_machines(debs: tuple[Path, Path]) -> None:
    result: dict[str, Any] = json.loads(_call(*debs, "--json").stdout)["result"]
    assert result["differ"]
    assert result["depends"] == {"added": ["libpq5"], "removed": ["libc6 (>= 2.34)"], "changed": []}
    changed = {entry["name"]: entry for entry in result["distributions"]["changed"]}
    assert changed["flask"] == {"name": "flask", "before": "3.0.0", "after": "3.1.0"}
    assert result["modules"]["flask"]["changed"][1] == {"name": "flask/a.py"}
    assert (result["before"]["version"], result["after"]["version"]) == ("1.0-1", "2.0-1")


def test_whether_they_differ_is_an_exit_code_where_it_is_asked(debs: tuple[Path, Path]) -> None:
    assert _call(*debs, "--exit-code").exit_code == 1
    assert _call(debs[0], debs[0], "--exit-code").exit_code == 0
    program = [sys.executable, "-m", "debship", "diff", "--exit-code"]
    assert subprocess.run([*program, *debs], check=False, capture_output=True).returncode == 1


def test_the_same_bytes_and_the_same_contents(tmp_path: Path) -> None:
    one = make_deb(tmp_path)
    assert _call(one, one).stdout == "auth 1.0-1: the same bytes\n"
    again = tmp_path / "xz"
    again.mkdir()
    two = make_deb(again, compression="xz")
    assert "the same contents, packed another way" in _call(one, two).stdout


def test_modes_links_and_owners_count(tmp_path: Path) -> None:
    folders = {}
    for name, mode, link in (("one", 0o644, "x"), ("two", 0o755, "y")):
        folder = tmp_path / name
        folder.mkdir()
        made = package(folder, {"usr/a": "x"})
        tree = next(folder.glob("tree-*"))
        (tree / "usr/a").chmod(mode)
        (tree / "usr/b").symlink_to(link)
        folders[name] = _packed(tree, made)
    found = difference(*(read_contents(path) for path in folders.values()))
    told = [(change.name, change.before, change.after) for change in found.files.changed]
    assert told == [("usr/a", "0644", "0755"), ("usr/b", "a link to x", "a link to y")]


def _packed(tree: Path, deb: Path, *options: str, epoch: str = "1700000000") -> Path:
    from debship.run import run

    words = ["dpkg-deb", "--root-owner-group", *options, "-b", tree, deb]
    run(words, env={"SOURCE_DATE_EPOCH": epoch})
    return deb


def test_what_should_be_the_same_is_compared_to_the_last_bit(tmp_path: Path) -> None:
    one = package(tmp_path, {"usr/a": "x", "usr/b": "x"})
    tree = next(tmp_path.glob("tree-*"))
    same = _packed(tree, tmp_path / "same.deb", "-Zgzip")
    (tree / "usr/a").write_text("y")
    (tree / "usr/b").rename(tree / "usr/c")
    (tree / "usr/a").chmod(0o600)
    other = _packed(tree, tmp_path / "other.deb", epoch="1700000001")
    assert exact_differences(read_contents(one), read_contents(same)) == ()
    lines = exact_differences(read_contents(one), read_contents(other))
    assert "data.tar: usr/a: contents, mode 0644 and 0600, date 1700000000 and 1700000001" in lines
    assert "data.tar: usr/b: only in the first" in lines
    assert "data.tar: usr/c: only in the second" in lines
    assert "control.tar: control: date 1700000000 and 1700000001" in lines
