"""What lies in site-packages: distributions, and which file belongs to which."""

import base64
import csv
import hashlib
import io
import os
import posixpath
import re
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import PathDistribution
from pathlib import Path, PurePath

from packaging.utils import canonicalize_name

from debship.build.bundled import Bundled, read_bundled
from debship.errors import Refused
from debship.inspect.metadata import license_line

# Where it came from and when: they differ from build to build. REQUESTED differs with the kind
# of lock.
_DROPPED = frozenset({"direct_url.json", "uv_cache.json", "uv_build.json", "REQUESTED"})

# A script's first line, or the three lines that stand there where the path of the interpreter is
# longer than the kernel reads; and what a wheel may ship unrewritten.
_SHEBANG = re.compile(
    rb"\A#!(?:(?P<direct>/[^\n]*/bin/python[0-9.]*)|/bin/sh\n'''exec' (?P<quoted>[^\n]*)\n' ''')"
    rb"(?P<rest>[^\n]*)\n"
)
_ENV_SHEBANG = re.compile(rb"\A#!\s*/usr/bin/env +python[0-9.]*(?P<rest>[^\n]*)\n")
_ROOT_IS_PURELIB = re.compile(r"(?mi)^root-is-purelib:\s*true\s*$")
_WHEEL_TAG = re.compile(r"(?mi)^tag:[ \t]*(\S+)\s*$")
_WHEEL_BUILD = re.compile(r"(?mi)^build:[ \t]*(\S+)\s*$")
_REQUIRED = re.compile(r"\s*([A-Za-z0-9][A-Za-z0-9._-]*)")
_SHARED_OBJECT = re.compile(r"\.so(\.[0-9]+)*$")


@dataclass(frozen=True, slots=True)
class Dist:
    """A distribution that was installed.

    Attributes:
        name: normalised (PEP 503).
        files: relative to the virtualenv, sorted; a file of the virtualenv is in one dist.
        pure: its wheel says that no machine code is in it (Root-Is-Purelib).
        license: what its metadata says, on one line; empty where they say nothing.
        tags: of the wheel that was installed, as its WHEEL file lists them: they tell which of
            the files that a lock names it was.
        build: the wheel's build number; empty for most.
        requires: normalised names of what its metadata want, markers and extras aside; sorted.
        record: SHA-256 of its RECORD as it is shipped, which has the hashes of all its files.
        sboms: what it ships of what is bundled in it (PEP 770).
        needs: what its metadata want (PEP 508), markers and extras included.
        needs_python: the Pythons that its metadata want (PEP 440); empty where any will do.

    What is written of a distribution is written from this: of one that was kept from an earlier
    build, there are no files to look at.
    """

    name: str
    version: str
    files: tuple[str, ...]
    pure: bool
    summary: str
    homepage: str
    license: str
    author: str
    tags: tuple[str, ...] = ()
    build: str = ""
    requires: tuple[str, ...] = ()
    record: str = ""
    sboms: tuple[Bundled, ...] = ()
    needs: tuple[str, ...] = ()
    needs_python: str = ""

    @property
    def license_files(self) -> tuple[str, ...]:
        """Those of its files that hold licences and notices."""
        info = [file for file in self.files if ".dist-info/" in file]
        return tuple(
            file
            for file in info
            if "/licenses/" in file
            or posixpath.basename(file)
            .upper()
            .startswith(("LICEN", "COPYING", "NOTICE", "AUTHORS"))
        )


def read_dists(
    prefix: Path, site: Path, python: PurePath, only: str | None = None
) -> tuple[Dist, ...]:
    """Read what is installed, and take the build out of it; it may be read more than once.

    Scripts get the interpreter's final path, files that tell of this build go, and each RECORD
    says what is so. A file that several distributions claim belongs to one whose RECORD has its
    hash: to the one that was unpacked last.

    Args:
        prefix: the virtualenv, where it was built.
        site: its site-packages.
        python: the path of the interpreter on the hosts, for scripts.
        only: the normalised name of the one that is read; None: all are.

    Raises:
        Refused: a distribution has no RECORD, or it names a file outside the virtualenv.
    """
    found = (info for info in site.glob("*.dist-info") if only in (None, _name(info)))
    infos = sorted(found, key=lambda path: path.name.lower())
    claims = {info: _repair(info, prefix, python) for info in infos}
    owner: dict[str, Path] = {}
    for info, rows in claims.items():
        for file, digest in rows.items():
            if file not in owner or digest == _digest((prefix / file).read_bytes()):
                owner[file] = info
    files = {
        info: tuple(sorted(f for f in rows if owner[f] == info)) for info, rows in claims.items()
    }
    return tuple(_dist(info, prefix, files[info]) for info in infos)


def rivals(site: Path) -> tuple[str, ...]:
    """Find distributions that bring a file which another brings with other contents.

    Which of them is unpacked last, and so wins, differs from run to run; they are to be unpacked
    once more, one after the other.

    Returns:
        of each such file the last distribution by name; sorted.
    """
    claims: dict[str, dict[str, str]] = {}
    for info in site.glob("*.dist-info"):
        name = _name(info)
        for path, digest, _ in _record(info):
            claims.setdefault(posixpath.normpath(path), {})[name] = digest
    return tuple(sorted({max(by) for by in claims.values() if len(set(by.values())) > 1}))


def is_shared_object(name: str) -> bool:
    """Tell whether a file's name is that of a shared object."""
    return _SHARED_OBJECT.search(name) is not None


def mode_of(path: Path | str) -> int:
    """Give the mode that a file of a wheel has in the package, whatever the umask was.

    Programs and scripts may be executed, shared objects and all else may not (Policy 10.2, 10.9).
    """
    mode = os.stat(path).st_mode  # noqa: PTH116 - as above, for each file of a tree
    if not mode & 0o100 or is_shared_object(os.path.basename(path)):  # noqa: PTH119
        return 0o644
    with open(path, "rb") as file:  # noqa: PTH123
        return 0o755 if file.read(4).startswith((b"#!", b"\x7fELF")) else 0o644


def needed_name(need: str) -> str:
    """Give the normalised name of what is needed, whatever else is said of it; empty for none."""
    match = _REQUIRED.match(need)
    return canonicalize_name(match[1]) if match else ""


def _name(info: Path) -> str:
    return canonicalize_name(info.name.partition("-")[0])


def _dist(info: Path, prefix: Path, files: tuple[str, ...]) -> Dist:
    fields, wheel = _metadata(info)
    return Dist(
        name=canonicalize_name(str(fields["name"])),
        version=str(fields["version"]),
        files=files,
        pure=bool(_ROOT_IS_PURELIB.search(wheel)),
        summary=_line(fields.get("summary")),
        homepage=_homepage(fields),
        license=_license(fields),
        author=_line(fields.get("author") or fields.get("author_email")),
        tags=tuple(sorted(_WHEEL_TAG.findall(wheel))),
        build="".join(_WHEEL_BUILD.findall(wheel)[:1]),
        requires=_requires(fields),
        record=hashlib.sha256((info / "RECORD").read_bytes()).hexdigest(),
        sboms=read_bundled(prefix, [file for file in files if f"/{info.name}/sboms/" in file]),
        needs=tuple(fields.get("requires_dist", ())),
        needs_python=_line(fields.get("requires_python")),
    )


def _metadata(info: Path) -> tuple[dict[str, str | list[str]], str]:
    """Read METADATA, as the mapping of PEP 566 (missing keys are absent, not None), and WHEEL."""
    distribution = PathDistribution(info)
    try:
        text, wheel = (distribution.read_text(name) or "" for name in ("METADATA", "WHEEL"))
        fields = distribution.metadata.json if text else {}
    except UnicodeDecodeError as error:
        raise Refused(f"{info.name}: what it says of itself is not UTF-8") from error
    if not fields.get("name") or not fields.get("version"):
        raise Refused(f"{info.name} has no METADATA with a name and a version")
    return fields, wheel


def _repair(info: Path, prefix: Path, python: PurePath) -> dict[str, str]:
    """Repair a distribution; give its files, relative to the virtualenv, with their hashes."""
    rows, files = [], {}
    site = info.parent.relative_to(prefix)
    for path, digest, size in _record(info):
        relative = posixpath.normpath(f"{site}/{path}")
        if posixpath.isabs(path) or relative.startswith("../"):
            raise Refused(f"{info.name}: its RECORD names {path}, outside the virtualenv")
        # Thousands of files, and each Path costs more than the question.
        if not os.path.isfile(f"{prefix}/{relative}"):  # noqa: PTH113
            continue
        if _is_dropped(path, info.name):
            (prefix / relative).unlink()  # else the folder outlives it where uv takes it away
            continue
        row = (path, digest, size)
        if relative.startswith("bin/"):
            row = _with_final_shebang(prefix / relative, python, row)
        elif not digest and path != f"{info.name}/RECORD":
            content = (prefix / relative).read_bytes()
            row = (path, _digest(content), str(len(content)))
        rows.append(row)
        files[relative] = row[1]
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(sorted(rows))
    _replace(info / "RECORD", text.getvalue().encode(errors="surrogateescape"))
    return files


def _record(info: Path) -> Iterator[tuple[str, str, str]]:
    record = info / "RECORD"
    if not record.is_file():
        raise Refused(f"{info.name} has no RECORD: it cannot be told which files are its own")
    with record.open(newline="", encoding="utf-8", errors="surrogateescape") as file:
        for row in csv.reader(file):
            path, digest, size = [*row, "", ""][:3]
            yield path, digest, size


def _is_dropped(path: str, info: str) -> bool:
    folder, _, name = path.rpartition("/")
    return (folder == info and name in _DROPPED) or folder.endswith("__pycache__")


def _with_final_shebang(
    script: Path, python: PurePath, row: tuple[str, str, str]
) -> tuple[str, str, str]:
    with script.open("rb") as file:
        content = file.read(2)
        if content == b"#!":  # else it may be a program of many megabytes
            content += file.read()
    match = _SHEBANG.match(content) or _ENV_SHEBANG.match(content)
    if match is None:
        return row
    line = f"#!{python}".encode() + match["rest"].rstrip()
    content = line + b"\n" + content[match.end() :]
    _replace(script, content)
    return row[0], _digest(content), str(len(content))


def _replace(path: Path, content: bytes) -> None:
    """Write a file that may be a link to one in uv's cache, which is nobody's to change."""
    mode = path.stat().st_mode
    path.unlink()
    path.write_bytes(content)
    path.chmod(mode)


def _digest(content: bytes) -> str:
    """Hash as RECORD does (binary distribution format, "The .dist-info directory")."""
    digest = base64.urlsafe_b64encode(hashlib.sha256(content).digest())
    return f"sha256={digest.rstrip(b'=').decode()}"


def _line(text: object) -> str:
    return " ".join(str(text).split()) if text else ""


def _requires(fields: dict[str, str | list[str]]) -> tuple[str, ...]:
    found = (needed_name(str(line)) for line in fields.get("requires_dist", []))
    return tuple(sorted({name for name in found if name}))


def _homepage(fields: dict[str, str | list[str]]) -> str:
    if fields.get("home_page"):
        return _line(fields["home_page"])
    urls = [str(entry).partition(",")[::2] for entry in fields.get("project_url", [])]
    for wanted in ("homepage", "home", "source", "repository", "source code"):
        for label, url in urls:
            if label.strip().lower() == wanted:
                return url.strip()
    return ""


def _license(fields: dict[str, str | list[str]]) -> str:
    return license_line(
        str(fields.get("license_expression") or ""),
        str(fields.get("license") or ""),
        [str(entry) for entry in fields.get("classifier", [])],
    )
