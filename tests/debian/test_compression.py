import io
import lzma
import random
from pathlib import Path

import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from debship.debian.archive_writer import END_OF_TAR, Entry, write_ar, write_tar
from debship.debian.compression import compress, compress_whole, joined
from debship.run import run


def _bytes(pieces) -> bytes:
    return b"".join(p if isinstance(p, bytes) else b"".join(p.chunks()) for p in pieces)


def _join(parts: list[bytes], folder: Path, compression, level: int = 9) -> bytes:
    segments = [
        compress(lambda sink, part=part: sink.write(part), folder / str(n), compression, level)
        for n, part in enumerate(parts)
    ]
    return _bytes(joined(segments, compression))


def _first_frame(data: bytes, compression) -> bytes:
    """Decompress as dpkg does: it stops where the first frame, or stream, ends."""
    if compression == "zst":
        return zstandard.ZstdDecompressor().decompressobj().decompress(data)
    decompressor = lzma.LZMADecompressor(lzma.FORMAT_XZ)
    out = decompressor.decompress(data)
    assert decompressor.eof
    assert not decompressor.unused_data
    return out


# Repetitions at short distances: a compressor takes them for repeated offsets at once.
repetitive = st.builds(
    lambda unit, times, noise, again: unit * times + noise + unit * again,
    st.binary(min_size=1, max_size=9),
    st.integers(0, 300),
    st.binary(max_size=30),
    st.integers(0, 40),
)


@pytest.mark.parametrize("compression", ["zst", "xz"])
@given(parts=st.lists(repetitive, max_size=5), level=st.sampled_from((1, 3, 9)))
@settings(max_examples=60, deadline=None)
def test_any_parts_in_any_order_are_one_frame(tmp_path_factory, compression, parts, level) -> None:
    folder = tmp_path_factory.mktemp("parts")
    assert _first_frame(_join(parts, folder, compression, level), compression) == b"".join(parts)


@pytest.mark.parametrize("compression", ["zst", "xz"])
def test_parts_larger_than_a_job(tmp_path: Path, compression) -> None:
    noise = random.Random(1).randbytes(1 << 20)
    parts = [noise * 9, b"", bytes(1 << 20)]
    assert _first_frame(_join(parts, tmp_path, compression, 1), compression) == b"".join(parts)


@pytest.mark.parametrize("compression", ["zst", "xz"])
def test_a_part_is_the_same_bytes_beside_any_other(tmp_path: Path, compression) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    for path in (one, two):
        compress(lambda sink: sink.write(b"part" * 1000), path, compression, 9)
    assert one.read_bytes() == two.read_bytes()
    assert one.read_bytes() in _join([b"x" * 5000, b"part" * 1000], tmp_path, compression)


@pytest.mark.parametrize("compression", ["zst", "xz"])
def test_dpkg_reads_a_package_of_many_parts(tmp_path: Path, compression) -> None:
    long = "usr/" + "d" * 120 + "/" + "f" * 120
    parts = [
        [Entry("."), Entry("usr"), Entry(f"usr/{'d' * 120}")],
        [Entry(long, 0o644, b"long\n"), Entry("usr/link", 0o777, target="../" + "t" * 130)],
        [Entry(f"usr/{n}", 0o755, random.Random(n).randbytes(5000)) for n in range(50)],
    ]
    segments = []
    for n, entries in enumerate(parts):
        segments.append(
            compress(
                lambda sink, entries=entries: write_tar(entries, mtime=1, sink=sink),
                tmp_path / str(n),
                compression,
                9,
            )
        )
    end = tmp_path / "end"
    segments.append(compress(lambda sink: sink.write(END_OF_TAR), end, compression, 9))
    control = io.BytesIO()
    text = b"Package: x\nVersion: 1\nArchitecture: all\nMaintainer: x <x@x>\nDescription: x\n"
    write_tar([Entry("."), Entry("control", 0o644, text)], mtime=1, sink=control)
    path = tmp_path / "x.deb"
    with path.open("wb") as sink:
        write_ar(
            sink,
            control=compress_whole(control.getvalue() + END_OF_TAR, compression),
            data=tuple(joined(segments, compression)),
            suffix=compression,
            mtime=1,
        )
    assert run(["dpkg-deb", "-f", path, "Package"]).text == "x"
    assert len(run(["dpkg-deb", "-c", path]).text.splitlines()) == 55
    run(["dpkg-deb", "-x", path, tmp_path / "root"])
    assert (tmp_path / "root" / long).read_bytes() == b"long\n"
    assert (tmp_path / "root/usr/link").readlink() == Path("../" + "t" * 130)
    assert (tmp_path / "root/usr/49").read_bytes() == random.Random(49).randbytes(5000)
