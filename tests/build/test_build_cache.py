"""What builds keep: whole or not there, bounded, and nobody's to lose."""

import os
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from debship.build.cache import Cache, parse_size
from debship.debian.archive_writer import Stretch
from debship.errors import Misused

KEYS = [f"{number:02d}" * 32 for number in range(10, 20)]


@pytest.fixture
def cache(tmp_path: Path) -> Cache:
    return Cache(tmp_path / "cache")


def _keep(cache: Cache, key: str, blocks: bytes, facts: bytes = b"facts") -> None:
    path = cache.folder.parent / "blocks"
    path.write_bytes(b"before" + blocks + b"after")
    cache.keep(key, facts, Stretch(path, 6, len(blocks)))


def _find(cache: Cache, key: str) -> tuple[bytes, bytes] | None:
    link = cache.folder.parent / f"link-{key}"
    found = cache.find(key, link)
    if found is None:
        assert not link.exists()
        return None
    content = found.facts, b"".join(found.blocks.chunks())
    link.unlink()
    return content


def test_what_is_kept_is_found(cache: Cache) -> None:
    assert _find(cache, KEYS[0]) is None
    _keep(cache, KEYS[0], b"x" * 3000000)
    assert _find(cache, KEYS[0]) == (b"facts", b"x" * 3000000)
    cache.keep(KEYS[1], b"only facts")
    assert _find(cache, KEYS[1]) == (b"only facts", b"")
    assert (cache.usage.entries, cache.usage.size > 3000000) == (2, True)


@given(place=st.integers(0, 90), change=st.integers(0, 255))
@settings(max_examples=80, deadline=None)
def test_a_damaged_entry_is_never_served(tmp_path_factory, place: int, change: int) -> None:
    cache = Cache(tmp_path_factory.mktemp("damage") / "cache")
    _keep(cache, KEYS[0], b"blocks of a layer")
    path = next(cache.folder.glob("*/*"))
    content = bytearray(path.read_bytes())
    if place < len(content):
        if content[place] == change:
            return
        content[place] = change
    else:
        del content[place % len(content) :]
    path.write_bytes(bytes(content))
    assert _find(cache, KEYS[0]) is None
    assert not path.exists()
    _keep(cache, KEYS[0], b"blocks of a layer")
    assert _find(cache, KEYS[0]) == (b"facts", b"blocks of a layer")


def test_what_was_not_used_for_longest_goes_first(cache: Cache) -> None:
    for age, key in enumerate(KEYS):
        _keep(cache, key, b"x" * 1000)
        path = cache.folder / key[:2] / key[2:]
        os.utime(path, (1e9 - age, 1e9 - age))
    assert _find(cache, KEYS[9]) is not None  # used now, though it was the oldest
    cache.set_limit(3500)
    cache.sweep()
    assert [key for key in KEYS if _find(cache, key)] == [KEYS[0], KEYS[1], KEYS[9]]
    cache.clear()
    assert (cache.usage.entries, cache.usage.limit) == (0, 3500)


def test_what_is_in_use_stays_readable(cache: Cache, tmp_path: Path) -> None:
    _keep(cache, KEYS[0], b"blocks")
    found = cache.find(KEYS[0], tmp_path / "link")
    cache.clear()
    assert found is not None
    assert b"".join(found.blocks.chunks()) == b"blocks"


def test_what_a_killed_build_left_is_swept(cache: Cache) -> None:
    _keep(cache, KEYS[0], b"blocks")
    left = cache.folder / KEYS[0][:2] / ".half"
    left.write_bytes(bytes(5000))
    os.utime(left, (1, 1))
    cache.set_limit(1000)
    cache.sweep()
    assert not left.exists()
    assert _find(cache, KEYS[0])


def test_a_cache_that_cannot_be_written_is_no_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("not a folder")
    cache = Cache(tmp_path / "file")
    cache.keep(KEYS[0], b"facts")
    assert cache.find(KEYS[0], tmp_path / "link") is None


@pytest.mark.parametrize(
    ("text", "size"), [("500", 500), ("2k", 2048), ("3MB", 3 << 20), ("4GiB", 4 << 30), ("0", 0)]
)
def test_sizes(text: str, size: int) -> None:
    assert parse_size(text) == size


@pytest.mark.parametrize("text", ["", "G", "1.5G", "-1", "4 X"])
def test_what_is_no_size(text: str) -> None:
    with pytest.raises(Misused, match="not a size"):
        parse_size(text)
