"""Reading a .deb that may be anything (deb(5)): it is believed only where it was checked."""

import hashlib
import re
import stat
from collections.abc import Callable, Iterator
from pathlib import Path, PurePosixPath
from typing import BinaryIO, Literal, NamedTuple

from debship.debian import control, relations, tarball
from debship.debian.tarball import Unsound
from debship.errors import Misused, Refused
from debship.model import Architecture, Deb, DebVersion, PackageName

_MAGIC = b"!<arch>\n"
_HEADER = re.compile(rb"(?P<name>[\x21-\x7e ]{16})[\x20-\x7e]{32}(?P<size>[0-9]+) *`\n")
_CONTROL_LIMIT = 32 << 20  # bytes, unpacked; md5sums of a large package are a few MiB
_DATA_LIMIT = 16 << 30
_FILE_LIMIT = 1 << 20  # bytes of a file that is kept
_TEXT_LIMIT = 16 << 20  # the same where a package is looked at: RECORD of 100,000 files
_NAME_LIMIT = 240  # bytes of a file's name, with room for what it is called while it is written
_KEPT_LIMIT = 128 << 20  # bytes that names and kept files may have in all

# What the index itself says of a package; in a package's own control it could contradict it.
_OF_THE_INDEX = ("Filename", "Size", "MD5sum", "SHA1", "SHA256", "SHA512", "Description-md5")
_YES_NO = frozenset({"yes", "no"})
_CHOICES = {
    "multi-arch": frozenset({"no", "same", "foreign", "allowed"}),
    "essential": _YES_NO,
    "important": _YES_NO,
    "protected": _YES_NO,
}
_OF_SOURCES = re.compile(r"any|source|any-.*|.*-any")  # architectures that no binary package has


class Archive(NamedTuple):
    """A .deb that was found sound, and what its control file says."""

    deb: Deb
    control: bytes  # the paragraph as it stands in the package, ending in one newline

    @property
    def fields(self) -> dict[str, str]:
        """The control fields by lower-case name."""
        return control.fields(self.control)


class Whole(NamedTuple):
    """A .deb and all that is in it, in the order of the archive; files have their hashes.

    Attributes:
        control: the members of control.tar, with their content.
        data: those of data.tar; such as were wanted with their content.
    """

    archive: Archive
    control: tuple[tarball.Member, ...]
    data: tuple[tarball.Member, ...]


def read_archive(path: Path, kept: "_Kept | None" = None) -> Archive:
    """Read a .deb to its last byte and check it.

    The members and their order, both archives to their end, every path in them, and the control
    paragraph with its name, version and architecture.

    Raises:
        Misused: there is no such file.
        Refused: it is not a .deb that dpkg would unpack; the message says what is wrong.
    """
    try:
        if not stat.S_ISREG((status := path.stat()).st_mode):  # to open a FIFO would wait for ever
            raise Misused(f"{path}: it is not a file")
        with path.open("rb") as source:
            sha256 = hashlib.file_digest(source, "sha256").hexdigest()
            paragraph = _read(source, status.st_size, kept)
        return _archive(path, paragraph, size=status.st_size, sha256=sha256)
    except OSError as error:
        raise Misused(f"{path}: {error.strerror}") from error
    except (Unsound, control.Malformed) as error:
        # `debship publish dist/*` names a package's papers, too.
        elsewise = f"name .debs alone, such as {path.parent / '*.deb'}"
        again = "build it again, or fetch it again: it is not what dpkg-deb writes"
        raise Refused(
            f"{path}: {error}",
            again if path.suffix == ".deb" else elsewise,
        ) from error


def read_whole(path: Path, wanted: Callable[[str], bool]) -> Whole:
    """Read and check a .deb as ``read_archive`` does, and keep what is in it.

    Args:
        path: the .deb.
        wanted: says by name, without a ``./`` before it, which of the files that it installs are
            kept with their content.

    Raises:
        Misused, Refused: see ``read_archive``; or there is more in it than a machine's memory
            should be asked to hold.
    """
    kept = _Kept(wanted)
    archive = read_archive(path, kept)
    return Whole(archive, tuple(kept.control), tuple(kept.data))


def read_files(
    path: Path, part: Literal["control.tar", "data.tar"], wanted: Callable[[str], bool]
) -> dict[str, bytes]:
    """Read small files out of a .deb that ``read_archive`` found sound.

    Args:
        path: the .deb.
        part: of its control archive or of what it installs.
        wanted: says by name, without a ``./`` before it, which files.

    Raises:
        Refused: one of them has more than a MiB.
    """
    try:
        with path.open("rb") as source:
            for name, member in _members(source, path.stat().st_size):
                if name.partition(".tar")[0] + ".tar" == part:
                    walked = _walk(name, member, _DATA_LIMIT, keep=wanted)
                    files = {m.name.removeprefix("./"): m for m in walked if m.kind == "0"}
                    return {name: m.content for name, m in files.items() if wanted(name)}
        return {}
    except Unsound as error:
        raise Refused(f"{path}: {error}") from error


def _archive(path: Path, paragraph: bytes, *, size: int, sha256: str) -> Archive:
    fields = control.fields(paragraph)
    for name in ("Package", "Version", "Architecture"):
        if not fields.get(name.lower()):
            raise Unsound(f"its control file has no {name}")
    for name in _OF_THE_INDEX:
        if name.lower() in fields:
            raise Unsound(f"its control file has {name}, which is the index's to say")
    _must_be_read(fields)
    try:
        deb = Deb(
            path=path,
            package=PackageName(fields["package"]),
            version=DebVersion(fields["version"]),
            architecture=Architecture(fields["architecture"]),
            size=size,
            sha256=sha256,
        )
    except Misused as error:
        raise Unsound(f"its control file: {error.message}") from error
    if len(f"{deb.package}_{deb.version}_{deb.architecture}.deb".encode()) > _NAME_LIMIT:
        raise Unsound("its name and version are too long for the name of a file")
    return Archive(deb, paragraph)


def _must_be_read(fields: dict[str, str]) -> None:
    """See that apt reads what it says: of an index in which it stands, apt would read nothing."""
    if complaint := relations.unreadable(fields):
        raise Unsound(f"its control file: {complaint}")
    for name, choices in _CHOICES.items():
        if fields.get(name, "no").lower() not in choices:
            said = ", ".join(sorted(choices))
            raise Unsound(f'its control file: {name} is "{fields[name]}", none of {said}')
    if _OF_SOURCES.fullmatch(fields["architecture"]):
        raise Unsound(f"its control file: no binary package is of {fields['architecture']}")


class _Kept:
    """What is kept of a package's members, as far as memory should go."""

    def __init__(self, wanted: Callable[[str], bool]) -> None:
        self.wanted = wanted
        self.control: list[tarball.Member] = []
        self.data: list[tarball.Member] = []
        self._left = _KEPT_LIMIT

    def add(self, members: list[tarball.Member], member: tarball.Member) -> None:
        self._left -= tarball.BLOCK + len(member.name) + len(member.link) + len(member.content)
        if self._left < 0:
            raise Unsound(f"its names and texts have more than {_KEPT_LIMIT >> 20} MiB")
        members.append(member)


def _read(source: BinaryIO, size: int, kept: _Kept | None) -> bytes:
    """Check all of the file; give the control paragraph."""
    members = _members(source, size)
    name, part = next(members, ("", None))
    if part is None or name != "debian-binary":
        raise Unsound("its first member is not debian-binary")
    if not re.match(rb"2\.[0-9]+\n", part.read(64)):
        raise Unsound("its format is not 2.x")
    paragraph = _control(*_next(members, "control.tar"), kept)
    _data(*_next(members, "data.tar"), kept)
    for _ in members:  # ignored by dpkg, but their headers must hold
        pass
    return paragraph


def _members(source: BinaryIO, size: int) -> Iterator[tuple[str, "_Part"]]:
    """Walk the ar archive by its headers."""
    source.seek(0)
    if source.read(8) != _MAGIC:
        raise Unsound("it is not a .deb")
    position = 8
    while position < size:
        source.seek(position)
        header = _HEADER.fullmatch(source.read(60))
        if header is None:
            raise Unsound(f"at byte {position} there is no header of a member")
        start, length = position + 60, int(header["size"])
        if start + length > size:
            raise Unsound("it is cut off")
        yield header["name"].decode().rstrip(" ").removesuffix("/"), _Part(source, start, length)
        position = start + length + length % 2


def _next(members: Iterator[tuple[str, "_Part"]], wanted: str) -> tuple[str, "_Part"]:
    for name, part in members:
        if name.startswith("_"):  # deb(5): safely ignored
            continue
        if name == wanted or name.startswith(f"{wanted}."):
            return name, part
        raise Unsound(f"it has {name} where {wanted} is due")
    raise Unsound(f"it has no {wanted}")


def _control(name: str, part: "_Part", kept: _Kept | None) -> bytes:
    """Take the control file out of control.tar, where only plain files lie side by side."""
    found = None
    walked = _walk(
        *(name, part, _CONTROL_LIMIT),
        keep=lambda path: kept is not None or path == "control",
        limit=_CONTROL_LIMIT if kept else _FILE_LIMIT,
        digest=kept is not None,
    )
    for member in walked:
        if kept is not None:
            kept.add(kept.control, member)
        path = member.name.removeprefix("./")
        if path in ("", ".") and member.kind == "5":
            continue
        if member.kind != "0" or not path or "/" in path:
            raise Unsound(f"{name}: {member.name!r} is no plain file at its top")
        if path == "control":
            if found is not None:
                raise Unsound(f"{name} has two control files")
            found = member.content
    if found is None:
        raise Unsound(f"{name} has no control file")
    return found.strip(b"\n") + b"\n"


def _data(name: str, part: "_Part", kept: _Kept | None) -> None:
    keep, digest = (kept.wanted, True) if kept else (None, False)
    for member in _walk(name, part, _DATA_LIMIT, keep=keep, limit=_TEXT_LIMIT, digest=digest):
        if kept is not None:
            kept.add(kept.data, member)
        for path in (member.name, member.link if member.kind == "1" else ""):
            if path.startswith("/") or ".." in PurePosixPath(path).parts or "\n" in path:
                raise Unsound(f"{name}: {path!r} lies outside of the package")


def _walk(
    name: str,
    part: "_Part",
    whole: int,
    *,
    keep: Callable[[str], bool] | None = None,
    limit: int = _FILE_LIMIT,
    digest: bool = False,
) -> Iterator[tarball.Member]:
    try:
        unpacked = tarball.Unpacked(tarball.pieces(name.partition(".tar")[2], part.read), whole)
        yield from tarball.walk(unpacked, keep=keep, limit=limit, digest=digest)
    except Unsound as error:
        raise Unsound(str(error) if name in str(error) else f"{name}: {error}") from error


class _Part:
    """One member's bytes, read forwards."""

    def __init__(self, source: BinaryIO, start: int, length: int) -> None:
        self._source, self._position, self._left = source, start, length

    def read(self, size: int) -> bytes:
        self._source.seek(self._position)
        data = self._source.read(min(size, self._left))
        self._position += len(data)
        self._left -= len(data)
        return data
