"""What a package tells of its versions: from git's tags, or from a file."""

import gzip
from dataclasses import replace
from pathlib import Path

import pytest
from debian.changelog import Changelog
from sample import DATE, Sample

from debship.build.history import Change, read_history
from debship.errors import Misused
from debship.model import Deb
from debship.run import run

pytestmark = pytest.mark.slow

_GIT = {
    "GIT_AUTHOR_NAME": "a",
    "GIT_AUTHOR_EMAIL": "a@b",
    "GIT_COMMITTER_NAME": "a",
    "GIT_COMMITTER_EMAIL": "a@b",
}


@pytest.fixture
def git(tmp_path: Path):
    """Make commits, a second apart; a word that starts with @ is a tag on the one before it."""

    def make(*words: str) -> Path:
        folder = tmp_path / "repository"
        folder.mkdir()
        run(["git", "init", "-q"], cwd=folder)
        for number, word in enumerate(words):
            env = {**_GIT, "GIT_COMMITTER_DATE": f"{DATE + number} +0000"}
            if word.startswith("@"):
                run(["git", "tag", word[1:]], cwd=folder, env=env)
            else:
                run(["git", "commit", "-q", "--allow-empty", "-m", word], cwd=folder, env=env)
        return folder

    return make


def test_a_history_is_read_tag_by_tag(git) -> None:
    folder = git("one", "@v1.0rc1", "two", "@v1.0", "@stable", "three", "four")
    assert read_history(folder, run) == (
        Change(None, DATE + 6, ("four", "three")),
        Change("1.0", DATE + 2, ("two",)),
        Change("1.0~rc1", DATE, ("one",)),
    )


def test_in_a_folder_of_a_repository_only_what_touched_it_counts(git) -> None:
    top = git("one", "@v0.9")
    for name in ("app", "other"):
        (top / name).mkdir()
        (top / name / "file").write_text("x")
        run(["git", "add", name], cwd=top)
        run(["git", "commit", "-q", "-m", f"Change {name}"], cwd=top, env=_GIT)
        run(["git", "tag", f"{name}/v1.0"], cwd=top, env=_GIT)
    (change,) = read_history(top / "app", run, ["app"])
    assert (change.upstream, change.subjects) == ("1.0", ("Change app",))


def test_a_tag_on_what_did_not_touch_the_folder_is_a_version_all_the_same(git) -> None:
    """On the merge of a branch, as it is tagged where branches are merged; on a release of all."""
    top = git("one")

    def change(name: str, subject: str) -> None:
        (top / name).mkdir(exist_ok=True)
        (top / name / "file").write_text(subject)
        run(["git", "add", name], cwd=top)
        run(["git", "commit", "-q", "-m", subject], cwd=top, env=_GIT)

    for number in (1, 2):
        run(["git", "checkout", "-q", "-b", f"branch{number}"], cwd=top)
        change("app", f"Change {number}")
        run(["git", "checkout", "-q", "-"], cwd=top)
        change("other", f"Change other {number}")
        run(["git", "merge", "-q", "--no-ff", "--no-edit", f"branch{number}"], cwd=top, env=_GIT)
        run(["git", "tag", f"app/v{number}.0"], cwd=top)
    change("app", "Change 3")
    change("other", "Release")
    run(["git", "tag", "app/v3.0"], cwd=top)
    run(["git", "tag", "other/v9.0"], cwd=top)
    change("app", "Change 4")
    told = [(one.upstream, one.subjects) for one in read_history(top / "app", run, ["app"])]
    assert told == [
        (None, ("Change 4",)),
        *((f"{number}.0", (f"Change {number}",)) for number in (3, 2, 1)),
    ]


def test_what_is_tagged_now_is_a_version(git) -> None:
    assert read_history(git("one", "@1.0"), run)[0].upstream == "1.0"


@pytest.mark.parametrize("words", [(), ("one",), ("one", "@stable")])
def test_without_a_tag_there_is_no_history(git, words) -> None:
    assert read_history(git(*words), run) == ()


def test_where_there_is_no_git_there_is_none(tmp_path: Path) -> None:
    assert read_history(tmp_path, run) == ()


def _changelog(deb: Deb, name: str = "changelog.Debian.gz") -> str:
    path = f"./usr/share/doc/tiny/{name}"
    tar = run(["dpkg-deb", "--fsys-tarfile", deb.path]).stdout
    return gzip.decompress(run(["tar", "-xO", path], stdin=tar).stdout).decode()


HISTORY = (
    Change(None, DATE, ("Do it", "Do it", f"A long story {'of words ' * 12}", "")),
    Change("0.9", DATE - 86400, ("Begin \u2713",)),
    Change("0.8", DATE - 2 * 86400, ()),
    Change("1.1", DATE - 3 * 86400, ("Of another branch",)),
)


def test_it_is_written_as_debian_reads_it(sample: Sample, golden) -> None:
    text = _changelog(sample.build(history=HISTORY))
    golden("build/changelog", text)
    read = Changelog(text, strict=True)
    assert [str(block.version) for block in read] == ["1.0-1", "0.9-1", "0.8-1"]
    assert all(len(line) <= 80 for line in text.splitlines())


def test_what_is_tagged_as_this_version_is_of_this_version(sample: Sample) -> None:
    history = (Change(None, DATE, ("Fix",)), Change("1.0", DATE, ("Do",)))
    text = _changelog(sample.build(history=history))
    assert [str(block.version) for block in Changelog(text, strict=True)] == ["1.0-1"]
    assert "  * Fix\n  * Do\n" in text


def test_without_a_history_it_says_what_it_is_made_of(sample: Sample) -> None:
    assert "    - lib-a 1.0\n" in _changelog(sample.build())


OWN = "tiny (1.0-1) unstable; urgency=low\n\n  * Ours.\n\n -- A <a@b>  Tue, 14 Nov 2023 22:13:20 +0000\n"


@pytest.mark.parametrize("version", ["1.0-1", "0.9-1"])
def test_one_of_the_applications_own_is_taken(sample: Sample, version: str) -> None:
    path = sample.app.directory / "changelog"
    path.write_text(OWN.replace("1.0-1", version))
    text = _changelog(sample.build(replace(sample.app, changelog=path), history=HISTORY))
    found = [str(block.version) for block in Changelog(text, strict=True)]
    assert found == list(dict.fromkeys(["1.0-1", version]))


def test_one_in_another_form_is_shipped_beside_it(sample: Sample) -> None:
    path = sample.app.directory / "CHANGELOG.md"
    path.write_text("# Changes\n")
    deb = sample.build(replace(sample.app, changelog=path))
    assert _changelog(deb, "changelog.gz") == "# Changes\n"
    assert _changelog(deb).startswith("tiny (1.0-1) ")


def test_one_that_is_no_text_is_refused(sample: Sample) -> None:
    path = sample.app.directory / "changelog"
    path.write_bytes(b"\xff")
    with pytest.raises(Misused, match=r"app\.changelog: .* it is not UTF-8"):
        sample.build(replace(sample.app, changelog=path))
