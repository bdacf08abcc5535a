"""What a command writes is fit for a terminal, whoever wrote the text."""

import json

import pytest

from debship.cli.output import printable, progress, show_error, show_json
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


@pytest.mark.parametrize("text", ["plain", "\\udc9b", "💛", "a\\", "ü\\\\"])
def test_json_is_what_was_meant(text: str, capsys: pytest.CaptureFixture[str]) -> None:
    show_json("x", {"text": text})
    assert json.loads(capsys.readouterr().out)["result"]["text"] == text


def test_a_byte_that_is_no_character_is_written_as_one_reads_it(
    capsys: pytest.CaptureFixture[str],
) -> None:
    show_json("x", {"text": "💛\udc9b\\\udcff"})
    assert json.loads(capsys.readouterr().out)["result"]["text"] == "💛\\x9b\\\\xff"
