"""A running system, spoken to as another process does, and what it refuses to strangers."""

from __future__ import annotations

import os
import pickle
import signal
import socket
import stat
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import HouseBuilder
from trial_house import House, supervisor, worker

from supervisors import system
from supervisors.commands import AdminRequest
from supervisors.ground import read_address
from supervisors.spec import Backoff, Budget
from supervisors.status import NotRunningError, RefusedError
from supervisors.thespian_frames import to_send_buffer

TREE = supervisor("root", worker("a"), supervisor("inner", worker("b")))


def outside(house: House, code: str) -> str:
    """Run the code in another process, as the command line does."""
    done = subprocess.run(
        [sys.executable, "-c", f"import sys; from pathlib import Path\n{code}", str(house.runtime)],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    return done.stdout + done.stderr.splitlines()[-1] if done.returncode else done.stdout


def test_status_from_another_process_shows_the_tree(house: HouseBuilder) -> None:
    there = house(TREE).start()

    shown = outside(
        there,
        "from supervisors.system import status\n"
        "print([(n.name, n.state) for n in status(Path(sys.argv[1])).workers()])",
    )

    assert shown == "[('a', 'running'), ('b', 'running')]\n"


def test_status_is_the_same_in_the_hearts_own_process(house: HouseBuilder) -> None:
    there = house(TREE).start()

    node = system.status(there.runtime)

    assert [each.pid for each in node.workers()] == [there.pid("a"), there.pid("b")]
    assert there.heart.poll() == []


@pytest.mark.parametrize("name", ["a", "b", "inner"])
def test_restart_by_a_person_starts_a_new_generation(house: HouseBuilder, name: str) -> None:
    there = house(TREE).start()

    system.restart_child(there.runtime, name)

    there.eventually_runs(name, 2)
    assert there.reports("child_terminated") == []


def test_restart_of_an_unknown_name_is_refused(house: HouseBuilder) -> None:
    there = house(TREE).start()

    with pytest.raises(RefusedError, match="there is no actor named nobody"):
        system.restart_child(there.runtime, "nobody")


def test_quarantine_is_lifted_by_a_person(house: HouseBuilder, short_dir: Path) -> None:
    broken = short_dir / "broken"
    budget = Budget(max_restarts=1, backoff=Backoff(initial_secs=0.01))
    fragile = worker("b", budget=budget, config={"start": f"raise-while {broken}"})
    there = house(supervisor("root", supervisor("inner", fragile))).start()
    broken.touch()
    there.kill("b")
    there.eventually(lambda: there.node("b").state == "quarantined")
    broken.unlink()

    system.reset_budget(there.runtime, "b")

    there.eventually(lambda: there.node("b").state == "running")


def test_budget_of_a_running_child_is_whole_again(house: HouseBuilder) -> None:
    there = house(supervisor("root", worker("a", budget=Budget(max_restarts=2)))).start()
    there.kill("a")
    there.eventually_runs("a", 2)
    assert there.node("a").budget_spent == 1

    system.reset_budget(there.runtime, "a")

    there.eventually(lambda: there.node("a").budget_spent == 0)
    assert there.node("a").generation == 2


def test_nothing_runs_on_an_empty_folder(short_dir: Path) -> None:
    for call in (system.status, system.request_stop):
        with pytest.raises(NotRunningError, match="no system runs"):
            call(short_dir / "nothing")


def test_stopped_system_does_not_answer(house: HouseBuilder) -> None:
    there = house(TREE).start()
    there.heart.stop()

    with pytest.raises(NotRunningError):
        system.status(there.runtime)


def test_request_to_stop_is_a_signal_to_the_heart(house: HouseBuilder) -> None:
    there = house(TREE).start()
    seen: list[int] = []
    before = signal.signal(signal.SIGTERM, lambda number, _frame: seen.append(number))

    try:
        shown = outside(
            there,
            "from supervisors.system import request_stop\nrequest_stop(Path(sys.argv[1]))",
        )
        there.eventually(lambda: bool(seen))
    finally:
        signal.signal(signal.SIGTERM, before)

    assert shown == ""
    assert seen == [signal.SIGTERM]


class Bomb:
    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.mkdir, (str(self.path),)


@pytest.mark.parametrize("who", ["admin", "root"])
def test_frame_without_the_key_is_refused_before_it_is_unpickled(
    house: HouseBuilder, short_dir: Path, who: str
) -> None:
    there = house(TREE).start()
    address, _ = read_address(there.runtime)
    port = address.admin_port if who == "admin" else address.root_port
    pickled = pickle.dumps(("nobody", Bomb(short_dir / "hit")))
    thespians_own = f"{len(pickled)}>".encode() + pickled
    wrong_key = len(pickled).to_bytes(4, "big") + b"\0" * 32 + pickled
    huge = b"\xff" * 64

    for frame in (thespians_own, wrong_key, huge, b"GET / HTTP/1.1\r\n\r\n" * 9, b"-5>" * 40):
        with socket.create_connection(("127.0.0.1", port), timeout=5) as stranger:
            stranger.sendall(frame)
            assert closed(stranger)

    assert not (short_dir / "hit").exists()
    assert system.status(there.runtime).state == "running"
    assert there.heart.poll() == []


def test_frame_with_the_key_is_accepted(house: HouseBuilder) -> None:
    there = house(TREE).start()

    frame = to_send_buffer(AdminRequest("1", "status"))

    assert frame[:4] == (len(frame) - 36).to_bytes(4, "big")
    assert there.heart.poll() == []


def test_nobody_but_the_owner_can_read_the_key(house: HouseBuilder) -> None:
    there = house(TREE).start()

    assert stat.S_IMODE((there.runtime / "key").stat().st_mode) == 0o600
    assert stat.S_IMODE(there.runtime.stat().st_mode) == 0o700


def test_thespian_listens_on_loopback_only(house: HouseBuilder) -> None:
    there = house(TREE).start()

    inodes = {
        str(link.readlink())
        for pid in there.processes()
        for link in Path(f"/proc/{pid}/fd").iterdir()
        if link.is_symlink()
    }
    rows = [row.split() for row in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    listening = [row[1] for row in rows if row[3] == "0A" and f"socket:[{row[9]}]" in inodes]

    assert len(listening) >= 6
    assert {local.partition(":")[0] for local in listening} == {"0100007F"}


def closed(stranger: socket.socket) -> bool:
    try:
        return stranger.recv(100) == b""
    except ConnectionResetError:
        return True
