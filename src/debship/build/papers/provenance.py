"""Where a package came from: an in-toto statement with a SLSA provenance, version 1; unsigned.

It says what was built from what, so that it can be signed (``cosign attest-blob``) by whoever
vouches for the machine that built it. By itself it proves nothing: SLSA's level 1.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any
from urllib.parse import quote

from debship.build.installed import Installed
from debship.build.origins import Origin
from debship.build.package import Package
from debship.build.papers.sbom import purl_of_dist
from debship.debian.checksums import Checksums

_BUILD_TYPE = "urn:debship:build:1"
_BUILDER = "urn:debship:builder"


def statement(
    packages: Sequence[Package],
    debs: Sequence[Checksums],
    *,
    environment: Sequence[Installed],
    tools: Mapping[str, str],
    lock_sha256: str,
) -> str:
    """Write the statement; see ``papers_of`` for the arguments.

    When it was built is left out: the same input gives the same text. So are the folder and the
    commands' output.
    """
    plan = packages[0].plan
    settings = plan.app.build
    asked = {
        "package": plan.app.name,
        "version": plan.app.version,
        "release": plan.release.codename,
        "layout": plan.app.layout,
        "lock": plan.lock.path.name,
        "command": settings.command,
        "wheel": settings.wheel,
        "requirement": settings.requirement,
        "extras": list(settings.extras),
        "groups": list(settings.groups),
        "needs": list(settings.needs),
        "SOURCE_DATE_EPOCH": packages[0].date,
    }
    dependencies = [
        {"name": plan.lock.path.name, "digest": {"sha256": lock_sha256}},
        *_wheels(packages),
        *_debian(environment, plan.release.distribution, plan.release.codename),
    ]
    document = {
        "_type": "https://in-toto.io/Statement/v1",
        "subject": [{"name": deb.name, "digest": {"sha256": deb.sha256}} for deb in debs],
        "predicateType": "https://slsa.dev/provenance/v1",
        "predicate": {
            "buildDefinition": {
                "buildType": _BUILD_TYPE,
                "externalParameters": {key: value for key, value in asked.items() if value},
                "resolvedDependencies": dependencies,
            },
            "runDetails": {"builder": {"id": _BUILDER, "version": dict(tools)}},
        },
    }
    return json.dumps(document, indent=1, sort_keys=True) + "\n"


def _wheels(packages: Sequence[Package]) -> Iterator[dict[str, Any]]:
    dists = {dist.name: (dist, package) for package in packages for dist in package.dists}
    for _, (dist, package) in sorted(dists.items()):
        origin = package.origins.get(dist.name, Origin("", ()))
        found: dict[str, Any] = {"uri": purl_of_dist(dist)}
        if origin.file:
            found["name"] = origin.file
        if origin.known:
            found["digest"] = {"sha256": origin.known}
        elif origin.sha256:
            found["annotations"] = {"sha256-one-of": list(origin.sha256)}
        yield found


def _debian(
    environment: Sequence[Installed], distribution: str, codename: str
) -> Iterator[dict[str, Any]]:
    for package in environment:
        version = quote(package.version, safe=".~-_:")
        where = f"arch={package.architecture}&distro={codename}"
        yield {"uri": f"pkg:deb/{distribution}/{quote(package.name)}@{version}?{where}"}
