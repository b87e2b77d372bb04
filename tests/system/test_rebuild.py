"""A machine is lost and its journal was backed up: the system comes back knowing every order."""

from __future__ import annotations

import asyncio
import base64
import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from krator_actors import place
from krator_actors.adapters.at_rest import KEY_VARIABLE
from krator_actors.adapters.embedded_postgres import temporary_server
from krator_actors.adapters.local_log import log_path, read_log, writers_of
from krator_actors.core.risk import RiskEvent
from krator_actors.messages.orders import OrderEvent, OrderFilled, OrderInitialized, SubmitOrder
from krator_actors.messages.risk import OrderApproved
from supervisors.client import Client
from tests.system.checker import (
    Evidence,
    check_doubles,
    check_ends,
    check_fills,
    check_journal,
    check_orders,
)
from tests.system.harness import Krator, eventually

pytestmark = [pytest.mark.system, pytest.mark.timeout(900)]

STRATEGY = """
[[strategies]]
symbol = "{base}-USDT.SIM"
bar = "1-SECOND-LAST"
fast = 2
slow = 3
order_notional = "200"
"""


def events(krator: Krator, kind: Any) -> list[Any]:
    log = log_path(krator.data_dir, "order:SIM")
    return [r.event for r in read_log(log, types=OrderEvent) if isinstance(r.event, kind)]


def evidence_of(krator: Krator) -> Evidence:
    return Evidence.read(krator.data_dir, krator.folder / "venue" / "ledger.jsonl", venue="SIM")


def stop(krator: Krator, run: subprocess.Popen[bytes]) -> None:
    """Halt, and stop when every order is over."""
    krator.json("halt", "--by", "test", "--reason", "quiet")
    eventually(lambda: not check_ends(evidence_of(krator)), 60, "no order is open")
    assert krator.command("stop").returncode == 0
    assert run.wait(60) == 0, krator.output()


def trade(krator: Krator, fills: int) -> None:
    """Run until there are so many more fills, and stop when every order is over."""
    before = len(events(krator, OrderFilled))
    run = krator.start()
    krator.wait_ready(run)
    eventually(lambda: len(events(krator, OrderFilled)) >= before + fills, 90, "fills")
    stop(krator, run)


async def submit(krator: Krator, order: SubmitOrder) -> None:
    async with Client(place.runtime_dir(krator.data_dir), name="cli") as client:
        await client.tell("risk", order, timeout_secs=20)


async def journal_faults(krator: Krator, evidence: Evidence, folder: Path) -> list[str]:
    async with temporary_server(krator.data_dir, folder) as dsn:
        return await check_journal(evidence, krator.data_dir, dsn)


def plain_words(krator: Krator, words: set[bytes]) -> list[tuple[str, bytes]]:
    """Return which words can be read in which files of the log folder; actors' names may be."""
    found = []
    for file in (krator.data_dir / "log").iterdir():
        data = file.read_bytes()
        for writer in writers_of(krator.data_dir):
            data = data.replace(writer.encode(), b"")
        found += [(file.name, word) for word in words if word in data]
    return found


def test_system_on_a_new_machine_knows_every_order_of_the_old_one(
    krator: Krator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(KEY_VARIABLE, base64.b64encode(bytes(range(32))).decode())
    url = krator.start_exchange("--ticks-per-sec", "40")
    krator.config.write_text(
        f'[venue]\nurl = "{url}"\n'
        + "".join(STRATEGY.format(base=base) for base in ("BTC", "ETH", "SOL"))
    )
    trade(krator, fills=2)
    orders = [event.order for event in events(krator, OrderInitialized)]
    records = len(events(krator, object))
    backup = krator.folder / "backup"
    assert krator.command("journal backup", str(backup)).returncode == 0
    shutil.rmtree(krator.data_dir)

    restored = krator.command("journal restore", str(backup))
    refused = krator.command("run", "--for", "1")
    rebuilt = krator.command("journal rebuild", "--json")

    assert restored.returncode == 0, restored.stderr
    assert refused.returncode == 2
    assert "krator journal rebuild" in refused.stderr
    assert rebuilt.returncode == 0, rebuilt.stderr
    logs = {log["writer"]: log for log in json.loads(rebuilt.stdout)["logs"]}
    assert {"order:SIM", "risk", "journal"} < logs.keys()
    assert logs["order:SIM"]["written"] == [[1, records]]
    run = krator.start()
    krator.wait_ready(run)
    states = krator.json("status")["trading"]["states"]
    assert [state["state"] for state in states] == ["HALTED"]  # as it was left
    krator.json("resume", "--by", "test", "--reason", "back again")
    for order in orders:
        asyncio.run(submit(krator, order))
    eventually(lambda: len(events(krator, OrderInitialized)) > len(orders), 90, "a new order")
    stop(krator, run)

    evidence = evidence_of(krator)
    assert check_orders(evidence) == []
    assert check_doubles(evidence) == []
    assert check_fills(evidence) == []
    assert check_ends(evidence) == []
    assert asyncio.run(journal_faults(krator, evidence, krator.folder / "run")) == []
    approved = [
        record.event.order.client_order_id
        for record in read_log(log_path(krator.data_dir, "risk"), types=RiskEvent)
        if isinstance(record.event, OrderApproved)
    ]
    assert [approved.count(order.client_order_id) for order in orders] == [1] * len(orders)
    secrets = {order.client_order_id.encode() for order in orders} | {b"USDT.SIM", b"OrderFilled"}
    assert plain_words(krator, secrets) == []
    assert krator.leftovers() == []
