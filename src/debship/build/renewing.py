"""A lock of which most was built before: what is new in it is installed, and nothing else."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from debship.build.complaints import explained
from debship.build.dists import Dist
from debship.build.entries import Entries, read_entries
from debship.build.layer import Layer, near
from debship.build.layers import Layers
from debship.build.lock import locked, selection
from debship.build.unpacked import check_complete
from debship.build.uv import Uv
from debship.build.virtualenv import Virtualenv, install_some
from debship.errors import Refused

_FEW = 8  # entries; of more than a quarter of a lock and than these, all are installed


@dataclass(frozen=True, slots=True)
class _Known:
    """An entry that was built before: the key of its layer, and the layer; or nothing of it."""

    text: str
    key: str = ""
    layer: Layer | None = None


def renewed(
    making: Layers, own: Dist | None, lock: Sequence[str], folder: Path, uv: Uv
) -> tuple[Layer, ...] | None:
    """Give the layers of a lock, and install what of it is new alone.

    Args:
        making: finds or makes them.
        own: the application, which counts as installed where what is there is checked.
        lock: its identity.
        folder: a new one, to work in.
        uv: how uv is run.

    Returns:
        what the layers would be if all were installed; None where all must be, to know that.

    Raises:
        Refused: something of the lock has no hash, or it does not hold what is needed.
    """
    plan = making.plan
    folder.mkdir()
    with explained(plan):
        entries = read_entries(locked(plan.lock, plan.app, folder, uv))
    if entries is None:
        return None
    known = {text: _known(making, entries, text) for text in entries.texts}
    new = [text for text, found in known.items() if found is None]
    if len(new) > max(_FEW, len(known) // 4) or len(new) == len(known):
        return None
    kept = [found for found in known.values() if found is not None and found.layer is not None]
    making.say(f"installing {len(new)} of {len(known)} from {plan.lock.path.name}")
    (folder / "some").mkdir()
    some = entries.written(new, folder / "some")
    whole = install_some(plan, some, folder, uv) if new else Virtualenv(folder, folder)
    layers = [found.layer for found in kept if found.layer is not None]
    if whole is None or _meet(layers, whole.dists):
        return None
    everything = (*(layer.dist for layer in layers), *whole.dists)
    told = check_complete(plan, own, everything, making.version(plan.python))
    if not told or any(layer.near != near(layer, everything) for layer in layers):
        return None
    try:
        fresh = making.of_dists(whole, beside=everything)
    except Refused:  # of a library that another distribution brings, perhaps
        return None
    keys = {found.layer.dist.name: found.key for found in kept if found.layer is not None}
    keys |= {layer.dist.name: key for key, layer in fresh}
    result = sorted((*layers, *(layer for _, layer in fresh)), key=_place)
    making.keep_lock(lock, [keys[layer.dist.name] for layer in result])
    keep_entries(making, entries, {layer.dist.name: keys[layer.dist.name] for layer in result})
    making.cache.sweep()
    return tuple(result)


def keep_entries(making: Layers, entries: Entries, keys: dict[str, str]) -> None:
    """Keep what became of each entry; of one whose marker was false, nothing did."""
    for text, project in zip(entries.texts, entries.projects, strict=True):
        making.keep_fact(json.dumps(keys.get(project)), *_words(making, entries, text))


def _known(making: Layers, entries: Entries, text: str) -> _Known | None:
    fact = making.fact(*_words(making, entries, text))
    if fact is None:
        return None
    key = json.loads(fact)
    if key is None:
        return _Known(text)
    layer = making.of_key(key)
    return None if layer is None else _Known(text, key, layer)


def _words(making: Layers, entries: Entries, text: str) -> tuple[str, ...]:
    plan = making.plan
    wanted = [str(word) for word in selection(plan.lock, plan.app)]
    # Markers ask for the patch version of the interpreter too.
    return ("entry", making.version(plan.python), entries.common, *wanted, text)


def _meet(layers: Sequence[Layer], dists: Sequence[Dist]) -> bool:
    """Whether what is new brings what is there: which of them wins is for uv to say."""
    files = frozenset(file for layer in layers for file in layer.dist.files)
    names = frozenset(layer.dist.name for layer in layers)
    return any(dist.name in names or not files.isdisjoint(dist.files) for dist in dists)


def _place(layer: Layer) -> str:
    """Where it stands among others: as ``read_dists`` orders them."""
    record = next(file for file in layer.dist.files if file.endswith(".dist-info/RECORD"))
    return record.split("/")[-2].lower()
