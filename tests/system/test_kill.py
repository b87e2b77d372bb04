"""``kill -9`` of everything, while the system trades: nothing is lost and nothing is doubled."""

from __future__ import annotations

import asyncio
import json
import os
import random
import signal
import time
import urllib.request
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from krator_actors import place
from krator_actors.adapters.embedded_postgres import embedded_dsn
from krator_actors.adapters.journal_reader import JournalUnavailableError
from tests.system.checker import (
    Evidence,
    check_doubles,
    check_ends,
    check_fills,
    check_journal,
    check_orders,
    holdings,
)
from tests.system.harness import Krator, all_running, eventually
from tests.system.order_watch import OrderWatch

pytestmark = [pytest.mark.system, pytest.mark.timeout(900)]

SEED = int(os.environ.get("KRATOR_SEED", "20261122"))
VENUE_SYMBOLS = ("BTC", "ETH", "SOL")
STRATEGIES = tuple(f"strategy:{base}-USDT.SIM/sma_cross" for base in VENUE_SYMBOLS)
TARGETS = (
    *("risk", "order:SIM") * 4,
    *STRATEGIES,
    *("feed:SIM", "journal", "storage", "rca") * 2,
    *("redis", "publisher", "jobs"),
    *("execution", "strategies", "market", "operations"),
    *("root", "admin", "postgres", "krator run") * 2,
)
LOSE_AN_ANSWER_BEFORE = (2, 11, 19)
"""Kills before which the venue is told to act on the next order and lose the answer."""
IN_FLIGHT_WAIT_SECS = 20.0
HEAL_SECS = 60.0

CONFIG = """
[venue]
url = "{url}"
reconnect_initial_secs = 0.2
reconcile_secs = 3
request_timeout_secs = 2
[supervision]
budget_restarts = 30
heart_restarts = 30
"""
STRATEGY = """
[[strategies]]
symbol = "{base}-USDT.SIM"
bar = "1-SECOND-LAST"
fast = 2
slow = 3
order_notional = "200"
"""


def pids(krator: Krator, run_pid: int) -> dict[str, int]:
    """Return the process id of everything that can be killed, by name."""
    found = {"krator run": run_pid}

    def walk(node: dict[str, Any]) -> None:
        if node["pid"]:
            found[node["name"]] = node["pid"]
        for child in node["children"]:
            walk(child)

    walk(krator.json("status"))
    stat = Path(f"/proc/{found['root']}/stat").read_text()
    found["admin"] = int(stat.rpartition(")")[2].split()[1])
    eventually(lambda: postmaster(krator) > 0, HEAL_SECS, "PostgreSQL runs")
    found["postgres"] = postmaster(krator)
    return found


def postmaster(krator: Krator) -> int:
    """Return the server's process id; 0 while there is none."""
    try:
        pid = int((krator.data_dir / "postgres" / "postmaster.pid").read_text().splitlines()[0])
        name = Path(f"/proc/{pid}/comm").read_text().strip()
    except (OSError, ValueError, IndexError):
        return 0
    return pid if name == "postgres" else 0


def fault(url: str, **action: Any) -> None:
    request = urllib.request.Request(
        f"{url}/sim/faults", json.dumps(action).encode(), {"Content-Type": "application/json"}
    )
    with urllib.request.urlopen(request, timeout=5) as answer:
        assert answer.status == 200


def wait_healthy(krator: Krator, killed: str) -> None:
    """Wait until everything runs again; else fail and show the tree."""
    deadline = time.monotonic() + HEAL_SECS
    while True:
        done = krator.command("status", "--json")
        if done.returncode == 0 and all_running(json.loads(done.stdout)):
            return
        if time.monotonic() > deadline:
            tree = krator.command("status")
            pytest.fail(f"not healed after {killed}:\n{tree.stdout}{tree.stderr}{krator.output()}")
        time.sleep(0.05)


def journal_is_whole(evidence: Evidence, data_dir: Path, dsn: str) -> bool:
    try:
        return not asyncio.run(check_journal(evidence, data_dir, dsn))
    except JournalUnavailableError:
        return False  # PostgreSQL may still recover: nobody who trades waits for it


def test_nothing_is_lost_or_doubled_whatever_is_killed(krator: Krator) -> None:
    url = krator.start_exchange("--ticks-per-sec", "40", "--seed", str(SEED))
    krator.config.write_text(
        CONFIG.format(url=url) + "".join(STRATEGY.format(base=base) for base in VENUE_SYMBOLS)
    )
    run = krator.start()
    krator.wait_ready(run)
    targets = list(TARGETS)
    random.Random(SEED).shuffle(targets)
    watch = OrderWatch(krator.data_dir)
    moments: list[tuple[str, int]] = []

    for number, target in enumerate(targets):
        victims = pids(krator, run.pid)
        if number in LOSE_AN_ANSWER_BEFORE:
            fault(url, action="lose_answer", count=1)
        deadline = time.monotonic() + IN_FLIGHT_WAIT_SECS
        before = watch.poll()
        while not watch.poll() - before and time.monotonic() < deadline:
            time.sleep(0.0002)
        os.kill(victims[target], signal.SIGKILL)
        moments.append((target, time.time_ns()))
        if target == "krator run":
            run.wait(10)
            eventually(lambda: not krator.processes(), 10, "the tree died with krator run")
            run = krator.start()
        wait_healthy(krator, target)

    watch.poll()
    flying = [target for target, moment in moments if watch.spans.in_flight_at(moment)]
    krator.json("halt", "--by", "test", "--reason", "quiet phase")
    eventually(lambda: not watch.poll(), 60, "no order is in flight in the quiet phase")
    watch.close()
    ledger = krator.folder / "venue" / "ledger.jsonl"
    evidence = Evidence.read(krator.data_dir, ledger, venue="SIM")
    dsn = embedded_dsn(place.runtime_dir(krator.data_dir))
    eventually(
        lambda: journal_is_whole(evidence, krator.data_dir, dsn), 20, "the journal has every record"
    )
    report = krator.json("report")
    assert krator.command("stop").returncode == 0
    assert run.wait(30) == 0, krator.output()

    evidence = Evidence.read(krator.data_dir, ledger, venue="SIM")
    assert check_orders(evidence) == []
    assert check_doubles(evidence) == []
    assert check_fills(evidence) == []
    assert check_ends(evidence) == []
    expected = {asset: total for asset, total in holdings(evidence).items() if asset != "USDT"}
    reported = {p["symbol"].partition("-")[0]: Decimal(p["quantity"]) for p in report["positions"]}
    assert {asset: reported.get(asset, Decimal(0)) for asset in expected} == expected
    print(f"seed {SEED}: {len(moments)} kills, {len(flying)} with an order in flight")
    assert len(flying) >= 20, f"seed {SEED}: only {len(flying)} kills hit an order in flight"
    assert krator.leftovers() == []
