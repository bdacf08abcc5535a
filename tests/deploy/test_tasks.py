"""What is typed to fab, as the tasks see it."""

import pytest
from invoke.collection import Collection
from invoke.context import Context
from invoke.exceptions import Exit
from invoke.parser import Parser

import debship.fabfile
from debship.cli import rolls


def typed(*words: str) -> dict:
    contexts = Collection.from_module(debship.fabfile).to_contexts()
    return Parser(contexts).parse_argv(list(words))[0].as_kwargs


def test_a_user_without_a_name_rolls_by_its_number(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("LOGNAME", "USER", "LNAME", "USERNAME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr("os.getuid", lambda: 4711042)
    by = rolls.order(version=None).by
    assert by.startswith("uid-4711042@")


@pytest.mark.parametrize("task", ["deploy", "rollback"])
def test_several_hosts_can_be_named(task: str) -> None:
    given = typed(task, "--app", "auth", "--only", "h1", "--only", "h2", "--no-undo", "--pause")
    assert list(given["only"]) == ["h1", "h2"]
    assert (given["undo"], given["pause"]) == (False, True)


def test_left_out_all_hosts_are_meant_and_what_fails_is_taken_back() -> None:
    given = typed("deploy", "--app", "auth")
    assert (list(given["only"] or ()), given["undo"]) == ([], True)


@pytest.mark.parametrize("task", ["deploy", "status", "bootstrap"])
def test_help_after_a_task_is_no_application(task: str, capsys: pytest.CaptureFixture[str]) -> None:
    """invoke takes what stands there for the application's name."""
    given = typed(task, "--help")
    with pytest.raises(Exit) as ended:
        getattr(debship.fabfile, task)(Context(), **given)
    assert ended.value.code == 2
    told = capsys.readouterr().err.splitlines()
    assert told == [
        'error: "--help" is no application',
        f"hint: --app APP goes first; fab --help {task}",
    ]
