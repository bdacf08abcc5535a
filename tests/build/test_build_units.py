from dataclasses import replace
from pathlib import Path, PurePosixPath

import pytest

from debship.build.units import check_scripts, command_line, plan_units, render_unit
from debship.config.app import App, Service
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
    "worker": Service("auth-worker", "celery -A auth worker", kind="worker"),
    "timer": Service("auth-clean", "auth-clean", kind="timer", schedule="Mon *-*-* 04:00:00"),
    "oneshot": Service("auth-migrate", "python -m auth.migrate", kind="oneshot"),
}


def _render(service: Service, dists: frozenset[str] = frozenset()) -> dict[str, str]:
    app = replace(APP, services=(service,))
    (unit,) = plan_units(app)
    prefix = PurePosixPath("/usr/lib/auth")
    return dict(render_unit(unit, app, prefix=prefix, version=DebVersion("1.0-1"), dists=dists))


@pytest.mark.parametrize("kind", SERVICES)
def test_the_units_of_each_kind(kind: str, golden) -> None:
    for name, text in _render(SERVICES[kind]).items():
        golden(f"build/{kind}/{name}", text)


@pytest.mark.parametrize("kind", SERVICES)
@pytest.mark.parametrize("dists", [frozenset(), frozenset({"psutil"})])
def test_a_service_may_do_little(kind: str, dists: frozenset[str], tmp_path: Path) -> None:
    name, text = next(iter(_render(SERVICES[kind], dists).items()))
    (tmp_path / name).write_text(text)
    analysed = run(
        ["systemd-analyze", "security", "--offline=true", "--threshold=20", tmp_path / name],
        env={"NO_COLOR": "1"},
        check=False,
    )
    assert analysed.returncode == 0, analysed.text[-300:]


def test_psutil_may_see_other_processes() -> None:
    text = _render(SERVICES["web"], frozenset({"psutil"}))["auth.service"]
    assert "ProcSubset=pid" not in text
    assert "ProcSubset=pid" in _render(SERVICES["web"])["auth.service"]


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


def test_a_oneshot_is_called_for_and_a_timer_is_what_starts() -> None:
    started = [plan_units(replace(APP, services=(s,)))[0].started for s in SERVICES.values()]
    expected = ["auth.service", "auth.service", "auth-worker.service", "auth-clean.timer", None]
    assert started == expected
