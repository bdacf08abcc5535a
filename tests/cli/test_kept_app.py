"""What an application's folder says is checked once, as long as it says the same."""

import shutil
from pathlib import Path

import pytest

from debship.build.cache import Cache
from debship.cli.kept_app import read_app_once
from debship.config.app_file import read_app
from debship.errors import Misused

AUTH = Path(__file__).parents[2] / "examples" / "auth"


@pytest.fixture
def cache(tmp_path: Path) -> Cache:
    return Cache(tmp_path / "cache")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    copied = tmp_path / "auth"
    shutil.copytree(AUTH, copied)
    return copied


def edit(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


def test_what_was_kept_is_what_was_read(folder: Path, cache: Cache) -> None:
    assert read_app_once(folder, cache) == read_app_once(folder, cache) == read_app(folder)
    assert cache.usage.entries == 1


def test_a_new_version_of_the_application_is_not_checked_again(folder: Path, cache: Cache) -> None:
    read_app_once(folder, cache)
    edit(folder / "pyproject.toml", 'version = "1.0.0"', 'version = "1.0.1"')
    read_app_once(folder, cache)
    assert cache.usage.entries == 1


def test_what_changes_the_answer_is_read(folder: Path, cache: Cache) -> None:
    read_app_once(folder, cache)
    edit(folder / "pyproject.toml", "https://auth.example.com", "https://new.example")
    assert read_app_once(folder, cache).homepage == "https://new.example"
    edit(folder / "debship.toml", 'name = "auth"', 'name = "other"')
    assert read_app_once(folder, cache).name == "other"


def test_a_file_that_has_gone_is_missed(folder: Path, cache: Cache) -> None:
    app = read_app_once(folder, cache)
    source = next(config.source for config in app.configs if config.source)
    source.unlink()
    with pytest.raises(Misused, match=source.name):
        read_app_once(folder, cache)
