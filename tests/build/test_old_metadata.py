"""Metadata from before the standards: uv reads them, so a second build must end as the first did."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from sample import Sample, lock_wheels, make_wheel

from debship.build.dists import Dist
from debship.build.unpacked import lacking
from debship.errors import Refused

WANTS = ("lib_a (>dev)", "lib_a>=0.5.*", 'lib_a; os_nam == "posix"')


def _dist(name: str, *needs: str, python: str = "") -> Dist:
    return Dist(name, "1.0", (), True, "", "", "", "", needs=needs, needs_python=python)


@pytest.fixture
def old(sample: Sample) -> Callable[..., Sample]:
    """The sample, with other needs of its own and of a dependency."""
    sample.cache = None

    def make(
        *needs: str, of_dependency: tuple[str, ...] = (), python: str = ">=3", more: str = ""
    ) -> Sample:
        folder = sample.app.directory
        make_wheel(folder / "wheels", "lib_a", requires=of_dependency)
        names = ["lib_a", "lib_b", *more.split()]
        for name in more.split():
            make_wheel(folder / "wheels", name)
        lock_wheels(folder, *(folder / f"wheels/{name}-1.0-py3-none-any.whl" for name in names))
        scripts = ("tiny-web", "tiny-job")
        make_wheel(
            folder / "dist", "tiny", scripts=scripts, requires=("lib_a", *needs), python=python
        )
        return sample

    return make


@pytest.mark.slow
@pytest.mark.parametrize("layout", ["whole", "split"])
@pytest.mark.parametrize(
    ("needs", "of_dependency", "python"),
    [
        (("lib_a (>dev)",), (), ">=3"),
        (("lib_a>=0.5.*",), (), ">=3"),
        ((), ("lib_b (>dev)", "lib_b>=0.5.*"), ">=3"),
        ((), (), ">=3.6.*"),
    ],
)
def test_a_second_build_ends_as_the_first_did(
    old, layout: str, needs: tuple[str, ...], of_dependency: tuple[str, ...], python: str
) -> None:
    sample = old(*needs, of_dependency=of_dependency, python=python)
    app = replace(sample.app, layout=layout)
    first = sample.build(app)
    again = sample.build(app, output=sample.output.parent / "again")
    assert first.sha256 == again.sha256


@pytest.mark.slow
def test_a_lock_of_which_most_was_built_before(old) -> None:
    sample = old(of_dependency=("lib_b (>dev)",))
    sample.build()
    sample = old(of_dependency=("lib_b (>dev)",), more="lib_c")
    deb = sample.build()
    sample.cache = sample.output.parent / "other"
    assert sample.build(output=sample.output.parent / "fresh").sha256 == deb.sha256


@pytest.mark.slow
def test_what_uv_finds_is_refused_at_each_build(old, tmp_path: Path) -> None:
    old().build()
    sample = old("lib_a (>dev)", "lib_b>=2")
    with pytest.raises(Refused, match="does not hold what the application needs"):
        sample.build()


@pytest.mark.parametrize("need", WANTS)
def test_what_cannot_be_read_is_left_to_uv(need: str) -> None:
    assert lacking(_dist("app", need), [_dist("lib-a")], "3.11.2") is None
    assert lacking(_dist("app"), [_dist("lib-b", need), _dist("lib-a")], "3.11.2") == ()
    assert lacking(_dist("lib-a"), [_dist("lib-b", need)], "3.11.2") is None
    assert lacking(_dist("app", python=">=3.6.*"), [], "3.11.2") is None
