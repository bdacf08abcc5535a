import os
import time
from pathlib import Path

import pytest

from debship.errors import Failed
from debship.run import run, without_passwords

from fakes import FakeRun


def _fake() -> FakeRun:
    fake = FakeRun()
    fake.answer("echo", "hello", stdout=b"hello\n")
    fake.answer("false", code=1, stderr=b"")
    return fake


@pytest.mark.parametrize("door", [run, _fake()], ids=["real", "fake"])
class TestContract:
    def test_it_gives_what_was_written(self, door) -> None:
        completed = door(["echo", "hello"])
        assert (completed.text, completed.returncode) == ("hello", 0)

    def test_a_failure_is_raised_with_its_command(self, door) -> None:
        with pytest.raises(Failed, match="false exited with 1: false"):
            door(["false"])

    def test_a_failure_can_be_looked_at_instead(self, door) -> None:
        assert door(["false"], check=False).returncode == 1

    def test_a_missing_program_says_so(self, door) -> None:
        with pytest.raises(Failed, match="no-such-program is not installed"):
            door(["no-such-program"])


def test_words_reach_the_program_as_they_are() -> None:
    assert run(["printf", "%s", "a; echo b $(id) 'c'"]).text == "a; echo b $(id) 'c'"


def test_a_variable_can_be_set_and_taken_away(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GONE", "1")
    text = run(["env"], env={"GONE": None, "HERE": "2"}).text
    assert "HERE=2" in text
    assert "GONE" not in text


def test_out_of_time_takes_the_children_along(tmp_path: Path) -> None:
    pidfile = tmp_path / "pid"
    with pytest.raises(Failed, match=r"did not end within 0\.3 s"):
        run(["sh", "-c", f"sleep 60 & echo $! > {pidfile}; wait"], timeout=0.3)
    child = int(pidfile.read_text())
    for _ in range(50):
        stat = Path(f"/proc/{child}/stat")
        if not stat.exists() or stat.read_text().split()[2] == "Z":
            return
        time.sleep(0.02)
    os.kill(child, 9)
    pytest.fail("the child outlived its parent")


def test_a_missing_folder_is_not_a_missing_program(tmp_path: Path) -> None:
    with pytest.raises(Failed, match="there is no such folder"):
        run(["true"], cwd=tmp_path / "nowhere")


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("get https://ci:s3cret@host/simple now", "get https://[hidden]@host/simple now"),
        ("https://token@host/x?y=a@b", "https://[hidden]@host/x?y=[hidden]"),
        ("`https://h:1/s?token=s3cret&y=s3cret`", "`https://h:1/s?token=[hidden]&y=[hidden]`"),
        ("https://h/s?token=s3cret=#egg=a why?a=b", "https://h/s?token=[hidden]#egg=a why?a=b"),
        ("http://u:p@ss@host:1/", "http://[hidden]@host:1/"),
        ("'https://a:b@h/','https://c:d@h/'", "'https://[hidden]@h/','https://[hidden]@h/'"),
        ("mail a@b about https://host/@scope/x", "mail a@b about https://host/@scope/x"),
    ],
)
def test_who_logs_in_is_hidden(text: str, shown: str) -> None:
    assert without_passwords(text) == shown
    with pytest.raises(Failed) as failed:
        run(["sh", "-c", 'echo "$1" >&2; exit 1', "sh", text])
    assert "s3cret" not in failed.value.message
    assert shown in failed.value.message


def test_a_signal_that_python_has_no_name_for() -> None:
    with pytest.raises(Failed, match="was ended by signal 40: "):
        run(["sh", "-c", "kill -40 $$"])
