"""What the service is told: auth.conf for what anybody may know, the environment for the secret."""

import configparser
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

DEFAULT = Path("/etc/mycompany/auth/auth.conf")


@dataclass(frozen=True)
class Settings:
    issuer: str
    lifetime: int  # seconds that a token is good for
    secret: str | None = field(default=None, repr=False)


def read_settings(environ: Mapping[str, str] = os.environ, path: Path | None = None) -> Settings:
    """Read the file that the argument, AUTH_CONFIG, or the default names."""
    path = path or Path(environ.get("AUTH_CONFIG", DEFAULT))
    parser = configparser.ConfigParser(interpolation=None)
    with path.open() as file:
        parser.read_file(file)
    return Settings(
        issuer=parser.get("auth", "issuer"),
        lifetime=parser.getint("auth", "lifetime", fallback=300),
        secret=environ.get("AUTH_SECRET") or None,
    )
