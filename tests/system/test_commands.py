"""kill, halt, restart, config check and doctor, as a person uses them."""

from __future__ import annotations

import asyncio
import json
import os
import pty
import signal
import subprocess
import urllib.request
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest

from krator_actors import config as configuration
from krator_actors.adapters.local_log import LocalLog, log_path, read_log
from krator_actors.core.venue_reports import OrderReport
from krator_actors.messages.emergency import (
    FlattenEvent,
    FlattenOrderEnded,
    FlattenOrderInitialized,
    FlattenStarted,
)
from krator_actors.messages.orders import SubmitOrder
from krator_actors.model import OrderSide, OrderStatus, OrderType
from krator_actors.venue_desk import Outcome, VenueDesk
from tests.system.harness import KRATOR, ROOT, Krator, eventually

pytestmark = [pytest.mark.system, pytest.mark.timeout(300)]

BTC = "BTC-USDT.SIM"
STILL = ["--ticks-per-sec", "0.001"]
"""a market that does not move by itself"""
EAGER = """
[[strategies]]
symbol = "BTC-USDT.SIM"
bar = "1-SECOND-LAST"
fast = 2
slow = 3
"""


class Venue:
    """A venue of its own, and an account that a person trades with by hand."""

    def __init__(self, krator: Krator, *arguments: str) -> None:
        # A test that waits asks more often than a venue would bear.
        self.url = krator.start_exchange("--weight-limit", "1000000", *arguments)
        krator.config.write_text(f'[venue]\nurl = "{self.url}"\nrequest_timeout_secs = 1\n{EAGER}')
        self.config = configuration.load(krator.config)
        self.ledger = krator.folder / "venue" / "ledger.jsonl"
        self._orders = 0

    def place(self, quantity: str, price: str | None = None) -> Outcome:
        """Buy; with a price the order rests."""
        self._orders += 1
        order = SubmitOrder(
            client_order_id=f"by-hand-{self._orders}",
            strategy="",
            symbol=BTC,
            side=OrderSide.BUY,
            order_type=OrderType.LIMIT if price else OrderType.MARKET,
            quantity=Decimal(quantity),
            price=Decimal(price) if price else None,
            cause="",
            ts_event=0,
            ts_init=0,
        )

        async def send(desk: VenueDesk) -> Outcome:
            return await desk.send(order, valid_until_ms=desk.valid_until_ms())

        outcome: Outcome = self._at_desk(send)
        return outcome

    def open_orders(self) -> tuple[OrderReport, ...]:
        orders: tuple[OrderReport, ...] = self._at_desk(lambda desk: desk.open_orders())
        return orders

    def balance(self, asset: str) -> Decimal:
        balances: dict[str, Decimal] = self._at_desk(lambda desk: desk.balances())
        return balances.get(asset, Decimal(0))

    def fault(self, action: str, **params: Any) -> None:
        body = json.dumps({"action": action, **params}).encode()
        request = urllib.request.Request(f"{self.url}/sim/faults", body)
        with urllib.request.urlopen(request, timeout=5):
            pass

    def orders_sent(self) -> list[str]:
        """Return the client order ids of every order that the venue ever took."""
        lines = [json.loads(line) for line in self.ledger.read_text().splitlines()]
        return [line["clientOrderId"] for line in lines if line["record"] == "order"]

    def _at_desk(self, work: Callable[[VenueDesk], Any]) -> Any:
        async def visit() -> Any:
            async with VenueDesk(self.config, self.url) as desk:
                return await work(desk)

        return asyncio.run(visit())


BY = ("--by", "ada", "--reason", "test")


def flatten(krator: Krator, *arguments: str) -> subprocess.CompletedProcess[str]:
    return krator.command("kill", "--flatten", *BY, "--json", *arguments)


def test_kill_needs_no_running_system(krator: Krator) -> None:
    venue = Venue(krator, *STILL)
    for price in ("50000", "51000", "52000"):
        assert venue.place("0.001", price).status is OrderStatus.ACCEPTED

    answer = krator.json("kill", *BY)

    assert answer == {"trading": "latched", "canceled": {"canceled": 3, "ended_before": 0}}
    assert venue.open_orders() == ()
    assert krator.command("kill", *BY).stdout.splitlines()[-1] == "canceled 0 open orders"


@pytest.mark.parametrize("fault", ["lose_answer", "answer_error"])
def test_kill_counts_right_when_an_answer_is_lost(krator: Krator, fault: str) -> None:
    venue = Venue(krator, *STILL)
    for price in ("50000", "51000"):
        venue.place("0.001", price)
    venue.fault(fault, method="order.cancel")

    answer = krator.json("kill", *BY)

    assert answer["canceled"]["canceled"] == 2
    assert venue.open_orders() == ()


def test_venue_that_does_not_answer_is_exit_code_6(krator: Krator) -> None:
    assert krator.command("kill", *BY).returncode == 6  # no venue has ever run here
    krator.config.write_text('[venue]\nurl = "http://127.0.0.1:9"\n')

    done = krator.command("kill", *BY)

    assert done.returncode == 6
    assert "the venue did not answer" in done.stderr


def test_flatten_sells_every_holding_once(krator: Krator) -> None:
    venue = Venue(krator, *STILL)
    venue.place("0.05")
    venue.place("0.001", "50000")

    done = flatten(krator, "--yes")

    assert done.returncode == 0, done.stderr
    answer = json.loads(done.stdout)
    assert answer["is_flat"]
    assert answer["canceled"]["canceled"] == 1
    (sold,) = answer["sold"]
    assert (sold["symbol"], sold["outcome"]["status"]) == (BTC, "FILLED")
    assert venue.balance("BTC") < Decimal("0.00001")
    assert venue.orders_sent().count(sold["client_order_id"]) == 1
    again = json.loads(flatten(krator, "--yes").stdout)
    assert (again["sold"], again["is_flat"]) == ([], True)


def test_flatten_never_sends_twice_what_has_an_unknown_outcome(krator: Krator) -> None:
    venue = Venue(krator, *STILL)
    venue.place("0.05")
    venue.fault("lose_answer", method="order.place")

    answer = json.loads(flatten(krator, "--yes").stdout)

    (sold,) = answer["sold"]
    assert sold["outcome"]["status"] == "FILLED"
    assert venue.orders_sent().count(sold["client_order_id"]) == 1
    records = [r.event for r in read_log(log_path(krator.data_dir, "flatten"), types=FlattenEvent)]
    kinds = [type(event).__name__ for event in records]
    assert kinds == [
        "FlattenStarted",
        "FlattenOrderInitialized",
        "FlattenOrderEnded",
        "FlattenEnded",
    ]


def test_flatten_asks_first_what_became_of_an_act_that_was_killed(krator: Krator) -> None:
    venue = Venue(krator, *STILL)
    order = SubmitOrder(
        client_order_id="k-killed",
        strategy="flatten",
        symbol=BTC,
        side=OrderSide.SELL,
        order_type=OrderType.MARKET,
        quantity=Decimal("0.01"),
        cause="flatten:1",
        ts_event=1,
        ts_init=1,
    )
    path = log_path(krator.data_dir, "flatten")
    with LocalLog.open(path, writer="flatten", generation=1, durability="process") as log:
        log.append(FlattenStarted(by="ada", reason="test", ts_event=1), ts_ns=1)
        log.append(
            FlattenOrderInitialized(order=order, request_valid_until_ms=1, ts_event=1), ts_ns=1
        )

    done = flatten(krator, "--yes")

    assert done.returncode == 0, done.stderr
    ended = [
        record.event
        for record in read_log(path, types=FlattenEvent)
        if isinstance(record.event, FlattenOrderEnded)
    ]
    assert [(e.client_order_id, e.reason) for e in ended] == [("k-killed", "NEVER_ARRIVED")]
    assert "k-killed" not in venue.orders_sent()


def test_two_flattens_do_not_work_at_once(krator: Krator) -> None:
    Venue(krator, *STILL)
    path = log_path(krator.data_dir, "flatten")

    with LocalLog.open(path, writer="flatten", generation=1, durability="process"):
        done = flatten(krator, "--yes")

    assert done.returncode == 4
    assert "another krator kill --flatten" in done.stderr


def test_flatten_is_confirmed_with_the_word_yes(krator: Krator) -> None:
    venue = Venue(krator, *STILL)
    venue.place("0.05")
    assert flatten(krator).returncode == 2

    refused, refusal = answer_on_terminal(krator, "no")
    held = venue.balance("BTC")
    done, text = answer_on_terminal(krator, "yes")

    assert refused == 2
    assert "nothing was done" in refusal
    assert "0.0499" in refusal
    assert held > Decimal("0.04")
    assert done == 0
    assert "FILLED" in text
    assert venue.balance("BTC") < Decimal("0.00001")


def answer_on_terminal(krator: Krator, word: str) -> tuple[int, str]:
    """Run flatten on a terminal of its own, and type one word when it asks."""
    ours, theirs = pty.openpty()
    place = ["--config", str(krator.config), "--data-dir", str(krator.data_dir)]
    process = subprocess.Popen(
        [*KRATOR, "kill", "--flatten", *BY, *place],
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        cwd=ROOT,
    )
    os.close(theirs)
    try:
        text = ""
        while "Type yes" not in text:
            text += os.read(ours, 4096).decode()
        os.write(ours, f"{word}\n".encode())
        while True:
            try:
                text += os.read(ours, 4096).decode()
            except OSError:  # the other end has closed its terminal
                return process.wait(60), text
    finally:
        process.kill()
        process.wait()
        os.close(ours)


@pytest.mark.parametrize("flattens", [False, True])
def test_real_venue_must_be_meant_twice(krator: Krator, *, flattens: bool) -> None:
    krator.config.write_text(
        '[venue]\nname = "BINANCE"\nkind = "binance"\n[[strategies]]\nsymbol = "BTC-USDT.BINANCE"\n'
    )
    arguments = [*BY, *["--flatten", "--yes"] * flattens]

    for live in ([], ["--live"]):
        done = krator.command("kill", *arguments, *live)

        assert done.returncode == 2
        assert "dry_run" in done.stderr


def test_running_system_is_halted_flattened_and_stays_halted_when_started_again(
    krator: Krator,
) -> None:
    venue = Venue(krator)
    run = krator.start()
    krator.wait_ready(run)
    eventually(lambda: venue.balance("BTC") > Decimal("0.001"), 60, "it has bought")
    assert krator.json("kill", *BY)["trading"] == "halted"

    answer = json.loads(flatten(krator, "--yes").stdout)

    assert (answer["trading"], answer["is_flat"]) == ("halted", True)
    assert venue.balance("BTC") < Decimal("0.00001")
    eventually(lambda: is_flat(krator), 30, "the journal has what was sold by hand")
    assert krator.command("stop").returncode == 0
    assert run.wait(30) == 0
    resumed_by_nobody = krator.start()
    krator.wait_ready(resumed_by_nobody)
    eventually(lambda: "HALTED" in krator.output().rpartition("Krator is running")[2], 30, "halted")


def is_flat(krator: Krator) -> bool:
    positions = krator.json("report")["positions"]
    return all(Decimal(position["quantity"]) < Decimal("0.00001") for position in positions)


def test_flatten_of_a_stopped_system_holds_the_next_run_halted(krator: Krator) -> None:
    venue = Venue(krator)
    run = krator.start()
    krator.wait_ready(run)
    eventually(lambda: venue.balance("BTC") > Decimal("0.001"), 60, "it has bought")
    eventually(lambda: log_path(krator.data_dir, "risk").exists(), 30, "risk has logged")
    assert krator.command("stop").returncode == 0
    assert run.wait(30) == 0

    answer = json.loads(flatten(krator, "--yes").stdout)

    assert (answer["trading"], answer["is_flat"]) == ("latched", True)
    again = krator.start()
    krator.wait_ready(again)
    eventually(lambda: "HALTED" in krator.output().rpartition("Krator is running")[2], 30, "halted")
    eventually(lambda: is_flat(krator), 30, "the order actor has found what was sold")


def test_kill_works_while_risk_is_stopped_and_its_next_incarnation_is_halted(
    krator: Krator,
) -> None:
    venue = Venue(krator, *STILL)
    run = krator.start()
    krator.wait_ready(run)
    venue.place("0.001", "50000")
    risk = node_of(krator, "risk")
    os.kill(risk["pid"], signal.SIGSTOP)  # hung: its supervisor will notice and replace it

    krator.json("kill", *BY)

    # Canceled by krator kill, or by the next risk, which begins with the halt.
    eventually(lambda: venue.open_orders() == (), 30, "canceled")
    eventually(lambda: node_of(krator, "risk")["generation"] > risk["generation"], 30, "replaced")
    eventually(lambda: [s["by"] for s in states(krator)] == ["ada"], 30, "it is halted")


def test_status_shows_every_state_that_is_not_active(krator: Krator) -> None:
    Venue(krator, *STILL)
    run = krator.start()
    krator.wait_ready(run)
    halted = krator.json("halt", *BY, "--symbol", BTC)
    krator.json("reduce", *BY, "--strategy", f"strategy:{BTC}/sma_cross")
    krator.json("override", "MAX_POSITION", "--symbol", BTC, "--for", "60", *BY)

    text = krator.command("status").stdout
    refused = krator.command("override", "DAILY_LOSS", "--symbol", BTC, "--for", "60", *BY)
    krator.json("resume", *BY, "--symbol", BTC)

    assert (halted["state"], halted["scope"], halted["target"]) == ("HALTED", "SYMBOL", BTC)
    assert "REDUCING" in text
    assert "MAX_POSITION of BTC-USDT.SIM lets pass until" in text
    assert refused.returncode == 2
    assert [s["state"] for s in states(krator)] == ["REDUCING"]


def states(krator: Krator) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = krator.json("status")["trading"]["states"]
    return found


def test_restart_starts_an_actor_again_and_a_wrong_name_lists_the_right_ones(
    krator: Krator,
) -> None:
    Venue(krator, *STILL)
    run = krator.start()
    krator.wait_ready(run)
    before = node_of(krator, "feed:SIM")

    wrong = krator.command("restart", "fed")
    assert krator.json("restart", "feed:SIM")["was"] == "running"

    assert wrong.returncode == 2
    assert "feed:SIM, " in wrong.stderr
    assert "root" not in wrong.stderr
    eventually(
        lambda: node_of(krator, "feed:SIM")["generation"] == before["generation"] + 1, 20, "again"
    )
    krator.wait_ready(run)


def node_of(krator: Krator, name: str) -> dict[str, Any]:
    def search(node: dict[str, Any]) -> list[dict[str, Any]]:
        found = [hit for child in node["children"] for hit in search(child)]
        return [node, *found] if node["name"] == name else found

    return search(krator.json("status"))[0]


def test_venue_of_a_killed_run_is_adopted_and_goes_with_the_next_one(krator: Krator) -> None:
    run = krator.start()
    krator.wait_ready(run)
    endpoint = krator.data_dir / "exchange" / "endpoint.json"
    url = json.loads(endpoint.read_text())["url"]
    run.kill()
    run.wait()

    second = krator.start("--for", "3")

    assert second.wait(90) == 0, krator.output()
    assert krator.output().count(url) == 2
    assert krator.leftovers() == []


def test_config_check_says_ok_or_every_mistake(krator: Krator) -> None:
    krator.config.write_text("[risk]\nmax_orders_per_sec = 3\n")
    right = check(krator)
    krator.config.write_text("[risk]\nmax_orders = 3\n[venue]\nkind = 'nyse'\n")

    wrong = check(krator)

    assert (right.returncode, right.stdout) == (0, f"{krator.config}: ok\n")
    assert wrong.returncode == 2
    assert "risk.max_orders" in wrong.stderr
    assert "venue.kind" in wrong.stderr


def check(krator: Krator) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*KRATOR, "config", "check", "--config", str(krator.config)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        cwd=ROOT,
    )


def test_doctor_finds_nothing_wrong_here(krator: Krator) -> None:
    Venue(krator, *STILL)

    findings = {finding["check"]: finding for finding in krator.json("doctor")["findings"]}

    assert {"python", "packages", "data folder", "disk", "postgresql", "venue", "clock"} <= set(
        findings
    )
    assert findings["clock"]["verdict"] == "ok"
    text = krator.command("doctor").stdout
    assert text.count("\nok ") >= 8


def test_doctor_names_what_is_wrong_and_the_remedy(krator: Krator) -> None:
    krator.data_dir.mkdir()
    (krator.data_dir / "version").write_text("99")
    krator.config.write_text('[venue]\nurl = "http://127.0.0.1:9"\n')

    done = krator.command("doctor", "--json")

    assert done.returncode == 5
    failed = {f["check"]: f for f in json.loads(done.stdout)["findings"] if f["verdict"] == "fail"}
    assert set(failed) == {"data folder", "venue"}
    assert all(finding["remedy"] for finding in failed.values())


def test_every_command_is_told_in_the_help(krator: Krator) -> None:
    done = subprocess.run([*KRATOR, "--help"], capture_output=True, text=True, check=True, cwd=ROOT)
    wrong = krator.command("cancel")

    for word in ("kill", "halt", "override", "restart", "config", "doctor"):
        assert word in done.stdout
        assert word in wrong.stderr
