"""Which file of a lock a distribution came from is told by its tags, and only where it is sure."""

from pathlib import Path

import pytest

from debship.build.dists import Dist
from debship.build.lock import Lock
from debship.build.origins import Origin, locked_files, origin

HASH = {letter: letter * 64 for letter in "abcdef"}

UV = f"""
version = 1
[[package]]
name = "numpy"
version = "2.0.0"
source = {{ registry = "https://pypi.example/simple" }}
sdist = {{ url = "https://u:secret@pypi.example/numpy-2.0.0.tar.gz", hash = "sha256:{HASH["a"]}" }}
wheels = [
    {{ url = "https://pypi.example/numpy-2.0.0-cp311-cp311-manylinux_2_17_x86_64.manylinux2014_x86_64.whl", hash = "sha256:{HASH["b"]}" }},
    {{ url = "https://pypi.example/numpy-2.0.0-cp311-cp311-musllinux_1_2_x86_64.whl", hash = "sha256:{HASH["c"]}" }},
]
[[package]]
name = "certifi"
version = "2024.7.4"
wheels = [{{ path = "wheels/certifi-2024.7.4-py3-none-any.whl", hash = "sha256:{HASH["d"]}" }}]
[[package]]
name = "only-source"
version = "1.0"
sdist = {{ url = "https://pypi.example/only_source-1.0.tar.gz?token=secret", hash = "sha256:{HASH["e"]}" }}
[[package]]
name = "auth"
version = "1.0"
source = {{ editable = "." }}
"""

PYLOCK = f"""
lock-version = "1.0"
[[packages]]
name = "numpy"
version = "2.0.0"
sdist = {{ name = "numpy-2.0.0.tar.gz", hashes = {{ sha256 = "{HASH["a"]}" }} }}
wheels = [
    {{ name = "numpy-2.0.0-cp311-cp311-manylinux_2_17_x86_64.manylinux2014_x86_64.whl", hashes = {{ sha256 = "{HASH["b"]}" }} }},
    {{ url = "https://pypi.example/numpy-2.0.0-cp311-cp311-musllinux_1_2_x86_64.whl", hashes = {{ sha256 = "{HASH["c"]}" }} }},
]
"""

REQUIREMENTS = f"""
--no-index
certifi==2024.7.4 \\
    --hash=sha256:{HASH["d"]}
Numpy[extra]==2.0.0 ; python_version >= "3.9" \\
    --hash=sha256:{HASH["b"]} --hash sha256:{HASH["a"]}
local @ file:///x/local-1.0-py3-none-any.whl --hash=sha256:{HASH["f"]}
"""


def _dist(name: str, version: str, *tags: str) -> Dist:
    return Dist(name, version, (), True, "", "", "", "", tags=tags)


def _origin(folder: Path, lock: str, text: str, dist: Dist) -> Origin:
    path = folder / lock
    path.write_text(text)
    kind = {"uv.lock": "uv", "pylock.toml": "pylock"}.get(lock, "requirements")
    files = locked_files(Lock(path, kind))  # type: ignore[arg-type]
    return origin(dist, [file for file in files if file.project == dist.name])


NUMPY = ("cp311-cp311-manylinux2014_x86_64", "cp311-cp311-manylinux_2_17_x86_64")
NAME = "numpy-2.0.0-cp311-cp311-manylinux_2_17_x86_64.manylinux2014_x86_64.whl"


@pytest.mark.parametrize(
    ("lock", "text", "dist", "wanted"),
    [
        ("uv.lock", UV, _dist("numpy", "2.0.0", *NUMPY), Origin(NAME, (HASH["b"],))),
        ("pylock.toml", PYLOCK, _dist("numpy", "2.0.0", *NUMPY), Origin(NAME, (HASH["b"],))),
        (
            "uv.lock",
            UV,
            _dist("certifi", "2024.07.04", "py2.py3-none-any"),  # another name than its file's
            Origin("certifi-2024.7.4-py3-none-any.whl", (HASH["d"],)),
        ),
        (
            "uv.lock",
            UV,
            _dist("only-source", "1.0", "cp311-cp311-linux_x86_64"),
            Origin("only_source-1.0.tar.gz", (HASH["e"],)),
        ),
        # Built here, or a wheel with other tags inside than outside: it cannot be told.
        (
            "uv.lock",
            UV,
            _dist("numpy", "2.0.0", "cp311-cp311-linux_x86_64"),
            Origin("", (HASH["a"], HASH["b"], HASH["c"])),
        ),
        ("uv.lock", UV, _dist("auth", "1.0", "py3-none-any"), Origin("", ())),
        ("uv.lock", UV, _dist("numpy", "2.0.1", *NUMPY), Origin("", ())),
        (
            "requirements.txt",
            REQUIREMENTS,
            _dist("certifi", "2024.07.04", "py3-none-any"),
            Origin("", (HASH["d"],)),
        ),
        (
            "requirements.txt",
            REQUIREMENTS,
            _dist("numpy", "2.0.0", *NUMPY),
            Origin("", (HASH["a"], HASH["b"])),
        ),
        (
            "requirements.txt",
            REQUIREMENTS,
            _dist("local", "1.0", "py3-none-any"),
            Origin("", (HASH["f"],)),
        ),
    ],
)
def test_origin(tmp_path: Path, lock: str, text: str, dist: Dist, wanted: Origin) -> None:
    assert _origin(tmp_path, lock, text, dist) == wanted


def test_a_file_that_another_includes_counts(tmp_path: Path) -> None:
    (tmp_path / "base.txt").write_text(f"a==1 --hash=sha256:{HASH['a']}\n-r requirements.txt\n")
    found = _origin(tmp_path, "requirements.txt", "-r base.txt\n", _dist("a", "1"))
    assert found.known == HASH["a"]
