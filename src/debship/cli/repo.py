"""`debship repo`: a repository's life."""

import sys
from typing import Any

import click

from debship.cli.output import progress, show_json
from debship.cli.repo_key import key_
from debship.cli.repo_life import gc_, log_, promote_, rollback_
from debship.cli.repository import Target, on_repository
from debship.errors import Failed, Misused, Refused
from debship.run import run


@click.group("repo")
def command() -> None:
    """Make, look at and verify a repository."""


@command.command("init")
@on_repository
@click.option("--codename", metavar="NAME", help="Left out: the suite.")
@click.option(
    "--origin",
    default="debship",
    show_default=True,
    metavar="TEXT",
    help="Whose it is, for hosts that pin.",
)
@click.option("--label", metavar="TEXT", help="Left out: the origin.")
@click.option(
    "--component",
    "components",
    multiple=True,
    default=("main",),
    show_default=True,
    help="A part of it; may be given several times.",
)
@click.option(
    "--architecture",
    "architectures",
    multiple=True,
    default=("amd64",),
    show_default=True,
    help="Of its hosts; may be given several times.",
)
@click.option(
    "--not-automatic", is_flag=True, help="Hosts install from it only where they are told to."
)
@click.option(
    "--but-automatic-upgrades", is_flag=True, help="... and upgrade what they took from it."
)
@click.option("--contents", is_flag=True, help="Say which package installs what, for apt-file.")
@click.option("--xz", is_flag=True, help="Offer indices as xz too: smaller, slower to publish.")
@click.option("--generate-key", is_flag=True, help="Make an ed25519 key in your keyring first.")
def init_(
    *,
    where: Target,
    codename: str | None,
    origin: str,
    label: str | None,
    components: tuple[str, ...],
    architectures: tuple[str, ...],
    not_automatic: bool,
    but_automatic_upgrades: bool,
    contents: bool,
    xz: bool,
    generate_key: bool,
) -> None:
    """Make an empty signed suite; in one that is there, add components, architectures, Contents and xz.

    Origin, label, codename and priority stay as they are for ever: apt refuses to see them change.
    """
    from debship.publish.release import Settings
    from debship.publish.suite import init

    if generate_key and where.armored is not None:
        raise Misused(
            "--generate-key makes a key in your keyring, but DEBSHIP_SIGNING_KEY holds one as text",
            "leave one of them out",
        )
    settings = Settings(
        suite=where.suite,
        codename=codename or where.suite,
        origin=origin,
        label=label or origin,
        components=components,
        architectures=architectures,
        not_automatic=not_automatic,
        but_automatic_upgrades=but_automatic_upgrades,
        contents=contents,
        xz=xz,
    )
    made = (_made_key(where, settings.origin),) if generate_key else ()
    with progress() as say, where.publisher(say, others=made) as publisher:
        publication = init(publisher, settings)
        for fingerprint in publisher.keys.fingerprints:
            print(f"key {fingerprint}")
    print(publication.id if publication.changed else "unchanged")


def _made_key(where: Target, origin: str) -> str:
    """Make a key, once nothing that is known already keeps a suite from being made with it."""
    from debship.publish.paths import inrelease_path
    from debship.publish.signing import generate

    if where.store.read(inrelease_path(where.suite)) is not None:
        raise Refused(
            f"{where.suite}: it is there already, and a key that is new does not sign it",
            "leave --generate-key out; for another key: debship repo key add",
        )
    fingerprint = generate(f"{origin} archive signing key", run)
    print(f"made key {fingerprint}", file=sys.stderr)  # known also if what follows fails
    return fingerprint


@command.command("list")
@on_repository
@click.option("--json", "as_json", is_flag=True, help="Print the result for machines.")
@click.argument("packages", nargs=-1)
def list_(
    *,
    where: Target,
    as_json: bool,
    packages: tuple[str, ...],
) -> None:
    """List what a suite holds: package, version, architecture, component."""
    from debship.publish.listing import listing

    snapshot, _ = where.read()
    rows = listing(where.store, snapshot.release, packages)
    if as_json:
        names = ("package", "version", "architecture", "component", "size", "sha256", "path")
        found: list[dict[str, Any]] = [dict(zip(names, row, strict=True)) for row in rows]
        show_json("repo list", {"publication": snapshot.id, "packages": found})
        return
    for row in rows:
        print(*row[:4])


@command.command("verify")
@on_repository
@click.option("--deep", is_flag=True, help="Read every package again, from S3 too.")
@click.option("--json", "as_json", is_flag=True, help="Print the result for machines.")
def verify_(*, where: Target, deep: bool, as_json: bool) -> None:
    """Check the signature, the keys that are given out, every hash and every file in the pool."""
    from debship.publish.key_file import key_problems
    from debship.publish.verify import verify_suite

    with progress() as say:
        snapshot, given = where.read()
        verdict = verify_suite(where.store, snapshot, say, deep=deep)
        problems = (*key_problems(where.store, snapshot, given, run), *verdict.problems)
    if as_json:
        show_json(
            "repo verify",
            {
                "publication": snapshot.id,
                "packages": verdict.packages,
                "bytes": verdict.size,
                "problems": problems,
            },
        )
    else:
        for problem in problems:
            print(problem)
    if problems:
        raise Failed(f"{where.suite}: {len(problems)} things are wrong")
    if not as_json:
        print(f"sound: {verdict.packages} packages, {verdict.size} bytes, {snapshot.id}")


@command.command("sources")
@on_repository
@click.option("--url", metavar="URL", help="Where hosts read it. Left out: as fleet.toml says.")
def sources_(*, where: Target, url: str | None) -> None:
    """Print the .sources that hosts need, the key inside."""
    from debship.publish.sources import sources

    snapshot, given = where.read()
    print(sources(snapshot, given, where.url(url)), end="")


for _more in (log_, rollback_, promote_, gc_, key_):
    command.add_command(_more)
