"""The bill of materials of a package: CycloneDX 1.6, in JSON, of what is installed."""

import datetime
import hashlib
import json
import re
import uuid
from collections.abc import Iterable, Iterator
from typing import Any
from urllib.parse import quote

from packaging.licenses import InvalidLicenseExpression, canonicalize_license_expression

from debship.build.bundled import Component
from debship.build.dists import Dist
from debship.build.installed import relation_names
from debship.build.origins import Origin
from debship.build.package import Package

_UNKNOWN = Origin("", ())
_CHARACTERS = r"(?:[A-Za-z0-9._~:/?@!$&'()*+,;=-]|%[0-9A-Fa-f]{2})*"
_WEB = re.compile(rf"https?://[A-Za-z0-9.-]+(?::[0-9]+)?(?:[/?]{_CHARACTERS})?(?:#{_CHARACTERS})?")


def sbom(package: Package) -> str:
    """Write it.

    The same contents give the same text: the serial number is made of it, the time is the
    package's date, and no tool is named with its version.
    """
    own = purl_of_package(package)
    debs = tuple(_debs(package))
    document: dict[str, Any] = {
        "$schema": "http://cyclonedx.org/schema/bom-1.6.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "version": 1,
        "metadata": {
            "timestamp": _time(package.date),
            "lifecycles": [{"phase": "build"}],
            "tools": {"components": [{"type": "application", "name": "debship"}]},
            "component": {
                "type": "application",
                "bom-ref": own,
                "name": package.plan.app.name,
                "version": str(package.version),
                "description": " ".join(package.plan.app.summary.split()),
                "purl": own,
            },
        },
        "components": [*(_component(dist, package) for dist in package.dists), *debs],
        "dependencies": list(_dependencies(own, package.dists, debs)),
    }
    digest = hashlib.sha256(json.dumps(document, sort_keys=True).encode()).hexdigest()
    document["serialNumber"] = uuid.uuid5(uuid.NAMESPACE_URL, f"{own}#{digest}").urn
    return json.dumps(document, indent=1, sort_keys=True) + "\n"


def purl_of_package(package: Package) -> str:
    """Name the package; no vendor is in it, for it is no distribution's."""
    version, release = quote(str(package.version), safe=".~-_:"), package.plan.release
    where = f"arch={package.architecture}&distro={release.codename}"
    return f"pkg:deb/{quote(package.plan.app.name, safe='.-')}@{version}?{where}"


def purl_of_dist(dist: Dist) -> str:
    """Name a distribution as the package URL specification does for PyPI."""
    return f"pkg:pypi/{quote(dist.name)}@{quote(dist.version, safe='.~-_')}"


def _component(dist: Dist, package: Package) -> dict[str, Any]:
    origin = package.origins.get(dist.name, _UNKNOWN)
    purl, prefix = purl_of_dist(dist), package.plan.prefix
    component: dict[str, Any] = {
        "type": "library",
        "bom-ref": purl,
        "name": dist.name,
        "version": dist.version,
        "purl": purl,
        "properties": list(_properties(dist, origin)),
    }
    if dist.summary:
        component["description"] = dist.summary
    if dist.license:
        component["licenses"] = [_license(dist.license)]
    if origin.known:
        component["hashes"] = [{"alg": "SHA-256", "content": origin.known}]
    references = [
        {
            "type": "bom",
            "url": f"file://{quote(f'{prefix}/{bill.file}')}",
            "hashes": [{"alg": "SHA-256", "content": bill.sha256}],
        }
        for bill in dist.sboms
    ]
    if _WEB.fullmatch(dist.homepage):
        references.append({"type": "website", "url": dist.homepage})
    if references:
        component["externalReferences"] = references
    bundled = {part: None for bill in dist.sboms for part in bill.components}
    if bundled:
        component["components"] = [_bundled(part, purl) for part in bundled]
    return component


def _properties(dist: Dist, origin: Origin) -> Iterator[dict[str, str]]:
    if origin.file:
        yield {"name": "debship:file", "value": origin.file}
    if not origin.known:
        for digest in origin.sha256:
            yield {"name": "debship:one-of-sha256", "value": digest}
    yield {"name": "debship:record-sha256", "value": dist.record}


def _license(text: str) -> dict[str, Any]:
    try:
        return {"expression": str(canonicalize_license_expression(text))}
    except InvalidLicenseExpression:
        return {"license": {"name": text}}


def _bundled(part: Component, within: str) -> dict[str, Any]:
    component = {
        "type": "library",
        "bom-ref": f"{within}#{part.purl or part.name}",
        "name": part.name,
    }
    if part.version:
        component["version"] = part.version
        component["bom-ref"] += f"@{part.version}"
    if part.purl:
        component["purl"] = part.purl
    return component


def _debs(package: Package) -> Iterator[dict[str, Any]]:
    """Give what the hosts' own packages bring; which version they have is theirs to say."""
    release = package.plan.release
    seen: dict[str, list[str]] = {}
    for relation in package.depends:
        for name in relation_names(relation)[:1]:
            seen.setdefault(name, []).append(relation)
    for name, relations in sorted(seen.items()):
        purl = f"pkg:deb/{release.distribution}/{quote(name)}?distro={release.codename}"
        yield {
            "type": "library",
            "bom-ref": purl,
            "name": name,
            "purl": purl,
            "properties": [{"name": "debian:depends", "value": text} for text in relations],
        }


def _dependencies(
    own: str, dists: Iterable[Dist], debs: Iterable[dict[str, Any]]
) -> Iterator[dict[str, Any]]:
    """Give who needs whom; the package needs what nothing else in it does."""
    purls = {dist.name: purl_of_dist(dist) for dist in dists}
    edges = {
        dist.name: [n for n in dist.requires if n in purls and n != dist.name] for dist in dists
    }
    needed = {name for names in edges.values() for name in names}
    tops = sorted(purls[name] for name in purls if name not in needed)
    # Where all need one another in a circle, the package needs each of them.
    tops = tops or sorted(purls.values())
    yield {"ref": own, "dependsOn": [*tops, *(deb["bom-ref"] for deb in debs)]}
    for name, names in sorted(edges.items()):
        yield {"ref": purls[name], "dependsOn": sorted(purls[n] for n in names)}
    for deb in debs:
        yield {"ref": deb["bom-ref"], "dependsOn": []}


def _time(date: int) -> str:
    return datetime.datetime.fromtimestamp(date, datetime.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
