"""Lets root do what a roll of one application does, and nothing else.

Lies on a host, owned by root, with its rules behind it; sudoers(5) allows an unprivileged user this
program alone. A command is a list of words: each must match its rule as a whole, and what a shell or
an interpreter is to read must be the very script that debship brings along. The host's own Python
runs it, which may be 3.8.
"""

from __future__ import annotations

import hashlib
import os
import re
import sys
from typing import Any

GUARD = 6  # words that prove the lock, before a command
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


def inner(words: list[str], guard: list[str]) -> list[str]:
    """Take the command out of its guard, where it is guarded."""
    guarded = len(words) > GUARD and all(map(re.fullmatch, guard, words))
    return words[GUARD:] if guarded else words


def matching(words: list[str], rules: list[dict[str, Any]]) -> dict[str, Any] | None:
    """Find the rule that allows a command; None where none does."""
    for rule in rules:
        fixed, tail = rule["words"], rule.get("tail")
        if len(words) < len(fixed) or (tail is None and len(words) > len(fixed)):
            continue
        head, rest = words[: len(fixed)], words[len(fixed) :]
        if all(map(re.fullmatch, fixed, head)) and all(
            re.fullmatch(tail or "", word) for word in rest
        ):
            return rule
    return None


def main(rules: dict[str, Any]) -> None:
    """Become the command, or refuse it."""
    words = sys.argv[1:]
    rule = matching(inner(words, rules["guard"]), rules["commands"])
    if rule is None:
        sys.exit("debship-gate: this command is no part of a roll")
    if "stdin" in rule:
        script = sys.stdin.buffer.read(1 << 20)
        if hashlib.sha256(script).hexdigest() != rule["stdin"]:
            sys.exit("debship-gate: this script is not debship's; bring the gate up to date")
        read = os.memfd_create("script")
        os.write(read, script)
        os.lseek(read, 0, os.SEEK_SET)
        os.dup2(read, 0)
    os.execvpe(words[0], words, {"PATH": PATH, "LC_ALL": "C.UTF-8"})  # noqa: S606 - it was judged
