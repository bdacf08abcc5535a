"""What all tests share: their order, golden files, and a skip that CI does not allow."""

import os
from pathlib import Path

import hypothesis
import pytest
from xdist.scheduler import LoadFileScheduling

# A machine that does other things beside is no fault in what is tested.
hypothesis.settings.register_profile("debship", deadline=None)
hypothesis.settings.load_profile("debship")

GOLDEN = Path(__file__).parent / "golden"

# What takes longest begins first, so that workers end together: xdist by itself begins with
# the files that have most tests, and those on hosts have few.
FIRST = (
    "acceptance/test_faults.py",
    "acceptance/test_rolling.py",
    "publish/test_polling.py",
    "acceptance/test_rolling_wide.py",
    "acceptance/test_rolling_aws.py",
    "acceptance/test_dozen.py",
    "publish/test_races.py",
    "build/test_build_layers.py",
    "deploy/test_aws_roll.py",
    "build/test_build_recipe.py",
)
# moto takes seconds to begin: one worker has it for all of these, and they are no fast tests.
TOGETHER = {
    "deploy/test_aws.py": "AWS",
    "deploy/test_aws_roll.py": "AWS",
    "deploy/test_balancer_contract.py": "AWS",
    "deploy/test_classic_elb.py": "AWS",
    "deploy/test_scaling_group.py": "AWS",
    "deploy/test_target_group.py": "AWS",
    "publish/test_requests.py": "S3",
    "publish/test_store.py": "S3",
}


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--update-golden", action="store_true", help="write the golden files anew")
    parser.addoption("--seed", type=int, help="play this seed of the simulation alone")


def _file(nodeid: str) -> str:
    return nodeid.partition("::")[0].removeprefix("tests/")


@pytest.hookimpl(tryfirst=True)  # before what is not asked for is taken out
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if _file(item.nodeid) in TOGETHER:
            item.add_marker(pytest.mark.slow)
    place = {file: number for number, file in enumerate((*FIRST, *TOGETHER))}
    items.sort(key=lambda item: place.get(_file(item.nodeid), len(place)))


class _Scheduling(LoadFileScheduling):
    def _split_scope(self, nodeid: str) -> str:
        file = _file(nodeid)
        return TOGETHER.get(file, file)


def pytest_xdist_make_scheduler(config: pytest.Config, log) -> LoadFileScheduling | None:
    if config.getoption("dist") != "loadfile":
        return None
    config.option.loadscopereorder = False  # the order is ours
    return _Scheduling(config, log)


@pytest.fixture
def golden(request: pytest.FixtureRequest):
    """Compare a text with the file of that name below tests/golden."""

    def compare(name: str, text: str) -> None:
        path = GOLDEN / name
        if request.config.getoption("--update-golden"):
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        assert text == path.read_text(), f"{name} differs; `make golden` writes it anew"

    return compare


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]):
    """Under CI a missing tool is a failure, never a skip."""
    outcome = yield
    report = outcome.get_result()
    if report.skipped and os.environ.get("CI") and not hasattr(report, "wasxfail"):
        report.outcome = "failed"
        report.longrepr = f"skipped under CI: {report.longrepr}"
