"""Small packages for benchmarks, in any number: the same seed gives the same bytes."""

import gzip
import io
import random
import tarfile
from collections.abc import Iterator
from pathlib import Path

from tests.debs import ar

_WORDS = [
    "queue",
    "worker",
    "signs",
    "people",
    "into",
    "accounts",
    "and",
    "sends",
    "them",
    "mail",
    "about",
    "what",
    "they",
    "owe",
]


def control(name: str, version: str, seed: int = 0) -> bytes:
    """Make a control paragraph of about as many bytes as one in Debian has."""
    dice = random.Random(f"{seed} {name} {version}")
    about = "\n".join(" " + " ".join(dice.choices(_WORDS, k=12)) for _ in range(7))
    depends = ", ".join(f"lib{dice.choice(_WORDS)}{dice.randrange(9)} (>= 1.2)" for _ in range(5))
    return (
        f"Package: {name}\nVersion: {version}\nArchitecture: amd64\n"
        "Maintainer: Platform Team <platform@example.com>\nInstalled-Size: 12\n"
        f"Depends: {depends}\nSection: net\nPriority: optional\n"
        f"Homepage: https://example.com/{name}\nDescription: {' '.join(dice.choices(_WORDS, k=5))}\n"
        f"{about}\n"
    ).encode()


def package(name: str, version: str, seed: int = 0) -> bytes:
    """Make a .deb of about a kilobyte."""
    dice = random.Random(f"{seed} {name} {version} data")
    return ar(
        ("debian-binary", b"2.0\n"),
        ("control.tar.gz", _tar("./control", control(name, version, seed))),
        ("data.tar.gz", _tar(f"./usr/share/doc/{name}/README", dice.randbytes(200))),
    )


def corpus(count: int, versions: int) -> Iterator[tuple[str, str]]:
    """Give names and versions, so many in all."""
    for number in range(count):
        yield f"app-{number // versions:06}", f"1.{number % versions}"


def write(folder: Path, some: Iterator[tuple[str, str]]) -> list[Path]:
    """Write packages; give their paths."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for name, version in some:
        path = folder / f"{name}_{version}_amd64.deb"
        path.write_bytes(package(name, version))
        paths.append(path)
    return paths


def _tar(name: str, data: bytes) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.GNU_FORMAT) as archive:
        folders = Path(name).parents
        for folder in [*folders][-2::-1]:
            info = tarfile.TarInfo(f"./{folder}/")
            info.type, info.mode = tarfile.DIRTYPE, 0o755
            archive.addfile(info)
        info = tarfile.TarInfo(name)
        info.size = len(data)
        archive.addfile(info, io.BytesIO(data))
    return gzip.compress(out.getvalue(), 1, mtime=0)
