"""Packages to look at: a tree of files, packed by Debian's own tool."""

import hashlib
from collections.abc import Mapping
from pathlib import Path

from debs import CONTROL
from debship.run import run

SITE = "usr/lib/auth/lib/python3.11/site-packages"


def wheel(
    name: str,
    version: str = "1.0",
    files: Mapping[str, str] | None = None,
    *,
    metadata: str = "License-Expression: MIT\n",
) -> dict[str, str]:
    """The files of an installed wheel."""
    info = f"{name}-{version}.dist-info"
    inner = {f"{name}/__init__.py": f"VERSION = {version!r}\n", **(files or {})}
    inner[f"{info}/METADATA"] = (
        f"Metadata-Version: 2.4\nName: {name}\nVersion: {version}\n{metadata}"
    )
    inner[f"{info}/WHEEL"] = "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
    record = "".join(f"{path},,\n" for path in inner)
    inner[f"{info}/RECORD"] = record + f"{info}/RECORD,,\n"
    return {f"{SITE}/{path}": text for path, text in inner.items()}


def package(
    folder: Path,
    files: Mapping[str, str],
    *,
    version: str = "1.0-1",
    control: Mapping[str, str] | None = None,
    more: str = "Depends: python3.11, libc6 (>= 2.34)\nInstalled-Size: 40\n",
) -> Path:
    """Pack files, and those of control.tar, with dpkg-deb."""
    key = hashlib.sha256(repr((files, version, control, more)).encode()).hexdigest()[:8]
    tree = folder / f"tree-{key}"
    control_file = CONTROL.format(package="auth", version=version, architecture="amd64", more=more)
    inner = {f"DEBIAN/{name}": text for name, text in (control or {}).items()}
    for path, text in {**files, **inner, "DEBIAN/control": control_file}.items():
        (tree / path).parent.mkdir(parents=True, exist_ok=True)
        (tree / path).write_text(text)
        script = path.startswith("DEBIAN/p") or "/bin/" in path
        (tree / path).chmod(0o755 if script else 0o644)
    deb = folder / f"auth_{version}_amd64-{key}.deb"
    words = ["dpkg-deb", "--root-owner-group", "-Zzstd", "-z1", "-b", tree, deb]
    run(words, env={"SOURCE_DATE_EPOCH": "1700000000"})
    return deb
