from pathlib import Path

import pytest
import tomli_w

from debship.config.fleet import HaproxySettings
from debship.config.fleet_file import read_fleet
from debship.lab.plan import Backend, LabPlan, plan_lab
from debship.lab.rehearsal import backends_of, rehearsal
from debship.lab.up import write_fleet

FLEET = """\
[repository]
store = "s3://mycompany-apt/debian"
url = "https://apt.example.com/debian"
suite = "production"

[ssh]
user = "deploy"
port = 2222

[apps.auth]
hosts = { ec2 = { "tag:app" = "auth" } }
balancers = [{ kind = "classic-elb", name = "auth" }]
batch = "25%"
health = { path = "/healthz", port = 8101 }
[[apps.auth.files]]
path = "/etc/auth/secrets.env"
template = "templates/secrets.env.j2"
[apps.auth.secrets]
password = { file = "password" }

[apps.web]
hosts = ["10.0.0.1"]
[[apps.web.balancers]]
kind = "target-group"
arn = "arn:aws:elasticloadbalancing:eu-west-1:123456789012:targetgroup/web/0123456789abcdef"
port = 8200

[apps.queue]
hosts = ["10.0.0.1"]
"""


@pytest.fixture
def fleet_file(tmp_path: Path) -> Path:
    (tmp_path / "templates").mkdir()
    (tmp_path / "templates/secrets.env.j2").write_text("PASSWORD={{ password }}\n")
    (tmp_path / "password").write_text("hunter2\n")
    path = tmp_path / "fleet.toml"
    path.write_text(FLEET)
    return path


def planned(tmp_path: Path, *backends: Backend) -> LabPlan:
    return plan_lab("x", number=7, state=tmp_path / "lab", hosts=2, backends=backends)


def test_it_says_that_it_is_written_anew(fleet_file: Path, tmp_path: Path) -> None:
    plan = planned(tmp_path)
    plan.state.mkdir()
    write_fleet(plan, fleet_file)
    first = plan.fleet_file.read_text().partition("\n")[0]
    assert first.startswith("# Written anew by each `debship lab up`")
    assert set(read_fleet(plan.fleet_file).apps) == {"auth", "web", "queue"}


def test_what_has_a_port_stands_behind_the_balancer(fleet_file: Path) -> None:
    assert backends_of(read_fleet(fleet_file)) == (
        Backend("auth", 8101, "/healthz"),
        Backend("web", 8200, None),
    )


def test_the_roll_is_productions_and_the_places_are_the_labs(
    tmp_path: Path, fleet_file: Path
) -> None:
    import tomllib

    plan = planned(tmp_path, *backends_of(read_fleet(fleet_file)))
    document = rehearsal(tomllib.loads(FLEET), tmp_path, plan)
    (tmp_path / "elsewhere").mkdir()
    written = tmp_path / "elsewhere/fleet.toml"
    written.write_text(tomli_w.dumps(document))

    fleet = read_fleet(written)
    assert fleet.repository.store == str(plan.repository)
    assert fleet.repository.url == plan.repository_url
    assert fleet.repository.suite == "production"
    assert (fleet.ssh.user, fleet.ssh.port) == ("root", None)
    assert (fleet.ssh.identity, fleet.ssh.known_hosts) == (plan.identity, plan.known_hosts)
    auth = fleet.apps["auth"]
    assert auth.hosts == ("10.77.7.11", "10.77.7.12")
    assert auth.balancers == (HaproxySettings((str(plan.socket),), "auth"),)
    assert auth.files[0].template == tmp_path / "templates/secrets.env.j2"
    assert auth.secrets["password"].value == str(tmp_path / "password")
    assert auth.batch == read_fleet(fleet_file).apps["auth"].batch
    assert fleet.apps["queue"].balancers == ()


def test_the_file_that_was_read_is_not_touched(tmp_path: Path) -> None:
    document = {"repository": {"suite": "s"}, "apps": {"a": {"hosts": ["x"]}}}
    rehearsal(document, tmp_path, planned(tmp_path))
    assert document == {"repository": {"suite": "s"}, "apps": {"a": {"hosts": ["x"]}}}


def test_without_a_fleet_there_is_one_all_the_same(tmp_path: Path) -> None:
    written = tmp_path / "fleet.toml"
    written.write_text(tomli_w.dumps(rehearsal(None, tmp_path, planned(tmp_path))))
    assert read_fleet(written).repository.url == "http://10.77.7.1:8080"
