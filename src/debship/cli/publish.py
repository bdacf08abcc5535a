"""`debship publish`: put packages into a signed suite."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from debship.cli.output import Say, progress, show_json
from debship.cli.repository import Target, on_repository

if TYPE_CHECKING:
    from debship.debian.archive import Archive
    from debship.publish.plan import PublishPlan
    from debship.publish.recipe import Published


@click.command("publish")
@on_repository
@click.option(
    "--component",
    default="main",
    show_default=True,
    metavar="NAME",
    help="The part of the suite that it goes to.",
)
@click.option("--allow-older", is_flag=True, help="Take versions below the published one.")
@click.option("--check", "checked", is_flag=True, help="Let this machine's apt fetch it, apart.")
@click.option("--url", metavar="URL", help="Where --check reads. Left out: as fleet.toml says.")
@click.option("--plan", "plan_only", is_flag=True, help="Print what would be done, and stop.")
@click.option("--json", "as_json", is_flag=True, help="Print the result for machines.")
@click.argument("files", nargs=-1, required=True, type=click.Path(path_type=Path))
def command(
    *,
    where: Target,
    component: str,
    allow_older: bool,
    checked: bool,
    url: str | None,
    plan_only: bool,
    as_json: bool,
    files: tuple[Path, ...],
) -> None:
    """Put .debs into a suite: upload, index, sign, commit.

    Prints what hosts will see, then the publication's id.
    """
    from debship.publish.paths import PAGE, inrelease_path

    likely = _likely(where, component, {_named(file) for file in files})
    # One that is far away begins to answer.
    where.store.expect([inrelease_path(where.suite), PAGE, *likely])
    with progress() as say, where.opening(say) as opened:
        archives = _read(files, say)
        found = _likely(where, component, {it.deb.architecture for it in archives})
        where.store.expect([path for path in found if path not in likely])
        from debship.publish.recipe import plan, publish

        publisher = opened()
        if plan_only:
            before = publisher.snapshot(where.suite)
            planned = plan(
                publisher, before, archives, component=component, allow_older=allow_older
            )
        else:
            done = publish(
                publisher, where.suite, archives, component=component, allow_older=allow_older
            )
            if checked:
                say("checking with apt")
                _check(where, archives, url)
    if plan_only:
        show_json("publish --plan", _planned(planned)) if as_json else _show_plan(planned)
    else:
        show_json("publish", _result(done)) if as_json else _show(done)


def _likely(where: Target, component: str, architectures: set[str]) -> tuple[str, ...]:
    """Say which indices will be wanted, as far as one can tell."""
    from debship.publish.paths import likely_indices

    return likely_indices(where.suite, component, architectures - {""})


def _named(file: Path) -> str:
    """Give the architecture that a package is named by (dpkg-name(1)); "" where it is not."""
    *others, name = file.stem.split("_")
    return name if len(others) == 2 and name.isascii() and name.isalnum() else ""


def _read(files: tuple[Path, ...], say: Say) -> "list[Archive]":
    from debship.debian.archive import read_archive

    say(f"reading {len(files)} packages")
    return [read_archive(file) for file in files]


def _check(where: Target, archives: "list[Archive]", url: str | None) -> None:
    from debship.publish.check import Wanted, check
    from debship.publish.sources import sources
    from debship.run import run

    snapshot, given = where.read()
    wanted = [Wanted(it.deb.package, it.deb.version.text, it.deb.architecture) for it in archives]
    check(sources(snapshot, given, where.url(url)), wanted, run)


def _show_plan(planned: "PublishPlan") -> None:
    for upload in planned.uploads:
        print(f"upload {upload.path} ({upload.deb.size} bytes)")
    for deb in planned.present:
        print(f"keep {deb.package} {deb.version} {deb.architecture}")
    for part in sorted(planned.indices):
        print(f"index {planned.settings.suite} {part.component} {part.architecture}")
    if planned.unchanged:
        print("unchanged")


def _planned(planned: "PublishPlan") -> dict[str, Any]:
    return {
        "suite": planned.settings.suite,
        "unchanged": planned.unchanged,
        "uploads": [
            {**_package(it.deb), "path": it.path, "size": it.deb.size} for it in planned.uploads
        ],
        "present": [_package(deb) for deb in planned.present],
        "indices": [part.folder for part in sorted(planned.indices)],
    }


def _show(done: "Published") -> None:
    suite = done.publication.suite
    for upload in done.plan.uploads:
        deb = upload.deb
        print(f"{deb.package} {deb.version} {deb.architecture} {suite}")
    print(done.publication.id if done.publication.changed else "unchanged")


def _result(done: "Published") -> dict[str, Any]:
    publication = done.publication
    return {
        "publication": publication.id,
        "suite": publication.suite,
        "date": publication.date.isoformat(),
        "changed": publication.changed,
        "packages": [{**_package(it.deb), "path": it.path} for it in done.plan.uploads],
        "present": [_package(deb) for deb in done.plan.present],
    }


def _package(deb: Any) -> dict[str, str]:
    return {
        "package": deb.package,
        "version": deb.version.text,
        "architecture": deb.architecture,
        "sha256": deb.sha256,
    }
