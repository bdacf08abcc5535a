"""Every mistake that is made on purpose in the doors to AWS is found by a test."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from cloudshim.mutants import MUTANTS, AwsMutant

TOP = Path(__file__).parents[2]


def test_every_mutant_still_finds_its_place() -> None:
    for mutant in MUTANTS:
        text = (TOP / "src" / Path(*mutant.module.split("."))).with_suffix(".py").read_text()
        assert text.count(mutant.before) == mutant.times, mutant.name


@pytest.mark.acceptance
@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name)
def test_a_mistake_is_found(mutant: AwsMutant) -> None:
    done = subprocess.run(
        (
            *(sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider"),
            *("-p", "cloudshim.mutants", f"tests/deploy/{mutant.found_by}"),
        ),
        cwd=TOP,
        env={**os.environ, "DEBSHIP_MUTANT": mutant.name, "PYTHONPATH": "tests"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1, done.stdout[-2000:] + done.stderr[-2000:]
    assert "the code has changed" not in done.stdout
