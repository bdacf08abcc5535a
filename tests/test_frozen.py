import json
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Literal

import pytest
from examples.rehearsal import HERE
from hypothesis import given
from hypothesis import strategies as st

from debship.config.app import App
from debship.config.app_file import read_app
from debship.frozen import from_json, paths, to_json
from debship.model import PackageName


@dataclass(frozen=True)
class Inner:
    word: str
    number: int | None
    kind: Literal["a", "b"] = "a"


@dataclass(frozen=True)
class Outer:
    here: Path
    there: PurePosixPath | None
    name: PackageName
    inner: Inner
    several: tuple[Inner, ...]
    pairs: tuple[tuple[str, Path], ...]
    words: tuple[str, ...]
    yes: bool


inner = st.builds(Inner, st.text(), st.none() | st.integers(), st.sampled_from(("a", "b")))
path = st.builds(Path, st.text(alphabet="ab/.", min_size=1))
outer = st.builds(
    Outer,
    path,
    st.none() | st.just(PurePosixPath("/etc/x")),
    st.just(PackageName("auth")),
    inner,
    st.lists(inner).map(tuple),
    st.lists(st.tuples(st.text(), path)).map(tuple),
    st.lists(st.text()).map(tuple),
    st.booleans(),
)


@given(outer)
def test_a_value_comes_back_as_it_was(value: Outer) -> None:
    back = from_json(Outer, json.loads(json.dumps(to_json(value))))
    assert back == value
    assert type(back.name) is PackageName
    assert set(paths(back)) == {value.here, *(path for _, path in value.pairs)}


@pytest.mark.parametrize("example", ["auth", "radicale"])
def test_applications_come_back_as_they_were(example: str) -> None:
    app = read_app(HERE / example)
    assert from_json(App, json.loads(json.dumps(to_json(app)))) == app


def test_what_is_not_known_is_refused() -> None:
    @dataclass(frozen=True)
    class Odd:
        what: int | str

    with pytest.raises(TypeError, match="one of several"):
        from_json(Odd, {"what": 1})
