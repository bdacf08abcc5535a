"""The five answers before anybody gave them: guessed from what a project says of itself."""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from debship.config.app_file import from_project
from debship.config.mistakes import found
from debship.templates import render

LOCKS = ("uv.lock", "pylock.toml", "requirements.txt")
_SERVERS = ("gunicorn", "uvicorn", "hypercorn", "waitress")
_FOR_DEVELOPERS = frozenset({"mypy.ini", "pylint.ini", "pytest.ini", "tox.ini"})
_PORT = re.compile(r"(?:--bind|-b|--listen|--port|-p)[ =](?:\S*:)?(?P<port>[0-9]{1,5})\b")


@dataclass(frozen=True, slots=True)
class Draft:
    """What debship.toml will say.

    Attributes:
        maintainer: None where nothing tells.
        build: the command that builds the wheel; None leaves it to debship.
        configs: pairs of a path below /etc and the file beside debship.toml.
        exec: what starts it; None where nothing tells.
    """

    name: str
    summary: str
    maintainer: str | None
    lock: str | None = None
    needs: tuple[str, ...] = ()
    build: str | None = None
    depends: tuple[str, ...] = ()
    configs: tuple[tuple[str, str], ...] = ()
    exec: str | None = None

    @property
    def port(self) -> int | None:
        """The port that the command names."""
        match = _PORT.search(self.exec or "")
        return int(match["port"]) if match else None


def guess(directory: Path, pyproject: Mapping[str, Any], maintainer: str | None) -> Draft:
    """Guess the answers.

    Args:
        directory: the application's folder.
        pyproject: what its pyproject.toml says; empty where there is none.
        maintainer: who asks, as "Name <address>"; what the project says goes before.
    """
    project = next((table for _, table in found(pyproject, "project")), None)
    said = dict(from_project(project))
    name = said.get("name") or re.sub(r"[^a-z0-9+.]+", "-", directory.name.lower()).strip("-")
    files = sorted(path.name for path in directory.iterdir() if path.is_file())
    return Draft(
        name=name,
        summary=said.get("summary") or f"{name} service",
        maintainer=said.get("maintainer") or maintainer,
        lock=next((lock for lock in LOCKS if lock in files), None),
        configs=tuple((f"/etc/{name}/{file}", file) for file in files if _configures(file)),
        exec=next(_commands(name, project, directory), None),
    )


def render_draft(draft: Draft) -> str:
    """Write debship.toml; what has no answer stands there commented."""
    return render(
        "init/debship.toml.j2",
        {
            "plain_name": draft.name,
            "name": _toml(draft.name),
            "summary": _toml(draft.summary),
            "maintainer": _toml(draft.maintainer or ""),
            "needs": _list(draft.needs),
            "build": _toml(draft.build) if draft.build else "",
            "lock": _toml(draft.lock) if draft.lock else "",
            "depends": _list(draft.depends),
            "configs": [(_toml(path), _toml(source)) for path, source in draft.configs],
            "exec": _toml(draft.exec or ""),
            "kind": _toml("web" if draft.port else "worker"),
            "port": draft.port,
        },
    )


def _configures(file: str) -> bool:
    """Whether a file looks like one that the service reads, and not a tool of its developers."""
    hidden = file.startswith(".")
    return file.endswith((".conf", ".ini")) and not hidden and file not in _FOR_DEVELOPERS


def _commands(name: str, project: object, directory: Path) -> Iterator[str]:
    """The likely ones, best first."""
    needs = [str(need) for _, need in found(project, "dependencies", "*")]
    servers = [server for server in _SERVERS if any(re.match(server, need) for need in needs)]
    module = name.replace("-", "_")
    if servers:
        place = f"{module}.wsgi" if list(directory.glob(f"**/{module}/wsgi.py")) else module
        port = "--port 8000 --host 0.0.0.0" if servers[0] == "uvicorn" else "--bind 0.0.0.0:8000"
        yield f"{servers[0]} {port} {place}:app"
    named = [loc[-1] for loc, _ in found(project, "scripts", "*")]
    scripts = [script for script in named if isinstance(script, str)]
    yield from sorted(scripts, key=lambda script: (script != name, script))


def _toml(text: str) -> str:
    """A basic string of TOML: JSON's escapes are a subset of its own, but for DEL."""
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")


def _list(words: tuple[str, ...]) -> str:
    return f"[{', '.join(_toml(word) for word in words)}]" if words else ""
