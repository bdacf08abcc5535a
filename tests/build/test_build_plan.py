from dataclasses import replace
from pathlib import Path, PurePosixPath

import pytest

from debship.build.plan import Surroundings, look_around, plan_build
from debship.build.wheel import check_tags, platforms, read_wheel
from debship.config.app import App, BuildSettings, ConfigFile, RunSettings, Service
from debship.debian.releases import release as release_named
from debship.errors import Misused, Refused
from debship.model import Architecture, DebVersion, PackageName
from debship.run import run

FILES = frozenset({"pyproject.toml", "uv.lock"})
SEEN = Surroundings(Architecture("amd64"), FILES)
BOOKWORM = release_named("bookworm")
APP = App(
    directory=Path("/src/auth"),
    name=PackageName("auth"),
    summary="Authentication",
    maintainer="Platform Team <platform@example.com>",
    services=(Service("auth", "gunicorn auth:app"),),
)


def test_a_plan_says_where_everything_goes() -> None:
    plan = plan_build(APP, BOOKWORM, SEEN)
    assert str(plan.site) == "/usr/lib/auth/lib/python3.11/site-packages"
    assert str(plan.interpreter) == "/usr/bin/python3.11"
    assert (plan.version, plan.date) == (None, None)


def test_dates_come_from_the_environment_before_git() -> None:
    seen = replace(SEEN, committed=5)
    assert plan_build(APP, BOOKWORM, seen).date == 5
    assert plan_build(APP, BOOKWORM, replace(seen, source_date_epoch=7)).date == 7


@pytest.mark.parametrize(
    ("version", "described", "expected"),
    [("git", "v1.2-5-gab12", "1.2+5.gab12-1"), ("2:3.0-4", None, "2:3.0-4")],
)
def test_versions(version: str, described: str | None, expected: str) -> None:
    plan = plan_build(replace(APP, version=version), BOOKWORM, replace(SEEN, described=described))
    assert plan.version == DebVersion(expected)


def test_packages_of_several_releases_do_not_bear_one_name() -> None:
    app = replace(APP, version="git", build=BuildSettings(releases=("bookworm", "trixie")))
    plan = plan_build(app, BOOKWORM, replace(SEEN, described="v1.2-0-gab12"))
    assert plan.version == DebVersion("1.2-1~deb12u1")


@pytest.mark.parametrize(
    ("app", "message"),
    [
        (replace(APP, maintainer="nobody"), 'expected "Name <address>", got "nobody"'),
        (replace(APP, maintainer="A\nB <a@b>"), 'expected "Name <address>"'),
        (replace(APP, run=RunSettings(user="_a b")), '"_a b" cannot be the name'),
        (replace(APP, run=RunSettings(user="nobody")), "nobody owns files of others"),
    ],
)
def test_what_cannot_be_packaged_is_refused(app: App, message: str) -> None:
    with pytest.raises(Refused, match=message):
        plan_build(app, BOOKWORM, SEEN)


@pytest.mark.parametrize(
    "path", ["/opt/auth.conf", "/etc/../root/x", "/etc", "/etc/a b", "/etc/$x'"]
)
def test_configuration_lies_below_etc(path: str) -> None:
    app = replace(APP, configs=(ConfigFile(PurePosixPath(path), None, True),))
    with pytest.raises(Refused, match="not a plain path below /etc"):
        plan_build(app, BOOKWORM, SEEN)


def test_nothing_to_build_is_refused() -> None:
    with pytest.raises(Refused, match="there is nothing to build"):
        plan_build(APP, BOOKWORM, replace(SEEN, files=frozenset({"uv.lock"})))


def test_git_is_asked(tmp_path: Path) -> None:
    app = replace(APP, directory=tmp_path, version="git")
    identity = {"GIT_AUTHOR_NAME": "a", "GIT_AUTHOR_EMAIL": "a@b", "GIT_COMMITTER_NAME": "a"}
    identity |= {"GIT_COMMITTER_EMAIL": "a@b", "GIT_COMMITTER_DATE": "1700000000 +0000"}
    run(["git", "init", "-q"], cwd=tmp_path)
    (tmp_path / "f").write_text("x")
    run(["git", "add", "f"], cwd=tmp_path)
    run(["git", "commit", "-qm", "x"], cwd=tmp_path, env=identity)
    with pytest.raises(Misused, match="git knows no tag"):
        look_around(app, environment={}, run=run)
    run(["git", "tag", "v1.0"], cwd=tmp_path)
    seen = look_around(app, environment={"SOURCE_DATE_EPOCH": "9"}, run=run)
    assert (seen.committed, seen.source_date_epoch) == (1700000000, 9)
    assert seen.described is not None
    assert seen.described.startswith("v1.0-0-g")
    with pytest.raises(Misused, match="SOURCE_DATE_EPOCH: expected seconds"):
        look_around(app, environment={"SOURCE_DATE_EPOCH": "today"}, run=run)


@pytest.mark.parametrize(
    ("tags", "described"),
    [
        (("deploy-20241130",), "v1.0-1-g"),
        (("billing/v3.0", "billing-3.0", "latest"), "v1.0-1-g"),
        (("billing/v3.0", "auth/v2.0"), "auth/v2.0-0-g"),
    ],
)
def test_the_nearest_tag_is_the_nearest_of_ours(tmp_path: Path, tags, described) -> None:
    run(["git", "init", "-q"], cwd=tmp_path)
    run(["git", "config", "column.ui", "always"], cwd=tmp_path)
    for words in (("v1.0",), tags):
        commit = ("commit", "-q", "--allow-empty", "-m", "x")
        run(["git", "-c", "user.name=a", "-c", "user.email=a@b", *commit], cwd=tmp_path)
        for tag in words:
            run(["git", "tag", tag], cwd=tmp_path)
    app = replace(APP, name="auth", directory=tmp_path, version="git")
    seen = look_around(app, environment={}, run=run)
    assert seen.described is not None
    assert seen.described.startswith(described)
    run(["git", "tag", "-d", "v1.0"], cwd=tmp_path)
    if described.startswith("v1.0"):
        with pytest.raises(
            Misused, match="no tag before this commit that is a version of auth"
        ) as e:
            look_around(app, environment={}, run=run)
        assert (e.value.hint or "").startswith("git tag auth/v0.1.0 (")


def test_where_git_does_not_trust_the_folder_it_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run(["git", "init", "-q"], cwd=tmp_path)
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", "/dev/null")
    monkeypatch.setenv("GIT_CONFIG_SYSTEM", "/dev/null")
    monkeypatch.setenv("GIT_TEST_ASSUME_DIFFERENT_OWNER", "1")
    with pytest.raises(Refused, match="it belongs to another user") as raised:
        look_around(replace(APP, directory=tmp_path), environment={}, run=run)
    assert raised.value.hint == f"git config --global --add safe.directory {tmp_path}"


@pytest.mark.parametrize(
    "name", ["auth-1.0-py3-none-any.whl", "auth-1.0-cp311-cp311-linux_x86_64.whl"]
)
def test_a_wheel_that_fits(name: str) -> None:
    check_tags(read_wheel(Path(name)), "3.11", ["linux_x86_64"])


@pytest.mark.parametrize(
    "name",
    [
        "auth-1.0-cp312-cp312-linux_x86_64.whl",
        "auth-1.0-cp311-cp311-linux_aarch64.whl",
        "auth-1.0-cp311-cp311-win_amd64.whl",
    ],
)
def test_a_wheel_for_something_else_is_refused(name: str) -> None:
    with pytest.raises(Refused) as refused:
        check_tags(read_wheel(Path(name)), "3.11", ["linux_x86_64"])
    tag = name.removeprefix("auth-1.0-").removesuffix(".whl")
    assert refused.value.message == (
        f"{name} is for {tag}; this package is for Python 3.11 (cp311-cp311-linux_x86_64)"
    )


def test_a_wheel_must_fit_the_libc_of_its_release_and_not_this_machines() -> None:
    wheel = read_wheel(Path("tiny-1.0-cp311-cp311-manylinux_2_34_x86_64.whl"))
    bookworm = platforms(Architecture("amd64"), "2.36-9+deb12u10")
    check_tags(wheel, "3.11", bookworm)
    bullseye = platforms(Architecture("amd64"), "2.31-13+deb11u11")
    with pytest.raises(Refused, match=r"manylinux_2_34_x86_64; this package is for Python 3\.11"):
        check_tags(wheel, "3.11", bullseye)
    old = read_wheel(Path("tiny-1.0-cp311-cp311-manylinux2014_x86_64.whl"))
    check_tags(old, "3.11", bullseye)


def test_platforms_are_those_that_packaging_names_for_this_machine() -> None:
    from packaging.tags import platform_tags

    machine = Architecture(run(["dpkg", "--print-architecture"]).text)
    libc = run(["dpkg-query", "-W", "-f", "${Version}", f"libc6:{machine}"]).text
    assert platforms(machine, libc) == tuple(platform_tags())


def test_a_tag_may_have_the_projects_name() -> None:
    seen = replace(SEEN, described="my-auth-1.2-0-gab12", project="My_Auth")
    assert str(plan_build(replace(APP, version="git"), BOOKWORM, seen).version) == "1.2-1"
    with pytest.raises(Misused, match=r'the git tag "my-auth-1\.2" is not a version'):
        plan_build(replace(APP, version="git"), BOOKWORM, replace(seen, project=""))
