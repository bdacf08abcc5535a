"""What all tests share: golden files, and a skip that CI does not allow."""

import os
from pathlib import Path

import hypothesis
import pytest

# A machine that does other things beside is no fault in what is tested.
hypothesis.settings.register_profile("debship", deadline=None)
hypothesis.settings.load_profile("debship")

GOLDEN = Path(__file__).parent / "golden"


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--update-golden", action="store_true", help="write the golden files anew")
    parser.addoption("--seed", type=int, help="play this seed of the simulation alone")


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
