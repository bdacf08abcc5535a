"""Configuration files that change, move and go between versions, as dpkg has it."""

import hashlib
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path, PurePosixPath

import pytest
from sample import Sample

from debship.build.conffiles import Conffiles, Previous, check_version, compare, read_previous
from debship.config.app import ConfigFile
from debship.debian.releases import release as release_named
from debship.errors import Refused
from debship.model import DebVersion
from debship.run import run

OLD, NEW = PurePosixPath("/etc/tiny/old.conf"), PurePosixPath("/etc/tiny/new.conf")


@pytest.fixture
def config(tmp_path: Path) -> Callable[..., ConfigFile]:
    def make(path: PurePosixPath, text: str = "x\n", **more: object) -> ConfigFile:
        source = tmp_path / str(abs(hash(text)))
        source.write_text(text)
        return ConfigFile(path, source, managed=False, **more)  # type: ignore[arg-type]

    return make


def _previous(**texts: str) -> Previous:
    paths = {"old": OLD, "new": NEW}
    shipped = (
        (paths[name], hashlib.md5(text.encode()).hexdigest()) for name, text in texts.items()
    )
    return Previous(DebVersion("1.0-1"), tuple(shipped))


def test_what_a_package_ships_is_read_from_it(sample: Sample, config) -> None:
    app = replace(sample.app, configs=(config(OLD, "a\n"), config(NEW, "b\n")))
    previous = read_previous(sample.build(app).path, app)
    assert previous == _previous(new="b\n", old="a\n")


def test_without_a_package_before_nothing_happens_but_what_is_said(sample: Sample, config) -> None:
    app = replace(sample.app, configs=(config(NEW, moved_from=OLD),))
    assert compare(app, None) == Conffiles((NEW,), moved=((OLD, NEW),))


def test_what_is_no_longer_shipped_is_removed_for_good(sample: Sample, config) -> None:
    previous = Previous(DebVersion("1.0-1"), ((OLD, "md5"),), gone=(PurePosixPath("/etc/older"),))
    found = compare(replace(sample.app, configs=()), previous)
    assert found.lines == (
        "remove-on-upgrade /etc/older",
        "remove-on-upgrade /etc/tiny/old.conf",
    )
    focal, version = release_named("focal"), DebVersion("1.1-1")
    assert found.lines_for(focal) == ()
    assert ("rm_conffile", "/etc/older", "1.1-1~") in found.helpers(version, focal)


def test_what_comes_back_is_shipped_again(sample: Sample, config) -> None:
    previous = Previous(DebVersion("1.0-1"), gone=(OLD,))
    found = compare(replace(sample.app, configs=(config(OLD),)), previous)
    assert found.lines == (str(OLD),)


def test_what_the_deploy_writes_from_now_on_keeps_its_place(sample: Sample) -> None:
    previous = Previous(DebVersion("1.0-1"), ((OLD, "md5"),))
    managed = ConfigFile(OLD, None, managed=True)
    assert compare(replace(sample.app, configs=(managed,)), previous) == Conffiles(())


def test_the_same_contents_elsewhere_have_moved(sample: Sample, config) -> None:
    previous = _previous(old="a\n")
    found = compare(replace(sample.app, configs=(config(NEW, "a\n"),)), previous)
    assert (found.gone, found.moved) == ((), ((OLD, NEW),))
    assert found.helpers(DebVersion("1.1-1"), release_named("bookworm")) == (
        ("mv_conffile", str(OLD), str(NEW), "1.1-1~"),
    )


@pytest.mark.parametrize("texts", [("", ""), ("a\n", "b\n")], ids=["empty", "other"])
def test_other_contents_or_none_have_not_moved(sample: Sample, config, texts) -> None:
    previous = _previous(old=texts[0])
    found = compare(replace(sample.app, configs=(config(NEW, texts[1]),)), previous)
    assert (found.gone, found.moved) == ((OLD,), ())


def test_of_two_that_are_alike_none_is_guessed(sample: Sample, config) -> None:
    previous = _previous(old="a\n")
    configs = (config(NEW, "a\n"), config(PurePosixPath("/etc/tiny/other.conf"), "a\n"))
    assert compare(replace(sample.app, configs=configs), previous).gone == (OLD,)


def test_a_move_is_remembered_by_the_versions_after_it(
    sample_in: Callable[..., Sample], tmp_path: Path, config
) -> None:
    two = sample_in(tmp_path / "two", "1.1")
    moved = replace(two.app, configs=(config(NEW, "b\n", moved_from=OLD),))
    after = read_previous(two.build(moved).path, two.app)
    assert after.moved == ((OLD, NEW),)
    later = compare(replace(two.app, configs=(config(NEW, "c\n"),)), after)
    assert (later.moved, later.changed) == (((OLD, NEW),), (NEW,))
    gone = compare(replace(two.app, configs=()), after)
    assert (gone.gone, gone.moved) == ((NEW, OLD), ())


def test_a_move_from_where_nothing_was_is_said(sample: Sample, config) -> None:
    typo = PurePosixPath("/etc/tiny/odl.conf")
    note = "no earlier version is known to have shipped /etc/tiny/odl.conf: is moved_from misspelt?"
    app = replace(sample.app, configs=(config(NEW, "b\n", moved_from=typo),))
    assert note in compare(app, _previous(old="a\n")).notes
    app = replace(sample.app, configs=(config(NEW, "b\n", moved_from=OLD),))
    moved = Previous(DebVersion("1.0-1"), ((NEW, "md5"),), moved=((OLD, NEW),))
    for previous in (_previous(old="a\n"), moved, replace(moved, gone=(OLD,), moved=()), None):
        assert compare(app, previous).unknown == ()


def test_what_is_said_of_a_place_is_not_guessed_as_well(sample: Sample, config) -> None:
    """Each edit keeps a place of its own: what is moved over another's is lost to .dpkg-new."""
    other, third = PurePosixPath("/etc/tiny/a.conf"), PurePosixPath("/etc/tiny/third.conf")
    texts = ((OLD, "old\n"), (other, "a\n"))
    shipped = tuple((path, hashlib.md5(text.encode()).hexdigest()) for path, text in texts)
    previous = Previous(DebVersion("1.0-1"), shipped)
    found = compare(replace(sample.app, configs=(config(NEW, "a\n", moved_from=OLD),)), previous)
    assert (found.moved, found.gone) == (((OLD, NEW),), (other,))
    both = (config(NEW, "x\n", moved_from=OLD), config(third, "old\n"))
    found = compare(replace(sample.app, configs=both), previous)
    assert (found.moved, found.gone) == (((OLD, NEW),), (other,))


def test_what_changed_is_said(sample: Sample, config) -> None:
    notes = Conffiles((NEW,), gone=(OLD,), changed=(NEW,)).notes
    assert notes == (
        "/etc/tiny/old.conf is no longer shipped: an upgrade removes it, and keeps one that was "
        "edited as /etc/tiny/old.conf.dpkg-old",
        "the default of /etc/tiny/new.conf changed: a host on which it was edited asks what to "
        "do (in a roll, it keeps its own)",
    )


def test_a_version_below_the_last_one_is_refused(sample: Sample) -> None:
    previous = Previous(DebVersion("1.0+really0.9-1"))
    check_version(DebVersion("1.0+really0.9-1"), previous)
    with pytest.raises(Refused, match=r"1\.0-1 sorts below 1\.0\+really0\.9-1") as refused:
        check_version(DebVersion("1.0-1"), previous)
    assert "--allow-older" in (refused.value.hint or "")


def test_the_package_of_another_is_refused(sample: Sample) -> None:
    deb = sample.build()
    with pytest.raises(Refused, match="is tiny, not other"):
        read_previous(deb.path, replace(sample.app, name="other"))


class Dpkg:
    """dpkg as it is, in a root of its own where no service runs."""

    def __init__(self, root: Path) -> None:
        self.root = root
        for folder in ("info", "updates"):
            (root / "var/lib/dpkg" / folder).mkdir(parents=True)
        (root / "var/lib/dpkg/status").touch()

    def __call__(self, *words: object) -> None:
        forced = ("--force-depends", "--force-script-chrootless", "--force-not-root")
        run(["dpkg", f"--root={self.root}", "--log=/dev/null", *forced, *map(str, words)])

    def files(self) -> dict[str, str]:
        found = (path for path in (self.root / "etc").rglob("*") if path.is_file())
        return {f"/{path.relative_to(self.root)}": path.read_text() for path in found}


@pytest.mark.acceptance
@pytest.mark.parametrize("edited", [False, True])
@pytest.mark.parametrize("codename", [None, "focal"])
def test_what_dpkg_makes_of_it(
    sample_in: Callable[..., Sample], tmp_path: Path, config, edited: bool, codename: str | None
) -> None:
    """Two files; one goes, one moves with another default; a version is left out on the way."""
    samples = [sample_in(tmp_path / version, version) for version in ("1.0", "1.1", "1.2")]
    moving, going = PurePosixPath("/etc/tiny/moving.conf"), PurePosixPath("/etc/going/it.conf")
    first = [config(moving, "moving 1\n"), config(going, "going\n")]
    second = [config(NEW, "moving 2\n", moved_from=moving)]
    third = [config(NEW, "moving 3\n")]
    debs, previous = [], None
    for sample, configs in zip(samples, (first, second, third), strict=True):
        app = replace(sample.app, configs=tuple(configs), services=())
        if codename:
            sample.release = replace(sample.release, codename=codename)
        debs.append(sample.build(app, previous=previous).path)
        previous = read_previous(debs[-1], app)
    for way in ((0, 1, 2), (0, 2), (0, 1, 0, 2)):
        root = tmp_path / f"root{''.join(map(str, way))}"
        dpkg = Dpkg(root)
        dpkg("-i", debs[0])
        if edited:
            for path in (moving, going):
                with (root / str(path)[1:]).open("a") as file:
                    file.write("mine\n")
        for number in way[1:]:
            dpkg("--force-confold", "-i", debs[number])
        kept = "/etc/going/it.conf.dpkg-bak" if codename else "/etc/going/it.conf.dpkg-old"
        files = dpkg.files()
        if edited:
            assert files.pop(kept) == "going\nmine\n"
            assert files.pop(str(NEW)) == "moving 1\nmine\n"
            assert set(files) <= {f"{NEW}.dpkg-new", f"{NEW}.dpkg-dist"}
        elif way != (0, 1, 0, 2):
            assert files == {str(NEW): "moving 3\n"}
        dpkg("-P", "tiny")
        assert dpkg.files() == {}
        assert not (root / "etc/going").exists()
        shutil.rmtree(root)
