import contextlib
import hashlib
import io
import os
import subprocess
import tarfile
import tempfile
from pathlib import Path

import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from debs import ar, handmade, make_deb, plain_control, tar, xz_streams, zstd_frames
from debship.debian.archive import read_archive
from debship.errors import Misused, Refused


@pytest.mark.parametrize("compression", ["none", "gzip", "xz", "zstd"])
def test_a_package_of_dpkg_is_read(tmp_path: Path, compression: str) -> None:
    path = make_deb(tmp_path, "auth", "2:1.0~rc1-3", "amd64", compression=compression)
    deb = read_archive(path).deb
    assert (deb.package, str(deb.version), deb.architecture) == ("auth", "2:1.0~rc1-3", "amd64")
    assert deb.size == path.stat().st_size
    assert deb.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()


def test_the_control_paragraph_keeps_its_bytes(tmp_path: Path) -> None:
    path = make_deb(tmp_path, more="X-Odd-Field:   kept\nPre-Depends: libc6 (>= 2.36)\n")
    expected = subprocess.run(["dpkg-deb", "-f", path], check=True, capture_output=True).stdout
    assert read_archive(path).control == expected
    assert read_archive(path).fields["x-odd-field"] == "kept"


@pytest.mark.parametrize("several", [zstd_frames, xz_streams])
def test_archives_of_many_frames_are_read_as_one(tmp_path: Path, several) -> None:
    suffix = ".zst" if several is zstd_frames else ".xz"
    parts = (
        ("debian-binary", b"2.0\n"),
        (f"control.tar{suffix}", several(tar(("control", plain_control())), 1000)),
        (f"data.tar{suffix}", several(tar(*((f"./f{n}", b"x" * 5000) for n in range(20))), 7001)),
    )
    path = tmp_path / "x.deb"
    path.write_bytes(ar(*parts))
    assert read_archive(path).deb.package == "auth"


def test_a_large_file_in_the_package_is_passed_over(tmp_path: Path) -> None:
    big = tar(("./big", bytes(9 << 20)), ("./after", b"1"))
    path = tmp_path / "x.deb"
    path.write_bytes(handmade(data_tar=big))
    assert read_archive(path).deb.package == "auth"


def refusal(tmp_path: Path, data: bytes) -> str:
    path = tmp_path / "x.deb"
    path.write_bytes(data)
    with pytest.raises(Refused) as caught:
        read_archive(path)
    return caught.value.message.removeprefix(f"{path}: ")


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"", "it is not a .deb"),
        (b"<html>404</html>", "it is not a .deb"),
        (handmade()[:-20], "it is cut off"),
        (ar(("debian-binary", b"2.0\n")), "it has no control.tar"),
        (ar(("debian-binary", b"3.0\n")), "its format is not 2.x"),
        (ar(("control.tar", tar())), "its first member is not debian-binary"),
        (ar(("debian-binary", b"2.0\n"), ("data.tar", tar())), "it has data.tar where control.tar"),
        (
            ar(("debian-binary", b"2.0\n"), ("control.tar.lzo", b"")),
            "only plain, .gz, .xz and .zst are read",
        ),
        (handmade(control_tar=tar(("md5sums", b""))), "control.tar has no control file"),
        (handmade(control_tar=tar(("sub/control", b"x"))), "'sub/control' is no plain file"),
        (handmade(control_tar=tar(("../control", b"x"))), "'../control' is no plain file"),
        (handmade(data_tar=tar(("../../etc/passwd", b"x"))), "lies outside of the package"),
        (handmade(data_tar=tar(("/etc/passwd", b"x"))), "lies outside of the package"),
        (handmade(data_tar=tar(("./ok", b"x"))[:512]), "data.tar: it has no end"),
        (handmade(data_tar=b""), "data.tar: it has no end"),
        (handmade(data_tar=tar(("./ok", b""))[:512] + b"\1" * 1024), "a header is broken"),
        (handmade(b"Package: auth\nVersion: 1\n"), "has no Architecture"),
        (handmade(plain_control(package="Auth")), '"Auth" cannot be the name'),
        (handmade(plain_control(package="../auth")), "cannot be the name"),
        (handmade(plain_control(version="1.0/../2")), "is not a Debian version"),
        (handmade(plain_control(more="\nPackage: sudo\n")), "line 5 is blank"),
        (handmade(plain_control(more=" \t\nPackage: sudo\n")), "line 5 is blank"),
        (handmade(plain_control(more="A: 1\r\n")), "control character"),
        (handmade(plain_control(more="Version: 9\n")), "it has Version twice"),
        (handmade(plain_control(more="Filename: pool/x.deb\n")), "Filename, which is the index's"),
        (handmade(plain_control(more="SHA256: 00\n")), "which is the index's to say"),
        (handmade(plain_control(more="Description-md5: zzz\n")), "which is the index's to say"),
        (handmade(plain_control(more="Multi-Arch: bogus\n")), 'multi-arch is "bogus", none of'),
        (handmade(plain_control(more="Essential: maybe\n")), "none of no, yes"),
        (handmade(plain_control(architecture="linux-any")), "no binary package is of linux-any"),
        (handmade(plain_control(version="1.0-")), "is not a Debian version"),
        (handmade(plain_control(version="1" * 250)), "its name and version are too long"),
        (handmade(plain_control().replace(b"tests", b"\xff\xfe")), "it is not UTF-8"),
        (
            handmade(data_tar=tar(("./" + "n" * 200, b""), format=tarfile.PAX_FORMAT)),
            "type b'x', which dpkg",
        ),
    ],
)
def test_what_is_unsound_is_refused(tmp_path: Path, data: bytes, says: str) -> None:
    assert says in refusal(tmp_path, data)


SOUND = (
    *("a", "a, b (>= 1), c", "a,\n b (<< 2:1.0-3~x),\n c", "a | b:amd64 | c:any (= 1)", "Foo_bar"),
    *("a(>= 1.0)", "a ( >= 1.0 )", "a (<<1)", "a , b", "a (1.0)", "a (< 1)"),
)
UNSOUND = (
    *("a b", "a,,b", "a, ", ", a", "|a", "a |", "a [amd64]", "a <!nocheck>", "${misc:Depends}"),
    *("a (>= 1.0", "a (>= )", "a (=2)", "a (== 1)", "a (>= x1)", "a (>= 1_2)", "a (= 1-)", "a~b"),
    *("-a", "a" * 300, f"a (>= {'1' * 300})"),
)


@pytest.mark.parametrize("value", [*SOUND, *UNSOUND], ids=lambda value: value[:20])
def test_a_relation_is_taken_where_dpkg_and_apt_read_it(tmp_path: Path, value: str) -> None:
    data = handmade(plain_control(more=f"Depends: {value}\n"))
    if value in UNSOUND:
        assert "no relation that dpkg and apt read" in refusal(tmp_path, data)
    else:
        (tmp_path / "x.deb").write_bytes(data)
        assert read_archive(tmp_path / "x.deb").fields["depends"] == value
    # The tables are held to the real ones; neither minds a name or version that only the other's
    # memory is too small for.
    if len(value) < 100:
        assert both_read(tmp_path, value) is (value in SOUND)


def both_read(folder: Path, value: str) -> bool:
    """Whether dpkg-deb packs, and apt lists, a package that depends so."""
    paragraph = plain_control(more=f"Depends: {value}\n")
    (folder / "x/DEBIAN").mkdir(parents=True)
    (folder / "x/DEBIAN/control").write_bytes(paragraph)
    packed = subprocess.run(["dpkg-deb", "-b", folder / "x"], check=False, capture_output=True)
    (folder / "status").touch()
    lists = folder / "lists"
    for needed in (lists, folder / "state/lists/partial", folder / "cache/archives/partial"):
        needed.mkdir(parents=True)
    about = b"Filename: x.deb\nSize: 1\nSHA256: " + b"0" * 64 + b"\n"
    (lists / "Packages").write_bytes(paragraph.rstrip(b"\n") + b"\n" + about)
    (folder / "sources").write_text(f"deb [trusted=yes] file:{lists} ./\n")
    options = {
        "Dir::Etc::SourceList": folder / "sources",
        "Dir::Etc::SourceParts": "/dev/null",
        "Dir::State": folder / "state",
        "Dir::State::Status": folder / "status",
        "Dir::Cache": folder / "cache",
        "APT::Sandbox::User": "root",
    }
    words = [word for name, is_ in options.items() for word in ("-o", f"{name}={is_}")]
    heard = subprocess.run(["apt-get", *words, "update"], check=False, capture_output=True)
    return packed.returncode == 0 and heard.returncode == 0 and b"\nE:" not in heard.stderr


@pytest.mark.parametrize("value", ["a | b", "a (>= 1)"])
def test_what_is_provided_is_one_name_at_most_in_one_version(tmp_path: Path, value: str) -> None:
    data = handmade(plain_control(more=f"Provides: {value}\n"))
    assert "no relation" in refusal(tmp_path, data)


def test_a_fifo_is_no_package(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "x.deb")
    with pytest.raises(Misused, match="it is not a file"):
        read_archive(tmp_path / "x.deb")


def test_a_hard_link_that_climbs_out_is_refused(tmp_path: Path) -> None:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as archive:
        link = tarfile.TarInfo("./shadow")
        link.type, link.linkname = tarfile.LNKTYPE, "../../etc/shadow"
        archive.addfile(link)
    assert "lies outside" in refusal(tmp_path, handmade(data_tar=out.getvalue()))


@pytest.mark.parametrize("compression", ["gzip", "xz", "zstd"])
def test_a_compressed_part_that_is_cut_off_is_refused(tmp_path: Path, compression: str) -> None:
    whole = make_deb(tmp_path, compression=compression, content="x" * 10000).read_bytes()
    at = whole.index(b"data.tar")
    header, data = whole[at : at + 60], whole[at + 60 :]
    size = int(header[48:58])
    cut = whole[:at] + header[:48] + f"{size - 6:<10}".encode() + b"`\n" + data[: size - 6]
    says = refusal(tmp_path, cut + b"\n" * (size % 2))
    assert says.startswith("data.tar")


def test_a_bomb_is_refused_before_it_bursts(tmp_path: Path) -> None:
    bomb = zstandard.ZstdCompressor().compress(bytes(256 << 20))
    parts = (("debian-binary", b"2.0\n"), ("control.tar.zst", bomb), ("data.tar", tar()))
    assert "control.tar.zst" in refusal(tmp_path, ar(*parts))
    lying = bytearray(tar(("./" + "n" * 200, b"")))
    lying[124:136] = b"77777777777\0"  # a name of 8 GiB
    lying[148:156] = b" " * 8
    lying[148:156] = f"{sum(lying[:512]):06o}\0 ".encode()
    assert "a name has" in refusal(tmp_path, handmade(data_tar=bytes(lying) + bytes(1 << 21)))


def test_what_is_no_file_is_misused(tmp_path: Path) -> None:
    for path in (tmp_path / "missing.deb", tmp_path):
        with pytest.raises(Misused):
            read_archive(path)


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_broken_bytes_never_end_in_a_traceback(data: st.DataObject) -> None:
    whole = bytearray(handmade(data_tar=tar(("./a", b"1"), ("./b" * 60, b"2"))))
    for _ in range(data.draw(st.integers(1, 6))):
        whole[data.draw(st.integers(0, len(whole) - 1))] = data.draw(st.integers(0, 255))
    with tempfile.NamedTemporaryFile(suffix=".deb") as file, contextlib.suppress(Refused):
        file.write(whole)
        file.flush()
        read_archive(Path(file.name))
