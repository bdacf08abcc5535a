"""What debship.toml says, kept between builds: checking it takes longer than a build may."""

import hashlib
import json
from pathlib import Path

from debship.build.cache import Cache
from debship.config.app import App
from debship.frozen import from_json, paths, to_json

_FILES = ("debship.toml", "pyproject.toml")


def read_app_once(directory: Path, cache: Cache) -> App:
    """Read what a folder says about its application, or find what it said when it was the same.

    Args:
        directory: the application's folder.
        cache: where it is kept.

    Raises:
        Misused: as ``read_app``.
    """
    key = _key(directory)
    facts = cache.facts(key)
    if facts is not None:
        app = from_json(App, json.loads(facts))
        if all(path.exists() for path in paths(app)):
            return app
    from debship.config.app_file import read_app

    app = read_app(directory)
    cache.keep(key, json.dumps(to_json(app)).encode())
    return app


def _key(directory: Path) -> str:
    """Name the files and the code that reads them."""
    digest = hashlib.sha256(str(directory.resolve()).encode())
    for name in _FILES:
        path = directory / name
        digest.update(path.read_bytes() if path.is_file() else b"")
        digest.update(b"\0")
    rooms = Path(__file__).parents[1]
    for module in sorted((*rooms.glob("config/*.py"), *rooms.glob("*.py"))):
        digest.update(module.read_bytes())
    return digest.hexdigest()
