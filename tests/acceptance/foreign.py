"""Applications that nobody here wrote, of different kinds, each from the index by a lock alone."""

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Foreign:
    """One application and how it shows that it works.

    Attributes:
        wants: what is locked; the first is the application, whose version the package has.
        services: tables of debship.toml.
        configs: conffiles, by their paths below /etc.
        answers: a shell line on the host that succeeds once the application answers.
        lock: the kind of lock.
        build: more lines of [build].
        builds_with: what its sdists are built with, locked beside it.
        service: what runs once it is installed; empty: the unit of its name, None: nothing.
        is_linted: whether lintian looks at it, which takes its time.
    """

    name: str
    wants: tuple[str, ...]
    services: str
    answers: str
    configs: Mapping[str, str] = field(default_factory=dict)
    lock: str = "requirements.txt"
    build: str = ""
    builds_with: tuple[str, ...] = ()
    service: str | None = ""
    is_linted: bool = False

    @property
    def unit(self) -> str | None:
        return f"{self.name}.service" if self.service == "" else self.service


def _web(exec_: str, port: int, more: str = "") -> str:
    return f'[[service]]\nexec = """{exec_}"""\nkind = "web"\nport = {port}\n{more}'


def _http(port: int, path: str, says: str) -> str:
    return f"curl -fsS http://127.0.0.1:{port}{path} | grep -q {says}"


SUPERVISORD = """\
[supervisord]
nodaemon = true
logfile = /dev/null
logfile_maxbytes = 0
pidfile = %(ENV_STATE_DIRECTORY)s/supervisord.pid
[inet_http_server]
port = 127.0.0.1:9001
[rpcinterface:supervisor]
supervisor.rpcinterface_factory = supervisor.rpcinterface:make_main_rpcinterface
"""
RADICALE = """\
[server]
hosts = 0.0.0.0:5232
[auth]
type = denyall
[storage]
filesystem_folder = /var/lib/radicale/collections
"""
BORGMATIC = """\
source_directories: [/etc]
repositories:
  - path: /var/lib/borgmatic/backup.borg
"""
SCRAPYD = """\
[scrapyd]
bind_address = 127.0.0.1
http_port = 6800
eggs_dir = /var/lib/scrapyd/eggs
logs_dir = /var/lib/scrapyd/logs
dbs_dir = /var/lib/scrapyd/dbs
items_dir =
"""
CHART = """\
import numpy
import pandas
from bokeh.plotting import curdoc, figure

plot = figure()
frame = pandas.DataFrame({"x": numpy.arange(9.0)})
plot.line(frame.x, frame.x**2)
curdoc().add_root(plot)
curdoc().title = "charted"
"""

DOZEN = (
    Foreign(
        "supervisor",
        ("supervisor",),
        _web("supervisord --nodaemon --configuration /etc/supervisor/supervisord.conf", 9001),
        _http(9001, "/", "Supervisor"),
        {"/etc/supervisor/supervisord.conf": SUPERVISORD},
    ),
    Foreign(
        "radicale",
        ("radicale",),
        _web("radicale --config /etc/radicale/config", 5232),
        _http(5232, "/.web/", "Radicale"),
        {"/etc/radicale/config": RADICALE},
        lock="pylock.toml",
    ),
    Foreign(
        "borgmatic",
        ("borgmatic",),
        '[[service]]\nexec = "borgmatic config validate --config /etc/borgmatic/config.yaml"\n'
        'kind = "timer"\nschedule = "daily"\n',
        "systemctl start borgmatic.service && systemctl is-active borgmatic.timer",
        {"/etc/borgmatic/config.yaml": BORGMATIC},
        service="borgmatic.timer",
        is_linted=True,
    ),
    Foreign(
        "httpbin",
        ("httpbin", "gunicorn"),
        _web("gunicorn --bind 127.0.0.1:8201 --no-control-socket httpbin:app", 8201),
        _http(8201, "/get", "headers"),
    ),
    Foreign(
        "glances",
        ("glances[web]",),
        _web("glances --webserver --bind 127.0.0.1 --port 61208 --disable-check-update", 61208),
        _http(61208, "/api/4/mem", "total"),
        lock="pylock.toml",
    ),
    Foreign(
        "datasette",
        ("datasette",),
        _web("datasette serve --host 127.0.0.1 --port 8202", 8202),
        _http(8202, "/-/versions.json", "sqlite"),
    ),
    Foreign(
        "celery",
        ("celery",),
        '[[service]]\nexec = "celery --broker memory:// worker --pool solo --loglevel info"\n'
        'kind = "worker"\n',
        "journalctl --unit celery --output cat | grep -q 'ready\\.$'",
    ),
    Foreign(
        "scrapyd",
        ("scrapyd", "setuptools<81"),
        _web("scrapyd --nodaemon --pidfile=", 6800),
        _http(6800, "/daemonstatus.json", "ok"),
        {"/etc/scrapyd/scrapyd.conf": SCRAPYD},
        is_linted=True,
    ),
    Foreign(
        "ruff",
        ("ruff",),
        '[[service]]\nexec = "ruff check --isolated --no-cache /usr/lib/python3/dist-packages"\n'
        'kind = "oneshot"\n',
        "systemctl start ruff.service",
        service=None,
    ),
    Foreign(
        "bokeh",
        ("bokeh", "pandas"),
        _web("bokeh serve /etc/bokeh/chart.py --address 127.0.0.1 --port 5006", 5006),
        _http(5006, "/chart", "charted"),
        {"/etc/bokeh/chart.py": CHART},
    ),
    Foreign(
        "aiosmtpd",
        ("aiosmtpd", "netifaces"),  # of netifaces there is no wheel: its C code is compiled
        _web("aiosmtpd --nosetuid --listen 127.0.0.1:8025", 8025),
        "curl -fsS smtp://127.0.0.1:8025 -X NOOP && "
        "/usr/lib/aiosmtpd/bin/python -c 'import netifaces; netifaces.interfaces()'",
        build='needs = ["gcc", "libc6-dev", "python3-dev"]\n',
        builds_with=("setuptools",),
    ),
    Foreign(
        "jupyter-server",
        ("jupyter-server",),
        _web(
            "jupyter-server --ip=127.0.0.1 --port=8888 --no-browser --IdentityProvider.token=''",
            8888,
        ),
        _http(8888, "/api", "version"),
    ),
)
