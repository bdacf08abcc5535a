"""No secret is shown, also none of several lines, and no part of one that was cut."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
from test_roll import Rig

from debship.config.fleet import HookSettings
from debship.deploy.host import Answer
from debship.deploy.page import page
from debship.deploy.report import masked
from debship.model import Secret

LINES = tuple(f"{n:02}MIIEvQIBADANBgkqhkiG9w0BAQEFAASC" for n in range(26))
KEY = "\n".join(("-----BEGIN PRIVATE KEY-----", *LINES, "a+Q=", "-----END PRIVATE KEY-----"))


@pytest.mark.parametrize("written", [KEY, json.dumps(KEY), repr(KEY), KEY.replace("\n", "\n  ")])
def test_a_key_in_a_log_that_is_cut_is_not_shown(tmp_path: Path, written: str) -> None:
    rig = Rig(tmp_path)
    rig.app = replace(rig.app, hooks=(HookSettings("ask", "before-host", ("x",)),))
    rig.hosts[0].hook = lambda _: Answer(3, b"", f"bad key:\n{written}\nbye".encode())
    report = rig.deploy(env={"PASSWORD": KEY})
    assert report.hosts[0].log.endswith("\nbye")
    shown = (
        json.dumps(report.as_dict()),
        "\n".join(report.lines()),
        page(report),
        json.dumps(rig.journal),
    )
    for text in shown:
        assert not any(line in text for line in (*LINES, "a+Q=", "PRIVATE KEY"))


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("no user correct horse here", "no user [hidden] here"),
        ("its answer, cut: correct ho", "its answer, cut: [hidden]"),
        ("this is correct", "this is correct"),
        (f"one line: {LINES[3]}!", "one line: [hidden]!"),
        ('{"key": ' + json.dumps(KEY) + "}", '{"key": "[hidden]"}'),
        (f"{KEY[:2000]}", "[hidden]"),
        ("a=1 b=22 c=333", "a=1 b=22 c=333"),
    ],
)
def test_what_is_hidden(text: str, shown: str) -> None:
    secrets = (Secret("correct horse"), Secret(KEY), Secret("1\n22\n333"))
    assert masked(text, secrets) == shown
