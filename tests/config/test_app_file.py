from pathlib import Path, PurePosixPath

import pytest

from debship.config.app import BuildSettings, ConfigFile, Service
from debship.config.app_file import read_app
from debship.errors import Misused

APP = '[app]\nname = "auth"\nsummary = "Auth"\nmaintainer = "Ann <ann@example.com>"\n'
PROJECT = """[project]
name = "My_Auth.Service"
description = "Authenticates\\n  people"
authors = [{ name = "Nobody" }, { name = "Ann", email = "ann@example.com" }]
maintainers = [{ email = "x@example.com" }]
urls = { homepage = "https://example.com/" }
"""


def _read(folder: Path, *, debship: str | None = None, pyproject: str | None = None):
    for name, text in (("debship.toml", debship), ("pyproject.toml", pyproject)):
        if text is not None:
            (folder / name).write_text(text)
    return read_app(folder)


def test_the_smallest_file(tmp_path: Path) -> None:
    app = _read(tmp_path, debship=APP)
    assert (app.name, app.version, app.user, app.services) == ("auth", "wheel", "_auth", ())
    assert app.directory == tmp_path
    assert app.build == BuildSettings()


def test_everything(tmp_path: Path) -> None:
    (tmp_path / "auth.conf").touch()
    (tmp_path / "uv.lock").touch()
    app = _read(
        tmp_path,
        debship=APP
        + """version = "git"
[build]
lock = "uv.lock"
releases = ["bookworm", "trixie"]
extras = ["ldap"]
[run]
depends = ["libpq5 (>= 15) | libpq6", "adduser"]
user = "auth"
[[config]]
path = "/etc/auth/auth.conf"
source = "auth.conf"
[[config]]
path = "/etc/auth/secrets.env"
managed = "deploy"
[[service]]
exec = "gunicorn auth:app"
port = 80
health = "/healthz"
env_files = ["/etc/auth/secrets.env"]
[[service]]
name = "auth-clean"
exec = "auth-clean"
kind = "timer"
schedule = "daily"
""",
    )
    assert app.build.lock == tmp_path / "uv.lock"
    assert app.build.releases == ("bookworm", "trixie")
    assert app.run.depends == ("libpq5 (>= 15) | libpq6", "adduser")
    assert app.user == "auth"
    assert app.configs == (
        ConfigFile(PurePosixPath("/etc/auth/auth.conf"), tmp_path / "auth.conf", False),
        ConfigFile(PurePosixPath("/etc/auth/secrets.env"), None, True),
    )
    env = (PurePosixPath("/etc/auth/secrets.env"),)
    assert app.services == (
        Service("auth", "gunicorn auth:app", port=80, health="/healthz", env_files=env),
        Service("auth-clean", "auth-clean", kind="timer", schedule="daily"),
    )


def test_what_is_left_out_is_the_project_s(tmp_path: Path) -> None:
    app = _read(tmp_path, debship="", pyproject=PROJECT)
    assert (app.name, app.summary) == ("my-auth-service", "Authenticates people")
    assert (app.maintainer, app.homepage) == ("Ann <ann@example.com>", "https://example.com")


def test_what_is_said_goes_before_the_project(tmp_path: Path) -> None:
    assert _read(tmp_path, debship='[app]\nname = "x1"\n', pyproject=PROJECT).name == "x1"


def test_it_may_stand_in_pyproject(tmp_path: Path) -> None:
    inner = '[tool.debship.app]\nlayout = "split"\n[[tool.debship.service]]\nexec = "auth"\n'
    app = _read(tmp_path, pyproject=PROJECT + inner)
    assert (app.layout, app.services[0].name) == ("split", "my-auth-service")


def test_a_mistake_in_pyproject_has_its_whole_path(tmp_path: Path) -> None:
    with pytest.raises(Misused) as raised:
        _read(tmp_path, pyproject=PROJECT + '[tool.debship.app]\nlayout = "x"\n')
    assert raised.value.message == (
        'pyproject.toml: tool.debship.app.layout: expected one of "whole", "split", got "x"'
    )


def test_no_file_says_what_writes_one(tmp_path: Path) -> None:
    with pytest.raises(Misused) as raised:
        _read(tmp_path, pyproject=PROJECT)
    assert raised.value.message == f"{tmp_path}: there is no debship.toml"
    assert raised.value.hint == f"debship init {tmp_path}"


def test_two_files_are_one_too_many(tmp_path: Path) -> None:
    with pytest.raises(Misused, match="is described twice"):
        _read(tmp_path, debship=APP, pyproject="[tool.debship.app]\n")


def test_a_file_that_is_not_utf8(tmp_path: Path) -> None:
    (tmp_path / "debship.toml").write_bytes(b"[app]\nname = \xff\n")
    with pytest.raises(Misused, match=r"^debship\.toml: line 2: not UTF-8$"):
        read_app(tmp_path)


def test_a_name_that_makes_no_user_needs_one_named(tmp_path: Path) -> None:
    text = APP.replace("auth", "auth2.0", 1) + '[[service]]\nexec = "auth"\n'
    with pytest.raises(Misused, match=r'run\.user: is missing: "_auth2\.0" cannot be'):
        _read(tmp_path, debship=text)
    assert _read(tmp_path, debship=text + '[run]\nuser = "auth"\n').user == "auth"


@pytest.mark.parametrize(
    "relation",
    ["libpq5", "libpq5:any", "a1 (>= 1:2.0~rc1-3)", "a1 (<< 2) | b2 (= 1) | c3", "g++"],
)
def test_a_debian_relation(tmp_path: Path, relation: str) -> None:
    assert _read(tmp_path, debship=f'{APP}[run]\ndepends = ["{relation}"]').run.depends == (
        relation,
    )


@pytest.mark.parametrize(
    "relation",
    ["", "Libpq5", "libpq5 (> 1)", "libpq5 >= 1", "a1, b2", "a1 | ", "a1 [amd64]", "a1\\n", "${x}"],
)
def test_no_debian_relation(tmp_path: Path, relation: str) -> None:
    with pytest.raises(Misused, match=r"run\.depends\[0\]: expected one Debian relation"):
        _read(tmp_path, debship=f'{APP}[run]\ndepends = ["{relation}"]')


@pytest.mark.parametrize(
    "path",
    ["/etc", "/etc/", "/etc//x", "/etc/../x", "/etc/./x", "etc/x", "/etc/a b", "/etc/%i", "/usr/x"],
)
def test_no_path_of_a_configuration_file(tmp_path: Path, path: str) -> None:
    with pytest.raises(Misused, match=r"config\[0\]\.path: expected an absolute path below /etc"):
        _read(tmp_path, debship=f'{APP}[[config]]\npath = "{path}"\nmanaged = "deploy"')
