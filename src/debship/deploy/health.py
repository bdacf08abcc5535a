"""A host's own health: asked on the host itself, by a probe that debship brings along."""

import json
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

from debship.config.fleet import HealthSettings
from debship.debian.versions import from_pep440
from debship.deploy.host import Host
from debship.errors import Misused
from debship.model import DebVersion


def complaint(
    host: Host, package: str, health: HealthSettings, version: DebVersion, units: Sequence[str]
) -> str:
    """Ask until it is well as often in a row as it must be, or its time is over.

    Args:
        host: asked by a program of the package's own interpreter.
        package: the application's.
        health: where it is asked, for how long, and what it must say.
        version: that it must name, where it names one.
        units: whose end is an answer too.

    Returns:
        what is wrong; "" where nothing is.

    Raises:
        LinkLost, Unreachable: the host could not be asked.
    """
    url = f"http://127.0.0.1:{health.port}{health.path}"
    python = f"/usr/lib/{package}/bin/python"
    words = (python, "-I", "-", url, f"{health.timeout:g}", str(health.times))
    answer = host.run(
        (*words, health.version or "", *units), stdin=_probe(), timeout=health.timeout + 30
    )
    found = _last_object(answer.text)
    if not found.get("ok"):
        said = f"{found.get('status') or 'no answer'}: {found.get('said') or answer.complaint}"
        return f"{url} was not well within {health.timeout:g} s: {said}"
    if health.version and not _same(found.get("version"), version):
        return f"{url} says version {found.get('version')}, not {version.upstream}"
    return ""


@cache
def _probe() -> bytes:
    return (Path(__file__).parent / "probe.py").read_bytes()


def _last_object(text: str) -> dict[str, Any]:
    for line in reversed(text.splitlines()):
        try:
            found = json.loads(line)
        except ValueError:
            continue
        if isinstance(found, dict):
            return found
    return {}


def _same(said: Any, version: DebVersion) -> bool:
    """Whether an application that speaks PEP 440 means this Debian version."""
    if not isinstance(said, str):
        return False
    if said in {version.text, version.upstream}:
        return True
    try:
        return DebVersion(from_pep440(said)).upstream == version.upstream
    except Misused:
        return False
