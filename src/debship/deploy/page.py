"""A roll's report as one HTML file: a picture of each host's time, with nothing from elsewhere."""

import math
from collections.abc import Iterator
from dataclasses import dataclass

from debship import templates
from debship.deploy.report import HostReport, RollReport

# What a host does until the step that ends it; a turn that went back repeats some.
KINDS = {
    "drained": "draining",
    "installed": "installing",
    "configured": "installing",
    "restarted": "restarting",
    "well": "proving",
    "back": "returning",
}
_LEFT, _RIGHT = 190, 20  # of the picture's own units, beside the bars
_WIDTH, _ROW, _FOOT = 1000, 26, 34


@dataclass(frozen=True, slots=True)
class Bar:
    """One stretch of one host's time."""

    kind: str
    label: str
    x: float
    width: float


@dataclass(frozen=True, slots=True)
class Row:
    """One host's line of the picture."""

    host: str
    y: int
    bars: tuple[Bar, ...]


@dataclass(frozen=True, slots=True)
class Tick:
    """A moment on the scale."""

    x: float
    label: str


def page(report: RollReport) -> str:
    """Render a report."""
    scale = _scale(report.seconds)
    values = {
        "report": report,
        "calls": sum(host.calls for host in report.hosts),
        "kinds": tuple(dict.fromkeys((*KINDS.values(), "back"))),
        "width": _WIDTH,
        "height": len(report.hosts) * _ROW + _FOOT,
        "ticks": tuple(Tick(_x(at, scale), f"{at:g} s") for at in _ticks(scale)),
        "rows": tuple(
            Row(host.host, 10 + number * _ROW, tuple(_bars(host, scale)))
            for number, host in enumerate(report.hosts)
        ),
    }
    return templates.render("roll.html.j2", values)


def _bars(host: HostReport, scale: float) -> Iterator[Bar]:
    for (_, start), (step, end) in zip(host.events, host.events[1:], strict=False):
        kind = KINDS.get(step, "back")
        width = max(1.0, _x(end, scale) - _x(start, scale))
        yield Bar(kind, f"{kind} {end - start:.1f} s", _x(start, scale), round(width, 1))


def _x(at: float, scale: float) -> float:
    return round(_LEFT + (_WIDTH - _LEFT - _RIGHT) * at / scale, 1)


def _scale(seconds: float) -> float:
    """The whole of the time, at least a second of it."""
    return max(1.0, seconds)


def _ticks(scale: float) -> list[float]:
    """Round moments, at most ten."""
    step = 10 ** math.floor(math.log10(scale / 5))
    step = next(s for s in (step, 2 * step, 5 * step, 10 * step) if scale / s <= 10)
    return [number * step for number in range(int(scale / step) + 1)]
