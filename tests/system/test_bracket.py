"""A bracket outlives ``kill -9`` of the order actor: its stop sells once, and nothing is left."""

from __future__ import annotations

import os
import signal
from decimal import Decimal
from typing import Any

import pytest

from krator_actors.core.orders import BRACKET_CAUSE
from krator_actors.messages.orders import OrderAccepted, OrderFilled
from tests.system.bracket_checks import check_brackets
from tests.system.checker import (
    Evidence,
    check_doubles,
    check_fills,
    check_given_up,
    check_orders,
)
from tests.system.harness import Krator, eventually
from tests.system.order_watch import OrderWatch
from tests.system.test_kill import pids, wait_healthy

pytestmark = [pytest.mark.system, pytest.mark.timeout(300)]

CONFIG = """
[venue]
url = "{url}"
reconnect_initial_secs = 0.2
reconcile_secs = 3
request_timeout_secs = 2
[[strategies]]
symbol = "BTC-USDT.SIM"
bar = "1-SECOND-LAST"
fast = 2
slow = 3
order_notional = "200"
stop_loss_fraction = "0.0003"
take_profit_fraction = "0.5"
"""
NAME = "order:SIM"


def test_stop_of_a_bracket_is_hit_after_the_order_actor_was_killed(krator: Krator) -> None:
    url = krator.start_exchange("--ticks-per-sec", "40", "--seed", "7")
    krator.config.write_text(CONFIG.format(url=url))
    run = krator.start()
    krator.wait_ready(run)
    ledger = krator.folder / "venue" / "ledger.jsonl"

    def evidence() -> Evidence:
        return Evidence.read(krator.data_dir, ledger, venue="SIM")

    def waiting_stop() -> str:
        """Return a leg that waits at the venue, empty when there is none."""
        seen = evidence()
        ended = {line["clientOrderId"] for line in seen.of_venue("ended")}
        at_venue = {line["clientOrderId"] for line in seen.of_venue("order")}
        return next((leg for leg in seen.legs() if leg in at_venue - ended), "")

    leg = eventually(waiting_stop, 60, "a stop order protects what was bought")
    os.kill(pids(krator, run.pid)[NAME], signal.SIGKILL)
    krator.json("reduce", "--by", "test", "--reason", "no new entries")
    wait_healthy(krator, NAME)

    def is_sold() -> bool:
        return any(line["clientOrderId"] == leg for line in evidence().of_venue("fill"))

    eventually(is_sold, 120, "the stop was hit")
    watch = OrderWatch(krator.data_dir)
    eventually(lambda: not watch.poll(), 30, "nothing is in flight")
    report = krator.json("report")
    assert krator.command("stop").returncode == 0

    seen = evidence()
    entry = seen.legs()[leg].cause.removeprefix(BRACKET_CAUSE)
    exits = [key for key, one in seen.legs().items() if one.cause == BRACKET_CAUSE + entry]
    assert exits == [leg]
    assert isinstance(of_order(seen, leg)[0], OrderAccepted)
    assert isinstance(of_order(seen, leg)[-1], OrderFilled)
    for check in (check_orders, check_doubles, check_fills, check_given_up, check_brackets):
        assert check(seen) == []
    assert Decimal(report["positions"][0]["quantity"]) < Decimal("0.001")


def of_order(seen: Evidence, client_order_id: str) -> list[Any]:
    events = seen.events(OrderAccepted, OrderFilled)
    return [event for event in events if event.client_order_id == client_order_id]
