"""What wheels say of what is bundled in them is read, and never trusted."""

import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from debship.build.bundled import Component, read_bundled

FILE = "lib/python3.11/site-packages/a-1.dist-info/sboms/a.cdx.json"


def _read(folder: Path, content: bytes | str) -> tuple[Component, ...]:
    (folder / FILE).parent.mkdir(parents=True, exist_ok=True)
    text = content.encode() if isinstance(content, str) else content
    (folder / FILE).write_bytes(text)
    (bundled,) = read_bundled(folder, [FILE])
    assert bundled.file == FILE
    return bundled.components


def test_libraries_are_listed_wherever_they_hang(tmp_path: Path) -> None:
    inner = {"name": "zlib", "version": "1.3", "purl": "pkg:rpm/almalinux/zlib@1.3"}
    text = json.dumps(
        {"bomFormat": "CycloneDX", "components": [{"name": "openssl", "components": [inner]}]}
    )
    assert _read(tmp_path, text) == (
        Component("openssl", "", ""),
        Component("zlib", "1.3", "pkg:rpm/almalinux/zlib@1.3"),
    )


@pytest.mark.parametrize(
    "content",
    [
        b"\xff",
        "[" * 100000,
        "null",
        '{"bomFormat": "CycloneDX", "components": {"name": "x"}}',
        '{"bomFormat": "CycloneDX", "components": [1, {"name": 7}]}',
        '{"SPDXID": "SPDXRef-DOCUMENT", "components": [{"name": "x"}]}',
    ],
)
def test_what_has_another_form_lists_nothing(tmp_path: Path, content: bytes | str) -> None:
    assert _read(tmp_path, content) == ()


JSON = st.recursive(
    st.none() | st.integers() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["name", "components", "purl"]), inner, max_size=3)
    ),
)


@settings(max_examples=50)
@given(JSON)
def test_any_json_is_read(tmp_path_factory: pytest.TempPathFactory, content: object) -> None:
    document = {"bomFormat": "CycloneDX", "components": content}
    for component in _read(tmp_path_factory.getbasetemp() / "any", json.dumps(document)):
        assert component.name
