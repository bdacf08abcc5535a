"""Hosts, a balancer and a clock that are not real: they obey the words that a roll speaks."""

import contextlib
import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

from debship.deploy.balancer.door import Member, Standing, Terms
from debship.deploy.command import put_words
from debship.deploy.host import Answer, LinkLost, Unreachable
from debship.errors import Failed

# As apt 2.6.2 says it.
LISTS_LOCKED = b"""\
E: Could not get lock /var/lib/apt/lists/lock. It is held by process 4711 (apt-get)
E: Unable to lock directory /var/lib/apt/lists/
"""
_READS_STDIN = frozenset({"put", "keep", "settle", "note", "check-file"})


@dataclass
class FakeClock:
    """Time that passes only when somebody sleeps."""

    at: float = 1000.0

    def monotonic(self) -> float:
        return self.at

    def sleep(self, seconds: float) -> None:
        self.at += seconds

    def now(self) -> str:
        return f"2026-01-01T00:00:00+00:00 ({self.at:.1f})"


@dataclass
class Behaviour:
    """How one version of the application behaves."""

    installs: bool = True
    starts: bool = True
    healthy: bool = True
    says: str | None = None  # the version that its health answer states


@dataclass
class File:
    content: bytes
    owner: str = "root"
    group: str = "root"
    mode: int = 0o644
    changed: int = 0


@dataclass
class FakeHost:
    """One Debian host: dpkg, systemd and files, as far as a roll looks at them."""

    address: str
    clock: FakeClock
    package: str = "auth"
    abbrev: str = "ii "
    version: str | None = "1.0-1"
    running: str | None = "1.0-1"
    active: str = "active"
    enabled: str = "enabled"
    started: int = 900
    offered: tuple[str, ...] = ("1.1-1", "1.0-1")
    cached: set[str] = field(default_factory=set)
    files: dict[str, File] = field(default_factory=dict)
    behaviours: dict[str, Behaviour] = field(default_factory=dict)
    log: list[str] = field(default_factory=list)  # what was changed, in order
    socket: str | None = None  # the state of the unit that holds the port, where there is one
    calls: int = 0
    dead: bool = False
    fault: Callable[[str], None] | None = None  # called before and after each word of a roll
    serving: bool = True
    also: str = ""  # more lines of a simulation
    judge: Callable[[Sequence[str], bytes], None] = lambda _argv, _stdin: None  # of each command
    hook: Callable[[str], Answer] | None = None  # what the user's own commands do here
    check: Callable[[bytes], Answer] | None = None  # the application's opinion of a new file
    beside: set[str] = field(default_factory=set)  # other packages, as NAME=VERSION
    takes: bool = True  # whether other packages can be installed
    lock: list[str] = field(default_factory=lambda: ["-", "0"])  # as the file has it
    heard: float = 0.0  # when the lock's file was last touched
    working: int = 0  # guarded commands that run now
    invocation: int = 1
    restarts: int = 0
    unit: str | None = None  # the state of the unit that carries apt
    going_down: bool = False  # somebody shuts it down
    room: bool = True  # for one more version on the disk
    dpkg_locked_until: float = 0.0
    lists_locked_until: float = 0.0
    conffile: str = ""  # a conffile that an administrator edited

    def run(self, argv: Sequence[str], *, stdin: bytes = b"", timeout: float = 60.0) -> Answer:
        if self.dead:
            raise Unreachable(f"{self.address}: no connection")
        self.calls += 1
        name = verb(argv)
        self._fault(f"before {name}")
        answer = self.obey(argv, stdin)
        self._fault(f"after {name}")
        return answer

    def obey(self, argv: Sequence[str], stdin: bytes = b"") -> Answer:
        """Do what a command says, at once; the guard of a lock holds."""
        self.judge(argv, stdin)
        words = tuple(argv)
        if words[3:4] == ("debship-guard",):
            if self.lock[0] != words[5]:
                return Answer(75, b"", f"debship: fenced by {' '.join(self.lock)}".encode())
            self.heard = self.clock.at
            words = words[6:]
        name = verb(words).partition(" ")[0]
        if words[3:4] == ("debship-keep",):
            name = "keep"
        return self._do(words, name, stdin)

    def put(self, path: str, data: bytes, *, owner: str, group: str, mode: int) -> None:
        if self.dead:
            raise Unreachable(f"{self.address}: no connection")
        self.calls += 1
        self._fault(f"before put {path}")
        self.judge(put_words(path, owner, group, mode), data)
        self._put(put_words(path, owner, group, mode), data)
        self._fault(f"after put {path}")

    def close(self) -> None:
        pass

    @property
    def healthy(self) -> bool:
        here = self.running is not None and self.active == "active"
        return here and self.behaviours.get(self.running or "", Behaviour()).healthy

    def _fault(self, moment: str) -> None:
        if self.fault is not None:
            self.fault(moment)

    def _do(self, argv: tuple[str, ...], name: str, stdin: bytes) -> Answer:
        handler = getattr(self, f"_{name.replace('-', '_')}", None)
        if handler is None:
            raise AssertionError(f"the fake host knows no {argv}")
        result = handler(argv, stdin) if name in _READS_STDIN else handler(argv)
        return result if isinstance(result, Answer) else Answer(0, (result or "").encode(), b"")

    @property
    def folder(self) -> str:
        return f"/var/lib/debship/{self.package}"

    def _lock(self, argv: tuple[str, ...]) -> str:
        what, _path, *words = argv[3:]
        roll, number = self.lock[0], int(self.lock[1])
        age = int(self.clock.at) - int(self.heard)
        held = f"held {' '.join(self.lock)} {age}"
        if self.working or what == "show":
            return held if roll != "-" else f"free {number}"
        if what == "take":
            if roll not in {"-", words[0], words[4]}:
                return held
            self.lock = [words[0], str(number + 1), *words[1:4]]
            self.heard = self.clock.at
            return f"taken {number + 1}"
        if roll != "-" and roll != words[0]:
            return held
        self.lock = ["-", str(number)]
        return f"free {number}"

    def _put(self, argv: tuple[str, ...], stdin: bytes) -> None:
        path, owner, group, mode = argv[4:]
        self.files[path] = File(stdin, owner, group, int(mode, 8), int(self.clock.at))
        self.log.append(f"put {path}")

    def _keep(self, argv: tuple[str, ...], stdin: bytes) -> None:
        out = f"{self.folder}/out.json"
        if argv[5] == "keep" and out not in self.files:
            for path in [path for path in self.files if path.startswith(f"{self.folder}/kept/")]:
                del self.files[path]
            for path in argv[6:]:
                if path in self.files:
                    self.files[f"{self.folder}/kept{path}"] = replace(self.files[path])
        self.files[out] = File(stdin)
        self.log.append(f"put {out}")

    def _return(self, argv: tuple[str, ...]) -> str:
        changed = []
        for path in argv[5:]:
            kept, has = self.files.get(f"{self.folder}/kept{path}"), self.files.get(path)
            if kept is not None and (has is None or has.content != kept.content):
                self.files[path] = replace(kept, changed=int(self.clock.at))
                self.log.append(f"put {path}")
                changed.append(path)
        return "\n".join(changed)

    def _check_file(self, argv: tuple[str, ...], stdin: bytes) -> Answer:
        assert "{path}" in argv[9:]
        return self.check(stdin) if self.check else Answer(0, b"", b"")

    def _diff(self, argv: tuple[str, ...]) -> str:
        return f"--- {argv[6]} of the package\n+++ {argv[6]} here\n+listen = hunter2\n"

    def _note(self, argv: tuple[str, ...], stdin: bytes) -> None:
        self.files.setdefault(f"{self.folder}/once.jsonl", File(b"")).content += stdin

    def _hook(self, argv: tuple[str, ...]) -> Answer:
        at = next(word for word in argv if word.startswith("DEBSHIP_MOMENT=")).partition("=")[2]
        self.log.append(f"{at} {argv[-1]}")
        return self.hook(argv[-1]) if self.hook else Answer(0, b"", b"")

    def _settle(self, argv: tuple[str, ...], stdin: bytes) -> None:
        line, _, record = stdin.partition(b"\n")
        history = self.files.setdefault(f"{self.folder}/history.jsonl", File(b""))
        history.content += line + b"\n"
        if record:
            self.files[f"{self.folder}/version.json"] = File(record)
        self.files.pop(f"{self.folder}/out.json", None)
        self.unit = None
        self.log.append("settle")

    def _room(self, argv: tuple[str, ...]) -> str:
        return "" if self.room else "short /usr has 10 KiB free, and 99999 are needed"

    def _apt_mark(self, argv: tuple[str, ...]) -> Answer | None:
        if self.dpkg_locked_until > self.clock.at:
            return Answer(
                100, b"", b"dpkg: error: dpkg frontend lock was locked by another process"
            )
        self.abbrev = "h" + self.abbrev[1:]
        self.log.append("hold")
        return None

    def _true(self, argv: tuple[str, ...]) -> None:
        pass

    def _observe(self, argv: tuple[str, ...]) -> str:
        lines = []
        if self.version is not None:
            lines.append(f"package {self.abbrev}|{self.version}")
            lines += [
                f"unit Id={self.package}.service",
                f"unit ActiveState={self.active}",
                "unit SubState=running",
                f"unit NRestarts={self.restarts}",
                f"unit InvocationID={self.invocation:x}",
                f"unit UnitFileState={self.enabled}",
                f"unit MainPID={7 * (self.active == 'active')}",
                "unit ",
            ]
            if self.active == "active":
                lines.append(f"process 7 {self.started} {self.running}")
            if self.socket is not None:
                lines += [f"unit Id={self.package}.socket", f"unit ActiveState={self.socket}"]
                lines += ["unit UnitFileState=enabled", "unit "]
        lines += ["unit Id=shutdown.target", "unit ActiveState=inactive"]
        lines += ["unit Job=412"] * self.going_down + ["unit "]
        if self.unit is not None:
            lines += [f"unit Id=debship-install-{self.package}.service", "unit LoadState=loaded"]
            result = "exit-code" if self.unit == "failed" else "success"
            lines += [f"unit ActiveState={self.unit}", f"unit Result={result}"]
            lines.append("unit InvocationID=cafe")
        if self.conffile:
            lines.append(f"edited {self.conffile}")
        for path in argv[4:]:
            if path in self.files:
                file = self.files[path]
                digest = hashlib.sha256(file.content).hexdigest()
                about = f"{file.mode:o} {file.owner} {file.group} {file.changed}"
                lines.append(f"file {about} {digest} {path}")
        once = self.files.get(f"{self.folder}/once.jsonl", File(b"")).content.decode()
        lines += [f"once {line}" for line in once.splitlines()]
        for record in ("out.json", "version.json"):
            path = f"/var/lib/debship/{self.package}/{record}"
            if path in self.files:
                lines.append(f"{record} {self.files[path].content.decode().strip()}")
        return "\n".join(lines)

    def _update(self, argv: tuple[str, ...]) -> Answer:
        """Fail at once where another apt reads: it waits for dpkg's lock alone."""
        if self.lists_locked_until > self.clock.at:
            return Answer(100, b"", LISTS_LOCKED)
        return Answer(0, b"", b"")

    def _check(self, argv: tuple[str, ...]) -> Answer:
        return self._waited_for_dpkg() or Answer(0, b"", b"")

    def _waited_for_dpkg(self) -> Answer | None:
        """Wait for dpkg's lock as apt does; its complaint where that was in vain."""
        left = self.dpkg_locked_until - self.clock.at
        if left <= 0:
            return None
        self.clock.sleep(min(left, 120.0))
        if left > 120:
            return Answer(100, b"", b"E: Could not get lock /var/lib/dpkg/lock-frontend")
        return None

    def _madison(self, argv: tuple[str, ...]) -> str:
        return "\n".join(f" {self.package} | {v} | repo Packages" for v in self.offered)

    def _fetch(self, argv: tuple[str, ...]) -> Answer:
        version = argv[-1].partition("=")[2]
        if version not in self.offered:
            return Answer(100, b"", f"E: Version '{version}' was not found".encode())
        self.cached.add(version)
        return Answer(0, b"", b"")

    def _kept(self, argv: tuple[str, ...]) -> Answer:
        kept = argv[5] in self.cached and argv[5] in self.offered
        return Answer(0 if kept else 1, b"", b"")

    def _simulate(self, argv: tuple[str, ...]) -> str:
        version = argv[-1].partition("=")[2]
        return f"Inst {self.package} [{self.version}] ({version} repo [all])\n{self.also}"

    def _install(self, argv: tuple[str, ...]) -> Answer:
        """Run apt or dpkg in a unit: only there do maintainer scripts leave services alone."""
        quiet = any(word.startswith("--setenv=DEBSHIP_ROLL=") for word in argv)
        if "APT::Get::Mark-Auto=true" in argv:
            answer = self._ahead(argv)
        elif "--configure" in argv:
            answer = self._configure(argv)
        else:
            answer = self._waited_for_dpkg() or self._apt(argv)
        if not quiet:
            self.restart()
        self.unit = "failed" if answer.returncode else "active"
        return answer

    def _apt(self, argv: tuple[str, ...]) -> Answer:
        version = argv[-1].partition("=")[2]
        if "--no-download" not in argv and version in self.offered:
            self.cached.add(version)
        if version not in self.cached:
            return Answer(100, b"", b"E: it was not fetched before")
        if "--reinstall" not in argv and (self.abbrev[1:], self.version) == ("i ", version):
            return Answer(0, b"", b"")
        if self.abbrev == "iHR" and self.version == version and "--reinstall" not in argv:
            return Answer(0, b"1 not fully installed or removed.", b"")
        if not self.room:
            return Answer(100, b"", b"dpkg: error: No space left on device")
        self.log.append(f"install {version}")
        self.version = version
        if not self.behaviours.get(version, Behaviour()).installs:
            self.abbrev = "iF "
            return Answer(100, b"", b"E: Sub-process /usr/bin/dpkg returned an error code (1)")
        held = any(word.startswith("DPkg::Post-Invoke::=") for word in argv)
        self.abbrev = "hi " if held else "ii "
        return Answer(0, b"", b"")

    def _ahead(self, argv: tuple[str, ...]) -> Answer:
        target = argv[-1]
        self.log.append(f"ahead {target}")
        if not self.takes:
            return Answer(100, b"", b"dpkg: error processing archive")
        self.beside.add(target)
        return Answer(0, b"", b"")

    def _dpkg_query(self, argv: tuple[str, ...]) -> str:
        return "\n".join(f"ii |{target}" for target in self.beside)

    def _configure(self, argv: tuple[str, ...]) -> Answer:
        if self.abbrev in {"iF ", "iU "}:
            if not self.behaviours.get(self.version or "", Behaviour()).installs:
                return Answer(1, b"", b"dpkg: error processing package")
            self.abbrev = "ii "
        return Answer(0, b"", b"")

    def restart(self) -> Behaviour:
        """Start what is installed, whoever asks."""
        behaviour = self.behaviours.get(self.version or "", Behaviour())
        self.running, self.started = self.version, int(self.clock.at)
        self.invocation += 1
        self.restarts = 0
        self.active = "active" if behaviour.starts else "failed"
        return behaviour

    def _restart(self, argv: tuple[str, ...]) -> Answer:
        if not argv[4:]:
            return Answer(0, b"", b"")
        if self.socket is not None:
            self.log.append(f"restart {' '.join(argv[4:])}")
        self.log.append("restart")
        return Answer(0 if self.restart().starts else 1, b"", b"")

    def _systemctl(self, argv: tuple[str, ...]) -> Answer:
        if argv[1] == "stop" and argv[2].startswith("debship-install-"):
            self.unit = None
        elif self.socket is not None and argv[1] in ("start", "stop"):
            self.log.append(" ".join(argv[1:]))
            if argv[1:] == ("start", f"{self.package}.socket"):
                self.socket = "active"
        return Answer(0, b"", b"")

    def _probe(self, argv: tuple[str, ...]) -> str:
        behaviour = self.behaviours.get(self.running or "", Behaviour())
        says = behaviour.says or (self.running or "").partition("-")[0]
        ok = self.healthy
        return json.dumps({"ok": ok, "status": 200 if ok else 500, "said": "", "version": says})

    def _journalctl(self, argv: tuple[str, ...]) -> str:
        return "Traceback: ModuleNotFoundError"

    def _cat(self, argv: tuple[str, ...]) -> Answer:
        file = self.files.get(argv[-1])
        return Answer(0, file.content, b"") if file else Answer(1, b"", b"no such file")

    def _rm(self, argv: tuple[str, ...]) -> None:
        self.files.pop(argv[-1], None)

    def _test(self, argv: tuple[str, ...]) -> None:
        pass


def verb(argv: Sequence[str]) -> str:
    """What a command is for, in one word."""
    words = list(argv)
    if words[3:4] == ["debship-guard"]:
        words = words[6:]
    if words[:2] == ["sh", "-s"]:
        return f"lock {words[3]}" if words[3] in {"take", "show", "drop"} else "observe"
    if words[:2] == ["sh", "-c"]:
        name = words[3].removeprefix("debship-")
        if name in {"put", "keep"}:
            return f"put {words[4]}" + ("/out.json" if name == "keep" else "")
        return name
    if words[0] == "systemd-run":
        return "install"
    if "apt-get" in words:
        flags = {"--download-only": "fetch", "--simulate": "simulate"}
        return next((flags[w] for w in words if w in flags), words[-1])
    if words[0] == "apt-cache":
        return "madison"
    if words[0] == "env" and any(word.startswith("DEBSHIP_MOMENT=") for word in words):
        return "hook"
    if words[-1] == "-a" and "--configure" in words:
        return "configure"
    if words[0].endswith("/bin/python"):
        return "probe"
    return words[0]


class OneByOne:
    """Workers that do one thing after the other, and nothing beside."""

    def mutex(self):
        return contextlib.nullcontext()

    def together(self, calls):
        return [call() for call in calls]

    @contextlib.contextmanager
    def beside(self, action, every):
        yield


@dataclass
class FakeBalancer:
    """A balancer over fake hosts; remembers the smallest number that ever served."""

    hosts: tuple[FakeHost, ...]
    clock: FakeClock
    name: str = "fake/auth"
    terms: Terms = field(default_factory=lambda: Terms(drain=5.0, rise=60.0))
    held: set[str] = field(default_factory=set)
    inflight: dict[str, int] = field(default_factory=dict)
    log: list[str] = field(default_factory=list)
    broken: bool = False

    def members(self) -> tuple[Member, ...]:
        if self.broken:
            raise Failed("fake/auth: no answer")
        return tuple(self._member(host) for host in self.hosts)

    def absent(self, names: frozenset[str]) -> Member | None:
        return None

    def take_out(self, member: Member) -> None:
        self.log.append(f"out {member.id}")
        self.held.add(member.id)
        host = self._host(member.id)
        host.serving = False

    def put_back(self, member: Member) -> None:
        self.log.append(f"back {member.id}")
        self.held.discard(member.id)
        self._host(member.id).serving = True

    def health(self, member: Member) -> Member:
        return next(m for m in self.members() if m.id == member.id)

    def _host(self, name: str) -> FakeHost:
        return next(host for host in self.hosts if host.address == name)

    def _member(self, host: FakeHost) -> Member:
        left = self.inflight.get(host.address, 0)
        if host.address in self.held:
            if left:
                self.inflight[host.address] = left - 1
            standing = Standing.DRAINING if left else Standing.OUT
        else:
            standing = Standing.IN if host.healthy and not host.dead else Standing.DOWN
        member = Member(self.name, host.address, host.address, 8101, standing, left)
        return replace(member, note=standing.value)


def lose_link(at: str, times: int = 1) -> Callable[[str], None]:
    """A fault: the link is lost at this moment, that often."""
    left = [times]

    def fault(moment: str) -> None:
        if moment == at and left[0]:
            left[0] -= 1
            raise LinkLost(f"the link was lost {at}")

    return fault
