"""`make bench-publish`: debship beside its peers, in one run on one machine.

Prints tables, and writes the same as JSON. Each figure is the median of several rounds after one
that does not count, and in a round each tool has its turn, so that what slows one down slows all.
Before each turn a second goes by, for debship never writes two publications into one second
(If-Modified-Since could not tell them apart), and a lone publication does not wait.
"""

import argparse
import contextlib
import gzip
import json
import os
import platform
import re
import resource
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from tests.benchmarks import corpus, wire
from tests.benchmarks.publishers import (
    Aptly,
    Argv,
    Bucket,
    DebS3,
    Debship,
    Ftparchive,
    PydebS3,
    Reprepro,
    Signer,
    Tool,
    deb_s3,
)
from tests.publishing import S3Server, gpg_home

TOP = Path(__file__).parents[2]
TOGETHER, TIMES = 6, 5
CHUNK = 10_000  # packages a command, where a repository is filled
LARGE = 20_000  # packages; an index of more is made without its pool, which one more does not read
Row = dict[str, Any]
_SLOW = "PYTHONDONTWRITEBYTECODE"  # everybody's Python is compiled, as pip leaves it


def main() -> None:
    words = argparse.ArgumentParser(description=__doc__)
    words.add_argument("--sizes", type=int, nargs="*", default=[1000, 10_000])
    words.add_argument("--s3-size", type=int, default=1000)
    words.add_argument("--runs", type=int, default=5)
    words.add_argument("--delay", type=float, default=0.02, help="seconds, for each request")
    words.add_argument("--fill", type=float, default=600, help="seconds until a tool is left out")
    words.add_argument("--root", type=Path, help="where repositories are made")
    words.add_argument("--only", nargs="*", choices=("directory", "s3", "races"))
    words.add_argument("--output", type=Path, default=TOP / ".bench" / "publish.json")
    given = words.parse_args()
    parts: dict[str, Callable[[Bench], list[Row]]] = {
        "directory": lambda bench: [row for size in given.sizes for row in bench.directory(size)],
        "s3": lambda bench: bench.s3(given.s3_size, given.delay),
        "races": lambda bench: bench.races(),
    }
    found = {}
    with (
        tempfile.TemporaryDirectory(prefix="debship-bench-", dir=given.root) as folder,
        gpg_home(1) as home,
        server() as endpoint,
    ):
        key = Signer(home.path, home.fingerprints[0])
        ours = debship_of(TOP / ".bench")
        bench = Bench(Path(folder), key, endpoint, given.runs, given.fill, ours)
        for name, part in parts.items():
            if not given.only or name in given.only:
                found[name] = part(bench)
                table(name, found[name])
    result = {"machine": machine(), "runs": given.runs, "delay": given.delay, **found}
    given.output.parent.mkdir(parents=True, exist_ok=True)
    given.output.write_text(json.dumps(result, indent=2) + "\n")
    print(f"\n{given.output}")


class Spent(NamedTuple):
    """What a command took."""

    memory: float  # MB at its peak
    processor: float  # seconds


Figures = dict[str, list[tuple[float, Spent]]]  # of each tool, round by round: seconds, and more


@dataclass
class Bench:
    """What all cases share."""

    root: Path
    signer: Signer
    endpoint: str
    runs: int
    fill: float
    ours: Path  # the environment that debship is installed in

    def directory(self, size: int) -> list[Row]:
        """One package more in a directory of so many."""
        place = self.root / f"directory-{size}"
        tools: list[Tool] = [
            Debship(self.signer, place / "debship", self.ours),
            Reprepro(self.signer, place / "reprepro"),
            Aptly(self.signer, place / "aptly"),
            Ftparchive(self.signer, place / "ftparchive"),
        ]
        paths = corpus.write(place / "incoming", corpus.corpus(size, 1))
        filled = {tool.name: self._fill(tool, paths) for tool in tools}
        figures = self._rounds([tool for tool in tools if "left out" not in filled[tool.name]])
        rows = [
            noted({"tool": name, "packages": size, **row, **measured(figures, name)})
            for name, row in filled.items()
        ]
        index = place / "debship/dists/stable/main/binary-amd64/Packages.gz"
        if index.exists():
            rows[0]["index MB"] = round(len(gzip.decompress(index.read_bytes())) / 1e6, 1)
        shutil.rmtree(place)
        return rows

    def s3(self, size: int, delay: float) -> list[Row]:
        """One package more in a bucket of so many, near and far."""
        paths = corpus.write(self.root / "incoming", corpus.corpus(size, 1))
        tools = self._s3_tools("speed")
        filled = {tool.name: self._fill(tool, paths) for tool in tools}
        tools = [tool for tool in tools if "left out" not in filled[tool.name]]
        near = self._rounds(tools)
        self._wire(delay)
        for tool in tools:
            filled[tool.name] |= self._requests(tool)
        far = self._rounds(tools, first=100)
        self._wire(0)
        rows = []
        for name, row in filled.items():
            there = measured(far, name)
            also = {
                f"{it} at {delay * 1000:.0f} ms": there[it]
                for it in ("seconds", "of debship's")
                if it in there
            }
            about = {"tool": name, "packages": size}
            rows.append(noted({**about, **row, **measured(near, name), **also}))
        return rows

    def races(self) -> list[Row]:
        """Several publishers at once, each with one package, again and again."""
        tools: list[Tool] = [
            Debship(self.signer, self.root / "race", self.ours, name="debship, directory"),
            *self._s3_tools("race", locked=True),
        ]
        return [noted(self._race(tool)) for tool in tools if not isinstance(tool, Aptly)]

    def _s3_tools(self, use: str, *, locked: bool = False) -> list[Tool]:
        tools: list[Tool] = [Debship(self.signer, self._bucket(f"debship-{use}"), self.ours)]
        if use == "speed":
            bucket = self._bucket("aptly-speed")
            tools.append(Aptly(self.signer, self.root / "aptly-s3", bucket))
        if checkout := deb_s3():
            tools.append(DebS3(self.signer, self._bucket(f"deb-s3-{use}"), checkout))
            if locked:
                tools.append(DebS3(self.signer, self._bucket("deb-s3-lock"), checkout, lock=True))
        else:
            print("deb-s3 is left out: DEB_S3 names no checkout of it", file=sys.stderr)
        if venv := pydeb_s3(TOP / ".bench"):
            tools.append(PydebS3(self.signer, self._bucket(f"pydeb-s3-{use}"), venv))
        return tools

    def _fill(self, tool: Tool, paths: list[Path]) -> Row:
        """Make a repository of these packages, within the time that there is for it."""
        start = time.monotonic()
        for argv in tool.begin():
            execute(argv, tool.env)
        if isinstance(tool, Debship) and isinstance(tool.place, Path) and len(paths) > LARGE:
            seed(tool.place, self.signer, len(paths))
            paths = []
        for at in range(0, len(paths), CHUNK):
            if time.monotonic() - start > self.fill:
                return {"left out": f"filling it takes over {self.fill:.0f} s"}
            for argv in tool.add(paths[at : at + CHUNK]):
                execute(argv, tool.env)
        took = round(time.monotonic() - start, 1)
        print(f"{tool.name}: filled in {took} s", file=sys.stderr, flush=True)
        return {"filled in": took}

    def _rounds(self, tools: list[Tool], first: int = 0) -> Figures:
        """Add one package with each tool in turn, and again: what slows one down slows all."""
        found: Figures = {tool.name: [] for tool in tools}
        for turn in range(first, first + self.runs + 1):
            for tool in tools:
                found[tool.name].append(self._once(tool, turn))
        return {name: figures[1:] for name, figures in found.items()}

    def _once(self, tool: Tool, turn: int) -> tuple[float, Spent]:
        """Add one package; give seconds, and what it took."""
        (path,) = corpus.write(self.root / "more", iter([(f"extra-{tool.name[:3]}", f"{turn}.0")]))
        time.sleep(1.1)
        start = time.monotonic()
        spent = [execute(argv, tool.env) for argv in tool.add([path])]
        took = time.monotonic() - start
        processor = sum(it.processor for it in spent)
        return took, Spent(max(it.memory for it in spent), processor)

    def _requests(self, tool: Tool) -> Row:
        self._wire()
        self._once(tool, 99)
        noted = self._wire()
        verbs = Counter(verb for verb, _, _ in noted)
        return {
            "requests": len(noted),
            "in sequence": wire.sequence(noted),
            "verbs": " ".join(f"{count} {verb}" for verb, count in verbs.most_common()),
        }

    def _race(self, tool: Tool) -> Row:
        for argv in tool.begin():
            execute(argv, tool.env)
        names = [[f"race-{turn}-{one}" for one in range(TOGETHER)] for turn in range(TIMES)]
        mismatches = failed = 0
        start = time.monotonic()
        for some in names:
            paths = corpus.write(self.root / "race-debs", ((name, "1.0") for name in some))
            with ThreadPoolExecutor(TOGETHER) as pool:
                done = list(pool.map(lambda path: attempt(tool.add([path]), tool.env), paths))
            failed += done.count(False)
            mismatches += self._listed(tool)[1]
        seconds = time.monotonic() - start
        listed = self._listed(tool)[0]
        lost = sum(name not in listed for some in names for name in some)
        return {
            "publishers": tool.name,
            "lost": f"{lost} of {TOGETHER * TIMES}",
            "failed": failed,
            "InRelease against index": f"{mismatches} of {TIMES} wrong",
            "seconds": round(seconds, 1),
        }

    def _listed(self, tool: Tool) -> tuple[set[str], bool]:
        """Give the packages that are listed, and whether InRelease has another hash for them."""
        place = getattr(tool, "bucket", None) or getattr(tool, "place", None)
        base = (
            place.as_uri() if isinstance(place, Path) else f"{place.endpoint}/{place.name}/debian"
        )
        index = fetch(f"{base}/dists/stable/main/binary-amd64/Packages.gz")
        signed = fetch(f"{base}/dists/stable/InRelease").decode()
        import hashlib

        names = set(re.findall(r"^Package: (\S+)$", gzip.decompress(index).decode(), re.M))
        return names, f"{hashlib.sha256(index).hexdigest()} " not in signed

    def _bucket(self, name: str) -> Bucket:
        S3Server(self.endpoint).bucket(name)
        return Bucket(self.endpoint, name)

    def _wire(self, delay: float | None = None) -> list[list[Any]]:
        words = "" if delay is None else f"?delay={delay}"
        noted: list[list[Any]] = json.loads(fetch(f"{self.endpoint}/_wire{words}"))
        return noted


def measured(found: Figures, name: str) -> Row:
    """Say what a tool took; beside debship, in the median of the rounds."""
    if name not in found:
        return {}
    seconds = [took for took, _ in found[name]]
    ratios = [took / ours for took, (ours, _) in zip(seconds, found["debship"], strict=True)]
    return {
        "seconds": round(statistics.median(seconds), 3),
        "min": round(min(seconds), 3),
        "max": round(max(seconds), 3),
        "of debship's": f"{statistics.median(ratios):.2f}x",
        "processor": round(statistics.median(it.processor for _, it in found[name]), 3),
        "peak MB": max(it.memory for _, it in found[name]),
    }


def seed(place: Path, signer: Signer, count: int) -> None:
    """Let a suite list so many packages."""
    from datetime import UTC, datetime

    from debship.publish import clock
    from debship.publish.commit import Draft, commit
    from debship.publish.index import Index, key_of
    from debship.publish.publisher import Publisher
    from debship.publish.release import Part
    from debship.publish.signing import Keyring
    from debship.publish.store.directory import DirectoryStore
    from debship.run import run

    stanzas = {}
    for name, version in corpus.corpus(count, 1):
        place_ = f"pool/main/a/{name}/{name}_{version}_amd64.deb"
        tail = f"Filename: {place_}\nSize: 1234\nSHA256: {name.encode().hex():0>64}\n"
        stanza = corpus.control(name, version) + tail.encode()
        stanzas[key_of(stanza)] = stanza
    index = Index().changed(stanzas)
    keys = Keyring(run, home=signer.home).found([signer.fingerprint])
    publisher = Publisher(
        store=DirectoryStore(place),
        keys=keys,
        clock=clock.Clock(lambda: datetime.now(UTC), time.sleep),
        say=lambda text: None,
        jitter=lambda: 0.5,
        ours=keys.certificates(keys.fingerprints),
    )
    change = {Part("main", "amd64"): index}
    commit(publisher, "stable", lambda it: Draft(it.release.settings, it.release.files, change))


def fetch(url: str) -> bytes:
    with urllib.request.urlopen(url) as answer:
        data: bytes = answer.read()
        return data


def execute(argv: Argv, env: dict[str, str]) -> Spent:
    """Run a command.

    It is GNU time that asks what it took: a child of ours would begin with as much memory as we
    have. The processor's seconds tell more than the clock's where a machine has other work.
    """
    whole = {name: value for name, value in os.environ.items() if name != _SLOW} | env
    with tempfile.NamedTemporaryFile("r") as spent, tempfile.TemporaryFile() as out:
        timed = ["/usr/bin/time", "-q", "-f", "%M %U %S", "-o", spent.name, *argv]
        null = subprocess.DEVNULL
        done = subprocess.run(timed, env=whole, stdin=null, stdout=out, stderr=out, check=False)
        if done.returncode:
            out.seek(0)
            text = out.read().decode(errors="replace")[-2000:]
            raise SystemExit(f"{argv[0]} exited with {done.returncode}:\n{text}")
        memory, user, system = map(float, spent.read().split())
        return Spent(round(memory / 1024, 1), user + system)


def attempt(argvs: list[Argv], env: dict[str, str]) -> bool:
    """Run commands; say whether they were content with themselves."""
    try:
        for argv in argvs:
            execute(argv, env)
    except SystemExit:
        return False
    return True


@contextlib.contextmanager
def server() -> Iterator[str]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    argv = [sys.executable, "-m", "tests.benchmarks.wire", str(port)]
    process = subprocess.Popen(argv, cwd=TOP, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    url = f"http://127.0.0.1:{port}"
    try:
        for _ in range(600):
            with contextlib.suppress(OSError):
                fetch(f"{url}/_wire")
                break
            time.sleep(0.05)
        yield url
    finally:
        process.kill()
        process.wait()


def debship_of(folder: Path) -> Path:
    """Install this checkout as its users do, in an environment of its own."""
    venv = folder / "debship"
    if not installed(venv, "--reinstall-package", "debship", str(TOP)):
        raise SystemExit("debship cannot be installed")
    return venv


def pydeb_s3(folder: Path) -> Path | None:
    """Install pydeb-s3 from the package index of this machine."""
    venv = folder / "pydeb-s3"
    if not installed(venv, "pydeb-s3==1.4.0"):
        print("pydeb-s3 is left out: it cannot be installed", file=sys.stderr)
        return None
    return venv


def installed(venv: Path, *words: str) -> bool:
    """Install something, compiled as pip does it; whether it could be."""
    uv = str(Path(sys.executable).parent / "uv")
    if not (venv / "bin/python").exists():
        venv.parent.mkdir(parents=True, exist_ok=True)
        subprocess.run([uv, "venv", "-q", "--clear", str(venv)], check=True)
    into = ("-q", "--compile-bytecode", "--python", str(venv / "bin/python"))
    return subprocess.run([uv, "pip", "install", *into, *words], check=False).returncode == 0


def noted(row: Row) -> Row:
    """Say at once what was found: it took long, and may be all that there will be."""
    print(json.dumps(row), file=sys.stderr, flush=True)
    return row


def machine() -> Row:
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    load = [round(one, 1) for one in os.getloadavg()]
    return {
        "cores": os.cpu_count(),
        "memory GB": round(memory / 1e9, 1),
        "python": platform.python_version(),
        "load": load,
        "own peak MB": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
    }


def table(title: str, rows: list[Row]) -> None:
    names = list(dict.fromkeys(name for row in rows for name in row))
    cells = [[str(row.get(name, "")) for name in names] for row in rows]
    widths = [max(map(len, column)) for column in zip(names, *cells, strict=True)]
    print(f"\n{title}")
    for line in [names, *cells]:
        print(
            "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
        )
    sys.stdout.flush()


if __name__ == "__main__":
    main()
