"""What a layer is kept by: all that its bytes depend on."""

import hashlib
import json
from functools import cache as remembered
from importlib.metadata import version as version_of
from pathlib import Path

import zstandard

from debship.build.dists import Dist, mode_of
from debship.build.plan import BuildPlan
from debship.build.virtualenv import Virtualenv


def layer_key(plan: BuildPlan, level: int, *words: str) -> str:
    """Name what a build keeps: by what it is, and by what every layer of this build depends on.

    Args:
        plan: what is built.
        level: of the compressor.
        words: what it is.
    """
    release = plan.release
    ground = (
        _makers_code(),
        zstandard.__version__,
        ".".join(map(str, zstandard.ZSTD_VERSION)),
        version_of("uv"),
        release.codename,
        str(release.date),
        release.compression,
        str(level),
        plan.machine,
        str(plan.interpreter),
        str(plan.prefix),
        str(plan.python_here),
        *plan.app.build.ignore_libraries,
    )
    return hashlib.sha256(json.dumps([*ground, *words]).encode()).hexdigest()


def contents(dist: Dist, installed: Virtualenv) -> tuple[str, ...]:
    """Say all that is in a distribution: RECORD has a hash of each file, and the modes go beside."""
    record = next(file for file in dist.files if file.endswith(".dist-info/RECORD"))
    modes = (f"{mode_of(f'{installed.prefix}/{file}'):o} {file}" for file in dist.files)
    return ((installed.prefix / record).read_text("utf-8", "surrogateescape"), *modes)


@remembered
def _makers_code() -> str:
    """Name the code that makes layers: when it changes, so may they."""
    rooms = Path(__file__).parents[1]
    digest = hashlib.sha256()
    # More than has a part in it: a list would be forgotten when a module is added.
    for module in sorted((*rooms.glob("build/*.py"), *rooms.glob("debian/*.py"))):
        digest.update(module.read_bytes())
    return digest.hexdigest()
