import gzip
import hashlib
import lzma
import random
import tracemalloc
import zlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from debship.debian.xz_blocks import split
from debship.errors import Failed
from debship.publish.index import Index, Key, key_of

NAMES = [f"p{number}" for number in range(400)]
STARTERS = [name for name in NAMES if zlib.crc32(name.encode()) % 64 == 0]  # start a gzip member
# Few names, half of which start a member, so that orders of additions meet every case.
SOME = [*STARTERS, *NAMES[:: 400 // len(STARTERS)]]


def stanza(package: str, version: str, architecture: str = "amd64") -> bytes:
    return (
        f"Package: {package}\nVersion: {version}\nArchitecture: {architecture}\n"
        f"Description: {package}\n two lines\n  X-Odd:  kept  \n"
        f"Filename: pool/{package}.deb\nSize: 1\nSHA256: {'0' * 64}\n"
    ).encode()


def keyed(*stanzas: bytes) -> dict[Key, bytes]:
    return {key_of(text): text for text in stanzas}


changes = st.lists(
    st.tuples(
        st.sampled_from(["add", "drop"]),
        st.lists(st.tuples(st.sampled_from(SOME), st.sampled_from("123")), min_size=1, max_size=8),
    ),
    max_size=12,
)


@settings(max_examples=25, deadline=None)
@given(changes)
def test_the_same_stanzas_give_the_same_bytes_whatever_happened(history) -> None:
    index, expected = Index(), {}
    for verb, pairs in history:
        some = keyed(*(stanza(name, version) for name, version in pairs))
        index = index.changed(some) if verb == "add" else index.changed({}, some)
        expected = (
            expected | some
            if verb == "add"
            else {key: text for key, text in expected.items() if key not in some}
        )
    assert dict(index.stanzas()) == expected
    assert index.files()["Packages.gz"] == Index().changed(expected).files()["Packages.gz"]
    plain = b"".join(text + b"\n" for _, text in sorted(expected.items()))
    assert gzip.decompress(index.files()["Packages.gz"]) == plain
    assert (index.size, index.sha256) == (len(plain), hashlib.sha256(plain).hexdigest())
    files = index.files(xz=True)
    assert lzma.decompress(files["Packages.xz"]) == plain
    assert files == Index().changed(expected).files(xz=True)
    again = Index.unpack(files["Packages.gz"], len(plain), files["Packages.xz"])
    assert [block.xz for block in again.blocks] == [
        (data, record) for data, record in split(files["Packages.xz"])
    ]
    assert again.files()["Packages.gz"] == index.files()["Packages.gz"]
    assert all(again.of(key.package)[key] == text for key, text in expected.items())


def test_what_is_not_touched_keeps_its_compressed_bytes() -> None:
    index = Index().changed(keyed(*(stanza(name, "1") for name in NAMES)))
    assert len(index.blocks) > 2
    after = index.changed(keyed(stanza("p7", "2")))
    assert sum(one is other for one, other in zip(index.blocks, after.blocks, strict=True)) == (
        len(index.blocks) - 1
    )


@pytest.fixture(params=["ISA-L", "zlib"])
def unpacker(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """What unpacks where there is a wheel of isal for the machine, and where there is none."""
    if request.param == "zlib":
        monkeypatch.setattr("debship.publish.index.gunzip", zlib)


@pytest.mark.usefixtures("unpacker")
def test_an_index_that_others_packed_is_read() -> None:
    one, two = (b"".join(keyed(stanza(name, "1")).values()) + b"\n" for name in ("a", "b"))
    ours = Index().changed(keyed(stanza("a", "1"))).files()["Packages.gz"]
    for theirs in (gzip.compress(one) + gzip.compress(two), ours + gzip.compress(two)):
        for size in (None, len(one + two)):
            read = Index.unpack(theirs, size)
            assert b"".join(block.raw for block in read.blocks) == one + two
            assert [key.package for key, _ in read.stanzas()] == ["a", "b"]


@pytest.mark.usefixtures("unpacker")
def test_bytes_that_look_like_the_beginning_of_a_member_are_none() -> None:
    begin = Index().files()["Packages.gz"][:10]
    noise = random.Random(1).randbytes(40_000)  # it is stored as it is
    raw = b"Package: a\nDescription: " + noise.replace(b"\n", b"") + begin + noise[:99] + b"\n\n"
    packer = zlib.compressobj(6, zlib.DEFLATED, 31)
    data = packer.compress(raw) + packer.flush()
    assert data.count(begin) == 2
    for size in (None, len(raw), len(raw) + 1):
        assert [block.raw for block in Index.unpack(data, size).blocks] == [raw]


def test_a_first_stanza_may_be_long_and_its_name_come_late() -> None:
    raw = b"Description: " + b"word " * 20_000 + b"\nPackage: a\nVersion: 1\n\n"
    data = Index().changed({Key("a", "1", ""): raw[:-1]}).files()["Packages.gz"]
    assert [block.first for block in Index.unpack(data, len(raw)).blocks] == ["a"]


def test_an_index_that_is_cut_off_is_no_index() -> None:
    packed = Index().changed(keyed(stanza("a", "1"))).files()["Packages.gz"]
    with pytest.raises(Failed, match="ends before"):
        Index.unpack(packed[:-1])


def test_an_empty_index_is_empty() -> None:
    assert gzip.decompress(Index().files()["Packages.gz"]) == b""
    assert Index().size == 0
    for size in (None, 0):
        assert Index.unpack(Index().files()["Packages.gz"], size).of("x") == {}


def test_one_more_among_many_takes_little_memory() -> None:
    filler = "x" * 700
    texts = [stanza(f"name{n}", f"1.{filler}") for n in range(8_000)]
    whole = Index().changed(keyed(*texts))
    packed, size = whole.files()["Packages.gz"], whole.size
    del texts, whole
    tracemalloc.start()
    index = Index.unpack(packed, size).changed(keyed(stanza("name7", "2")))
    index.files()["Packages.gz"]
    assert index.sha256
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < index.size / 2


def test_with_xz_only_what_changed_is_compressed_again(monkeypatch) -> None:
    from debship.debian import xz_blocks

    index = Index().changed(keyed(*(stanza(name, "1") for name in NAMES)))
    files = index.files(xz=True)
    index = Index.unpack(files["Packages.gz"], index.size, files["Packages.xz"])
    sizes = []
    whole = xz_blocks.packed_block
    monkeypatch.setattr(
        xz_blocks, "packed_block", lambda data, level: sizes.append(len(data)) or whole(data, level)
    )
    after = index.changed(keyed(stanza("p7", "2")))
    plain = gzip.decompress(after.files()["Packages.gz"])
    assert lzma.decompress(after.files(xz=True)["Packages.xz"]) == plain
    assert len(sizes) == 1
    assert sizes[0] < len(plain)
