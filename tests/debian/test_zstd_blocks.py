"""Parts that were compressed apart, joined into one frame that everybody reads."""

import io
import subprocess
import tarfile
from pathlib import Path

import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from debship.debian.zstd_blocks import CLOSING, OPENING, PartWriter


def compress(pieces, level: int) -> bytes:
    sink = io.BytesIO()
    part = PartWriter(sink, level)
    for piece in pieces:
        part.write(piece)
    part.finish()
    return sink.getvalue()


def join(parts) -> bytes:
    return b"".join((OPENING, *parts, CLOSING))


def decode(frame: bytes) -> bytes:
    """What a reader that stops at the first frame's end reads, as dpkg does."""
    done = zstandard.ZstdDecompressor().decompressobj()
    data = done.decompress(frame)
    assert done.eof
    assert done.unused_data == b""
    return data


def tar_of(*files: tuple[str, bytes]) -> bytes:
    """Entries without the end of an archive, as a part of a package has them."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.GNU_FORMAT) as archive:
        for name, content in files:
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
        end = archive.offset
    return out.getvalue()[:end]


# Text in which compressors find repeats, remembered offsets included, from the first byte on.
words = st.lists(
    st.sampled_from([b"import os\n", b"def ", b"\x00" * 9, b"abcd", b"x"]), max_size=60
)
contents = st.one_of(words.map(b"".join), st.binary(max_size=300))
parts = st.lists(
    st.lists(st.tuples(st.from_regex(r"[a-z/]{1,99}", fullmatch=True), contents), max_size=4).map(
        lambda files: tar_of(*files)
    ),
    max_size=5,
)


@settings(max_examples=40, deadline=None)  # a compressor of level 19 takes long to begin
@given(parts, st.sampled_from([1, 3, 9, 19]))
def test_what_was_joined_is_read_whole(datas: list[bytes], level: int) -> None:
    frame = join(compress([data], level) for data in datas)
    assert decode(frame) == b"".join(datas)


@settings(max_examples=100, deadline=None)
@given(st.lists(contents, max_size=6))
def test_so_is_what_is_no_tar_at_all(datas: list[bytes]) -> None:
    frame = join(compress([data], 3) for data in datas)
    assert decode(frame) == b"".join(datas)


def test_the_size_of_the_pieces_makes_no_difference() -> None:
    data = tar_of(("./a", bytes(range(256)) * 2000), ("./b", b"hello " * 50000))
    one_by_one = (data[n : n + 1000] for n in range(0, len(data), 1000))
    assert compress(one_by_one, 9) == compress([data], 9)


def test_a_part_is_the_same_bytes_wherever_it_stands() -> None:
    part = compress([tar_of(("./a", b"x" * 5000))], 19)
    other = compress([tar_of(("./b", b"y" * 100))], 1)
    assert part in join([other, part, other])


def test_large_parts_look_back_over_their_own_window() -> None:
    import random

    noise = random.Random(1).randbytes(3_000_000)
    datas = [tar_of(("./a", noise), ("./b", noise)), tar_of(("./c", b"z")), tar_of(("./d", noise))]
    frame = join(compress([data], 19) for data in datas)
    assert decode(frame) == b"".join(datas)
    assert len(frame) < 2.1 * len(noise)


def test_nothing_at_all_is_an_empty_frame() -> None:
    assert decode(join([])) == b""


def test_frames_that_merely_follow_one_another_are_what_dpkg_does_not_read(tmp_path: Path) -> None:
    """The reason for all this, held against the dpkg of this machine."""
    first, second = tar_of(("./a", b"a" * 3000)), tar_of(("./b", b"b" * 3000)) + bytes(1024)
    control = io.BytesIO()
    with tarfile.open(fileobj=control, mode="w") as archive:
        text = b"Package: x\nVersion: 1\nArchitecture: all\nMaintainer: a <a@b>\nDescription: x\n"
        info = tarfile.TarInfo("control")
        info.size = len(text)
        archive.addfile(info, io.BytesIO(text))
    c = zstandard.ZstdCompressor()
    joined = join(compress([d], 3) for d in (first, second))
    for data, complete in ((joined, True), (c.compress(first) + c.compress(second), False)):
        deb = tmp_path / "x.deb"
        members = (("debian-binary", b"2.0\n"), ("control.tar", control.getvalue()))
        ar = b"!<arch>\n"
        for name, content in (*members, ("data.tar.zst", data)):
            head = f"{name:<16}{0:<12}{0:<6}{0:<6}{100644:<8}{len(content):<10}`\n"
            ar += head.encode() + content + b"\n" * (len(content) % 2)
        deb.write_bytes(ar)
        done = subprocess.run(["dpkg-deb", "-c", deb], capture_output=True, text=True, check=False)
        assert ("./b" in done.stdout) is complete


@pytest.mark.parametrize("level", [1, 9, 19])
def test_joining_costs_next_to_nothing(level: int) -> None:
    data = tar_of(*((f"./file{n}", b"some text %d\n" % n * 50) for n in range(200)))
    alone = len(zstandard.ZstdCompressor(level=level).compress(data))
    part = compress([data], level)
    assert len(part) < alone * 1.25
