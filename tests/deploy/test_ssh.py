"""What keeps a host from being reached at all, told before a connection is there."""

from pathlib import Path

import pytest

from debship.config.fleet import SshSettings
from debship.deploy.host import FabricHost, Unreachable


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("Host bastion\n HostName 127.0.0.9\nHost *\n ProxyJump bastion\n", "Host * !NAME"),
        ("Host *\n Port abc\n", "'abc'"),
        ('Host "x\n User me\n', "Unparsable"),
    ],
)
def test_a_mistake_in_the_ssh_configuration_is_told(
    text: str, why: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / ".ssh").mkdir()
    (tmp_path / ".ssh/config").write_text(text)
    monkeypatch.setenv("HOME", str(tmp_path))
    with pytest.raises(Unreachable) as caught:
        FabricHost("127.0.0.1", SshSettings(user="root")).run(("true",))
    assert caught.value.message.startswith("127.0.0.1: the ssh configuration cannot be used: ")
    assert why in caught.value.message
    assert "~/.ssh/config" in (caught.value.hint or "")


def test_a_file_of_known_hosts_that_is_missing_is_named(tmp_path: Path) -> None:
    missing = tmp_path / "known_hosts"
    with pytest.raises(Unreachable) as caught:
        FabricHost("127.0.0.1", SshSettings(user="root", known_hosts=missing)).run(("true",))
    assert caught.value.message == f"127.0.0.1: no connection: {missing}: No such file or directory"
