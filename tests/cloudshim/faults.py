"""What AWS does to its callers, on request."""

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Call:
    """One request as it arrived."""

    service: str  # as IAM calls it
    action: str
    arguments: dict[str, Any]

    @property
    def name(self) -> str:
        return f"{self.service}:{self.action}"

    @property
    def mutates(self) -> bool:
        return not self.action.startswith(("Describe", "Get", "List"))


@dataclass
class Fault:
    """The next so many calls of an action go wrong in one way."""

    kind: str  # throttle, error, denied, lost (done, and the answer is lost)
    action: str = ""  # "" is any
    times: int = 1

    def meets(self, call: Call) -> bool:
        return self.times > 0 and self.action in {"", call.action}


@dataclass
class Faults:
    """The faults that wait for their call, and every call that came."""

    waiting: list[Fault] = field(default_factory=list)
    chance: Callable[[Call], str] = lambda _: ""  # a kind of fault for a call, or ""
    calls: list[Call] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def add(self, kind: str, action: str = "", times: int = 1) -> None:
        with self._lock:
            self.waiting.append(Fault(kind, action, times))

    def meet(self, call: Call) -> str:
        """Note a call, and say what goes wrong with it; "" for nothing."""
        with self._lock:
            self.calls.append(call)
            for fault in self.waiting:
                if fault.meets(call):
                    fault.times -= 1
                    return fault.kind
            return self.chance(call)

    @property
    def mutations(self) -> list[str]:
        return [call.name for call in self.calls if call.mutates]
