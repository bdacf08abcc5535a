"""What is inside a package is found, and nothing of it is believed."""

import contextlib
import json
import tempfile
import tracemalloc
from pathlib import Path

import pytest
import zstandard
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st
from inspected import SITE, package, wheel

import debship.debian.archive
from debs import ar, handmade, plain_control, tar
from debship.cli.diff import command as diff
from debship.cli.inspect import command as inspect
from debship.errors import Refused
from debship.inspect.contents import read_contents
from debship.inspect.report import contents_lines
from debship.inspect.units import read_unit

SERVICE = """[Service]
ExecStart=/usr/lib/auth/bin/gunicorn --bind 127.0.0.1:8101 \\
    auth:app
User=_auth
"""


@pytest.fixture
def deb(tmp_path: Path) -> Path:
    files = {
        **wheel("auth", "1.2.0", {"../../../bin/auth": "#!/bin/sh\n"}),
        **wheel("flask", "3.1.0", {"flask/big.py": "x = 1\n" * 1000}),
        f"{SITE}/flask/__pycache__/big.cpython-311.pyc": "y" * 5000,
        "usr/lib/auth/bin/auth": "#!/bin/sh\n",
        "usr/lib/systemd/system/auth.service": SERVICE,
        "usr/lib/systemd/system/auth.timer": "[Timer]\nOnCalendar=daily\n",
        "etc/auth/auth.conf": "workers = 2\n",
    }
    scripts = {"postinst": "#!/bin/sh\n", "conffiles": "/etc/auth/auth.conf\n"}
    return package(tmp_path, files, control=scripts)


def test_what_a_package_is_and_runs(deb: Path) -> None:
    called = CliRunner().invoke(inspect, [str(deb)], catch_exceptions=False)
    lines = called.stdout.splitlines()
    assert lines[0] == "auth 1.0-1 (amd64): a package for tests"
    for line in (
        "  depends     python3.11, libc6 (>= 2.34)",
        "  python      3.11",
        "  auth.service: runs as _auth, port 8101",
        "      /usr/lib/auth/bin/gunicorn --bind 127.0.0.1:8101  auth:app",
        "  auth.timer: at daily",
        "  /etc/auth/auth.conf",
        "  postinst (10 B)",
        "  flask  3.1.0    11.3 kB  MIT",
        "  auth   1.2.0      289 B  MIT",
    ):
        assert line in lines, "\n".join(lines)


def test_the_same_for_machines(deb: Path) -> None:
    called = CliRunner().invoke(inspect, [str(deb), "--json"], catch_exceptions=False)
    result = json.loads(called.stdout)["result"]
    assert [dist["name"] for dist in result["distributions"]] == ["auth", "flask"]
    assert result["distributions"][1]["tags"] == ["py3-none-any"]
    assert result["units"][0]["ports"] == [8101]
    assert result["conffiles"] == ["/etc/auth/auth.conf"]
    assert list(result["scripts"]) == ["postinst"]
    assert result["sha256"] == read_contents(deb).deb.sha256


def test_scripts_and_bytecode_are_of_the_wheel_that_brought_them(deb: Path) -> None:
    auth, flask = read_contents(deb).distributions
    assert "usr/lib/auth/bin/auth" in auth.files
    assert f"{SITE}/flask/__pycache__/big.cpython-311.pyc" in flask.files


def test_any_package_will_do(tmp_path: Path) -> None:
    files = {
        "usr/lib/python3/dist-packages/six.py": "x\n",
        "usr/lib/python3/dist-packages/six-1.16.0.egg-info/PKG-INFO": "Name: six\nVersion: 1.16.0\n",
        "usr/lib/python3/dist-packages/old-1.egg-info": "Name: old\nVersion: 1\nLicense: Python\n",
        "lib/systemd/system/x.service": "[Service]\nExecStart=/bin/true\n",
    }
    contents = read_contents(package(tmp_path, files, more=""))
    named = [(dist.name, dist.version, dist.license) for dist in contents.distributions]
    assert named == [("old", "1", "Python"), ("six", "1.16.0", "")]
    assert [(unit.name, unit.user) for unit in contents.units] == [("x.service", "root")]
    assert contents.python is None


def test_of_a_file_that_two_claim_the_size_counts_once(tmp_path: Path) -> None:
    shared = {"shared.py": "x" * 100}
    files = {**wheel("a", files=shared), **wheel("b", files=shared)}
    contents = read_contents(package(tmp_path, files))
    both = [dist.name for dist in contents.distributions if f"{SITE}/shared.py" in dist.files]
    assert both == ["a"]


@pytest.mark.parametrize(
    ("command", "ports"),
    [
        ("gunicorn -b 0.0.0.0:8000 app", (8000,)),
        ("gunicorn --bind=[::1]:8000 --bind unix:/run/x app --workers 4", (8000,)),
        ("uvicorn --port 9000 app", (9000,)),
        ("daphne -p 99999 app", ()),
        ("celery -A app worker -c 40", ()),
    ],
)
def test_ports_are_read_off_the_command(command: str, ports: tuple[int, ...]) -> None:
    unit = read_unit("x.service", f"[Service]\nExecStart={command}\n".encode(), "")
    assert unit.ports == ports


def test_a_socket_says_where_it_listens() -> None:
    text = (
        "[Socket]\nListenStream=80\nListenStream=\nListenStream=127.0.0.1:81\nListenStream=/run/x\n"
    )
    assert read_unit("x.socket", text.encode(), "").ports == (81,)


EVIL = "\x1b]0;owned\x07\u202egnp.\x9b31m"


def test_nothing_of_a_package_reaches_the_terminal_raw(tmp_path: Path) -> None:
    meta = f"License-Expression: {EVIL}\n"
    site = "./" + SITE
    info = f"{site}/evil-1.dist-info"
    data = tar(
        (f"{info}/METADATA", f"Name: ev{EVIL}il\nVersion: 1{EVIL}\n{meta}".encode()),
        (f"./usr/bin/{EVIL}", b"x"),
        ("./usr/bin/\udcff\udc9b", b"x"),
        (
            "./usr/lib/systemd/system/x.service",
            f"[Service]\nUser={EVIL}\nExecStart={EVIL}".encode(),
        ),
    )
    control = tar(
        ("control", plain_control(more=f"Homepage: {EVIL}\nX-{'y'}: {EVIL}\n")),
        ("conffiles", f"/etc/{EVIL}\n".encode()),
    )
    path, other = tmp_path / "evil.deb", tmp_path / "good.deb"
    path.write_bytes(handmade(control_tar=control, data_tar=data))
    other.write_bytes(handmade())
    for words in ((inspect, [path]), (diff, [other, path]), (diff, [path, other])):
        for more in ([], ["--json"]):
            called = CliRunner().invoke(
                words[0], [*map(str, words[1]), *more], catch_exceptions=False
            )
            assert called.stdout
            raw = [c for c in called.stdout if not c.isprintable() and c != "\n"]
            assert raw == []
            if more:
                json.loads(called.stdout)


def test_names_that_climb_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "x.deb"
    path.write_bytes(handmade(data_tar=tar(("./usr/../../../etc/passwd", b"x"))))
    with pytest.raises(Refused, match="outside of the package"):
        read_contents(path)


def test_a_record_that_climbs_or_lies_claims_nothing(tmp_path: Path) -> None:
    files = wheel("a", files={"a/x.py": "x"})
    record = f"{SITE}/a-1.0.dist-info/RECORD"
    files[record] = "../../../../../../etc/passwd,,\n/etc/passwd,,\n\nnowhere.py,,\n"
    (dist,) = read_contents(package(tmp_path, files)).distributions
    assert dist.files == ()
    files[record] = '"' + "x" * 200000
    (dist,) = read_contents(package(tmp_path, files)).distributions
    assert dist.files == ()


def test_a_bomb_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(debship.debian.archive, "_DATA_LIMIT", 1 << 20)
    bomb = zstandard.ZstdCompressor().compress(tar(("./x", b"0"))[:512] + bytes(8 << 20))
    path = tmp_path / "x.deb"
    parts = (("debian-binary", b"2.0\n"), ("control.tar", tar(("control", plain_control()))))
    path.write_bytes(ar(*parts, ("data.tar.zst", bomb)))
    with pytest.raises(Refused, match="more than a package may hold"):
        read_contents(path)


def test_what_swells_is_read_in_small_steps(tmp_path: Path) -> None:
    size = 128 << 20
    head = bytearray(tar(("./big", b""))[:512])
    head[124:136] = f"{size:011o}\0".encode()
    head[148:156] = b" " * 8
    head[148:156] = f"{sum(head):06o}\0 ".encode()
    packed = zstandard.ZstdCompressor().compress(bytes(head) + bytes(size + 1024))
    path = tmp_path / "x.deb"
    parts = (("debian-binary", b"2.0\n"), ("control.tar", tar(("control", plain_control()))))
    path.write_bytes(ar(*parts, ("data.tar.zst", packed)))
    tracemalloc.start()
    try:
        assert read_contents(path).files["big"].size == size
        assert tracemalloc.get_traced_memory()[1] < 100 << 20
    finally:
        tracemalloc.stop()


def test_more_names_than_memory_should_hold_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(debship.debian.archive, "_KEPT_LIMIT", 1 << 20)
    path = tmp_path / "x.deb"
    path.write_bytes(handmade(data_tar=tar(*((f"./{n}", b"") for n in range(3000)))))
    with pytest.raises(Refused, match="more than 1 MiB"):
        read_contents(path)


@settings(max_examples=100, deadline=None)
@given(st.data())
def test_broken_bytes_never_end_in_a_traceback(data: st.DataObject) -> None:
    files = {path: text.encode() for path, text in wheel("a").items()}
    files["usr/lib/systemd/system/a.service"] = SERVICE.encode()
    whole = bytearray(handmade(data_tar=tar(*((f"./{p}", text) for p, text in files.items()))))
    start = data.draw(st.integers(0, len(whole) - 512))
    for _ in range(data.draw(st.integers(1, 8))):
        whole[start + data.draw(st.integers(0, 511))] = data.draw(st.integers(0, 255))
    with tempfile.NamedTemporaryFile(suffix=".deb") as file, contextlib.suppress(Refused):
        file.write(whole)
        file.flush()
        list(contents_lines(read_contents(Path(file.name))))
