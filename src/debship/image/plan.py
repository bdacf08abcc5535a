"""What an image will be, decided before docker is called."""

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from debship.debian.releases import Release
from debship.errors import Misused, Refused
from debship.image.contents import Contents
from debship.image.unit import Unit
from debship.model import Deb
from debship.templates import render

# Names in the build context: such as need no quoting.
CONTEXT_DEB = "package.deb"
CONTEXT_DEPENDENCIES = "dependencies.deb"
IIDFILE = "image-id"

Builder = Literal["buildkit", "classic"]

# As Docker's own grammar has it, in distribution/reference.
_PART = r"[a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*"
_LABEL = r"(?:[A-Za-z0-9]|[A-Za-z0-9][A-Za-z0-9-]*[A-Za-z0-9])"
_DOMAIN = rf"(?:{_LABEL}(?:\.{_LABEL})*|\[[a-fA-F0-9:]+\])(?::[0-9]+)?"
_TAGGED = rf"(?:{_DOMAIN}/)?{_PART}(?:/{_PART})*(?::[A-Za-z0-9_][A-Za-z0-9_.-]{{0,127}})?"
_TAG = re.compile(_TAGGED)
_BASE = re.compile(rf"{_TAGGED}(?:@sha256:[0-9a-f]{{64}})?")
# Opens the port as descriptor 3 and becomes the command (sd_listen_fds(3)).
_HOLD = (
    "import os, socket, sys; both = socket.has_dualstack_ipv6(); "
    "held = socket.create_server(('', int(sys.argv[1])), backlog=4096, dualstack_ipv6=both, "
    "family=socket.AF_INET6 if both else socket.AF_INET); "
    "os.dup2(held.fileno(), 3); os.set_inheritable(3, True); "
    "os.environ.update(LISTEN_FDS='1', LISTEN_PID=str(os.getpid())); "
    "os.execv(sys.argv[2], sys.argv[2:])"
)
_VARIABLE = re.compile(r"\$\$|\$\{([A-Za-z_][A-Za-z0-9_]*)\}|\$")


@dataclass(frozen=True, slots=True)
class ImagePlan:
    """An image of one service of one package.

    Attributes:
        dockerfile: the text of the Dockerfile.
        beside: what lies beside it, as pairs of a name and the .deb.
        build: the command, run in the folder of the Dockerfile; it leaves the id in ``IIDFILE``.
        push: the command that gives the image away; None where it stays.
        usage: one command line that runs it, configuration mounted.
    """

    deb: Deb
    dockerfile: str
    beside: tuple[tuple[str, Path], ...]
    build: tuple[str, ...]
    push: tuple[str, ...] | None
    usage: str


def plan_image(
    contents: Contents,
    tag: str,
    *,
    base: str | None = None,
    service: str | None = None,
    network: str | None = None,
    push: bool = False,
    builder: Builder = "buildkit",
    date: int | None = None,
) -> ImagePlan:
    """Decide what the image is.

    Args:
        contents: of the package.
        tag: what the image is called.
        base: the image it starts from; None is the slim one of the package's own release.
        service: which service it runs; None where there is only one to mean.
        network: what the build sees of the network, as ``docker build --network`` has it.
        push: whether it is pushed.
        builder: the classic builder cannot mount, so it keeps the .deb in a layer.
        date: seconds since 1970 for SOURCE_DATE_EPOCH; None is the package's own.

    Raises:
        Misused: a tag or a base is not the name of an image.
        Refused: it is not clear what the image runs, or on what.
    """
    for option, name, form in (("--tag", tag, _TAG), ("--base", base, _BASE)):
        if name is not None and not form.fullmatch(name):
            raise Misused(f'{option}: "{name}" is not the name of an image')
    unit = contents.service(service)
    base = base or _base(contents.release)
    beside = [(CONTEXT_DEB, contents.deb.path)]
    if contents.dependencies:
        beside.append((CONTEXT_DEPENDENCIES, contents.dependencies.path))
    return ImagePlan(
        deb=contents.deb,
        dockerfile=_dockerfile(contents, unit, base, builder),
        beside=tuple(beside),
        build=(
            *("docker", "build", "--tag", tag, "--iidfile", IIDFILE),
            # Else a step that fails leaves its container.
            *(("--force-rm",) if builder == "classic" else ()),
            *("--build-arg", f"SOURCE_DATE_EPOCH={contents.date if date is None else date}"),
            *(("--network", network) if network else ()),
            ".",
        ),
        push=("docker", "push", tag) if push else None,
        usage=_usage(contents, unit, tag),
    )


def _base(release: Release) -> str:
    slim = "-slim" if release.distribution == "debian" else ""
    return f"{release.distribution}:{release.codename}{slim}"


def _dockerfile(contents: Contents, unit: Unit, base: str, builder: Builder) -> str:
    deb = contents.deb
    labels = {
        "org.opencontainers.image.title": deb.package,
        "org.opencontainers.image.version": deb.version.text,
        "org.debship.package.sha256": deb.sha256,
        "org.debship.conffiles": " ".join(contents.conffiles),
        "org.debship.env-files": " ".join(unit.env_files),
    }
    return render(
        "Dockerfile.j2",
        {
            "base": base,
            "debs": [CONTEXT_DEB, *([CONTEXT_DEPENDENCIES] if contents.dependencies else [])],
            "mounted": builder == "buildkit",
            "unit": unit,
            "environment": [(name, _quoted(value)) for name, value in unit.environment],
            "labels": [(name, _quoted(value)) for name, value in labels.items() if value],
            "command": json.dumps([*_holder(contents, unit), *command(unit)]),
        },
    )


def _holder(contents: Contents, unit: Unit) -> list[str]:
    """Give the words before a command that is handed its port, as systemd would hand it.

    Raises:
        Refused: the package depends on no Python that could.
    """
    if unit.port is None:
        return []
    if contents.python is None:
        raise Refused(
            f"{unit.name}.socket holds port {unit.port}, and the package depends on no python3.X "
            "that could do so in a container"
        )
    return [f"/usr/bin/python{contents.python}", "-c", _HOLD, str(unit.port)]


def command(unit: Unit) -> list[str]:
    """The unit's command as a container runs it; variables need a shell to fill them in.

    Raises:
        Refused: a ``$`` starts no ``${NAME}``: systemd would split what it stands for into words.
    """
    if not any(match[1] for word in unit.words for match in _VARIABLE.finditer(word)):
        return [_literal(word, unit) for word in unit.words]
    return ["/bin/sh", "-c", "exec " + " ".join(_for_shell(word, unit) for word in unit.words)]


def _literal(word: str, unit: Unit) -> str:
    if "$" in word.replace("$$", ""):
        raise Refused(
            f"{unit.name}.service: {word} holds a variable that is split into words",
            "write ${NAME}, which stays one word",
        )
    return word.replace("$$", "$")


def _for_shell(word: str, unit: Unit) -> str:
    """Quote all but ``${NAME}``, which both systemd and a shell within "" keep as one word."""
    text, end = "", 0
    for match in _VARIABLE.finditer(word):
        if match[1]:
            text += _within_quotes(_literal(word[end : match.start()], unit)) + match[0]
            end = match.end()
    return f'"{text}{_within_quotes(_literal(word[end:], unit))}"'


def _within_quotes(text: str) -> str:
    return re.sub(r'([\\"$`])', r"\\\1", text)


def _quoted(value: str) -> str:
    """Write a value as ENV and LABEL want it.

    Raises:
        Refused: a Dockerfile cannot hold it, for it goes over lines.
    """
    if any(ord(character) < 32 for character in value):
        raise Refused(f"a Dockerfile cannot hold this value: {value!r}")
    return '"' + re.sub(r'([\\"$])', r"\\\1", value) + '"'


def _usage(contents: Contents, unit: Unit, tag: str) -> str:
    mounts = [f"--volume ./{path.rpartition('/')[2]}:{path}:ro" for path in contents.conffiles]
    files = [f"--env-file ./{path.rpartition('/')[2]}" for path in unit.env_files]
    folders = [
        f"--volume {contents.deb.package}-state:{folder}"
        for folder in unit.folders
        if folder.startswith("/var/lib/")
    ]
    return " ".join(["docker run --init --publish PORT:PORT", *mounts, *files, *folders, tag])
