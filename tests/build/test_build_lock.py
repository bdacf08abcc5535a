from dataclasses import replace
from pathlib import Path

import pytest

from debship.build.backends import trusted_backends
from debship.build.lock import Lock, find_lock, locked
from debship.build.uv import Uv
from debship.config.app import App, BuildSettings
from debship.errors import Misused, Refused
from debship.model import PackageName
from debship.run import run

HASH = "--hash=sha256:" + "0" * 64


@pytest.fixture
def app(tmp_path: Path) -> App:
    return App(tmp_path, PackageName("auth"), "x", "A <a@b>")


def _locked(app: App, name: str, text: str) -> Path:
    path = app.directory / name
    path.write_text(text)
    app = replace(app, build=BuildSettings(lock=path))
    return locked(find_lock(app, frozenset()), app, app.directory, Uv(run, 0))


def test_the_first_lock_there_is_is_taken(app: App) -> None:
    files = frozenset({"requirements.txt", "uv.lock", "pyproject.toml"})
    assert find_lock(app, files).path == app.directory / "uv.lock"
    assert find_lock(app, files - {"uv.lock"}).kind == "requirements"


def test_without_a_lock_nothing_is_built(app: App) -> None:
    with pytest.raises(Refused, match=r"there is no uv\.lock") as refused:
        find_lock(app, frozenset({"pyproject.toml"}))
    assert "uv lock" in (refused.value.hint or "")


def test_requirements_with_hashes_are_taken_as_they_are(app: App) -> None:
    text = f"# note\n--no-index\nflask==3.0 ; python_version > '3' \\\n    {HASH}  # via\nx==1 {HASH}\n"
    assert _locked(app, "requirements.txt", text) == app.directory / "requirements.txt"


@pytest.mark.parametrize(
    ("text", "where"),
    [
        (f"a==1 {HASH}\nflask==3.0\nb==2\n", ':2: "flask==3.0"'),
        (f"# x\n\na==1 \\\n  {HASH}\n-e ./here\n", ':5: "-e ./here"'),
        ("flask==3.0 \\\n  ; python_version > '3'\n", ':1: "flask==3.0'),
    ],
)
def test_the_first_line_without_a_hash_is_named(app: App, text: str, where: str) -> None:
    with pytest.raises(Refused) as refused:
        _locked(app, "requirements.txt", text)
    assert f"{app.directory}/requirements.txt{where}" in refused.value.message
    assert refused.value.hint == (
        "uv pip compile --generate-hashes --output-file requirements.txt pyproject.toml"
    )


def test_an_included_file_is_looked_into(app: App) -> None:
    (app.directory / "base.txt").write_text("-r requirements.txt\nflask\n")
    with pytest.raises(Refused, match=r'base\.txt:2: "flask" has no hash'):
        _locked(app, "requirements.txt", "-r base.txt\n")


def test_what_lies_elsewhere_is_not_included_and_its_password_not_shown(app: App) -> None:
    with pytest.raises(Misused, match="it includes") as refused:
        _locked(app, "requirements.txt", "-r https://ann:s3cr3t@example.com/r.txt\n")
    assert "s3cr3t" not in refused.value.message
    assert "https://[hidden]@example.com/r.txt" in refused.value.message


def test_a_pylock_names_every_hash(app: App) -> None:
    package = '[[packages]]\nname = "{0}"\nwheels = [{{ url = "x", hashes = {{ {1} }} }}]\n'
    good = 'lock-version = "1.0"\ncreated-by = "a test"\n' + package.format("a", 'sha256 = "0"')
    assert _locked(app, "pylock.toml", good) == app.directory / "pylock.toml"
    with pytest.raises(Refused, match='"b" has no hash'):
        _locked(app, "pylock.toml", good + package.format("b", ""))
    with pytest.raises(Refused, match='"here" has no hash'):
        _locked(
            app,
            "pylock.prod.toml",
            'lock-version = "1.0"\ncreated-by = "a test"\n'
            '[[packages]]\nname = "here"\ndirectory = { path = "." }\n',
        )
    with pytest.raises(Misused, match=r"pylock\.toml"):
        _locked(app, "pylock.toml", "[[")
    with pytest.raises(Misused, match=r"pylock\.toml: it has no lock-version"):
        _locked(app, "pylock.toml", "")


def test_a_lock_that_is_not_there(app: App) -> None:
    app = replace(app, build=BuildSettings(lock=app.directory / "gone.txt"))
    with pytest.raises(Misused, match=r"gone\.txt: there is no such lock"):
        locked(find_lock(app, frozenset()), app, app.directory, Uv(run, 0))


def test_only_what_is_pinned_by_name_may_build_wheels(app: App, tmp_path: Path) -> None:
    (tmp_path / "base.txt").write_text(f"setuptools==80.9.0 ; python_version > '3' \\\n  {HASH}\n")
    wheel = f"./here-1.0-py3-none-any.whl {HASH}"
    lines = ["--no-index", "-r base.txt", wheel, f"a[x] == 1 {HASH}", f"b @ https://x/b.whl {HASH}"]
    path = tmp_path / "requirements.txt"
    path.write_text("\n".join(lines))
    (tmp_path / "made").mkdir()
    trusted = trusted_backends(None, Lock(path, "requirements"), tmp_path / "made")
    assert [line.split()[0] for line in trusted.read_text().splitlines()] == [
        "setuptools==80.9.0",
        "a[x]",
        "b",
    ]
