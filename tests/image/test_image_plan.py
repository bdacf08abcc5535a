import json
import sys
from pathlib import Path

import pytest

from debs import make_deb
from debship.errors import Failed, Misused, Refused
from debship.image.build import build_image, find_builder
from debship.image.contents import read_contents
from debship.image.plan import command, plan_image
from debship.image.unit import Unit, parse, split
from debship.run import run
from service_debs import UNIT, make_service_deb

from fakes import FakeRun


def test_the_dockerfile(tmp_path: Path, golden) -> None:
    plan = plan_image(read_contents(make_service_deb(tmp_path)), "hello:1.0")
    text = plan.dockerfile.replace(plan.deb.sha256, "SHA256")
    golden("image/Dockerfile", text)
    golden("image/usage", plan.usage + "\n")


def test_what_a_base_brings_is_taken_back(tmp_path: Path) -> None:
    contents = read_contents(make_service_deb(tmp_path))
    text = plan_image(contents, "hello:1.0", base="house/base:1").dockerfile
    assert text.index("USER root\nENTRYPOINT []\n") < text.index("RUN ")


def test_the_classic_builder_copies_what_it_cannot_mount(tmp_path: Path) -> None:
    contents = read_contents(make_service_deb(tmp_path))
    text = plan_image(contents, "hello:1.0", builder="classic").dockerfile
    assert "--mount" not in text
    assert "COPY package.deb /tmp/\n" in text


def test_the_commands(tmp_path: Path) -> None:
    contents = read_contents(make_service_deb(tmp_path))
    plan = plan_image(contents, "r.example.com/hello:1.0", network="host", push=True)
    assert plan.build == (
        *("docker", "build", "--tag", "r.example.com/hello:1.0", "--iidfile", "image-id"),
        *("--build-arg", "SOURCE_DATE_EPOCH=1700000000", "--network", "host", "."),
    )
    assert plan.push == ("docker", "push", "r.example.com/hello:1.0")
    assert plan_image(contents, "hello").push is None


@pytest.mark.parametrize(
    ("depends", "base"),
    [
        ("python3.13 (>= 3.13.1), ", "debian:trixie-slim"),
        ("libc6 (>= 2.36), python3.12, ", "ubuntu:noble"),
        ("python3.11-minimal | python3.11, ", "debian:bookworm-slim"),
    ],
)
def test_the_base_is_of_the_release_that_the_package_is_for(
    tmp_path: Path, depends: str, base: str
) -> None:
    contents = read_contents(make_service_deb(tmp_path, depends=depends))
    assert plan_image(contents, "hello").dockerfile.startswith(f"FROM {base}\n")


@pytest.mark.parametrize("depends", ["", "python3, ", "python3.99, ", "libpython3.11, "])
def test_a_package_of_no_known_release_needs_a_base(tmp_path: Path, depends: str) -> None:
    contents = read_contents(make_service_deb(tmp_path, depends=depends))
    with pytest.raises(Refused, match="its release is not known") as raised:
        plan_image(contents, "hello")
    assert raised.value.hint == "name an image of its release: --base IMAGE"
    assert "FROM my/base:1\n" in plan_image(contents, "hello", base="my/base:1").dockerfile


@pytest.mark.parametrize(
    "tag",
    [
        *("-t", "a b", "Hello", "", "x\nRUN rm", "é"),
        *("a:b:c", "a//b", "a/", "a:", "a@b", "a:" + 129 * "x", "a@sha256:" + 64 * "0"),
    ],
)
def test_a_tag_is_the_name_of_an_image(tmp_path: Path, tag: str) -> None:
    with pytest.raises(Misused, match="is not the name of an image"):
        plan_image(read_contents(make_service_deb(tmp_path)), tag)


@pytest.mark.parametrize(
    "tag", ["a", "a-b/c_d__e.f:1.0-X_", "localhost:5000/a", "REG.example.com/a:1", "[::1]:5000/a"]
)
def test_what_docker_takes_for_a_name_is_one(tmp_path: Path, tag: str) -> None:
    contents = read_contents(make_service_deb(tmp_path))
    assert tag in plan_image(contents, tag).build
    base = f"{tag}@sha256:{64 * 'a'}"
    assert plan_image(contents, tag, base=base).dockerfile.startswith(f"FROM {base}\n")


def test_without_systemd_a_service_is_handed_its_port_all_the_same(tmp_path: Path) -> None:
    deb = make_service_deb(tmp_path, socket="[Socket]\nListenStream=127.0.0.1:8101\n")
    text = plan_image(read_contents(deb), "hello").dockerfile
    words = json.loads(text.rpartition("CMD ")[2])
    assert (words[0], words[3:5]) == ("/usr/bin/python3.11", ["8101", "/bin/sh"])
    asks = (
        "import os, socket; held = socket.socket(fileno=3); "
        "assert int(os.environ['LISTEN_PID']) == os.getpid(); "
        "print(os.environ['LISTEN_FDS'], held.getsockname()[1] > 0)"
    )
    said = run([sys.executable, "-c", words[2], "0", sys.executable, "-c", asks]).text
    assert said == "1 True"


@pytest.mark.parametrize(
    ("socket", "depends", "says"),
    [
        ("ListenStream=/run/x", None, "listens at /run/x; a container can be given one port"),
        ("ListenStream=1\nListenStream=2", None, "listens at 1 and 2"),
        ("ListenDatagram=1", None, "listens at no stream"),
        ("ListenStream=8101", "", "depends on no python3.X"),
    ],
)
def test_a_socket_that_a_container_cannot_have_is_refused(
    tmp_path: Path, socket: str, depends: str | None, says: str
) -> None:
    deb = make_service_deb(tmp_path, socket=f"[Socket]\n{socket}\n", depends=depends)
    with pytest.raises(Refused, match=says):
        plan_image(read_contents(deb), "hello", base="x")


def test_the_package_of_the_dependencies_comes_along(tmp_path: Path) -> None:
    deb = make_service_deb(tmp_path, depends="python3.11, hello-deps-0123abcd (= 1.0-1), ")
    with pytest.raises(Refused, match="needs hello-deps-0123abcd, which does not lie") as raised:
        read_contents(deb)
    assert raised.value.hint
    beside = make_deb(tmp_path, "hello-deps-0123abcd", "1.0-1")
    plan = plan_image(read_contents(deb), "hello", builder="classic")
    assert plan.beside == (("package.deb", deb), ("dependencies.deb", beside))
    assert "COPY package.deb dependencies.deb /tmp/\n" in plan.dockerfile
    assert "install $sysusers /tmp/package.deb /tmp/dependencies.deb;" in plan.dockerfile


def test_a_service_that_is_not_asked_for_may_need_systemd(tmp_path: Path) -> None:
    deb = make_service_deb(tmp_path)
    (tmp_path / "tree/usr/lib/systemd/system/other.service").write_text(
        "[Service]\nExecStart=/bin/true %t\n"
    )
    run(["dpkg-deb", "-b", tmp_path / "tree", deb])
    contents = read_contents(deb)
    assert plan_image(contents, "hello").dockerfile
    with pytest.raises(Refused, match="holds %t, which systemd alone can fill in"):
        plan_image(contents, "hello", service="other")


def test_a_percent_sign_of_an_instance_is_no_specifier(tmp_path: Path) -> None:
    files = make_service_deb(tmp_path, unit=UNIT.replace("${HELLO_PORT}", "%%i %i"))
    template = tmp_path / "tree/usr/lib/systemd/system/hello@.service"
    template.with_name("hello.service").rename(template)
    run(["dpkg-deb", "-b", tmp_path / "tree", files])
    assert read_contents(files).service(None).words[1:] == ("%i", "1")


def _unit(exec_start: str, more: str = "") -> Unit:
    return parse("x", f"[Service]\nExecStart={exec_start}\n{more}")


@pytest.mark.parametrize(
    ("exec_start", "expected"),
    [
        ('/usr/lib/x/bin/x --a \'b c\' "d \\"e\\""', ["/usr/lib/x/bin/x", "--a", "b c", 'd "e"']),
        ("/x 100%% $$HOME", ["/x", "100%", "$HOME"]),
        ("/x a\\x20b", ["/x", "a b"]),
        ("/x ${P}", ["/bin/sh", "-c", 'exec "/x" "${P}"']),
        ('/x "a`id`;${P}$$(id)"', ["/bin/sh", "-c", 'exec "/x" "a\\`id\\`;${P}\\$(id)"']),
        ("/x a \\\n  b", ["/x", "a", "b"]),
    ],
)
def test_a_command_becomes_the_container_s(exec_start: str, expected: list[str]) -> None:
    assert command(_unit(exec_start)) == expected


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("[Service]\nUser=x\n", "has no ExecStart"),
        ("[Service]\nExecStart=/a\nExecStart=/b\n", "has 2 ExecStart"),
        ("[Service]\nExecStart=/a %i\n", "holds %i, which systemd alone can fill in"),
        ("[Service]\nExecStart=/a 'b\n", "a quote is not closed"),
        ("[Service]\nExecStart=/a\nUser=x; rm -rf /\n", "User= is no name"),
        ("[Service]\nExecStart=/a\nStateDirectory=../etc\n", "is no folder"),
        ("[Service]\nExecStart=/a\nEnvironment=a;b=1\n", "names no variable"),
    ],
)
def test_what_only_systemd_can_do_is_refused(text: str, says: str) -> None:
    with pytest.raises(Refused, match=says):
        parse("x", text)


def test_a_variable_that_is_split_into_words_is_refused() -> None:
    with pytest.raises(Refused, match="split into words"):
        command(_unit("/x $ARGS"))


def test_a_value_over_lines_cannot_break_out(tmp_path: Path) -> None:
    unit = UNIT.replace("GREETING=", "GREETING=\\nRUN id")
    contents = read_contents(make_service_deb(tmp_path, unit=unit))
    with pytest.raises(Refused, match="cannot hold this value"):
        plan_image(contents, "hello")


def test_an_empty_assignment_takes_back_those_before_it() -> None:
    unit = _unit("/a", "ExecStart=\nExecStart=/b\n# comment\nEnvironment=A=1\nEnvironment=B=2\n")
    assert unit.words == ("/b",)
    assert unit.environment == (("A", "1"), ("B", "2"))


def test_words_are_split_as_systemd_splits() -> None:
    assert split(r"""a  'b c' "d\"e" f'g h""" + "\t\\t", "x") == [
        "a",
        "b c",
        'd"e',
        "f'g",
        "h",
        "\t",
    ]


def test_which_builder_docker_has() -> None:
    fake = FakeRun()
    fake.answer("docker", "buildx", code=1)
    fake.answer("docker", "--version", stdout=b"Docker version 20.10.24+dfsg1, build 297e128\n")
    assert find_builder(fake) == "buildkit"
    fake.answer("docker", "--version", stdout=b"Docker version 28.2.2, build e6534b4\n")
    assert find_builder(fake) == "classic"
    fake.answer("docker", "buildx", stdout=b"github.com/docker/buildx 0.13.1")
    assert find_builder(fake) == "buildkit"


@pytest.mark.parametrize(
    ("said", "says", "hint"),
    [
        (b"Cannot connect to the Docker daemon at x", "daemon cannot be reached", "start it"),
        (b"error during connect: x: EOF", "daemon cannot be reached", "DOCKER_HOST"),
        (b"permission denied while trying to connect to the", "by this user", "the group docker"),
    ],
)
def test_no_docker_says_so(tmp_path: Path, said: bytes, says: str, hint: str) -> None:
    plan = plan_image(read_contents(make_service_deb(tmp_path)), "hello")
    fake = FakeRun()
    fake.answer("docker", "build", code=1, stderr=b"unexpected EOF")
    fake.answer("docker", "version", code=1, stderr=said)
    with pytest.raises(Failed, match=says) as raised:
        build_image(plan, "classic", run=fake, say=lambda _: None)
    assert hint in raised.value.hint
    with pytest.raises(Failed, match="docker is not installed"):
        build_image(plan, "classic", run=FakeRun(), say=lambda _: None)


def test_a_step_that_fails_is_shown_by_either_builder(tmp_path: Path) -> None:
    plan = plan_image(read_contents(make_service_deb(tmp_path)), "hello", builder="classic")
    assert "--force-rm" in plan.build
    fake = FakeRun()
    fake.answer("docker", "build", code=100, stdout=b"E: no such package", stderr=b"it failed")
    fake.answer("docker", "version")
    with pytest.raises(Failed, match=r"(?s)E: no such package.*it failed"):
        build_image(plan, "classic", run=fake, say=lambda _: None)
