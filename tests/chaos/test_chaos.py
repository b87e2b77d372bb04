"""Chaos as ``make chaos`` runs it, in its short form; its plan; and that nothing of it stays."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import pytest

from krator_actors.config import load
from tests.chaos.__main__ import CONFIG, RULES, STRATEGY
from tests.chaos.machine import Disk
from tests.chaos.plan import SYMBOLS, TARGETS, labels, plan
from tests.system.harness import ROOT, eventually

SECONDS = float(os.environ.get("KRATOR_CHAOS_SECONDS", "90"))
SEED = int(os.environ.get("KRATOR_SEED", "20261122"))


@pytest.fixture
def folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="krator-test-") as name:
        yield Path(name)


def command(*arguments: str, folder: Path) -> subprocess.Popen[bytes]:
    """Start ``make chaos``'s program with a temporary folder of its own."""
    out = folder / "out"
    with out.open("wb") as output:
        return subprocess.Popen(
            [sys.executable, "-m", "tests.chaos", *arguments],
            cwd=ROOT,
            env=os.environ
            | {"TMPDIR": str(folder), "KRATOR_CHAOS_OUT": str(folder / "result.json")},
            stdout=output,
            stderr=subprocess.STDOUT,
        )


def traces(folder: Path) -> list[str]:
    """Return what belongs to a run in ``folder``: processes, mounts, files."""
    mark = str(folder / "krator-chaos-")
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and int(entry.name) != os.getpid():
            try:
                text = (entry / "cmdline").read_bytes()
            except OSError:
                continue
            if mark.encode() in text:
                found.append(f"process {entry.name}")
    found += [line for line in Path("/proc/mounts").read_text().splitlines() if mark in line]
    return found + [str(path) for path in folder.glob("krator-chaos-*")]


@pytest.mark.system
@pytest.mark.timeout(SECONDS + 400)
def test_nothing_is_lost_doubled_or_passed_in_chaos(folder: Path) -> None:
    chaos = command("--seconds", str(SECONDS), "--seed", str(SEED), folder=folder)

    code = chaos.wait(SECONDS + 300)

    assert code == 0, (folder / "out").read_text()
    result = json.loads((folder / "result.json").read_text())
    assert result["orders"] > 0
    assert result["kills_with_orders_in_flight"] >= int(SECONDS / 6)
    assert traces(folder) == []


@pytest.mark.system
def test_interrupted_chaos_leaves_nothing_behind(folder: Path) -> None:
    chaos = command("--seconds", "60", folder=folder)
    eventually(lambda: list(folder.glob("krator-chaos-*/data/log/order*")), 60, "it trades")

    chaos.send_signal(signal.SIGINT)

    assert chaos.wait(60) == 1
    assert traces(folder) == []


def test_seed_fixes_the_faults() -> None:
    assert list(islice(plan(5), 200)) == list(islice(plan(5), 200))
    assert list(islice(plan(5), 200)) != list(islice(plan(6), 200))


def test_plan_of_ten_minutes_has_every_fault() -> None:
    # A kill takes up to 2.5 s: 600 s have at least these.
    faults = list(islice(plan(1), 320))

    assert {fault.label for fault in faults} == labels()
    assert {fault.target for fault in faults if fault.kind == "SIGKILL"} == set(TARGETS)
    assert {fault.target for fault in faults if fault.kind == "SIGSTOP"} == set(TARGETS)
    assert {fault.kind for fault in faults} == {
        "SIGKILL",
        "SIGSTOP",
        "disk full",
        "halt",
        "reduce",
        "flatten",
        "cut connections",
        "refused connections",
        "silent market data",
        "lost answers",
        "latency",
        "answers past the validity",
        "late requests",
        "5xx",
        "429",
    }
    assert sum(fault.kind == "SIGKILL" for fault in faults) > len(faults) / 2


def test_limits_of_the_checker_are_those_of_the_configuration(tmp_path: Path) -> None:
    path = tmp_path / "krator.toml"
    path.write_text(
        CONFIG.format(url="http://x") + "".join(STRATEGY.format(symbol=s) for s in SYMBOLS)
    )

    risk = load(path).risk

    assert (risk.max_position_fraction, risk.max_order_notional) == (
        RULES.max_position_fraction,
        RULES.max_order_notional,
    )
    assert (risk.max_orders_per_sec, risk.max_open_orders) == (
        RULES.max_orders_per_sec,
        RULES.max_open_orders,
    )


def test_disk_is_filled_to_the_last_page_and_freed(tmp_path: Path) -> None:
    disk = Disk(tmp_path / "log")
    if not disk.is_mounted:
        pytest.skip("only root can mount the file system that is filled")
    try:
        # Each time another remainder: what is written at once are 16 pages.
        for number in range(16):
            (tmp_path / "log" / str(number)).write_bytes(bytes(4_096))

            disk.fill()

            assert shutil.disk_usage(tmp_path / "log").free == 0
            disk.free()
            assert shutil.disk_usage(tmp_path / "log").free > 0
    finally:
        disk.close()
