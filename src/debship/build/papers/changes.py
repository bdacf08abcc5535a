"""What Debian's tools read of a build: .buildinfo and .changes."""

import datetime
import email.utils
from collections.abc import Iterable, Sequence

from debship.build.installed import Installed
from debship.build.package import Package
from debship.debian.checksums import Checksums

_SHORT = 79  # columns that a line of Description has in dpkg-genchanges


def buildinfo(
    packages: Sequence[Package], debs: Sequence[Checksums], *, environment: Sequence[Installed]
) -> str:
    """Write a .buildinfo (deb-buildinfo(5), format 1.0).

    Build-Date is the package's date, for the clock would differ each time; Build-Path is left
    out: nothing of it is in the package.
    """
    main = packages[0]
    plan = main.plan
    native = ("all", plan.machine)
    exact = (
        f"{p.name}{'' if p.architecture in native else ':' + p.architecture} (= {p.version})"
        for p in environment
    )
    return _paragraph(
        ("Format", "1.0"),
        ("Source", plan.app.name),
        ("Binary", _binary(packages)),
        ("Architecture", _architectures(packages)),
        ("Version", str(main.version)),
        ("Checksums-Md5", _lines(f"{d.md5} {d.size} {d.name}" for d in debs)),
        ("Checksums-Sha1", _lines(f"{d.sha1} {d.size} {d.name}" for d in debs)),
        ("Checksums-Sha256", _lines(f"{d.sha256} {d.size} {d.name}" for d in debs)),
        ("Build-Origin", plan.release.distribution.capitalize()),
        ("Build-Architecture", plan.machine),
        ("Build-Date", _date(main.date)),
        ("Installed-Build-Depends", "\n " + ",\n ".join(exact)),
        ("Environment", _lines((f'SOURCE_DATE_EPOCH="{main.date}"', 'PYTHONHASHSEED="0"'))),
    )


def changes(
    packages: Sequence[Package], debs: Sequence[Checksums], *, changelog: str, buildinfo: Checksums
) -> str:
    """Write a .changes (deb-changes(5), format 1.8), unsigned: ``debsign`` signs it.

    Args:
        packages: what was built, the application first.
        debs: the .deb of each.
        changelog: as deb-changelog(5) has it, newest entry first.
        buildinfo: the .buildinfo.
    """
    main = packages[0]
    app = main.plan.app
    files = (*debs, buildinfo)
    sections = [f"{package.plan.app.section} optional" for package in packages]
    rows = zip(files, [*sections, f"{app.section} optional"], strict=True)
    summaries = (
        f"{name} - {' '.join(package.plan.app.summary.split())}"[:_SHORT]
        for name, package in _by_name(packages)
    )
    return _paragraph(
        ("Format", "1.8"),
        ("Date", _date(main.date)),
        ("Source", app.name),
        ("Binary", _binary(packages)),
        ("Architecture", _architectures(packages)),
        ("Version", str(main.version)),
        ("Distribution", main.plan.release.codename),
        ("Urgency", "medium"),
        ("Maintainer", app.maintainer),
        ("Changed-By", app.maintainer),
        ("Description", _lines(summaries)),
        ("Changes", _lines(line or "." for line in newest_entry(changelog))),
        ("Checksums-Sha1", _lines(f"{f.sha1} {f.size} {f.name}" for f in files)),
        ("Checksums-Sha256", _lines(f"{f.sha256} {f.size} {f.name}" for f in files)),
        ("Files", _lines(f"{f.md5} {f.size} {section} {f.name}" for f, section in rows)),
    )


def newest_entry(changelog: str) -> tuple[str, ...]:
    """Take the newest entry's lines out of a changelog, without the one that signs it."""
    lines: list[str] = []
    for line in changelog.splitlines():
        if line.startswith(" -- "):
            break
        lines.append(line.rstrip())
    while lines and not lines[-1]:
        lines.pop()
    return tuple(lines)


def _date(date: int) -> str:
    return email.utils.format_datetime(datetime.datetime.fromtimestamp(date, datetime.UTC))


def _paragraph(*fields: tuple[str, str]) -> str:
    return "".join(
        f"{name}:{value}\n" if value.startswith("\n") else f"{name}: {value}\n"
        for name, value in fields
    )


def _lines(values: Iterable[str]) -> str:
    return "".join(f"\n {value}" for value in values)


def _by_name(packages: Sequence[Package]) -> list[tuple[str, Package]]:
    return sorted(((str(p.plan.app.name), p) for p in packages), key=lambda pair: pair[0])


def _binary(packages: Sequence[Package]) -> str:
    return " ".join(name for name, _ in _by_name(packages))


def _architectures(packages: Sequence[Package]) -> str:
    return " ".join(sorted({str(package.architecture) for package in packages}))
