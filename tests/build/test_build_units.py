from dataclasses import replace
from pathlib import Path, PurePosixPath

import pytest

from debship.build.dists import Dist
from debship.build.unit_files import check_units, render_unit
from debship.build.units import check_scripts, command_line, plan_units
from debship.config.app import App, Service
from debship.debian.releases import release as release_named
from debship.errors import Misused, Refused
from debship.model import DebVersion, PackageName
from debship.run import run

APP = App(
    directory=Path("/src"),
    name=PackageName("auth"),
    summary="100% of authentication",
    maintainer="A <a@b>",
)
ENV = (PurePosixPath("/etc/auth/secrets.env"),)
SERVICES = {
    "web": Service("auth", "gunicorn --bind 0.0.0.0:8101 auth:app", port=8101, env_files=ENV),
    "low-port": Service("auth", "auth-serve --fmt '%h %u'", port=80),
    "socket": Service("auth", "gunicorn auth:app", port=80, socket=True, address="::1"),
    "worker": Service("auth-worker", "celery -A auth worker", kind="worker"),
    "workers": Service("auth-worker", "celery -A auth worker", kind="worker", instances=2),
    "timer": Service("auth-clean", "auth-clean", kind="timer", schedule="Mon *-*-* 04:00:00"),
    "oneshot": Service("auth-migrate", "python -m auth.migrate", kind="oneshot"),
    "relaxed": Service(
        "auth",
        "auth-serve",
        port=8101,
        relax=(("ProtectHome", "reads what users leave there."), ("PrivateTmp", "shares a socket")),
        unit=(("ProtectHome", ("read-only",)), ("LimitNOFILE", ("65536",)), ("Nice", ("5",))),
    ),
}
PREFIX = PurePosixPath("/usr/lib/auth")


def _dist(name: str, *files: str) -> Dist:
    return Dist(name, "1", files, pure=True, summary="", homepage="", license="", author="")


def _render(service: Service, *dists: Dist, release: str = "bookworm") -> dict[str, str]:
    app = replace(APP, services=(service,))
    (unit,) = plan_units(app)
    version = DebVersion("1.0-1")
    which = release_named(release)
    files = render_unit(unit, app, prefix=PREFIX, version=version, release=which, dists=dists)
    return dict(files)


@pytest.mark.parametrize("kind", SERVICES)
def test_the_units_of_each_kind(kind: str, golden) -> None:
    for name, text in _render(SERVICES[kind]).items():
        golden(f"build/{kind}/{name}", text)


@pytest.mark.parametrize("kind", sorted(SERVICES.keys() - {"relaxed"}))
@pytest.mark.parametrize("dist", [None, "psutil", "numba"])
def test_a_service_may_do_little(kind: str, dist: str | None, tmp_path: Path) -> None:
    dists = (_dist(dist),) if dist else ()
    name, text = next(iter(_render(SERVICES[kind], *dists).items()))
    path = tmp_path / name.replace("@", "@1")
    path.write_text(text)
    analysed = run(
        ["systemd-analyze", "security", "--offline=true", "--threshold=20", path],
        env={"NO_COLOR": "1"},
        check=False,
    )
    assert analysed.returncode == 0, analysed.text[-300:]


def test_systemd_takes_what_is_rendered(tmp_path: Path) -> None:
    for kind, service in SERVICES.items():
        check_units(tuple(_render(service).items()), PREFIX, run, folder=tmp_path / kind)


@pytest.mark.parametrize(
    ("service", "message"),
    [
        (Service("a", "a", kind="timer", schedule="every other day"), "a.timer:.*calendar"),
        (Service("a", "a", unit=(("Nixe", ("5",)),)), "a.service:.*'Nixe'"),
        (Service("a", "a", kind="worker", instances=2, unit=(("Nice", ("x",)),)), "a@.*Nice|x"),
        (Service("a", "a", port=1, socket=True, unit=(("Type", ("x",)),)), "a.service:.*type"),
    ],
)
def test_a_unit_that_systemd_would_not_take_is_refused(
    service: Service, message: str, tmp_path: Path
) -> None:
    with pytest.raises(
        Refused, match=f"would not take a unit as it is\n(?s:.*){message}"
    ) as refused:
        check_units(tuple(_render(service).items()), PREFIX, run, folder=tmp_path / "units")
    assert "/tmp" not in refused.value.message


def test_psutil_may_see_other_processes() -> None:
    text = _render(SERVICES["web"], _dist("psutil"))["auth.service"]
    assert "\nProcSubset=" not in text
    assert "\nRestrictAddressFamilies=AF_UNIX AF_INET AF_INET6 AF_NETLINK\n" in text
    assert (
        "# ProtectProc= and ProcSubset= are left out: "
        "psutil reads other processes and /proc/meminfo.\n" in text
    )
    assert "\nProcSubset=pid\n" in _render(SERVICES["web"])["auth.service"]


@pytest.mark.parametrize(
    "dist",
    [_dist("cffi"), _dist("tensorflow-cpu"), _dist("x", "lib/python3.11/x.libs/libffi-ae01.so.8")],
    ids=lambda dist: dist.name,
)
def test_who_makes_code_while_it_runs_may(dist: Dist) -> None:
    text = _render(SERVICES["web"], _dist("flask"), dist)["auth.service"]
    assert "\nMemoryDenyWriteExecute" not in text
    assert f"# MemoryDenyWriteExecute= is left out: {dist.name} makes machine code" in text
    assert "\nMemoryDenyWriteExecute=yes\n" in _render(SERVICES["web"])["auth.service"]


def test_an_older_libffi_needs_such_memory_for_ctypes() -> None:
    text = _render(SERVICES["web"], release="bullseye")["auth.service"]
    assert "\nMemoryDenyWriteExecute" not in text


def test_a_port_below_1024_needs_a_capability_but_not_where_systemd_opens_it() -> None:
    low, held = (_render(SERVICES[kind])["auth.service"] for kind in ("low-port", "socket"))
    for line in ("CapabilityBoundingSet", "AmbientCapabilities"):
        assert f"\n{line}=CAP_NET_BIND_SERVICE\n" in low
    assert "CAP_NET_BIND_SERVICE" not in held


@pytest.mark.parametrize(
    ("service", "message", "hint"),
    [
        (
            Service("auth", "a", relax=(("ProtectHom", "x"),)),
            "service auth: relax.ProtectHom: the sandbox has no such directive",
            'did you mean "ProtectHome"?',
        ),
        (
            Service("auth", "a", unit=(("ProtectHome", ("no",)),)),
            "service auth: unit.ProtectHome is the sandbox's: say why it changes",
            'relax = { ProtectHome = "the reason" } beside it',
        ),
        (
            Service("auth", "a", unit=(("User", ("root",)),)),
            "service auth: unit.User is debship's to write",
            "say it as run.user",
        ),
        (
            Service("auth", "uvicorn a:app --port 8101", port=8101, socket=True),
            "service auth: socket: uvicorn would open port 8101 itself, which systemd holds",
            "uvicorn --fd 3, and no other address",
        ),
        (
            Service("auth", "uvicorn a:app --workers 3 --fd 4", port=8101, socket=True),
            "service auth: socket: uvicorn would open port 8101 itself, which systemd holds",
            "uvicorn --fd 3, and no other address",
        ),
    ],
)
def test_what_a_service_cannot_mean_is_refused(service: Service, message: str, hint: str) -> None:
    with pytest.raises(Refused) as refused:
        plan_units(replace(APP, services=(service,)))
    assert (refused.value.message, refused.value.hint) == (message, hint)


@pytest.mark.parametrize("exec", ["uvicorn --fd 3 a:app", "uvicorn --fd=3 a:app", "mine a:app"])
def test_a_server_that_takes_the_socket_gets_it(exec: str) -> None:
    (unit,) = plan_units(replace(APP, services=(Service("auth", exec, port=8101, socket=True),)))
    assert unit.socket == "auth.socket"


@pytest.mark.parametrize(
    ("word", "quoted"),
    [
        ("plain", "plain"),
        ("--bind=0.0.0.0:80", "--bind=0.0.0.0:80"),
        ("", '""'),
        ("two words", '"two words"'),
        ("50%", "50%%"),
        ("%h %t", '"%%h %%t"'),
        ("$HOME", '"$$HOME"'),
        ("${PORT}", '"${PORT}"'),
        ("0:${PORT}$", '"0:${PORT}$$"'),
        ("${not a name}", '"$${not a name}"'),
        (";", '";"'),
        ("a'b", '"a\'b"'),
        ('a"b', '"a\\"b"'),
        ("a\\nb", '"a\\\\nb"'),
        ("a\nb", '"a\\x0ab"'),
        ("é", '"é"'),
    ],
)
def test_words_reach_the_program_as_they_are(word: str, quoted: str) -> None:
    assert command_line([word]) == quoted


def test_a_script_that_is_not_there_is_refused_with_a_guess() -> None:
    units = plan_units(replace(APP, services=(Service("auth", "gunicron auth:app"),)))
    with pytest.raises(Refused, match='no script "gunicron"') as refused:
        check_scripts(units, {"gunicorn", "flask", "python"})
    assert refused.value.hint == 'did you mean "gunicorn"? it has: flask, gunicorn, python'


def test_a_command_without_an_end_is_refused() -> None:
    with pytest.raises(Misused, match="service auth: exec: no closing quotation"):
        plan_units(replace(APP, services=(Service("auth", "gunicorn 'auth:app"),)))


def test_two_services_of_one_name_are_refused() -> None:
    with pytest.raises(Misused, match='two services are named "auth"'):
        plan_units(replace(APP, services=(Service("auth", "a"), Service("auth", "b"))))


def test_two_services_on_one_port_are_refused() -> None:
    services = (Service("auth", "a", port=80), Service("other", "b", port=80))
    with pytest.raises(Misused, match="two services listen on port 80"):
        plan_units(replace(APP, services=services))


def test_a_oneshot_is_called_for_and_a_timer_is_what_starts() -> None:
    started = {
        kind: plan_units(replace(APP, services=(service,)))[0].started
        for kind, service in SERVICES.items()
    }
    assert started == {
        "web": ("auth.service",),
        "low-port": ("auth.service",),
        "socket": ("auth.service", "auth.socket"),
        "worker": ("auth-worker.service",),
        "workers": ("auth-worker@1.service", "auth-worker@2.service"),
        "timer": ("auth-clean.timer",),
        "oneshot": (),
        "relaxed": ("auth.service",),
    }
