"""Copies of an example in versions that can be told apart, well or not.

python -m examples.versions examples/auth /tmp/auth-2 2.0.0 --sick
"""

import argparse
import re
import shutil
from pathlib import Path

BROKEN = """
raise RuntimeError("this version is broken on purpose: it does not start")
"""
SICK = """

@app.before_request
def _sick():
    from flask import request

    return ("sick on purpose", 500) if request.path == "/healthz" else None
"""
_VERSION = re.compile(r'^version = ".*"$', re.MULTILINE)


def make_version(
    source: Path, target: Path, version: str, *, broken: bool = False, sick: bool = False
) -> Path:
    """Copy an application and give it another version.

    Args:
        source: the example's folder.
        target: the new folder; it must not be there yet.
        version: what its pyproject.toml says then (PEP 440).
        broken: it raises while it is imported, so the service never starts.
        sick: it starts, but /healthz answers 500.
    """
    ignored = shutil.ignore_patterns("__pycache__", ".*_cache", "dist", "build", ".venv")
    shutil.copytree(source, target, ignore=ignored)
    pyproject = target / "pyproject.toml"
    text, count = _VERSION.subn(f'version = "{version}"', pyproject.read_text(), count=1)
    if not count:
        raise ValueError(f"{pyproject} has no line with a version")
    pyproject.write_text(text)
    module = target / "src" / "auth" / "wsgi.py"
    with module.open("a") as file:
        file.write(BROKEN * broken + SICK * sick)
    return target


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("source", type=Path)
    parser.add_argument("target", type=Path)
    parser.add_argument("version")
    parser.add_argument("--broken", action="store_true")
    parser.add_argument("--sick", action="store_true")
    make_version(**vars(parser.parse_args()))
