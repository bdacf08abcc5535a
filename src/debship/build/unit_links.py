"""The links by which units are enabled, as deb-systemd-helper(1p) would make and note them."""

import re
from collections.abc import Collection, Mapping

_SAYS = re.compile(r"\s*(WantedBy|RequiredBy|Also|Alias|DefaultInstance)=(.+)", re.IGNORECASE)


def links_of(
    name: str, texts: Mapping[str, str], *, but: Collection[str] = ()
) -> tuple[str, ...] | None:
    """Say which links enable a unit, in the order in which deb-systemd-helper notes them.

    Args:
        name: the unit.
        texts: of unit files, by the units' names.
        but: units that were asked for already; each may name another in Also=.

    Returns:
        their places below /etc/systemd/system; None where the file asks for more than WantedBy=
        and Also= can say, or names a unit that is not among the texts.
    """
    if name not in texts:
        return None
    also, wanted, seen = list[str](), list[str](), {name, *but}
    for line in texts[name].splitlines():
        says = _SAYS.match(line)
        if not says:
            continue
        key, values = says[1].lower(), says[2].split()
        if key not in {"wantedby", "also"} or any(quote in says[2] for quote in "\"'"):
            return None
        if key == "wantedby":
            wanted += [f"{value}.wants/{name}" for value in values]
            continue
        for value in values:
            if value in seen:
                continue
            more = links_of(value, texts, but=seen)
            if more is None:
                return None
            seen.add(value)
            also += more
    return tuple(dict.fromkeys((*also, *wanted)))
