from pathlib import Path

import pytest
from click.testing import CliRunner

from debship.cli.lab import command
from debship.errors import Misused


def call(*words: str):
    return CliRunner().invoke(command, words, standalone_mode=False)


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("up", "--name", "../x"), "cannot name a lab"),
        (("down", "--name", "../x"), "cannot name a lab"),
        (("up", "--backend", "x"), "is not a backend"),
    ],
)
def test_what_cannot_be_meant_is_refused(words, says: str, tmp_path: Path) -> None:
    result = call(*words, "--state", str(tmp_path))
    assert isinstance(result.exception, Misused)
    assert says in result.exception.message
    assert not list(tmp_path.iterdir())


def test_no_labs_are_nothing_to_show(tmp_path: Path) -> None:
    assert call("status", "--state", str(tmp_path)).output == ""
