"""The nouns that all rooms share."""

import functools
import hmac
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn, Self

from debian.debian_support import NativeVersion

from debship.errors import Misused

_NAME = re.compile(r"[a-z0-9][a-z0-9+.-]+")
_VERSION = re.compile(r"(?:[0-9]{1,10}:)?[0-9][A-Za-z0-9.+~-]*(?<!-)")
_LAST_EPOCH = 2**31 - 1  # that dpkg reads
_ARCHITECTURE = re.compile(r"[a-z0-9][a-z0-9-]*")


class PackageName(str):
    """The name of a binary package.

    Raises:
        Misused: Policy 5.6.1 forbids the name.
    """

    __slots__ = ()

    def __new__(cls, value: str) -> Self:
        """Check and keep the name."""
        if not _NAME.fullmatch(value):
            raise Misused(
                f'"{value}" cannot be the name of a Debian package',
                "lower-case letters, digits and + - . only, at least two, "
                "starting with a letter or digit (Policy 5.6.1)",
            )
        return super().__new__(cls, value)


class Architecture(str):
    """A Debian architecture: ``amd64``, ``arm64``, ``all``.

    Raises:
        Misused: not an architecture's name.
    """

    __slots__ = ()

    def __new__(cls, value: str) -> Self:
        """Check and keep the name."""
        if not _ARCHITECTURE.fullmatch(value):
            raise Misused(f'"{value}" is not a Debian architecture')
        return super().__new__(cls, value)


@functools.total_ordering
@dataclass(frozen=True, slots=True)
class DebVersion:
    """A Debian version, ordered as dpkg orders (Policy 5.6.12, deb-version(7)).

    Two spellings that dpkg holds for equal (``1.0`` and ``1.0-0``) are different versions here,
    ordered by their text: a repository must tell them apart.

    Raises:
        Misused: the text is not a Debian version.
    """

    text: str

    def __post_init__(self) -> None:
        """Check the text."""
        if not _VERSION.fullmatch(self.text) or self.epoch > _LAST_EPOCH:
            raise Misused(
                f'"{self.text}" is not a Debian version',
                "it starts with a digit, holds letters, digits and . + - ~, and does not end in - "
                "(Policy 5.6.12)",
            )

    @property
    def epoch(self) -> int:
        """The number before the colon; 0 where there is none."""
        head, colon, _ = self.text.partition(":")
        return int(head) if colon else 0

    @property
    def without_epoch(self) -> str:
        """The version as it stands in a file's name."""
        return self.text.rpartition(":")[2]

    @property
    def upstream(self) -> str:
        """The part between epoch and revision."""
        head, dash, _ = self.without_epoch.rpartition("-")
        return head if dash else self.without_epoch

    @property
    def revision(self) -> str:
        """The part after the last hyphen; empty where there is none."""
        _, dash, tail = self.without_epoch.rpartition("-")
        return tail if dash else ""

    def __lt__(self, other: Any) -> bool:
        """Compare as dpkg does, then by text."""
        if not isinstance(other, DebVersion):
            return NotImplemented
        mine, theirs = NativeVersion(self.text), NativeVersion(other.text)
        if mine == theirs:
            return self.text < other.text
        return bool(mine < theirs)

    def __str__(self) -> str:
        """Give the text."""
        return self.text


@dataclass(frozen=True, slots=True)
class Deb:
    """A binary package that lies on this machine."""

    path: Path
    package: PackageName
    version: DebVersion
    architecture: Architecture
    size: int  # bytes
    sha256: str  # of the whole file, lower-case hexadecimal

    @property
    def filename(self) -> str:
        """The name that deb-* tools give such a file: no epoch in it."""
        return f"{self.package}_{self.version.without_epoch}_{self.architecture}.deb"


class Size(int):
    """A number of bytes, as people read it: ``1.2 MB``; kB are thousands."""

    __slots__ = ()

    def __str__(self) -> str:
        """Write it."""
        for unit, factor in (("GB", 10**9), ("MB", 10**6), ("kB", 10**3)):
            if self >= factor:
                return f"{self / factor:.1f} {unit}"
        return f"{int(self)} B"

    def __format__(self, spec: str) -> str:
        """Write it as wide as is asked."""
        return format(str(self), spec)


class Secret:
    """A value that nothing prints: logs, reprs, f-strings and exceptions show ``[hidden]``."""

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        self._value = value

    def reveal(self) -> str:
        """Give the value, at the one place that needs it."""
        return self._value

    def __repr__(self) -> str:
        """Hide it."""
        return "[hidden]"

    def __str__(self) -> str:
        """Hide it."""
        return "[hidden]"

    def __format__(self, spec: str) -> str:
        """Hide it."""
        return "[hidden]"

    def __eq__(self, other: object) -> bool:
        """Compare in constant time."""
        return isinstance(other, Secret) and hmac.compare_digest(
            self._value.encode(), other._value.encode()
        )

    def __hash__(self) -> int:
        """Hash without leaking the value into a set's order."""
        return hash(Secret)

    def __reduce__(self) -> NoReturn:
        """Refuse to be pickled or copied into a file."""
        raise TypeError("a secret is not serialised")
