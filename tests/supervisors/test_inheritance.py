"""What a forked child begins with: no other thread, no lock, none of its parent's descriptors."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest
from conftest import HouseBuilder
from trial_house import House, supervisor, worker

from supervisors.process import file_name

TREE = supervisor("root", *map(worker, "abcd"), supervisor("inner", worker("e")))


def links(pid: int) -> set[str]:
    """What the descriptors of the process lead to."""
    return {str(link.readlink()) for link in Path(f"/proc/{pid}/fd").iterdir()}


def listening(pid: int) -> set[str]:
    """The listening sockets among them, TCP and Unix."""
    tcp = [row.split() for row in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    unix = [row.split() for row in Path("/proc/net/unix").read_text().splitlines()[1:]]
    inodes = {row[9] for row in tcp if row[3] == "0A"}
    inodes |= {row[6] for row in unix if int(row[3], 16) & 0x10000}  # __SO_ACCEPTCON
    return {link for link in links(pid) if link.removeprefix("socket:[").rstrip("]") in inodes}


def test_heart_refuses_to_fork_beside_another_thread(house: HouseBuilder) -> None:
    system = house(TREE)
    end = threading.Event()
    thread = threading.Thread(target=end.wait)
    thread.start()

    try:
        with pytest.raises(RuntimeError, match="more than one thread"):
            system.start()
    finally:
        end.set()
        thread.join()

    assert system.start().ask("a").generation == 1


def test_whoever_forks_has_one_thread(house: HouseBuilder) -> None:
    system = house(TREE).start()
    body = system.heart._body
    assert body is not None

    for pid in (os.getpid(), body.admin_pid, system.pid("root"), system.pid("inner")):
        assert len(list(Path(f"/proc/{pid}/task").iterdir())) == 1


def test_child_listens_on_nothing_but_its_own_two_sockets(house: HouseBuilder) -> None:
    system = house(TREE).start()
    system.kill("b")
    system.eventually_runs("b", 2)

    sockets = {name: listening(system.pid(name)) for name in "abcde"}

    assert {name: len(each) for name, each in sockets.items()} == dict.fromkeys("abcde", 2)
    assert len(set.union(*sockets.values())) == 10


def test_child_holds_no_file_of_its_supervisor_or_siblings(
    house: HouseBuilder, tmp_path: Path
) -> None:
    # A journal of the process that starts the system, open as a program's own file would be.
    with (tmp_path / "journal").open("a"):
        system = house(TREE).start()
        system.kill("b")
        system.eventually_runs("b", 2)

        for name in "abcde":
            generation = system.node(name).generation
            files = {link for link in links(system.pid(name)) if link.startswith("/")}
            assert files <= own_files(system, name, generation)
            assert not [link for link in links(system.pid(name)) if "pidfd" in link]


def own_files(system: House, name: str, generation: int) -> set[str]:
    runtime, crash_dir = system.runtime.resolve(), system.crash_dir.resolve()
    return {
        "/dev/null",
        str(runtime),
        str(runtime / "alive"),
        str(runtime / "processes" / file_name(name)),
        str(crash_dir / f"{name}-{generation}.txt"),
        "/dev/zero (deleted)",
    }
