"""Bytecode that is the same wherever and whenever it was compiled."""

import json
from collections.abc import Sequence
from pathlib import Path

from debship.run import Run

# Unchecked hashes (PEP 552): dpkg sets the mtime of a source to its own, and Python would take
# timestamped bytecode for stale. Runs under the hosts' interpreter; a file that does not compile
# (a template, Python 2 among test data) is named and left alone.
_COMPILE = """
import json, py_compile, sys
for source, final in json.load(sys.stdin):
    try:
        py_compile.compile(source, dfile=final, doraise=True,
                           invalidation_mode=py_compile.PycInvalidationMode.UNCHECKED_HASH)
    except (py_compile.PyCompileError, UnicodeDecodeError, SyntaxError, ValueError):
        print(final)
"""


def compile_files(
    files: Sequence[str], *, root: Path, interpreter: Path, python: str, run: Run
) -> tuple[str, ...]:
    """Compile the Python files among some that belong together, in one fresh process.

    How strings are shared inside one file's bytecode depends on what the process has seen before
    it: so the files of one wheel are compiled in one order by a process of their own, with sets
    that hash alike.

    Args:
        files: relative to ``root``.
        root: what will be ``/`` on the hosts.
        interpreter: the release's own.
        python: its minor version, such as 3.11.
        run: the door.

    Returns:
        the bytecode files, relative to ``root``.
    """
    sources = sorted(file for file in files if file.endswith(".py") and "/lib/python" in file)
    if not sources:
        return ()
    pairs = [(str(root / source), f"/{source}") for source in sources]
    changing = (
        "PATH",
        "HOME",
        "OPTIMIZE",
        "PYCACHEPREFIX",
        "NODEBUGRANGES",
    )  # what is written, or where
    env = {"PYTHONHASHSEED": "0", **{f"PYTHON{name}": None for name in changing}}
    done = run(
        [interpreter, "-s", "-S", "-W", "ignore", "-c", _COMPILE],
        stdin=json.dumps(pairs).encode(),
        env=env,
    )
    failed = set(done.text.splitlines())
    return tuple(_cached(source, python) for source in sources if f"/{source}" not in failed)


def _cached(source: str, python: str) -> str:
    folder, _, name = source.rpartition("/")
    stem, tag = name.removesuffix(".py"), python.replace(".", "")
    return f"{folder}/__pycache__/{stem}.cpython-{tag}.pyc"
