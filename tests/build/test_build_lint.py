"""lintian is asked where it is wanted, and every override of ours says why."""

from dataclasses import replace
from pathlib import Path

import pytest
from sample import Sample

from debs import make_deb
from debship.build.lint import lint
from debship.cli.build_checks import lint as check
from debship.debian.archive import read_archive
from debship.errors import Failed
from debship.run import run
from debship.template_files import directory

from fakes import FakeRun


def test_every_override_has_its_reason_beside_it() -> None:
    reason, overrides = "", 0
    for line in (directory() / "package" / "lintian-overrides").read_text().splitlines():
        if line.startswith("#"):
            reason = line.removeprefix("#").strip()
        elif line.startswith("{% for"):
            continue
        elif line.startswith("{%") or not line:
            reason = ""  # one reason serves the lines right below it, and no others
        else:
            overrides += 1
            assert len(reason.split()) > 4, f"{line}: there is no reason above it"
    assert overrides > 3


def test_the_reasons_are_in_the_package(root: Path) -> None:
    lines = (root / "usr/share/lintian/overrides/tiny").read_text().splitlines()
    assert lines[0].startswith("#")
    assert all(line.startswith(("#", "tiny: ")) for line in lines)


def test_tags_that_nothing_overrides_are_found() -> None:
    out = (
        b"E: auth: no-copyright-file\nW: auth: x y [z]\nO: auth: a\nO: auth: b\nI: auth: c\nN: d\n"
    )
    fake = FakeRun()
    fake.answer("lintian", stdout=out)
    opinion = lint([Path("a.deb")], fake)
    assert opinion.tags == ("E: auth: no-copyright-file", "W: auth: x y [z]")
    assert opinion.overridden == 2


def test_without_lintian_the_way_out_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(Failed, match="lintian is not installed") as caught:
        lint([Path("a.deb")], run)
    assert caught.value.hint == "apt-get install lintian"


@pytest.mark.acceptance
def test_a_package_of_ours_passes(sample: Sample) -> None:
    deb = sample.build(replace(sample.app, summary="Service for tests"))
    assert lint([deb.path], run).tags == ()


@pytest.mark.acceptance
def test_what_lintian_objects_to_is_an_error(tmp_path: Path) -> None:
    deb = read_archive(make_deb(tmp_path)).deb
    with pytest.raises(Failed, match="E: auth: no-copyright-file") as caught:
        check([deb], lambda step: None)
    assert caught.value.hint
    assert caught.value.hint.startswith("lintian-explain-tags ")
