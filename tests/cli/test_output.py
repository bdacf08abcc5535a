"""What a command writes is fit for a terminal, whoever wrote the text."""

import io
import json

import pytest

from debship.cli.output import (
    printable,
    progress,
    show_error,
    show_json,
    show_lines,
    show_texts,
)
from debship.cli.rolls import Typed, _write
from debship.errors import Failed

EVIL = "a\x1b[2J\x07\u202eb\u2028\x9b\udc9b\ue000"


def _raw(text: str) -> list[str]:
    return [c for c in text if not c.isprintable() and c != "\n"]


def test_only_visible_characters_are_written(capsys: pytest.CaptureFixture[str]) -> None:
    assert printable("Zoë 日本 💛 – ok") == "Zoë 日本 💛 – ok"
    assert printable("a\x1b[2J\nb") == "a\\x1b[2J\\nb"
    show_error(Failed(f"{EVIL}\n\tsecond line", hint=EVIL))
    with progress() as say:
        say(EVIL)
    show_json("x", {EVIL: EVIL})
    written = capsys.readouterr()
    assert _raw(written.out) == []
    assert _raw(written.err) == []
    assert "\n        second line\n" in written.err


def test_a_log_in_a_report_is_as_fit(capsys: pytest.CaptureFixture[str]) -> None:
    typed = Typed("deploy", "auth", "", json=False)
    _write(typed, {}, ("stopped: it did not start", f"log:\n\t{EVIL}\x1b]0;pwned\x07\n\tend"))
    written = capsys.readouterr().out
    assert _raw(written) == []
    assert written.startswith("stopped: it did not start\nlog:\n        a\\x1b[2J")
    assert written.endswith("\n        end\n")


def test_what_the_terminal_cannot_write_is_no_error(monkeypatch: pytest.MonkeyPatch) -> None:
    stream = io.TextIOWrapper(io.BytesIO(), "latin-1")
    monkeypatch.setattr("sys.stdout", stream)
    show_lines(["Zoë \ufffd"])
    show_texts(["日\nok"])
    stream.flush()
    assert stream.buffer.getvalue() == "Zoë \\ufffd\n\\u65e5\nok\n".encode("latin-1")


@pytest.mark.parametrize("text", ["plain", "\\udc9b", "💛", "a\\", "ü\\\\"])
def test_json_is_what_was_meant(text: str, capsys: pytest.CaptureFixture[str]) -> None:
    show_json("x", {"text": text})
    assert json.loads(capsys.readouterr().out)["result"]["text"] == text


def test_a_byte_that_is_no_character_is_written_as_one_reads_it(
    capsys: pytest.CaptureFixture[str],
) -> None:
    show_json("x", {"text": "💛\udc9b\\\udcff"})
    assert json.loads(capsys.readouterr().out)["result"]["text"] == "💛\\x9b\\\\xff"
