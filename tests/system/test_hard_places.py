"""Each kind of bad input in each hard place: a clear error, and nothing is left."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.system.harness import KRATOR, ROOT, Krator
from tests.system.ordinary_user import as_user

pytestmark = [pytest.mark.system, pytest.mark.timeout(300)]

NOBODY = 65534
LATE = """
import sys, time
time_ns, seconds = time.time_ns, time.time
time.time_ns = lambda: time_ns() - 86_400 * 10**9
time.time = lambda: seconds() - 86_400
from krator_actors.cli import main
sys.exit(main(sys.argv[1:]))
"""
WITHOUT_IPV4 = 'ip link set lo up && ip addr del 127.0.0.1/8 dev lo && exec "$@"'


class HardPlace:
    """Where krator is run; most places are as good as any, and each spoils one thing."""

    excuse = ""
    """What an error may name in place of the bad input, because the place is found out first."""

    def __init__(self, krator: Krator) -> None:
        self.krator = krator
        self.prefix = KRATOR

    def spoil(self) -> None:
        """Make the place hard, after the bad input is there."""

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """``krator run`` in this place, to its end."""
        config = self.krator.config
        chosen = ["--config", str(config)] if config.exists() else []
        return subprocess.run(
            [*self.prefix, "run", *chosen, "--data-dir", str(self.krator.data_dir), *arguments],
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
            cwd=ROOT,
        )

    def close(self) -> None:
        """Leave the place as it was."""


class FullDisk(HardPlace):
    excuse = "space"

    def __init__(self, krator: Krator) -> None:
        super().__init__(krator)
        self._disk = krator.folder / "disk"
        self._disk.mkdir()
        command = ["mount", "-t", "tmpfs", "-o", "size=200m", "none", str(self._disk)]
        if os.geteuid() or subprocess.run(command, check=False, capture_output=True).returncode:
            pytest.skip("only root can mount a small disk, and not on every machine")
        krator.data_dir = self._disk / "data"
        krator.data_dir.mkdir()

    def spoil(self) -> None:
        with (self._disk / "fill").open("wb", buffering=0) as out:
            try:
                while out.write(bytes(65_536)):
                    pass
            except OSError:
                return

    def close(self) -> None:
        self.krator.close()
        subprocess.run(["umount", "-l", str(self._disk)], check=False, capture_output=True)


class SomebodyElsesFolder(HardPlace):
    excuse = "--data-dir"

    def __init__(self, krator: Krator) -> None:
        super().__init__(krator)
        self.prefix = [*as_user(NOBODY, krator.folder), *KRATOR]
        krator.folder.chmod(0o755)
        krator.data_dir.mkdir(mode=0o700)


class FolderOfAnOlderVersion(HardPlace):
    def spoil(self) -> None:
        (self.krator.data_dir / "log").mkdir(parents=True, exist_ok=True)
        (self.krator.data_dir / "version").unlink(missing_ok=True)


class ClockADayOff(HardPlace):
    def __init__(self, krator: Krator) -> None:
        super().__init__(krator)
        self.prefix = [sys.executable, "-c", LATE]


class LoopbackWithoutIPv4(HardPlace):
    excuse = "127.0.0.1"

    def __init__(self, krator: Krator) -> None:
        super().__init__(krator)
        probe = ["unshare", "--net", "sh", "-c", WITHOUT_IPV4, "sh"]
        if shutil.which("unshare") is None or shutil.which("ip") is None:
            pytest.skip("no unshare or ip here")
        if subprocess.run([*probe, "true"], check=False, capture_output=True).returncode:
            pytest.skip("only root can make a network namespace, and not on every machine")
        self.prefix = [*probe, *KRATOR]


class LongPath(HardPlace):
    def __init__(self, krator: Krator) -> None:
        super().__init__(krator)
        krator.data_dir = krator.folder.joinpath(*["x" * 50] * 4, "data")
        assert len(str(krator.data_dir)) > 200


class BadInput(NamedTuple):
    """What is wrong, and what the error must name."""

    arguments: tuple[str, ...]
    named: str


def wrong_configuration(krator: Krator) -> Iterator[BadInput]:
    krator.config.write_text("[risk]\nmax_orders = 3\n")
    yield BadInput((), "risk.max_orders")


def port_taken(krator: Krator) -> Iterator[BadInput]:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        krator.config.write_text(f"[exchange]\nport = {port}\n")
        yield BadInput((), str(port))


def broken_replay(krator: Krator) -> Iterator[BadInput]:
    folder = krator.folder / "recording"
    folder.mkdir()
    (folder / "spot_btcusdt.jsonl.gz").write_bytes(b"\x1f\x8b\x08\x00broken")
    folder.chmod(0o755)
    yield BadInput(("--replay", str(folder)), "recording")


def second_run(krator: Krator) -> Iterator[BadInput]:
    first = krator.start()
    krator.wait_ready(first)
    yield BadInput((), f"pid {first.pid}")
    assert krator.command("status").returncode == 0
    assert krator.command("stop").returncode == 0
    assert first.wait(60) == 0, krator.output()


def postgresql_that_does_not_start(krator: Krator) -> Iterator[BadInput]:
    cluster = krator.data_dir / "postgres"
    cluster.mkdir(parents=True)
    (cluster / "PG_VERSION").write_text("9\n")
    yield BadInput((), "PostgreSQL")


PLACES = (
    FullDisk,
    SomebodyElsesFolder,
    FolderOfAnOlderVersion,
    ClockADayOff,
    LoopbackWithoutIPv4,
    LongPath,
)
INPUTS = (
    wrong_configuration,
    port_taken,
    broken_replay,
    second_run,
    postgresql_that_does_not_start,
)


@pytest.mark.parametrize("bad_input", INPUTS)
@pytest.mark.parametrize("hard_place", PLACES)
def test_bad_input_in_a_hard_place_is_a_clear_error(
    krator: Krator,
    hard_place: type[HardPlace],
    bad_input: Callable[[Krator], Iterator[BadInput]],
) -> None:
    place = hard_place(krator)
    try:
        given = bad_input(krator)
        wrong = next(given)
        place.spoil()
        before = entries(krator.data_dir)

        done = place.run(*wrong.arguments)

        assert done.returncode in {2, 4, 5}, done.stderr
        assert wrong.named in done.stderr or (place.excuse and place.excuse in done.stderr)
        assert "Traceback" not in done.stdout + done.stderr
        assert before <= entries(krator.data_dir)
        assert next(given, None) is None
        assert krator.leftovers() == []
    finally:
        place.close()


def entries(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()} if folder.exists() else set()
