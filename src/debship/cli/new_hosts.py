"""What a host needs before it can receive, printed for whoever brings it there."""

import sys
from typing import Any

from debship.cli.doors import read_nearest
from debship.errors import Misused


def print_sudoers(app: str, fleet: str) -> None:
    """Print what lets the fleet's unprivileged user through an application's gate.

    Raises:
        Misused: the fleet names no such user.
    """
    from debship.deploy.campaign import pick_app
    from debship.deploy.gate import sudoers

    file = read_nearest(fleet)
    if not file.ssh.user or file.ssh.user == "root":
        raise Misused("fleet.toml names no unprivileged user", 'ssh.user = "deploy"')
    print(sudoers([pick_app(file, app)], file.ssh.user), end="")
    if not file.ssh.gate:
        print("note: it needs ssh.gate = true in fleet.toml", file=sys.stderr)


def print_user_data(file: Any, settings: Any, world: Any) -> None:
    """Print the script by which a new instance installs what the fleet has now.

    Raises:
        Refused: the fleet has several versions.
    """
    from debship.deploy import campaign
    from debship.deploy.configuration import render_without_secrets
    from debship.deploy.user_data import user_data

    with campaign.connected(campaign.host_names(settings), world.connect) as hosts:
        version = campaign.present_version(campaign.observe_all(settings, hosts, world.workers))
    files = render_without_secrets(settings)
    print(user_data(settings.package, version, sources_of(file), files), end="")
    for left in settings.files:
        if str(left.path) not in {one.path for one in files}:
            said = f"note: {left.path} comes with the next roll: it names a secret, or its host"
            print(said, file=sys.stderr)


def sources_of(file: Any) -> str:
    """The source of the fleet's suite, with its key."""
    from debship.cli.repository import target
    from debship.publish.sources import sources

    repository = file.repository
    snapshot, keys = target(repository.store, repository.suite, ()).read()
    return sources(snapshot, keys, repository.url)
