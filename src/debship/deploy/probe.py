"""Asks a service for its health until it is well or time is up.

Runs on the host, from standard input, by the service's own interpreter, which may be Python 3.8: one remote call
polls as fast as the service can start, and nothing has to be installed for it. The last line of
its output is one JSON object. Arguments: URL SECONDS TIMES VERSION-MEMBER-OR-EMPTY UNIT...
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Sequence
from http.client import HTTPConnection, HTTPException
from typing import Any
from urllib.parse import urlsplit

PAUSE = 0.02  # seconds between questions while nothing answers
LOOK = 0.5  # seconds between looks at the units
BODY = 65536  # bytes of an answer that are read


def ask(url: str, timeout: float) -> tuple[int, str]:
    """Ask once; the status (0 where nothing answered) and the body or the reason."""
    parts = urlsplit(url)
    connection = HTTPConnection(parts.hostname or "", parts.port, timeout=timeout)
    try:
        connection.request("GET", parts.path or "/", headers={"User-Agent": "debship"})
        answer = connection.getresponse()
        return answer.status, answer.read(BODY).decode(errors="replace")
    except (OSError, HTTPException) as error:
        return 0, str(error) or type(error).__name__
    finally:
        connection.close()


def crashed(units: Sequence[str]) -> bool:
    """Whether a unit has failed, or was started again by itself: no waiting will mend it."""
    if not units:
        return False
    words = ("systemctl", "show", "--value", "-p", "ActiveState", "-p", "NRestarts", *units)
    shown = subprocess.run(words, capture_output=True, text=True, check=False).stdout.split()
    return "failed" in shown or any(word.isdigit() and word != "0" for word in shown)


def probe(
    url: str, seconds: float, times: int, member: str, units: Sequence[str] = ()
) -> dict[str, Any]:
    """Ask until `times` answers in a row are good, the seconds are over, or a unit crashed."""
    start = looked = time.monotonic()
    good = asked = 0
    status, said = 0, ""
    while good < times:
        now = time.monotonic()
        left = seconds - (now - start)
        if asked and left <= 0:
            break
        if now - looked > LOOK:
            looked = now
            if crashed(units):
                said = f"the service crashed; {said}"
                break
        status, said = ask(url, max(0.1, min(5.0, left)))
        asked += 1
        good = good + 1 if 200 <= status < 300 else 0
        time.sleep(0 if good >= times else PAUSE)
    return {
        "ok": good >= times,
        "status": status,
        "said": said[:500],
        "version": version(said, member) if good >= times and member else None,
        "asked": asked,
        "seconds": round(time.monotonic() - start, 3),
    }


def version(said: str, member: str) -> str | None:
    """Read one member of a JSON answer; None where it is not there."""
    try:
        value = json.loads(said)[member]
    except (ValueError, KeyError, TypeError):
        return None
    return str(value)


if __name__ == "__main__":
    url, seconds, times, member, *units = sys.argv[1:]
    found = probe(url, float(seconds), int(times), member, units)
    sys.stdout.write(json.dumps(found) + "\n")
