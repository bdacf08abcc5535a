"""The files that a deploy manages: rendered here, from templates, variables and secrets."""

import functools
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from debship.config.fleet import FleetApp, ManagedFile, SecretSource
from debship.deploy.aws import Aws, read_secret
from debship.deploy.observation import HostState
from debship.errors import Failed, Refused
from debship.model import Secret
from debship.run import Run

if TYPE_CHECKING:  # it takes time to load, and most fleets manage no file
    import jinja2


@dataclass(frozen=True, slots=True)
class RenderedFile:
    """A managed file as one host is to have it; its content may hold secrets, so it is one."""

    path: str
    owner: str
    group: str
    mode: int
    content: Secret
    check: tuple[str, ...] = ()  # see ``checks``

    @property
    def sha256(self) -> str:
        """The digest of the content; compared, never printed."""
        return hashlib.sha256(self.content.reveal().encode()).hexdigest()


def resolve_secrets(
    sources: Mapping[str, SecretSource],
    *,
    run: Run,
    env: Mapping[str, str],
    folder: Path,
    aws: Aws | None = None,
) -> dict[str, Secret]:
    """Get every secret from where it lives; all that are missing are named at once.

    Args:
        folder: what relative paths are relative to.
        aws: the door to AWS, where a secret is of its services.

    Raises:
        Failed: one cannot be had, or is empty; the message never holds a part of one.
    """
    found: dict[str, Secret] = {}
    missing: list[str] = []
    for name, source in sources.items():
        try:
            found[name] = Secret(_usable(source, _resolve(source, run, env, folder, aws)))
        except Failed as error:
            missing.append(f"secret {name}: {error.message}")
        except UnicodeError:  # which shows the bytes that it stumbled over
            missing.append(f"secret {name}: {_told(source)} gives bytes that are no UTF-8")
    if missing:
        raise Failed("\n".join(missing), "nothing was changed; see apps.*.secrets in fleet.toml")
    return found


def _resolve(
    source: SecretSource, run: Run, env: Mapping[str, str], folder: Path, aws: Aws | None
) -> str:
    value = source.value
    if isinstance(value, tuple):
        answer = run(value, cwd=folder, check=False, timeout=60)
        if answer.returncode != 0:
            # Its output may hold the secret, so only its code is told.
            raise Failed(f"the command {value[0]} exited with {answer.returncode}")
        return answer.stdout.decode().rstrip("\n")
    if source.kind == "env":
        if value not in env:
            raise Failed(f"the environment has no {value}")
        return env[value]
    if source.kind == "file":
        try:
            return (folder / value).read_text("utf-8").rstrip("\n")
        except OSError as error:
            raise Failed(f"{folder / value} cannot be read: {error.strerror}") from error
    if aws is None:
        raise Failed(f"nobody opened the door to AWS for {source.kind} {value}")
    return read_secret(source.kind, value, aws)


def _usable(source: SecretSource, value: str) -> str:
    """Refuse what a template would write as nothing, on every host, and what it could not write."""
    value.encode()  # a variable of the environment may be of any bytes
    if not value.strip():
        raise Failed(f"{_told(source)} gives nothing")
    return value


def _told(source: SecretSource) -> str:
    where = source.value[0] if isinstance(source.value, tuple) else source.value
    return f"{source.kind} {where}"


def render_files(
    app: FleetApp, address: str, secrets: Mapping[str, Secret]
) -> tuple[RenderedFile, ...]:
    """Render every managed file of an application for one host.

    Raises:
        Refused: a template is missing, is not valid, or names what nobody defined.
    """
    return tuple(_render(managed, app, address, secrets) for managed in app.files)


def render_without_secrets(app: FleetApp) -> tuple[RenderedFile, ...]:
    """Render the managed files that name neither a secret nor their host; the others are left out."""
    found = []
    for managed in app.files:
        try:
            found.append(_render(managed, app, None, {}))
        except Refused:
            continue
    return tuple(found)


def _render(
    managed: ManagedFile, app: FleetApp, address: str | None, secrets: Mapping[str, Secret]
) -> RenderedFile:
    import jinja2

    values = {
        **app.variables,
        **{name: secret.reveal() for name, secret in secrets.items()},
        **({"host": address} if address is not None else {}),
    }
    try:
        content = _compiled(managed.template.read_text()).render(values)
    except OSError as error:
        raise Refused(f"{managed.template}: cannot be read: {error.strerror}") from error
    except (jinja2.UndefinedError, jinja2.TemplateSyntaxError) as error:
        # These two name variables and lines, never values.
        raise Refused(
            f"{managed.template}: {error.message}",
            f"define it under apps.{app.name}.variables or apps.{app.name}.secrets",
        ) from None
    except Exception as error:  # noqa: BLE001 - a filter may raise anything, with a secret in it
        raise Refused(f"{managed.template}: {type(error).__name__} in the template") from None
    return RenderedFile(
        str(managed.path),
        managed.owner,
        managed.group,
        managed.mode,
        Secret(content),
        managed.check,
    )


@functools.cache
def _compiled(text: str) -> "jinja2.Template":
    """Compile a template once for all hosts."""
    import jinja2

    environment = jinja2.Environment(
        undefined=jinja2.StrictUndefined,
        keep_trailing_newline=True,
        autoescape=False,  # noqa: S701 - configuration files are not HTML
    )
    return environment.from_string(text)


def differing(files: tuple[RenderedFile, ...], state: HostState) -> tuple[RenderedFile, ...]:
    """Find the files that a host does not have as it is to have them."""
    there = {file.path: file for file in state.files}

    def same(wanted: RenderedFile) -> bool:
        has = there.get(wanted.path)
        return has is not None and (has.sha256, has.mode, has.owner, has.group) == (
            wanted.sha256,
            wanted.mode,
            wanted.owner,
            wanted.group,
        )

    return tuple(file for file in files if not same(file))
