"""Where secrets come from, and what is said of one that cannot be had: never a part of it."""

from pathlib import Path

import pytest
from test_roll import Rig

from debship.config.fleet import SecretSource
from debship.deploy.configuration import resolve_secrets
from debship.errors import Failed
from debship.run import run

BYTES = b"hunter2\xff\xfe"


def found(folder: Path, source: SecretSource, env=()) -> str:
    secrets = resolve_secrets({"key": source}, run=run, env=dict(env), folder=folder)
    return secrets["key"].reveal()


def refused(folder: Path, source: SecretSource, env=()) -> str:
    with pytest.raises(Failed) as caught:
        found(folder, source, env)
    assert "hunter2" not in repr(caught.value)
    assert caught.value.__cause__ is caught.value.__context__ is None
    return caught.value.message


def written(folder: Path, content: bytes) -> SecretSource:
    (folder / "key").write_bytes(content)
    return SecretSource("file", "key")


def printed(folder: Path, content: bytes) -> SecretSource:
    (folder / "key").write_bytes(content)
    return SecretSource("command", ("cat", "key"))


@pytest.mark.parametrize("made", [written, printed])
def test_a_secret_is_what_is_there_without_the_last_newline(tmp_path: Path, made) -> None:
    assert found(tmp_path, made(tmp_path, "ü\nzwei\n".encode())) == "ü\nzwei"


def test_bytes_that_are_no_text_are_refused_and_not_shown(tmp_path: Path) -> None:
    assert refused(tmp_path, written(tmp_path, BYTES)) == (
        "secret key: file key gives bytes that are no UTF-8"
    )
    assert refused(tmp_path, printed(tmp_path, BYTES)) == (
        "secret key: command cat gives bytes that are no UTF-8"
    )
    env = {"KEY": BYTES.decode(errors="surrogateescape")}  # as os.environ has it
    assert refused(tmp_path, SecretSource("env", "KEY"), env) == (
        "secret key: env KEY gives bytes that are no UTF-8"
    )


@pytest.mark.parametrize("content", [b"", b"\n", b" \r\n"])
def test_nothing_is_no_secret(tmp_path: Path, content: bytes) -> None:
    assert refused(tmp_path, written(tmp_path, content)) == "secret key: file key gives nothing"
    assert refused(tmp_path, printed(tmp_path, content)) == "secret key: command cat gives nothing"
    env = {"KEY": content.decode()}
    assert refused(tmp_path, SecretSource("env", "KEY"), env) == "secret key: env KEY gives nothing"


def test_a_command_that_nobody_may_run_is_told(tmp_path: Path) -> None:
    (tmp_path / "key").write_bytes(b"#!/bin/sh\n")
    source = SecretSource("command", (str(tmp_path / "key"),))
    assert refused(tmp_path, source) == (
        f"secret key: {tmp_path}/key cannot be run: Permission denied"
    )


def test_a_roll_with_an_empty_secret_touches_no_host(tmp_path: Path) -> None:
    rig = Rig(tmp_path)
    with pytest.raises(Failed, match="secret password: env PASSWORD gives nothing"):
        rig.deploy(env={"PASSWORD": ""})
    assert rig.balancer.log == []
    assert [host.log for host in rig.hosts] == [[], [], []]
