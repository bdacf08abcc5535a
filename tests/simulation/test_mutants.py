"""The simulation bites: each mistake in the roll breaks an invariant in some seed."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from simulation.mutants import MUTANTS

TESTS = Path(__file__).parents[1]
SEEDS = "0:2500"  # a mutant is done with at the first seed that it breaks


def look_for(mutant: str, seeds: str) -> subprocess.CompletedProcess[str]:
    words = (sys.executable, "-m", "simulation", seeds, "--mutant", mutant)
    environment = {**os.environ, "PYTHONPATH": str(TESTS)}
    return subprocess.run(words, env=environment, capture_output=True, text=True, check=False)


def test_the_code_that_the_mutants_change_is_there() -> None:
    for mutant in MUTANTS:
        path = TESTS.parent / "src" / Path(*mutant.module.split(".")).with_suffix(".py")
        assert path.read_text().count(mutant.before) == mutant.times, mutant.name


def test_a_roll_that_is_as_it_should_be_breaks_nothing_and_a_mutant_does() -> None:
    assert look_for("no way back", "0:40").returncode == 1


@pytest.mark.acceptance
@pytest.mark.parametrize("mutant", [mutant.name for mutant in MUTANTS])
def test_each_mistake_is_found(mutant: str) -> None:
    done = look_for(mutant, SEEDS)
    assert done.returncode == 1, f"nobody saw it: {done.stderr}"
    assert "Broken" in done.stderr or "!!" in done.stdout, done.stdout[-2000:] + done.stderr[-2000:]
