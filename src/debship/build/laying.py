"""What a package will hold: found among what was kept, or installed and packed."""

from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

from debship.build.backends import trusted_backends
from debship.build.dists import Dist
from debship.build.entries import read_entries
from debship.build.layer import Layer
from debship.build.layers import Bytecode, Layers
from debship.build.lock import identity
from debship.build.origins import Origin
from debship.build.package import date_of
from debship.build.plan import BuildPlan
from debship.build.renewing import keep_entries, renewed
from debship.build.split import UNNAMED, check_apart, digest_of, naming, plan_dependencies
from debship.build.unpacked import check_has_all, unpack
from debship.build.uv import Uv
from debship.build.virtualenv import Virtualenv, install, overlays
from debship.build.wheel import Wheel

LEVEL_OF_APPLICATION = 9  # it is packed at each build


@dataclass(frozen=True, slots=True)
class Laid:
    """The layers of a build.

    Attributes:
        layers: of what the lock names.
        own: of the application's wheel; None where the lock names the application.
        dependencies: the plan of the package that ``layers`` go into, where they have one.
        has_bytes: whether ``layers`` can be written; False where their facts alone were wanted.
    """

    layers: tuple[Layer, ...]
    own: Layer | None
    dependencies: BuildPlan | None = None
    has_bytes: bool = True

    @property
    def all(self) -> tuple[Layer, ...]:
        """All of them, the application's last."""
        return (*self.layers, self.own) if self.own else self.layers


def lay(making: Layers, wheel: Wheel | None, folder: Path) -> Laid:
    """Give the layers of a build in which all lies in one package.

    Args:
        making: finds or makes them.
        wheel: the application's.
        folder: to work in.
    """
    plan, uv = making.plan, _uv(making)
    folder.mkdir(exist_ok=True)
    lock = identity(plan.lock, plan.app)
    with ThreadPoolExecutor(2) as beside:
        finding = beside.submit(making.of_lock, lock)
        alone = unpack(plan, wheel, folder / "alone") if wheel else None
        compiling = _compiling(making, alone, beside)
        layers = finding.result()
    own = alone.own if alone else None
    dists = tuple(layer.dist for layer in layers or ())
    some = renewed(making, own, lock, folder / "some", uv) if layers is None else None
    if some is not None:
        layers, dists = some, tuple(layer.dist for layer in some)
    if layers is None or _is_for_uv(making, own, dists, seen=some is not None):
        making.say(f"installing {plan.lock.path.name}")
        trusted = trusted_backends(plan.backends, plan.lock, folder)
        whole = install(plan, wheel, own, folder, replace(uv, backends=trusted))
        layers, dists = _of_installed(making, whole, lock), whole.dists
        if whole.own:
            alone, compiling = whole, None
    if wheel is None or alone is None:
        return Laid(layers, None)
    return Laid(layers, _own_layer(making, replace(alone, dists=dists), wheel, compiling))


def lay_split(making: Layers, wheel: Wheel | None, folder: Path, *, facts_alone: bool) -> Laid:
    """Give the layers of a build in which what the lock names has a package of its own.

    Args:
        making: finds or makes them.
        wheel: the application's.
        folder: a new one, to work in.
        facts_alone: the package of dependencies is there already, perhaps.
    """
    plan = making.plan
    folder.mkdir()
    lock = identity(plan.lock, plan.app)
    alone = unpack(plan, wheel, folder / "alone") if wheel else None
    own = alone.own if alone else None
    python = making.version(plan.python)
    named_by = (*naming(plan, level=making.level, python=python), *lock)
    with ThreadPoolExecutor(1) as beside:
        compiling = _compiling(making, alone, beside)
        named = making.fact(*named_by)
        found = None
        if named is not None:
            within = replace(making, plan=plan_dependencies(plan, named))
            found = within.of_lock(lock, facts_alone=facts_alone)
    dists = tuple(layer.dist for layer in found or ())
    if found is not None and own is not None:
        check_apart(plan, own, dists)
        found = found if check_has_all(plan, own, dists, python) else None
    has_bytes = found is None or not facts_alone
    if named is None or found is None:
        making.say(f"installing {plan.lock.path.name}")
        trusted = trusted_backends(plan.backends, plan.lock, folder)
        unnamed = plan_dependencies(plan, UNNAMED)
        whole = install(unnamed, None, own, folder, replace(_uv(making), backends=trusted))
        named = digest_of(plan, whole, level=making.level, python=python)
        within = replace(making, plan=plan_dependencies(plan, named))
        moved = _moved(whole, unnamed, within.plan)
        found = tuple(layer for _, layer in within.of_installed(moved, lock))
        making.keep_fact(named, *named_by)
        dists = tuple(layer.dist for layer in found)
        if own is not None:
            check_apart(plan, own, dists)
    if wheel is None or alone is None:
        return Laid(found, None, within.plan, has_bytes)
    own_layer = _own_layer(making, replace(alone, dists=dists), wheel, compiling)
    return Laid(found, own_layer, within.plan, has_bytes)


def _is_for_uv(making: Layers, own: Dist | None, dists: tuple[Dist, ...], *, seen: bool) -> bool:
    """Whether all is to be installed although its layers are there.

    Args:
        making: finds layers.
        own: the application.
        dists: of the layers.
        seen: whether it is known that they have what they need.
    """
    if own is None:
        return False
    if overlays(own, dists):
        return True
    version = making.version(making.plan.python)
    return not seen and not check_has_all(making.plan, own, dists, version)


def _of_installed(making: Layers, whole: Virtualenv, lock: tuple[str, ...]) -> tuple[Layer, ...]:
    found = making.of_installed(whole, lock)
    entries = read_entries(whole.lock) if whole.plain and whole.lock and not whole.own else None
    if entries is not None:
        keep_entries(making, entries, {layer.dist.name: key for key, layer in found})
    return tuple(layer for _, layer in found)


def _uv(making: Layers) -> Uv:
    return Uv(making.run, making.plan.release.date)


def _moved(installed: Virtualenv, before: BuildPlan, after: BuildPlan) -> Virtualenv:
    """Put what was installed where its name says; nothing in it names the place."""
    old, new = (installed.root / plan.prefix.relative_to("/") for plan in (before, after))
    old.rename(new)
    return replace(installed, prefix=new)


def _compiling(
    making: Layers, alone: Virtualenv | None, beside: ThreadPoolExecutor
) -> Future[Bytecode] | None:
    """Begin to compile the application, which needs none of the layers: Python takes its time."""
    if alone is None or alone.own is None:
        return None
    return beside.submit(making.compiled, [alone.own], alone)


def _own_layer(
    making: Layers, installed: Virtualenv, wheel: Wheel, compiling: Future[Bytecode] | None
) -> Layer:
    assert installed.own is not None
    level, date = min(making.level, LEVEL_OF_APPLICATION), date_of(making.plan, wheel)
    layer = making.make([installed.own], installed, date, level, compiling=compiling)[0]
    # A wheel that is built here has the modes of its files from the umask and the checkout: the
    # same input gives the same files, which RECORD names, and not the same archive.
    settings = making.plan.app.build
    hashes = (wheel.sha256,) if settings.wheel and not settings.command else ()
    return replace(layer, origin=Origin(wheel.path.name, hashes))
