"""What a service manager is told, over a real datagram socket."""

from __future__ import annotations

import itertools
import os
import secrets
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from supervisors.notify import ServiceManager


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


class Listener:
    def __init__(self, address: str) -> None:
        self.address = address
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.setblocking(False)
        self.socket.bind(address.replace("@", "\0", 1) if address.startswith("@") else address)

    def heard(self) -> list[str]:
        texts = []
        while True:
            try:
                texts.append(self.socket.recv(4096).decode())
            except BlockingIOError:
                return texts


@pytest.fixture(params=["path", "abstract"])
def listener(request: pytest.FixtureRequest, short_dir: Path) -> Iterator[Listener]:
    is_path = request.param == "path"
    each = Listener(str(short_dir / "notify") if is_path else f"@krator-{secrets.token_hex(8)}")
    yield each
    each.socket.close()


def test_life_of_a_service_is_told(listener: Listener) -> None:
    manager = ServiceManager(listener.address, watchdog_secs=0.0)

    manager.extend(15)
    manager.ready()
    manager.status("6 of 6\nactors run")
    manager.alive()
    manager.stopping()
    manager.close()
    manager.ready()

    assert listener.heard() == [
        "EXTEND_TIMEOUT_USEC=15000000",
        "READY=1",
        "STATUS=6 of 6 actors run",
        "STOPPING=1",
    ]


def test_watchdog_is_fed_well_within_half_of_its_time(listener: Listener) -> None:
    clock = Clock()
    manager = ServiceManager(listener.address, watchdog_secs=3.0, clock=clock)
    fed = []

    for _ in range(50):
        manager.alive()
        fed += [clock.now for _ in listener.heard()]
        clock.now += 0.2
    manager.close()

    pauses = [after - before for before, after in itertools.pairwise(fed)]
    assert len(fed) >= 8
    assert max(pauses) < 1.5
    assert min(pauses) > 0.9


def test_status_is_told_only_when_it_changes(listener: Listener) -> None:
    manager = ServiceManager(listener.address, watchdog_secs=0.0)

    for text in ("a", "a", "b", "x" * 500):
        manager.status(text)
    manager.close()

    assert listener.heard() == ["STATUS=a", "STATUS=b", f"STATUS={'x' * 200}"]


def test_long_start_asks_for_more_time_once_a_second(listener: Listener) -> None:
    clock = Clock()
    manager = ServiceManager(listener.address, watchdog_secs=0.0, clock=clock)

    for _ in range(10):
        manager.extend(1)
        clock.now += 0.25
    manager.close()

    assert len(listener.heard()) == 3


def test_manager_is_taken_out_of_the_environment() -> None:
    environment = {
        "NOTIFY_SOCKET": "@nobody",
        "WATCHDOG_USEC": "2500000",
        "WATCHDOG_PID": str(os.getpid()),
        "HOME": "/",
    }

    manager = ServiceManager.take(environment)
    manager.close()

    assert environment == {"HOME": "/"}
    assert manager.watchdog_secs == 2.5


@pytest.mark.parametrize(
    "environment",
    [
        {},
        {"WATCHDOG_USEC": "1000000"},
        {"NOTIFY_SOCKET": "@nobody", "WATCHDOG_USEC": "soon"},
        {"NOTIFY_SOCKET": "@nobody", "WATCHDOG_USEC": "1000000", "WATCHDOG_PID": "1"},
        {"NOTIFY_SOCKET": "vsock:2:1234", "WATCHDOG_USEC": "1000000"},
    ],
)
def test_watchdog_that_is_not_for_us_is_none(environment: dict[str, str]) -> None:
    manager = ServiceManager.take(environment)
    manager.alive()
    manager.close()

    assert manager.watchdog_secs == 0.0


def test_manager_that_is_gone_or_does_not_read_never_blocks(listener: Listener) -> None:
    manager = ServiceManager(listener.address, watchdog_secs=0.0)

    for number in range(5000):
        manager.status(str(number))
    listener.socket.close()
    manager.stopping()
    manager.close()
