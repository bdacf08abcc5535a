"""Small packages for tests, made by the real dpkg-deb, and broken ones made by hand."""

import io
import lzma
import subprocess
import tarfile
from pathlib import Path

import zstandard

CONTROL = """Package: {package}
Version: {version}
Architecture: {architecture}
Maintainer: Platform Team <platform@example.com>
{more}Description: a package for tests
 It does nothing, and it does it well.
"""


def make_deb(
    folder: Path,
    package: str = "auth",
    version: str = "1.0-1",
    architecture: str = "amd64",
    *,
    more: str = "",
    content: str = "",
    compression: str = "zstd",
) -> Path:
    """Build a .deb with dpkg-deb; `more` are further control fields, a line each."""
    tree = folder / f"tree-{package}-{version.replace(':', '_')}-{architecture}"
    (tree / "DEBIAN").mkdir(parents=True, exist_ok=True)
    doc = tree / "usr/share/doc" / package
    doc.mkdir(parents=True, exist_ok=True)
    (doc / "README").write_text(content or f"{package} {version}\n")
    (tree / "DEBIAN/control").write_text(
        CONTROL.format(package=package, version=version, architecture=architecture, more=more)
    )
    path = folder / f"{package}_{version.replace(':', '%3a')}_{architecture}.deb"
    subprocess.run(
        ["dpkg-deb", "--root-owner-group", f"-Z{compression}", "-b", tree, path],
        check=True,
        capture_output=True,
    )
    return path


def ar(*members: tuple[str, bytes]) -> bytes:
    """An ar archive, as deb(5) has it."""
    out = b"!<arch>\n"
    for name, data in members:
        out += f"{name:<16}{0:<12}{0:<6}{0:<6}{'100644':<8}{len(data):<10}`\n".encode()
        out += data + b"\n" * (len(data) % 2)
    return out


def tar(*files: tuple[str, bytes], format: int = tarfile.GNU_FORMAT) -> bytes:
    """A tar archive of plain files."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=format) as archive:
        for name, data in files:
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return out.getvalue()


def plain_control(**changes: str) -> bytes:
    values = {"package": "auth", "version": "1.0", "architecture": "all", "more": "", **changes}
    return CONTROL.format(**values).encode()


def handmade(
    control: bytes | None = None, *, control_tar: bytes | None = None, data_tar: bytes | None = None
) -> bytes:
    """A .deb of uncompressed parts, of which each can be replaced."""
    control_tar = control_tar or tar(("./control", control or plain_control()))
    return ar(
        ("debian-binary", b"2.0\n"),
        ("control.tar", control_tar),
        ("data.tar", tar() if data_tar is None else data_tar),
    )


def zstd_frames(data: bytes, size: int) -> bytes:
    pieces = (data[at : at + size] for at in range(0, len(data), size))
    return b"".join(zstandard.compress(piece) for piece in pieces)


def xz_streams(data: bytes, size: int) -> bytes:
    return b"".join(lzma.compress(data[at : at + size]) for at in range(0, len(data), size))
