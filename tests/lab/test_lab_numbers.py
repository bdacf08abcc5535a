import json
import os
import shutil
import signal
import time
from multiprocessing import get_context
from pathlib import Path

import pytest

from debship.errors import Failed
from debship.lab.numbers import alone, free, owned, release_number, reserve
from debship.lab.plan import plan_lab
from debship.lab.record import Record, write_record

from fakes import FakeRun


@pytest.fixture
def run() -> FakeRun:
    """A machine whose own network is where the first lab would be."""
    fake = FakeRun()
    routes = [{"dst": "default"}, {"dst": "10.77.1.0/24"}, {"dst": "10.0.0.0/8"}]
    fake.answer("ip", "-json", stdout=json.dumps(routes).encode())
    return fake


def test_each_lab_has_a_number_of_its_own_and_keeps_it(tmp_path: Path, run: FakeRun) -> None:
    runtime = tmp_path / "run"
    numbers = [reserve(tmp_path / name, runtime=runtime, run=run) for name in "abab"]
    assert len(set(numbers)) == 2
    assert numbers[:2] == numbers[2:]
    assert 1 not in numbers
    assert owned(tmp_path / "a", runtime=runtime) == numbers[0]


def test_a_number_given_back_is_free_again(tmp_path: Path, run: FakeRun) -> None:
    runtime = tmp_path / "run"
    number = reserve(tmp_path / "a", runtime=runtime, run=run)
    release_number(number, runtime=runtime)
    assert owned(tmp_path / "a", runtime=runtime) is None
    assert reserve(tmp_path / "b", runtime=runtime, run=run) == number


def test_the_number_of_a_lab_whose_folder_is_gone_is_free(tmp_path: Path, run: FakeRun) -> None:
    runtime = tmp_path / "run"
    number = reserve(tmp_path / "a", runtime=runtime, run=run)
    shutil.rmtree(tmp_path / "a")
    assert reserve(tmp_path / "b", runtime=runtime, run=run) == number


def test_after_a_restart_of_the_machine_a_lab_gets_its_number_back(
    tmp_path: Path, run: FakeRun
) -> None:
    (tmp_path / "a").mkdir()
    write_record(Record(plan_lab("a", number=200, state=tmp_path / "a")))
    assert reserve(tmp_path / "a", runtime=tmp_path / "run", run=run) == 200


@pytest.mark.parametrize(
    ("route", "free_then"),
    [("10.77.5.0/24", False), ("10.77.5.7", False), ("10.77.0.0/16", False), ("10.0.0.0/8", True)],
)
def test_a_network_in_use_is_not_a_labs(route: str, free_then: bool) -> None:
    assert free(5, (route,)) is free_then


def test_only_one_changes_a_lab(tmp_path: Path) -> None:
    with (
        alone(tmp_path, runtime=tmp_path),
        pytest.raises(Failed, match="another debship changes the lab"),
        alone(tmp_path, runtime=tmp_path),
    ):
        pass
    with alone(tmp_path, runtime=tmp_path):
        pass


def _hold(state: Path, beyond: float) -> None:
    with alone(state, runtime=state):
        if os.fork() == 0:  # a program that it is about to start: it has the lock as well
            time.sleep(beyond)
            os._exit(0)
        (state / "held").touch()
        time.sleep(60)


@pytest.mark.parametrize("beyond", [0.0, 0.3])
def test_a_killed_holder_holds_nothing(tmp_path: Path, beyond: float) -> None:
    holder = get_context("fork").Process(target=_hold, args=(tmp_path, beyond))
    holder.start()
    while not (tmp_path / "held").exists():
        time.sleep(0.01)
    os.kill(holder.pid, signal.SIGKILL)
    holder.join()
    with alone(tmp_path, runtime=tmp_path):
        pass
