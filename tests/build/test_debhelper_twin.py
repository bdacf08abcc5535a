"""A package beside its twin that debhelper made, through every call form of Policy 6.5.

Both hold the same files; only the maintainer scripts differ. Each step is taken with one and then
with the other on the same real host, with scripts that fail where the step wants them to, and the
host must be in the same state: what dpkg says, what runs, what was restarted, what is enabled,
which files lie where.
"""

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from examples.rehearsal import HERE, Rehearsal
from sample import make_sample

from debship.config.app import Service
from debship.debian.releases import Release
from debship.model import Architecture
from debship.run import run

pytestmark = pytest.mark.acceptance

UNITS = ("tiny.service", "tiny-job.timer", "tiny-job.service")
SCRIPTS = ("preinst", "postinst", "prerm", "postrm")
# A script fails where a file tells it to: by its name, the package's version and its argument.
_SNIPPET = """\
if [ -e "/run/fail/$DPKG_MAINTSCRIPT_NAME-{version}-$1" ]; then
    exit 1
fi
"""
_CONTROL = """\
Source: tiny
Maintainer: Platform Team <platform@example.com>
Build-Depends: debhelper-compat (= 13)
Standards-Version: 4.6.2

Package: tiny
Architecture: {architecture}
Depends: ${{misc:Depends}}, python3
Description: the twin
 It is there to be compared with.
"""
_RULES = """\
#!/usr/bin/make -f
%:
\tdh $@ --with installsysusers
override_dh_auto_install:
\tcp -a tree/. debian/tiny/
override_dh_strip override_dh_shlibdeps override_dh_usrlocal override_dh_compress:
override_dh_builddeb:
\tdh_builddeb -- -Zgzip
"""


class Step:
    """One thing that an administrator does, and which scripts fail at it."""

    def __init__(self, *commands: str, fail: tuple[str, ...] = ()) -> None:
        self.commands, self.fail = commands, fail

    def __repr__(self) -> str:
        return "; ".join(self.commands) + "".join(f" [{name} fails]" for name in self.fail)


# What lets dpkg remove a package in favour of another.
_DESELECT = "echo tiny deinstall >/run/wanted && dpkg --set-selections </run/wanted && true"
_OWN_COPY = (
    "sed s/multi-user/graphical/ /lib/systemd/system/tiny.service >/etc/systemd/system/tiny.service"
)
INSTALL, UPGRADE = "dpkg -i 1.0-1", "dpkg -i 1.1-1"
LIVES: dict[str, tuple[Step, ...]] = {
    "the usual": (
        Step(INSTALL),
        Step(UPGRADE),
        Step(INSTALL),
        Step(INSTALL),
        Step("dpkg -r tiny"),
        Step("dpkg -r tiny"),
        Step(INSTALL),
        Step("dpkg -r tiny"),
        Step(UPGRADE),
        Step("dpkg -P tiny"),
        Step(INSTALL),
    ),
    "disabled, stopped, masked": (
        Step(INSTALL),
        Step("systemctl disable tiny.service", UPGRADE),
        Step("systemctl stop tiny.service tiny-job.timer", INSTALL),
        Step("systemctl enable tiny.service", "systemctl disable tiny-job.timer", UPGRADE),
        Step("systemctl stop tiny.service", "systemctl mask tiny.service", INSTALL),
        Step("dpkg -r tiny"),
        Step(INSTALL),
        Step("systemctl unmask tiny.service", UPGRADE),
        Step("dpkg -P tiny"),
    ),
    "links of an administrator": (
        Step(INSTALL),
        Step(_OWN_COPY, UPGRADE),
        Step("rm /etc/systemd/system/tiny.service", INSTALL),
        Step("rm /etc/systemd/system/timers.target.wants/tiny-job.timer", UPGRADE),
        Step("ln -s /dev/null /etc/systemd/system/timers.target.wants/tiny-job.timer", INSTALL),
        Step("rm -r /var/lib/systemd/deb-systemd-helper-enabled", UPGRADE),
        Step("dpkg -r tiny"),
        Step("dpkg -P tiny"),
    ),
    "an installation that fails": (
        Step(INSTALL, fail=("preinst-1.0-1-install",)),
        Step(INSTALL, fail=("preinst-1.0-1-install", "postrm-1.0-1-abort-install")),
        Step(INSTALL, fail=("postinst-1.0-1-configure",)),
        Step("dpkg --configure -a"),
        Step("dpkg -r tiny"),
        Step(INSTALL, fail=("preinst-1.0-1-install",)),
        Step(INSTALL),
    ),
    "an upgrade that fails": (
        Step(INSTALL),
        Step(UPGRADE, fail=("prerm-1.0-1-upgrade",)),
        Step(INSTALL, fail=("prerm-1.1-1-upgrade", "prerm-1.0-1-failed-upgrade")),
        Step(UPGRADE),
        Step(INSTALL, fail=("preinst-1.0-1-upgrade",)),
        Step(INSTALL, fail=("preinst-1.0-1-upgrade", "postrm-1.0-1-abort-upgrade")),
        Step("dpkg --configure -a"),
        Step(UPGRADE),
        Step(INSTALL, fail=("postrm-1.1-1-upgrade",)),
        Step(UPGRADE, fail=("postrm-1.0-1-upgrade", "postrm-1.1-1-failed-upgrade")),
        Step("dpkg --configure -a"),
        Step(UPGRADE, fail=("postinst-1.1-1-configure",)),
        Step("dpkg --configure -a"),
        Step("systemctl disable --now tiny.service", INSTALL, fail=("preinst-1.0-1-upgrade",)),
        Step(INSTALL, fail=("preinst-1.0-1-upgrade", "postinst-1.1-1-abort-upgrade")),
        Step("dpkg --configure -a"),
    ),
    "a removal that fails": (
        Step(INSTALL),
        Step("dpkg -r tiny", fail=("prerm-1.0-1-remove",)),
        Step("dpkg -r tiny", fail=("prerm-1.0-1-remove", "postinst-1.0-1-abort-remove")),
        Step("dpkg --configure -a"),
        Step("dpkg -r tiny", fail=("postrm-1.0-1-remove",)),
        Step("dpkg -r tiny"),
        Step("dpkg -P tiny", fail=("postrm-1.0-1-purge",)),
        Step("dpkg -P tiny"),
    ),
    "in favour of another": (
        Step(INSTALL),
        Step("dpkg --auto-deconfigure -i breaker", fail=("preinst-breaker",)),
        Step("dpkg --auto-deconfigure -i breaker", fail=("prerm-1.0-1-deconfigure",)),
        Step("dpkg --auto-deconfigure -i breaker"),
        Step("dpkg -r breaker", "dpkg --configure -a"),
        Step(_DESELECT, "dpkg -B -i conflicter", fail=("preinst-conflicter",)),
        Step(_DESELECT, "dpkg -B -i conflicter", fail=("prerm-1.0-1-remove",)),
        Step(_DESELECT, "dpkg -B -i conflicter"),
        Step("dpkg -r conflicter", INSTALL),
    ),
}


@pytest.fixture(scope="module")
def debs(
    tmp_path_factory: pytest.TempPathFactory, release: Release, machine: Architecture
) -> dict[str, dict[str, Path]]:
    """Both kinds, by what a step calls them."""
    folder = tmp_path_factory.mktemp("twins")
    made: dict[str, dict[str, Path]] = {"debship": {}, "debhelper": {}}
    for version in ("1.0", "1.1"):
        sample = make_sample(folder / version, release, machine, version)
        snippet = sample.app.directory / "snippet.sh"
        snippet.write_text(_SNIPPET.format(version=f"{version}-1"))
        app = replace(
            sample.app,
            scripts=tuple((name, snippet) for name in SCRIPTS),
            services=(
                Service("tiny", "python -c 'import time; time.sleep(1e6)'"),
                Service("tiny-job", "tiny-job", kind="timer", schedule="daily"),
            ),
        )
        ours = sample.build(app).path
        made["debship"][f"{version}-1"] = ours
        made["debhelper"][f"{version}-1"] = _twin(ours, folder / f"twin-{version}", snippet)
    for name, relation in (("breaker", "Breaks"), ("conflicter", "Conflicts")):
        deb = _empty(folder / name, f"{relation}: tiny")
        made["debship"][name] = made["debhelper"][name] = deb
    return made


def _twin(ours: Path, folder: Path, snippet: Path) -> Path:
    debian = folder / "debian"
    debian.mkdir(parents=True)
    run(["dpkg-deb", "-R", ours, folder / "tree"])
    version = run(["dpkg-deb", "-f", ours, "Version"]).text
    architecture = run(["dpkg-deb", "-f", ours, "Architecture"]).text
    (debian / "control").write_text(_CONTROL.format(architecture=architecture))
    date = "Tue, 14 Nov 2023 22:13:20 +0000"
    maintainer = "Platform Team <platform@example.com>"
    (debian / "changelog").write_text(
        f"tiny ({version}) unstable; urgency=low\n\n  * It is.\n\n -- {maintainer}  {date}\n"
    )
    (debian / "rules").write_text(_RULES)
    (debian / "rules").chmod(0o755)
    for name in SCRIPTS:
        text = snippet.read_text()
        # Where debship puts it.
        body = f"#DEBHELPER#\n{text}" if name in ("prerm", "preinst") else f"{text}#DEBHELPER#\n"
        (debian / f"tiny.{name}").write_text(f"#!/bin/sh\nset -e\n{body}exit 0\n")
    units = folder / "tree/usr/lib/systemd/system"
    target = folder / "tree/lib/systemd/system"  # where debhelper of bookworm looks for them
    target.parent.mkdir(parents=True)
    units.rename(target)
    units.parent.rmdir()
    (folder / "tree/usr/lib/sysusers.d/tiny.conf").rename(debian / "tiny.sysusers")
    (folder / "tree/usr/lib/sysusers.d").rmdir()
    shutil.rmtree(folder / "tree/usr/share")
    shutil.rmtree(folder / "tree/DEBIAN")
    run(["dpkg-buildpackage", "-b", "-d", "-uc", "-us"], cwd=folder)
    return next(folder.parent.glob(f"tiny_{version}_*.deb")).rename(folder / "twin.deb")


def _empty(folder: Path, relation: str) -> Path:
    (folder / "DEBIAN").mkdir(parents=True)
    (folder / "DEBIAN/control").write_text(
        f"Package: {folder.name}\nVersion: 1\nArchitecture: all\nMaintainer: A <a@b>\n"
        f"{relation}\nDescription: in the way\n"
    )
    preinst = folder / "DEBIAN/preinst"
    preinst.write_text(f"#!/bin/sh\n[ ! -e /run/fail/preinst-{folder.name} ]\n")
    preinst.chmod(0o755)
    run(["dpkg-deb", "--root-owner-group", "-b", folder, f"{folder}.deb"])
    return Path(f"{folder}.deb")


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory):
    folder = tmp_path_factory.mktemp("twin-host")
    stage = Rehearsal(folder, name=f"twin{folder.parent.name.rpartition('-')[2]}")
    try:
        stage.up("--hosts", "1", "--fleet", str(HERE / "auth/fleet.toml"))
        address = stage.hosts[0]
        yield lambda line, stdin=b"": stage.enter(
            address, "sh", "-c", line, stdin=stdin, check=False
        )
    finally:
        stage.down()


@pytest.mark.parametrize("life", LIVES)
def test_it_lives_as_its_twin_does(
    life: str, host: Callable[..., object], debs: dict[str, dict[str, Path]]
) -> None:
    ours, theirs = (_live(host, debs[kind], LIVES[life]) for kind in ("debship", "debhelper"))
    for step, mine, other in zip(LIVES[life], ours, theirs, strict=True):
        assert mine == other, step


def _live(host, debs: dict[str, Path], steps: tuple[Step, ...]) -> list[dict[str, object]]:
    host(
        "dpkg -P --force-all tiny breaker conflicter; rm -rf /run/fail /root/debs; mkdir /root/debs"
    )
    host("userdel _tiny; systemctl daemon-reload; systemctl reset-failed")
    for name, deb in debs.items():
        host(f"cat >/root/debs/{name}.deb", deb.read_bytes())
    seen = []
    for step in steps:
        host("mkdir -p /run/fail")
        host("".join(f"touch /run/fail/{name}; " for name in step.fail) or "true")
        before = _invocations(host)
        codes = []
        for line in step.commands:
            words = [
                f"/root/debs/{word}.deb" if word in debs and "-i" in line else word
                for word in line.split()
            ]
            codes.append(host(" ".join(words) + " </dev/null").returncode)
        host("rm -rf /run/fail")
        after = _invocations(host)
        seen.append({"codes": codes, "restarted": before != after, **_state(host)})
    return seen


def _invocations(host) -> str:
    return host("systemctl show -P InvocationID -P ActiveState tiny.service").text


def _state(host) -> dict[str, object]:
    """What is true of the host now, the file system's own names of one place left aside."""
    noted = "/var/lib/systemd/deb-systemd-helper-enabled"
    links = f"find /etc/systemd {noted} -name 'tiny*'; cat {noted}/tiny*.dsh-also"
    show = "; ".join(f"systemctl show -P ActiveState -P UnitFileState {unit}" for unit in UNITS)
    dpkg = host("dpkg-query -W -f '${db:Status-Abbrev} ${Version} ${Conffiles}' tiny").text
    # A part of the application's own finds the user; in the twin, it stands before all else.
    user = host("getent passwd _tiny | cut -d: -f1,6,7").text if dpkg.startswith("ii") else ""
    return {
        "dpkg": dpkg,
        "units": host(show).text,
        "links": sorted(host(f"({links}) 2>/dev/null").text.splitlines()),
        "files": sorted(
            host("find /etc/mycompany /usr/lib/tiny -maxdepth 2 2>/dev/null").text.splitlines()
        ),
        "user": user,
    }
