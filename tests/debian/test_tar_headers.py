"""Tar headers are written here, and read as tarfile writes them."""

import io
import tarfile

from hypothesis import given, settings
from hypothesis import strategies as st

from debship.debian.archive_writer import END_OF_TAR, Entry, write_tar

_names = st.text(st.characters(exclude_characters="/\0"), min_size=1, max_size=110).filter(
    lambda name: name not in {".", ".."}
)
_entries = st.one_of(
    st.builds(Entry, _names),
    st.builds(Entry, _names, st.sampled_from((0o644, 0o755)), st.binary(max_size=1500)),
    st.builds(Entry, _names, st.just(0o777), target=_names),
)


@given(entries=st.lists(_entries, max_size=4), mtime=st.integers(0, 2**33 - 1))
@settings(max_examples=150, deadline=None)
def test_headers_are_those_that_tarfile_writes(entries: list[Entry], mtime: int) -> None:
    ours = io.BytesIO()
    write_tar(entries, mtime=mtime, sink=ours)
    theirs = io.BytesIO()
    with tarfile.open(
        fileobj=theirs, mode="w", format=tarfile.GNU_FORMAT, errors="surrogateescape"
    ) as tar:
        for entry in entries:
            info = tarfile.TarInfo(f"./{entry.path}")
            info.mode, info.mtime, info.uname, info.gname = entry.mode, mtime, "root", "root"
            if isinstance(entry.content, bytes):
                info.size = len(entry.content)
                tar.addfile(info, io.BytesIO(entry.content))
                continue
            info.type = tarfile.SYMTYPE if entry.target else tarfile.DIRTYPE
            info.linkname = entry.target or ""
            tar.addfile(info)
    whole = ours.getvalue() + END_OF_TAR
    assert theirs.getvalue()[: len(whole)] == whole
