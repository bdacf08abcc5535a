"""Layers: each distribution of a package, packed once and kept for later builds.

A layer depends on what is installed, on where it will lie and on what made it, all of which its
key holds; and on nothing else: not on the application, not on the clock. A build finds its layers
in one of two ways. Where a lock was built before, it names its layers itself, and nothing is
installed. Else the lock is installed, which takes uv little where its cache is warm, and each
distribution is looked up by what came of it.
"""

import json
import os
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from types import MappingProxyType

from debship.build.bytecode import compile_files
from debship.build.cache import Cache
from debship.build.dists import Dist
from debship.build.installed import Installed, relation_names
from debship.build.layer import Layer, frozen, near, thawed
from debship.build.layer_key import contents, layer_key
from debship.build.libraries import Libraries, foreign_code, machine_code, shared_libraries
from debship.build.origins import Locked, locked_files, origin
from debship.build.parts import Packed, pack, wheel_part
from debship.build.plan import BuildPlan
from debship.build.symbols import SystemLibraries
from debship.build.virtualenv import Virtualenv
from debship.debian.compression import memory_of
from debship.run import Run

Say = Callable[[str], None]
Bytecode = Mapping[str, tuple[str, ...]]  # of each distribution the files, relative to its root

_LONG = 4 << 20  # bytes of files that take more than a second at level 19
_MEMORY = 100 << 20  # bytes that compressing may take, in all threads together


@dataclass(frozen=True, slots=True)
class Layers:
    """Finds the layers of one build, or makes them.

    Args:
        plan: what is built.
        level: of the compressor.
        cache: what earlier builds kept.
        folder: a new one, to work in.
        packages: of Debian, where the build runs.
        run: the door.
        say: told what takes long.
        root: where the release's own files lie, for this process.
    """

    plan: BuildPlan
    level: int
    cache: Cache
    folder: Path
    packages: tuple[Installed, ...]
    run: Run
    say: Say
    root: Path = Path("/")

    def of_lock(
        self, lock: Sequence[str], *, facts_alone: bool = False
    ) -> tuple[Layer, ...] | None:
        """Give the layers of a lock that was built before; None where one of them is missing.

        Args:
            lock: its identity.
            facts_alone: the bytes of the layers are not wanted, and may be damaged.
        """
        self.folder.mkdir(exist_ok=True)
        keys = self.cache.facts(self._key("lock", *self.plan.uv, *lock))
        if keys is None:
            return None
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            find = partial(self._find, facts_alone=facts_alone)
            found = list(pool.map(find, json.loads(keys)))
        layers = tuple(layer for layer in found if layer is not None)
        if len(layers) < len(found) or not all(map(self._is_as_made, layers)):
            return None
        return layers

    def fact(self, *words: str) -> str | None:
        """Give a fact that was kept of a build; None where there is none."""
        facts = self.cache.facts(self._key("fact", *self.plan.uv, *words))
        return None if facts is None else facts.decode()

    def keep_fact(self, fact: str, *words: str) -> None:
        """Keep a fact, by all that it depends on besides what layers do."""
        self.cache.keep(self._key("fact", *self.plan.uv, *words), fact.encode())

    def of_key(self, key: str) -> Layer | None:
        """Give a layer that was kept; None where it is not there, or would be another by now."""
        self.folder.mkdir(exist_ok=True)
        layer = self._find(key)
        return layer if layer is not None and self._is_as_made(layer) else None

    def of_installed(
        self, installed: Virtualenv, lock: Sequence[str]
    ) -> tuple[tuple[str, Layer], ...]:
        """Give the layers of what the lock names, once it is installed, with their keys."""
        found = self.of_dists(installed, beside=installed.dists)
        # What was compiled here is compiled each time: its compiler may be another by then.
        if installed.own is None and not installed.compiled:
            self.keep_lock(lock, [key for key, _ in found])
        return found

    def keep_lock(self, lock: Sequence[str], keys: Sequence[str]) -> None:
        """Keep which layers a lock has."""
        of_lock = self._key("lock", *self.plan.uv, *lock)
        self.cache.keep(of_lock, json.dumps(list(keys)).encode())

    def of_dists(
        self, installed: Virtualenv, *, beside: Sequence[Dist]
    ) -> tuple[tuple[str, Layer], ...]:
        """Give the layers of what is installed, with their keys; keep what is new.

        Args:
            installed: what.
            beside: all distributions of the package.
        """
        self.folder.mkdir(exist_ok=True)
        files: dict[str, list[Locked]] = {dist.name: [] for dist in installed.dists}
        for file in locked_files(self.plan.lock):
            files.setdefault(file.project, []).append(file)
        keys = {
            dist.name: self._key_of(dist, installed, files[dist.name]) for dist in installed.dists
        }
        kept = {name: layer for name, key in keys.items() if (layer := self._find(key))}
        found = {
            name: layer
            for name, layer in kept.items()
            if self._is_as_made(layer) and layer.near == near(layer, beside)
        }
        # Of one whose libraries' packages moved on, the relations alone are asked for again.
        packed = {
            name: layer.packed
            for name, layer in kept.items()
            if (self.plan.python, self.version(self.plan.python)) in layer.made_with
        }
        missing = [dist for dist in installed.dists if dist.name not in found]
        if missing:
            several = f"{len(missing)} of {len(installed.dists)} wheels"
            self.say(f"packing {several} at level {self.level}: later builds find them packed")
        mtime = self.plan.release.date
        for made in self.make(missing, installed, mtime, self.level, packed=packed):
            layer = replace(
                made, origin=origin(made.dist, files[made.dist.name]), near=near(made, beside)
            )
            found[layer.dist.name] = layer
            facts = frozen(layer)
            self.cache.keep(keys[layer.dist.name], facts, layer.packed.segment.blocks)
        if missing:
            self.cache.sweep()
        return tuple((keys[dist.name], found[dist.name]) for dist in installed.dists)

    def make(
        self,
        dists: Sequence[Dist],
        installed: Virtualenv,
        mtime: int,
        level: int,
        *,
        packed: Mapping[str, Packed] = MappingProxyType({}),
        compiling: Future[Bytecode] | None = None,
    ) -> tuple[Layer, ...]:
        """Make layers, the biggest first, as many at once as there are processors.

        Args:
            dists: of what is installed.
            installed: where.
            mtime: of every file, in seconds since 1970.
            level: of the compressor.
            packed: what of them is packed already, by name.
            compiling: gives their bytecode, where that was begun before.
        """
        self.folder.mkdir(exist_ok=True)
        sizes = {dist.name: _size(dist, installed.prefix) for dist in dists}
        fitting = _MEMORY // memory_of(self.plan.release.compression, level)
        stop = threading.Event()
        system = SystemLibraries(self.root, self.run)

        def pack_one(dist: Dist) -> Packed:
            if dist.name in packed:
                return packed[dist.name]
            if sizes[dist.name] > _LONG:
                self.say(f"packing {dist.name} {dist.version}: {sizes[dist.name] >> 20} MiB")
            bytecode = compiled.result()[dist.name]
            part = wheel_part(dist, bytecode, installed.root, self.plan, mtime)
            path = self.folder / f"{dist.name}.part"
            return pack(part, path, self.plan.release.compression, level, stop.is_set)

        with (
            ThreadPoolExecutor(1) as beside,
            ThreadPoolExecutor(max(1, min(os.cpu_count() or 1, fitting))) as pool,
        ):
            try:
                compiled = compiling or beside.submit(
                    self.compiled, [d for d in dists if d.name not in packed], installed
                )
                work = {
                    dist.name: (
                        pool.submit(pack_one, dist),
                        pool.submit(self._libraries, dist, installed, system),
                    )
                    for dist in sorted(dists, key=lambda dist: -sizes[dist.name])
                }
                made = [
                    Layer(dist, part.result(), *libraries.result())
                    for dist in dists
                    for part, libraries in (work[dist.name],)
                ]
            except BaseException:
                stop.set()
                pool.shutdown(cancel_futures=True)
                raise
        return tuple(replace(layer, made_with=self._made_with(layer)) for layer in made)

    def compiled(self, dists: Iterable[Dist], installed: Virtualenv) -> Bytecode:
        """Compile the Python files of what is installed."""
        prefix = str(self.plan.prefix).removeprefix("/")
        return compile_files(
            {dist.name: [f"{prefix}/{file}" for file in dist.files] for dist in dists},
            root=installed.root,
            interpreter=self.plan.interpreter,
            python=self.plan.release.python,
            run=self.run,
        )

    def _libraries(
        self, dist: Dist, installed: Virtualenv, system: SystemLibraries
    ) -> tuple[bool, Libraries]:
        files = [installed.prefix / file for file in dist.files]
        code = machine_code(files, self.root / self.plan.interpreter.relative_to("/"))
        if not code and (foreign := foreign_code(files)):
            where = foreign.relative_to(installed.prefix)
            self.say(f"note: {dist.name}: {where} is of another machine, and nothing there of this")
        work = self.folder / f"{dist.name}.libraries"
        beside = (installed.prefix / file for other in installed.dists for file in other.files)
        ignored = self.plan.app.build.ignore_libraries
        return bool(code), shared_libraries(
            code,
            installed.root,
            work,
            self.run,
            system=system,
            beside=beside,
            ignored=ignored,
        )

    def _find(self, key: str, *, facts_alone: bool = False) -> Layer | None:
        entry = self.cache.find(key, self.folder / key, facts_alone=facts_alone)
        return None if entry is None else thawed(entry)

    def _made_with(self, layer: Layer) -> tuple[tuple[str, str], ...]:
        """The compiler of its bytecode, and the libraries whose symbols made its relations."""
        names = {n for relation in layer.libraries.relations for n in relation_names(relation)}
        return tuple((name, self.version(name)) for name in sorted({*names, self.plan.python}))

    def _is_as_made(self, layer: Layer) -> bool:
        return all(self.version(name) == version for name, version in layer.made_with)

    def version(self, name: str) -> str:
        """Give that of a Debian package where the build runs; empty where it is not there."""
        return " ".join(sorted(p.version for p in self.packages if p.name == name))

    def _key_of(self, dist: Dist, installed: Virtualenv, files: Iterable[Locked]) -> str:
        """Name a distribution by its files: RECORD has a hash of each, and the lock of them all."""
        of_lock = sorted(f"{file.version} {file.file} {file.sha256}" for file in files)
        return self._key("dist", *contents(dist, installed), *of_lock)

    def _key(self, *words: str) -> str:
        return layer_key(self.plan, self.level, *words)


def _size(dist: Dist, prefix: Path) -> int:
    return sum((prefix / file).stat().st_size for file in dist.files)
