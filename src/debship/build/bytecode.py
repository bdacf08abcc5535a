"""Bytecode that is the same wherever and whenever it was compiled."""

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from debship.run import Run

_CHUNK = 40  # files that are compiled by one process; which they are shows in the bytes

_LONGEST = 200  # bytes of a name: those of its bytecode, before and after, are longer

# Unchecked hashes (PEP 552): dpkg sets the mtime of a source to its own, and Python would take
# timestamped bytecode for stale. Runs under the hosts' interpreter; a file that does not compile
# (a template, Python 2 among test data) is named and left alone. A process is forked for each chunk:
# it has seen no other, and need not start.
_COMPILE = """
import json, os, py_compile, sys
def compile_all(chunk):
    for source, final in chunk:
        try:
            py_compile.compile(source, dfile=final, doraise=True,
                               invalidation_mode=py_compile.PycInvalidationMode.UNCHECKED_HASH)
        except (py_compile.PyCompileError, UnicodeDecodeError, SyntaxError, ValueError):
            os.write(1, final.encode('utf-8', 'surrogateescape') + b'\\n')
def ended():
    if os.wait()[1]:
        sys.exit(1)
running = 0
for chunk in json.load(sys.stdin):
    if running == len(os.sched_getaffinity(0)):
        ended()
        running -= 1
    running += 1
    if not os.fork():
        code = 1
        try:
            compile_all(chunk)
            code = 0
        except BaseException:
            sys.excepthook(*sys.exc_info())
        finally:
            os._exit(code)
for _ in range(running):
    ended()
"""


def compile_files(
    files: Mapping[str, Sequence[str]], *, root: Path, interpreter: Path, python: str, run: Run
) -> dict[str, tuple[str, ...]]:
    """Compile the Python files of distributions, on all processors.

    How strings are shared inside one file's bytecode depends on what the process has seen before
    it: so the files of one distribution are compiled in one order, so many of them by a fresh
    process of their own, with sets that hash alike.

    Args:
        files: of each distribution, relative to ``root``.
        root: what will be ``/`` on the hosts.
        interpreter: the release's own.
        python: its minor version, such as 3.11.
        run: the door.

    Returns:
        of each the bytecode files, relative to ``root``.
    """
    sources = {name: tuple(_sources(paths)) for name, paths in files.items()}
    chunks = [chunk for paths in sources.values() for chunk in _chunks(paths, root)]
    if not chunks:
        return dict.fromkeys(files, ())
    changing = (
        "PATH",
        "HOME",
        "OPTIMIZE",
        "PYCACHEPREFIX",
        "NODEBUGRANGES",
    )  # what is written, or where
    env = {"PYTHONHASHSEED": "0", **{f"PYTHON{name}": None for name in changing}}
    # The longest first: no processor is left with one at the end.
    chunks.sort(key=len, reverse=True)
    done = run(
        [interpreter, "-s", "-S", "-W", "ignore", "-c", _COMPILE],
        stdin=json.dumps(chunks).encode(),
        env=env,
    )
    failed = set(done.stdout.decode(errors="surrogateescape").splitlines())
    return {
        name: tuple(_cached(source, python) for source in paths if f"/{source}" not in failed)
        for name, paths in sources.items()
    }


def _sources(files: Sequence[str]) -> list[str]:
    found = (file for file in files if file.endswith(".py") and "/lib/python" in file)
    return sorted(file for file in found if len(file.rpartition("/")[2].encode()) <= _LONGEST)


def _chunks(sources: Sequence[str], root: Path) -> Iterator[list[tuple[str, str]]]:
    for start in range(0, len(sources), _CHUNK):
        yield [(f"{root}/{source}", f"/{source}") for source in sources[start : start + _CHUNK]]


def _cached(source: str, python: str) -> str:
    folder, _, name = source.rpartition("/")
    stem, tag = name.removesuffix(".py"), python.replace(".", "")
    return f"{folder}/__pycache__/{stem}.cpython-{tag}.pyc"
