"""The examples are documentation, so they are held to what they document."""

import re
import sys
import tomllib
from pathlib import Path

import pytest
import yaml
from examples.versions import make_version
from uv import find_uv_bin

from debship.config.app_file import read_app
from debship.config.app_form import AppForm
from debship.config.fleet_file import read_fleet
from debship.config.fleet_form import FleetForm, HostsTable
from debship.config.form import Form, branches, fill
from debship.run import run
from debship.template_files import directory
from documented import commands, unknown

EXAMPLES = Path(__file__).parents[1] / "examples"
AUTH, RADICALE = EXAMPLES / "auth", EXAMPLES / "radicale"


def _uncommented(path: Path) -> str:
    return re.sub(r"^#(?=[\w\[\]]+.*[=\]])", "", path.read_text(), flags=re.MULTILINE)


def _keys(node: object, name: str = "") -> set[str]:
    """Every table.key of a model, lists and named tables passed through."""
    keys: set[str] = set()
    for branch in branches(node):
        inner = [arg for arg in getattr(branch, "__args__", ()) if arg is not str]
        if isinstance(branch, type) and issubclass(branch, Form):
            for key, field in branch.model_fields.items():
                keys |= {f"{name}.{key}"} | _keys(field.annotation, f"{name}.{key}")
        for arg in inner:
            keys |= _keys(arg, name)
    return keys


# Tables whose keys the user chooses.
_FREE = (
    ".service.relax",
    ".service.unit",
    ".apps",
    ".apps.secrets",
    ".apps.variables",
    ".apps.hosts.ec2",
)


def _used(value: object, name: str = "", *, free: bool = False) -> set[str]:
    """Every table.key of a file, lists and the keys that the user chooses passed through."""
    if isinstance(value, list):
        return set().union(*(_used(item, name) for item in value))
    if not isinstance(value, dict):
        return set()
    if free:
        return set().union(*(_used(item, name) for item in value.values()))
    places = {f"{name}.{key}": item for key, item in value.items()}
    return set(places).union(*(_used(v, p, free=p in _FREE) for p, v in places.items()))


@pytest.mark.parametrize(
    ("path", "form"),
    [(AUTH / "debship.toml", AppForm), (AUTH / "fleet.toml", FleetForm)],
    ids=["app", "fleet"],
)
def test_every_key_is_in_the_commented_example(path: Path, form: type[Form]) -> None:
    table = tomllib.loads(_uncommented(path))
    assert fill(form, table)[1] == [], "a commented key has a value that is refused"
    in_words = {f".apps.hosts.{key}" for key in HostsTable.model_fields}
    assert _used(table) == _keys(form) - in_words


def test_the_ways_to_name_hosts_are_in_the_commented_example() -> None:
    text = AUTH.joinpath("fleet.toml").read_text()
    assert all(f"hosts = {{ {key} = " in text for key in HostsTable.model_fields)


def test_the_examples_are_read() -> None:
    auth, radicale = read_app(AUTH), read_app(RADICALE)
    assert (auth.name, auth.user, auth.services[0].port) == ("auth", "_auth", 8101)
    lock = RADICALE.joinpath("requirements.txt").read_text()
    assert f"\n{radicale.build.requirement} \\" in lock
    fleet = read_fleet(AUTH / "fleet.toml")
    managed = {config.path for config in auth.configs if config.managed}
    assert {file.path for file in fleet.apps["auth"].files} == managed


def test_a_fabfile_is_one_line() -> None:
    assert (
        AUTH.joinpath("fabfile.py").read_text() == "from debship.fabfile import *  # noqa: F403\n"
    )


def test_the_locks_name_hashes_and_no_index() -> None:
    for lock in (AUTH / "requirements.txt", RADICALE / "requirements.txt"):
        text = lock.read_text()
        assert "://" not in text
        for requirement in re.split(r"\n(?=\w)", text.strip()):
            assert "--hash=sha256:" in requirement


@pytest.mark.parametrize("name", ["gitlab-ci.yml", "github-actions.yml"])
def test_the_packaging_stage(name: str) -> None:
    path = AUTH / "ci" / name
    stage = yaml.safe_load(path.read_text())
    assert {"package", "publish"} <= set(stage.get("jobs", stage))
    assert path.read_text() == (directory() / "init" / name).read_text()  # what init writes
    used = list(commands(path))
    assert [words[1] for words in used] == ["build", "publish"]
    assert [unknown(words) for words in used] == [None, None]


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The service's wheel, installed in a folder of its own."""
    folder = tmp_path_factory.mktemp("auth")
    source = make_version(AUTH, folder / "source", "1.2.3rc1")
    run([sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", folder], cwd=source)
    (wheel,) = folder.glob("*.whl")
    run(
        [
            find_uv_bin(),
            "pip",
            "install",
            "--offline",
            "--no-deps",
            "--target",
            folder / "site",
            wheel,
        ]
    )
    return folder


@pytest.mark.slow
def test_the_service_passes_its_own_tests(installed: Path) -> None:
    run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"],
        cwd=installed / "source",
        env={"PYTHONPATH": str(installed / "site"), "CI": None},
    )


ASK = """
from auth.wsgi import app
answer = app.test_client().get("/healthz")
print(answer.status_code, (answer.json or {}).get("version"))
"""


@pytest.mark.parametrize(
    ("flavour", "says"),
    [({}, "200 1.2.3rc1"), ({"sick": True}, "500 None"), ({"broken": True}, "broken on purpose")],
    ids=["well", "sick", "broken"],
)
def test_versions_can_be_told_apart(installed: Path, tmp_path: Path, flavour, says: str) -> None:
    source = make_version(AUTH, tmp_path / "copy", "2.0", **flavour)
    asked = run(
        [sys.executable, "-c", ASK],
        env={
            "PYTHONPATH": f"{source / 'src'}:{installed / 'site'}",
            "AUTH_CONFIG": str(AUTH / "auth.conf"),
        },
        check=False,
    )
    assert says in (asked.text or asked.stderr.decode())


def test_what_the_readme_shows_is_a_whole_application(tmp_path: Path) -> None:
    text = (EXAMPLES.parent / "README.md").read_text()
    (shown,) = re.findall(r"```toml\n(.*?)```", text, re.DOTALL)
    (tmp_path / "debship.toml").write_text(shown)
    (tmp_path / "pyproject.toml").write_text(
        '[project]\nname = "auth"\nversion = "1.1.0"\ndescription = "Signs people in"\n'
    )
    for name in ("uv.lock", "auth.conf"):
        (tmp_path / name).touch()
    app = read_app(tmp_path)
    assert (app.name, app.services[0].port) == ("auth", 8101)
