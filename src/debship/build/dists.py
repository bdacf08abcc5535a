"""What lies in site-packages: distributions, and which file belongs to which."""

import base64
import csv
import hashlib
import io
import posixpath
import re
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import PathDistribution
from pathlib import Path

from packaging.utils import canonicalize_name

from debship.errors import Refused

# Where it came from and when: they differ from build to build. REQUESTED differs with the kind
# of lock.
_DROPPED = frozenset({"direct_url.json", "uv_cache.json", "REQUESTED"})

# A script's first line, or the three lines that stand there where the path of the interpreter is
# longer than the kernel reads; and what a wheel may ship unrewritten.
_SHEBANG = re.compile(
    rb"\A#!(?:(?P<direct>/[^\n]*/bin/python[0-9.]*)|/bin/sh\n'''exec' (?P<quoted>[^\n]*)\n' ''')"
    rb"(?P<rest>[^\n]*)\n"
)
_ENV_SHEBANG = re.compile(rb"\A#!\s*/usr/bin/env +python[0-9.]*(?P<rest>[^\n]*)\n")
_SHARED_OBJECT = re.compile(r"\.so(\.[0-9]+)*$")


@dataclass(frozen=True, slots=True)
class Dist:
    """A distribution that was installed.

    Attributes:
        name: normalised (PEP 503).
        files: relative to the virtualenv, sorted; each file of the virtualenv in one dist.
        pure: its wheel says that no machine code is in it (Root-Is-Purelib).
        license: what its metadata says, on one line; empty where they say nothing.
        license_files: those of ``files`` that hold licences and notices.
    """

    name: str
    version: str
    files: tuple[str, ...]
    pure: bool
    summary: str
    homepage: str
    license: str
    author: str

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


def read_dists(prefix: Path, site: Path, final: str) -> tuple[Dist, ...]:
    """Read what is installed, and take the build out of it.

    Scripts get the interpreter's final path, files that tell of this build go, and each RECORD
    says what is so. Two distributions that claim one file: it belongs to the one whose RECORD
    has its hash, or else to the first by name.

    Args:
        prefix: the virtualenv, where it was built.
        site: its site-packages.
        final: the virtualenv's path on the hosts.

    Raises:
        Refused: a RECORD names a file outside the virtualenv, or two distributions disagree about
            a file and neither is what is there.
    """
    taken: set[str] = set()
    dists = []
    for info in sorted(site.glob("*.dist-info"), key=lambda path: path.name.lower()):
        files = _repair(info, prefix, final)
        own = sorted(set(files) - taken)
        taken.update(own)
        dists.append(_dist(info, tuple(own)))
    return tuple(dists)


def mode_of(path: Path) -> int:
    """Give the mode that a file of a wheel has in the package, whatever the umask was."""
    if _SHARED_OBJECT.search(path.name):
        return 0o644  # Policy 10.2: shared objects are not executable
    return 0o755 if path.stat().st_mode & 0o100 else 0o644


def _dist(info: Path, files: tuple[str, ...]) -> Dist:
    distribution = PathDistribution(info)
    metadata = distribution.metadata
    fields = metadata.json  # the mapping of PEP 566: missing keys are absent, not None
    wheel = distribution.read_text("WHEEL") or ""
    return Dist(
        name=canonicalize_name(str(fields["name"])),
        version=str(fields["version"]),
        files=files,
        pure=bool(re.search(r"(?mi)^root-is-purelib:\s*true\s*$", wheel)),
        summary=_line(fields.get("summary")),
        homepage=_homepage(fields),
        license=_license(fields),
        author=_line(fields.get("author") or fields.get("author_email")),
    )


def _repair(info: Path, prefix: Path, final: str) -> list[str]:
    rows, files = [], []
    for path, digest, size in _record(info):
        relative = posixpath.normpath(posixpath.join(*info.parent.relative_to(prefix).parts, path))
        if posixpath.isabs(path) or relative.startswith("../"):
            raise Refused(f"{info.name}: its RECORD names {path}, outside the virtualenv")
        if _is_dropped(path, info.name) or not (prefix / relative).is_file():
            continue
        row = (path, digest, size)
        if relative.startswith("bin/"):
            row = _with_final_shebang(prefix / relative, final, row)
        rows.append(row)
        files.append(relative)
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(sorted(rows))
    (info / "RECORD").write_text(text.getvalue())
    return files


def _record(info: Path) -> Iterator[tuple[str, str, str]]:
    with (info / "RECORD").open(newline="") as file:
        for row in csv.reader(file):
            path, digest, size = [*row, "", ""][:3]
            yield path, digest, size


def _is_dropped(path: str, info: str) -> bool:
    folder, _, name = path.rpartition("/")
    return (folder == info and name in _DROPPED) or folder.endswith("__pycache__")


def _with_final_shebang(
    script: Path, final: str, row: tuple[str, str, str]
) -> tuple[str, str, str]:
    content = script.read_bytes()
    match = _SHEBANG.match(content) or _ENV_SHEBANG.match(content)
    if match is None:
        return row
    line = f"#!{final}/bin/python".encode() + match["rest"].rstrip()
    content = line + b"\n" + content[match.end() :]
    script.write_bytes(content)
    digest = base64.urlsafe_b64encode(hashlib.sha256(content).digest()).rstrip(b"=").decode()
    return row[0], f"sha256={digest}", str(len(content))


def _line(text: object) -> str:
    return " ".join(str(text).split()) if text else ""


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
    if fields.get("license_expression"):
        return _line(fields["license_expression"])
    classifiers = [
        str(entry).rpartition(" :: ")[2]
        for entry in fields.get("classifier", [])
        if str(entry).startswith("License :: ")
    ]
    text = str(fields.get("license") or "")
    short = _line(text) if 0 < len(text) < 100 else ""  # longer: the whole text, not its name
    return short or ", ".join(classifiers)
