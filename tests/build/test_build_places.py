"""No two files of a package are in each other's way, wherever they come from."""

from dataclasses import replace
from pathlib import Path, PurePosixPath

import pytest
from sample import Sample, lock_wheels, make_wheel

from debship.build.conffiles import Previous
from debship.build.places import check_places
from debship.config.app import App, ConfigFile, ExtraFile
from debship.errors import Refused
from debship.model import DebVersion


def _config(sample: Sample, *paths: str, managed: bool = False) -> App:
    source = None if managed else sample.app.directory / "tiny.conf"
    more = tuple(ConfigFile(PurePosixPath(path), source, managed) for path in paths)
    return replace(sample.app, configs=(*sample.app.configs, *more))


def _file(app: App, path: str) -> App:
    file = ExtraFile(PurePosixPath(path), app.directory / "tiny.conf")
    return replace(app, files=(*app.files, file))


def _command(app: App) -> App:
    return replace(app, run=replace(app.run, commands=("tiny-job",)))


IN_EACH_OTHERS_WAY = {
    "two conffiles": (
        lambda s: _config(s, "/etc/tiny", "/etc/tiny/x"),
        "/etc/tiny is a file of the package, and /etc/tiny/x would lie in it",
    ),
    "a conffile and what the deploy writes": (
        lambda s: _config(s, "/etc/mycompany/tiny/secrets.env/x"),
        "/etc/mycompany/tiny/secrets.env is a file .* /etc/mycompany/tiny/secrets.env/x would",
    ),
    "what the deploy writes and a conffile": (
        lambda s: _config(s, "/etc/mycompany/tiny/tiny.conf/x", managed=True),
        "/etc/mycompany/tiny/tiny.conf is a file .* /etc/mycompany/tiny/tiny.conf/x would",
    ),
    "a file, and the folder of papers": (
        lambda s: _file(s.app, "/usr/share/doc/tiny"),
        "/usr/share/doc/tiny is a file .* /usr/share/doc/tiny/changelog.Debian.gz would",
    ),
    "a command, and a file below it": (
        lambda s: _command(_file(s.app, "/usr/bin/tiny-job/x")),
        "/usr/bin/tiny-job is a file .* /usr/bin/tiny-job/x would",
    ),
    "a command, and a file": (
        lambda s: _command(_file(s.app, "/usr/bin/tiny-job")),
        "/usr/bin/tiny-job is in the package twice",
    ),
}


@pytest.mark.slow
@pytest.mark.parametrize("case", IN_EACH_OTHERS_WAY)
@pytest.mark.parametrize("layout", ["whole", "split"])
def test_what_dpkg_could_not_unpack_is_refused(sample: Sample, case: str, layout: str) -> None:
    change, message = IN_EACH_OTHERS_WAY[case]
    with pytest.raises(Refused, match=message):
        sample.build(replace(change(sample), layout=layout))
    assert not sample.output.exists()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("before", "after", "message"),
    [
        ("/etc/tiny/a", "/etc/tiny/a/x", "/etc/tiny/a is a file where .*, and /etc/tiny/a/x would"),
        ("/etc/tiny/a/x", "/etc/tiny/a", "/etc/tiny/a is a folder where .* /etc/tiny/a/x lies"),
    ],
)
@pytest.mark.parametrize("moved", [False, True])
def test_what_hosts_could_not_upgrade_to_is_refused(
    sample: Sample, before: str, after: str, message: str, moved: bool
) -> None:
    app = _config(sample, after)
    previous = Previous(DebVersion("0.9-1"), ((PurePosixPath(before), "md5"),))
    if moved:
        *others, last = app.configs
        app = replace(app, configs=(*others, replace(last, moved_from=PurePosixPath(before))))
    with pytest.raises(Refused, match=message):
        sample.build(app, previous=previous)
    assert not sample.output.exists()
    assert sample.build(_config(sample, "/etc/tiny/b"), previous=previous).path.exists()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("brings", "file"),
    [
        ("scripts/python", "bin/python"),
        ("scripts/python3", "bin/python3"),
        ("scripts/python3.11", "bin/python3.11"),
        ("data/pyvenv.cfg", "pyvenv.cfg"),
    ],
)
def test_what_makes_a_virtualenv_is_no_wheels_to_bring(
    sample: Sample, brings: str, file: str
) -> None:
    scripts = ("tiny-web", "tiny-job")
    files = {f"tiny-1.0.data/{brings}": "#!python\n"}
    make_wheel(sample.app.directory / "dist", "tiny", files=files, scripts=scripts)
    with pytest.raises(Refused, match=f"brings {file}, which the virtualenv has of its own"):
        sample.build()
    assert not sample.output.exists()


@pytest.mark.slow
def test_what_a_dependency_brings_is_in_a_package_once(sample: Sample) -> None:
    folder: Path = sample.app.directory
    make_wheel(folder / "wheels", "lib_a", files={"lib_a-1.0.data/data/pyvenv.cfg": "home = /x\n"})
    wheels = sorted((folder / "wheels").glob("*.whl"))
    lock_wheels(folder, *wheels)
    with pytest.raises(Refused, match=r"/usr/lib/tiny/pyvenv\.cfg is in the package twice"):
        sample.build()


def test_files_side_by_side_are_well() -> None:
    check_places(["etc/a.conf", "etc/a", "etc/a-x/b", "usr/bin/a"], ["etc/b", "etc/a"])
    with pytest.raises(Refused, match="/etc/a is a file of the package, and /etc/a/b/c would"):
        check_places(["etc/a.conf", "etc/a/b/c", "etc/a", "etc/a-x"])
