"""What debship.toml says, kept between builds: checking it takes longer than a build may."""

import hashlib
import json
from pathlib import Path

from debship.build.cache import Cache
from debship.config.app import App
from debship.config.app_file import Written, find_app
from debship.frozen import from_json, paths, to_json


def read_app_once(directory: Path, cache: Cache) -> App:
    """Read what a folder says about its application, or find what it said when it was the same.

    Args:
        directory: the application's folder.
        cache: where it is kept.

    Raises:
        Misused: as ``read_app``.
    """
    written = find_app(directory)
    key = _key(written)
    facts = cache.facts(key)
    if facts is not None:
        app = from_json(App, json.loads(facts))
        if all(path.exists() for path in paths(app)):
            return app
    app = written.read()
    cache.keep(key, json.dumps(to_json(app)).encode())
    return app


def _key(written: Written) -> str:
    """Name what is written, and the code that reads it.

    The rest of pyproject.toml has no part in it: a new version of the application stands there.
    """
    said = repr((str(written.path), written.inside, written.table))
    digest = hashlib.sha256(said.encode(errors="surrogateescape"))
    rooms = Path(__file__).parents[1]
    for module in sorted((*rooms.glob("config/*.py"), *rooms.glob("*.py"))):
        digest.update(module.read_bytes())
    return digest.hexdigest()
