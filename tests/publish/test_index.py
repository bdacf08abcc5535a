import gzip
import hashlib
import tracemalloc
from zlib import crc32

from hypothesis import given, settings
from hypothesis import strategies as st

from debship.publish.index import Index, Key, key_of

NAMES = [f"p{number}" for number in range(1200)]
STARTERS = [name for name in NAMES if crc32(name.encode()) % 256 == 0]  # start a gzip member
# Few names, half of which start a member, so that orders of additions meet every case.
SOME = [*STARTERS, *NAMES[:: 1200 // len(STARTERS)]]


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


@settings(max_examples=60, deadline=None)
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
    assert index.packed() == Index().changed(expected).packed()
    plain = b"".join(text + b"\n" for _, text in sorted(expected.items()))
    assert gzip.decompress(index.packed()) == plain
    assert (index.size, index.sha256) == (len(plain), hashlib.sha256(plain).hexdigest())
    again = Index.unpack(index.packed())
    assert again.packed() == index.packed()
    assert all(again.of(key.package)[key] == text for key, text in expected.items())


def test_what_is_not_touched_keeps_its_compressed_bytes() -> None:
    index = Index().changed(keyed(*(stanza(name, "1") for name in NAMES)))
    assert len(index.blocks) > 2
    after = index.changed(keyed(stanza("p7", "2")))
    assert sum(one is other for one, other in zip(index.blocks, after.blocks, strict=True)) == (
        len(index.blocks) - 1
    )


def test_an_empty_index_is_empty() -> None:
    assert gzip.decompress(Index().packed()) == b""
    assert Index().size == 0
    assert Index.unpack(Index().packed()).of("x") == {}


def test_one_more_among_many_takes_little_memory() -> None:
    filler = "x" * 700
    texts = [stanza(f"name{n}", f"1.{filler}") for n in range(20_000)]
    packed = Index().changed(keyed(*texts)).packed()
    del texts
    tracemalloc.start()
    index = Index.unpack(packed).changed(keyed(stanza("name7", "2")))
    index.packed()
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 2 * index.size
