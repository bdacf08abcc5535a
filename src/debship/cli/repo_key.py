"""`debship repo key add | retire | list`: another signing key, while every host goes on reading."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click

from debship.cli.output import progress, show_json
from debship.cli.repository import Target, on_repository
from debship.errors import Refused
from debship.run import run


@click.group("key")
def key_() -> None:
    """Change the keys that sign a suite: add the new one, give it to all hosts, retire the old."""


@key_.command("add")
@on_repository
@click.argument("fingerprint")
def add_(*, where: Target, fingerprint: str) -> None:
    """Let one more key of your keyring sign, beside those that do."""
    from debship.publish.rotation import add_key

    with progress() as say, where.publisher(say, others=(fingerprint,)) as publisher:
        publication = add_key(publisher, where.suite, publisher.keys.named(fingerprint))
        say("next: give hosts the new .sources (debship repo sources); then retire the old key")
    print(publication.id if publication.changed else "unchanged")


@key_.command("retire")
@on_repository
@click.argument("fingerprint")
def retire_(*, where: Target, fingerprint: str) -> None:
    """Let a key sign no more; hosts that know no other refuse the suite from then on."""
    from debship.publish.rotation import retire_key, signer

    with progress() as say, where.publisher(say) as publisher:
        name = signer(publisher, where.suite, fingerprint)
        publication = retire_key(publisher, where.suite, name)
    print(publication.id)


@key_.command("package")
@on_repository
@click.option("--url", metavar="URL", help="Where hosts read it. Left out: as fleet.toml says.")
@click.option("--maintainer", required=True, metavar="NAME <ADDRESS>", help="Who answers for it.")
@click.option(
    "--output",
    default=".",
    type=click.Path(path_type=Path),
    metavar="DIR",
    help="Where it goes. Left out: here.",
)
def package_(*, where: Target, url: str | None, maintainer: str, output: Path) -> None:
    """Make a package of the suite's keys and its .sources; hosts that have it follow a new key.

    Publish it like any other, into the suite itself.
    """
    from debship.publish.key_file import check_known
    from debship.publish.keyring_package import KeyringPackage
    from debship.publish.sources import checked_url

    snapshot, given = where.read()
    check_known(where.suite, snapshot.signers, given)
    made = KeyringPackage(
        settings=snapshot.release.settings,
        keys=given,
        url=checked_url(where.url(url)),
        maintainer=maintainer,
        date=snapshot.release.date,
    )
    output.mkdir(parents=True, exist_ok=True)
    print(made.write(output))


@key_.command("list")
@on_repository
@click.option("--json", "as_json", is_flag=True, help="Print the result for machines.")
def list_(*, where: Target, as_json: bool) -> None:
    """Show the keys that sign, and why hosts would not believe one."""
    from debship.publish.key_file import with_given
    from debship.publish.keys import described, problem
    from debship.publish.signing import listed

    snapshot, given = where.read()
    keys = described(listed(with_given(where.store, snapshot, given, run).armored, run))
    rows: list[dict[str, Any]] = []
    for fingerprint in sorted(snapshot.signers):
        known = keys.get(fingerprint)
        if known is None:
            raise Refused(
                f"{where.suite}: it is signed with {fingerprint} too, whose public key is not here",
                "name it (--key), or give it out again: debship repo key add FINGERPRINT",
            )
        rows.append(
            {
                "fingerprint": fingerprint,
                "user": known.user,
                "algorithm": known.algorithms[0].name,
                "expires": known.expires.isoformat() if known.expires else None,
                "problem": problem(known, datetime.now(UTC)),
            }
        )
    if as_json:
        show_json("repo key list", {"keys": rows})
        return
    for row in rows:
        print(
            row["fingerprint"], row["algorithm"], row["expires"] or "never", row["problem"] or "ok"
        )
