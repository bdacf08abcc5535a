"""A package with everything that one can have."""

from dataclasses import replace
from pathlib import Path, PurePosixPath

import pytest
from sample import make_sample, rich

from debship.config.app import App, ExtraFile, RunSettings
from debship.debian.releases import Release
from debship.errors import Failed, Misused, Refused
from debship.model import Architecture, Deb
from debship.run import run

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def deb(tmp_path_factory: pytest.TempPathFactory, release: Release, machine: Architecture) -> Deb:
    sample = make_sample(tmp_path_factory.mktemp("rich"), release, machine)
    return sample.build(rich(sample))


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory, deb: Deb) -> Path:
    folder = tmp_path_factory.mktemp("rich-unpacked") / "root"
    run(["dpkg-deb", "-R", deb.path, folder])
    return folder


@pytest.mark.parametrize("script", ["preinst", "postinst", "prerm", "postrm"])
def test_its_scripts(script: str, root: Path, golden) -> None:
    golden(f"build/rich/{script}", (root / "DEBIAN" / script).read_text())


def test_what_lies_where(root: Path, golden) -> None:
    inside = (path for path in root.rglob("*") if "/usr/lib/tiny" not in str(path))
    lines = []
    for path in sorted(inside):
        name = path.relative_to(root)
        if path.is_symlink():
            lines.append(f"/{name} -> {path.readlink()}\n")
        elif path.is_file() and not str(name).startswith("DEBIAN"):
            lines.append(f"{path.stat().st_mode & 0o777:o} /{name}\n")
    golden("build/rich/files", "".join(lines))


def test_its_copyright_names_every_distribution_and_where_its_licence_lies(root: Path) -> None:
    told = (root / "usr/share/doc/tiny/copyright").read_text()
    site = next((root / "usr/lib/tiny/lib").glob("python3*")) / "site-packages"
    infos = list(site.glob("*.dist-info"))
    assert len(infos) > 2
    for info in infos:
        name, version = info.name.removesuffix(".dist-info").split("-")
        paragraph = next(
            text for text in told.split("\n\n") if text.startswith(f"{name.replace('_', '-')} ")
        )
        assert paragraph.splitlines()[0].endswith(f" {version}")
        assert "  Copyright: Ann" in paragraph
        assert "  License: MIT" in paragraph
        assert f"  Text: /{(info / 'licenses/LICENSE').relative_to(root)}" in paragraph


def test_its_size_and_sums_are_what_debian_counts(deb: Deb, root: Path) -> None:
    run(["md5sum", "--check", "--strict", "--quiet", "DEBIAN/md5sums"], cwd=root)
    kib = 0
    for path in (root, *(p for p in root.rglob("*") if "DEBIAN" not in p.parts)):
        content = path.is_symlink() or path.is_file()
        kib += -(-path.lstat().st_size // 1024) if content else 1
    assert int(run(["dpkg-deb", "-f", deb.path, "Installed-Size"]).text) == kib


@pytest.mark.acceptance
def test_lintian_finds_nothing_that_is_not_overridden_with_a_reason(deb: Deb, root: Path) -> None:
    words = ("lintian", "--no-cfg", "--allow-root", "--fail-on", "error,warning", deb.path)
    done = run(words, check=False)
    assert done.returncode == 0, done.text
    overrides = (root / "usr/share/lintian/overrides/tiny").read_text().splitlines()
    for before, line in zip(["", *overrides], overrides, strict=False):
        assert line.startswith("#") or before.startswith(("#", "tiny:")), line


def test_a_command_is_a_link_that_leads_to_a_script(root: Path) -> None:
    assert (root / "usr/bin/tiny-job").resolve() == root / "usr/lib/tiny/bin/tiny-job"


def test_an_instance_is_a_link_to_its_template(root: Path) -> None:
    units = root / "usr/lib/systemd/system"
    assert "%i" in (units / "tiny-work@2.service").resolve(strict=True).read_text()
    assert not (units / "tiny-work@3.service").exists()


def _commands(app: App) -> App:
    return replace(app, run=RunSettings(commands=("tiny-jib",)))


def _file(path: str):
    def change(app: App) -> App:
        extra = ExtraFile(PurePosixPath(path), app.directory / "tool")
        return replace(app, files=(extra,))

    return change


def _script(text: str):
    def change(app: App) -> App:
        (app.directory / "bad.sh").write_text(text)
        return replace(app, scripts=(("postinst", app.directory / "bad.sh"),))

    return change


def _template(name: str, text: str):
    def change(app: App) -> App:
        path = app.directory / "packaging/package" / name
        path.parent.mkdir(parents=True)
        path.write_text(text)
        return replace(app, build=replace(app.build, templates=app.directory / "packaging"))

    return change


def test_a_template_of_their_own_takes_the_place_of_ours(sample, tmp_path: Path) -> None:
    app = _template("sysusers", "u {{ app.user }} 812 - /srv /bin/sh\n")(sample.app)
    deb = sample.build(app)
    run(["dpkg-deb", "-x", deb.path, tmp_path / "root"])
    assert (
        tmp_path / "root/usr/lib/sysusers.d/tiny.conf"
    ).read_text() == "u _tiny 812 - /srv /bin/sh\n"


CONTROL = """\
Package: {name}
Version: {{{{ package.version }}}}
Architecture: {{{{ package.architecture }}}}
Maintainer: A <a@example.com>
Depends: {depends}
Description: it
"""
REFUSED = {
    "a template of no use": (_template("sysuser", ""), "debship has no template package/sysuser"),
    "a template that is none": (
        _template("postinst", "{{ nothing }}"),
        "package/postinst: 'nothing'",
    ),
    "a template that breaks a script": (
        _template("postinst", "#!/bin/sh\nif"),
        "postinst: sh cannot read it",
    ),
    "a template that dpkg cannot start": (_template("postinst", "true\n"), "names no interpreter"),
    "a template of another package": (
        _template("control", CONTROL.format(name="other", depends="adduser")),
        'package/control: Package is "other", expected "tiny"',
    ),
    "a template of a relation that apt cannot read": (
        _template("control", CONTROL.format(name="tiny", depends="adduser (>= )")),
        r"package/control: Depends has 'adduser \(>= \)', which is no relation",
    ),
    "a template of two paragraphs": (
        _template("control", CONTROL.format(name="tiny", depends="adduser") + "\nPackage: x\n"),
        "package/control: line 7 is blank",
    ),
    "a template that breaks a unit": (
        _template("service", "[Service]\nExecStart=x\n"),
        "systemd would not take a unit as it is",
    ),
    "a command": (_commands, 'run.commands: the virtualenv has no script "tiny-jib"'),
    "a file of ours": (
        _file("/usr/lib/systemd/system/tiny.service"),
        "/usr/lib/systemd/system/tiny.service is in the package twice",
    ),
    "a file of the virtualenv": (_file("/usr/lib/tiny/bin/x"), "/usr/lib/tiny/bin/x lies in the"),
    "a script of another shell": (_script("#!/bin/bash\n[[ x ]]\n"), "bad.sh is for /bin/bash"),
    "a script that is no script": (_script("if true; then"), "scripts.postinst: sh cannot read"),
    "a script that leaves its shell": (_script("true)\n(true\n"), "scripts.postinst: sh cannot"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_is_refused(case: str, sample) -> None:
    change, message = REFUSED[case]
    with pytest.raises((Misused, Refused, Failed), match=message):
        sample.build(change(rich(sample)))
    assert not sample.output.exists() or not list(sample.output.iterdir())
