from pathlib import Path

import pytest

from debship.errors import Failed
from debship.lab.limits import make_room
from debship.lab.numbers import release_number, reserve
from debship.lab.plan import plan_lab
from debship.lab.record import Record, write_record

from fakes import FakeRun


class Machine:
    """A machine with a limit of its own, and labs on it."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.runtime, self.file = folder, folder / "run", folder / "limit"
        self.said: list[str] = []
        self.runtime.mkdir()
        self.limit = 128

    @property
    def limit(self) -> int:
        return int(self.file.read_text())

    @limit.setter
    def limit(self, value: int) -> None:
        self.file.write_text(f"{value}\n")

    def make_room(self) -> int:
        make_room(runtime=self.runtime, say=self.said.append, limit=self.file)
        return self.limit

    def up(self, name: str, hosts: int) -> int:
        run = FakeRun()
        run.answer("ip", "-json", stdout=b"[]")
        number = reserve(self.folder / name, runtime=self.runtime, run=run)
        plan = plan_lab(
            name, number=number, state=self.folder / name, runtime=self.runtime, hosts=hosts
        )
        write_record(Record(plan))
        return self.make_room()

    def down(self, name: str) -> int:
        number = int(next(self.runtime.glob("*/owner")).parent.name)
        (self.folder / name / "lab.json").unlink()
        release_number(number, runtime=self.runtime)
        return self.make_room()


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


def test_a_small_lab_leaves_the_machine_as_it_is(machine: Machine) -> None:
    assert machine.up("a", 6) == 128
    assert machine.said == []


def test_many_hosts_get_what_they_need_and_the_last_lab_puts_it_back(machine: Machine) -> None:
    assert machine.up("a", 30) == 364
    assert machine.up("b", 6) == 424
    assert machine.said[0] == "raising fs.inotify.max_user_instances to 364, as long as labs are up"
    assert machine.make_room() == 424
    assert machine.down("a") < 364
    assert machine.down("b") == 128
    assert not (machine.runtime / "inotify").exists()


def test_what_somebody_set_since_stays(machine: Machine) -> None:
    machine.up("a", 30)
    machine.limit = 8192
    assert machine.up("b", 30) == 8192
    assert machine.down("a") == 8192
    assert machine.down("b") == 8192


def test_a_limit_that_cannot_be_raised_is_told_with_its_way_out(machine: Machine) -> None:
    machine.file.unlink()
    machine.file.symlink_to("/proc/sys/kernel/random/poolsize")  # 256, and nobody may write it
    with pytest.raises(Failed, match="of 30 hosts need 364 inotify instances") as caught:
        machine.up("a", 30)
    assert "sysctl fs.inotify.max_user_instances=364" in (caught.value.hint or "")
    assert "--hosts" in (caught.value.hint or "")


def test_a_record_that_cannot_be_read_keeps_no_other_lab_down(machine: Machine) -> None:
    machine.up("a", 30)
    (machine.folder / "a/lab.json").write_text("{}")
    assert machine.up("b", 30) == 364
