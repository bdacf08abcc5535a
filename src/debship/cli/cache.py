"""Where debship keeps what it made and can make again."""

import os
from pathlib import Path


def cache_folder() -> Path:
    """Give DEBSHIP_CACHE, or the system's place for root, or the user's (XDG)."""
    if named := os.environ.get("DEBSHIP_CACHE"):
        return Path(named).resolve()
    if os.geteuid() == 0:
        return Path("/var/cache/debship")
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache").resolve() / "debship"
