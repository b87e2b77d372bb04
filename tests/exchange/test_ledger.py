"""The ledger, and what a restart makes of it."""

from __future__ import annotations

import os
from decimal import Decimal
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from krator_actors.exchange import account, fixed, ids, ledger, tape
from krator_actors.exchange.account import Account
from krator_actors.exchange.errors import ExchangeStartError
from krator_actors.exchange.ids import BLOCK, IdSource
from krator_actors.exchange.ledger import Ledger, LedgerFailedError, read_ledger
from krator_actors.exchange.records import Balance, Closed, IdsReserved, OrderAccepted

MODULES_UNDER_TEST = (account, ids, ledger, tape)
STILL = ["--symbols", "BTCUSDT", "--ticks-per-sec", "0.001"]


def test_records_come_back_as_they_were_written(tmp_path: Path) -> None:
    path = tmp_path / "ledger.jsonl"
    written = Ledger(path)
    written.append(Closed(reason="a"), IdsReserved(name="x", below=7))
    written.append(Closed(reason="b"))
    written.close()

    records = list(read_ledger(path))

    assert [r.seq for r in records] == [1, 2, 3]
    assert all(r.ts_ns for r in records)
    assert records[1] == IdsReserved(name="x", below=7, seq=2, ts_ns=records[1].ts_ns)


@pytest.mark.parametrize("torn", [b'{"record":"clo', b'{"record":"closed"}', b"x" * 10_000])
def test_torn_last_line_is_cut_off_and_said(tmp_path: Path, torn: bytes) -> None:
    path = tmp_path / "ledger.jsonl"
    first = Ledger(path)
    first.append(Closed(reason="a"))
    first.close()
    with path.open("ab") as file:
        file.write(torn)

    second = Ledger(path)
    recovered = second.recover()
    second.append(Closed(reason="b"))
    second.close()

    assert [r.seq for r in recovered] == [1]
    assert second.torn_bytes == len(torn)
    assert [r.seq for r in read_ledger(path)] == [1, 2]


def test_file_that_is_one_torn_line_begins_anew(tmp_path: Path) -> None:
    path = tmp_path / "ledger.jsonl"
    path.write_bytes(b"torn")

    opened = Ledger(path)

    assert opened.recover() == []
    assert path.read_bytes() == b""
    opened.close()


@pytest.mark.parametrize(
    ("line", "complaint"),
    [
        (b"nonsense\n", r"ledger.jsonl:2: not a ledger record"),
        (b'{"record":"closed","reason":"","seq":9,"ts_ns":1}\n', r":2: seq was 9, not 2"),
    ],
)
def test_damaged_ledger_is_refused_with_its_line(
    tmp_path: Path, line: bytes, complaint: str
) -> None:
    path = tmp_path / "ledger.jsonl"
    first = Ledger(path)
    first.append(Closed(reason="a"))
    with path.open("ab") as file:
        file.write(line)

    with pytest.raises(ExchangeStartError, match=complaint):
        first.recover()
    first.close()


def test_ledger_has_one_writer_at_a_time(tmp_path: Path) -> None:
    first = Ledger(tmp_path / "ledger.jsonl")

    with pytest.raises(ExchangeStartError, match="in use by another exchange"):
        Ledger(tmp_path / "ledger.jsonl")

    first.close()
    Ledger(tmp_path / "ledger.jsonl").close()


def test_write_that_fails_or_is_short_must_end_the_process(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened = Ledger(tmp_path / "ledger.jsonl")

    def full(*_: object) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "write", full)
    with pytest.raises(LedgerFailedError, match="No space left"):
        opened.append(Closed(reason="a"))
    monkeypatch.setattr(os, "write", lambda *_: 3)
    with pytest.raises(LedgerFailedError, match=r"3 of \d+ bytes"):
        opened.append(Closed(reason="a"))
    monkeypatch.undo()
    opened.close()


def test_ids_are_reserved_before_they_are_used_and_given_back(tmp_path: Path) -> None:
    opened = Ledger(tmp_path / "ledger.jsonl")
    source = IdSource("x", opened, start=1)

    taken = [source.take() for _ in range(BLOCK + 1)]
    crashed = Account.recovered(read_ledger(opened.path)).next_ids["x"]
    source.close()
    orderly = Account.recovered(read_ledger(opened.path)).next_ids["x"]

    assert taken == list(range(1, BLOCK + 2))
    assert source.last == BLOCK + 1
    assert (crashed, orderly) == (2 * BLOCK + 1, BLOCK + 2)
    opened.close()


def test_account_locks_funds_of_an_open_order() -> None:
    books = Account()
    books.apply(Balance(asset="USDT", free="1000", locked="0", reason="deposit"))

    books.apply(
        OrderAccepted(
            order_id=7,
            client_order_id="a",
            symbol="BTCUSDT",
            side="BUY",
            order_type="LIMIT",
            time_in_force="GTC",
            quantity="0.01",
            price="50000",
            received_ns=1,
        )
    )

    held = books.holding("USDT")
    assert (held.free, held.locked) == (fixed.parse("500"), fixed.parse("500"))
    assert books.next_order_id == 8
    assert books.has_open("a")


async def test_restart_brings_balances_orders_and_trades_back(running: Any, tmp_path: Path) -> None:
    named = {"symbol": "BTCUSDT", "origClientOrderId": "open"}
    async with running(tmp_path, *STILL) as venue:
        client = await venue.trader()
        bought = await client.buy("0.02", newClientOrderId="done")
        await client.limit("BUY", "50000", newClientOrderId="open")
        await client.limit("BUY", "50001", newClientOrderId="gone")
        await client.result("order.cancel", symbol="BTCUSDT", origClientOrderId="gone")
        before = [
            await client.result("account.status"),
            await client.result("openOrders.status"),
            await client.result("myTrades", symbol="BTCUSDT"),
            await client.result("order.status", symbol="BTCUSDT", origClientOrderId="done"),
        ]

    async with running(tmp_path, *STILL) as venue:
        client = await venue.trader()
        after = [
            await client.result("account.status"),
            await client.result("openOrders.status"),
            await client.result("myTrades", symbol="BTCUSDT"),
            await client.result("order.status", symbol="BTCUSDT", origClientOrderId="done"),
        ]
        duplicate = await client.error(
            "order.place",
            symbol="BTCUSDT",
            side="BUY",
            type="LIMIT",
            timeInForce="GTC",
            price="50000",
            quantity="0.01",
            newClientOrderId="open",
        )
        canceled = await client.result("order.cancel", **named)
        again = await client.buy("0.01")

    assert after == before
    assert duplicate == (-2010, "Duplicate order sent.")
    assert canceled["status"] == "CANCELED"
    assert again["orderId"] > bought["orderId"]
    assert again["fills"][0]["tradeId"] > bought["fills"][0]["tradeId"]


async def test_open_order_that_the_market_has_passed_fills_at_the_restart(
    running: Any, tmp_path: Path
) -> None:
    async with running(tmp_path, *STILL) as venue:
        client = await venue.trader()
        await client.limit("BUY", "50000", newClientOrderId="deep")
    path = tmp_path / "ledger.jsonl"
    path.write_text(path.read_text().replace('"50000.00000000"', '"99000.00000000"'))

    async with running(tmp_path, *STILL) as venue:
        client = await venue.trader()
        status = await client.result("order.status", symbol="BTCUSDT", origClientOrderId="deep")

        assert status["status"] == "FILLED"
        assert Decimal(status["cummulativeQuoteQty"]) < 990


@pytest.mark.parametrize("symbols", ["ETHUSDT", "BTCUSDT"])
async def test_order_that_cannot_go_on_expires_at_the_restart(
    running: Any, tmp_path: Path, symbols: str
) -> None:
    async with running(tmp_path, *STILL) as venue:
        client = await venue.trader()
        await client.limit("BUY", "50000")
    if symbols == "BTCUSDT":  # as if the process had died within a market order's lines
        path = tmp_path / "ledger.jsonl"
        path.write_text(path.read_text().replace('"LIMIT"', '"MARKET"'))

    async with running(tmp_path, "--symbols", symbols, "--ticks-per-sec", "0.001") as venue:
        client = await venue.trader()
        (free,) = (await client.result("account.status", omitZeroBalances=True))["balances"]

        (ended,) = venue.ledger("ended")
        assert (ended["status"], ended["reason"]) == ("EXPIRED", "VENUE_RESTARTED")
        assert free == {"asset": "USDT", "free": "100000.00000000", "locked": "0.00000000"}


async def test_price_goes_on_where_it_was_after_a_restart(running: Any, tmp_path: Path) -> None:
    async with running(tmp_path, *STILL) as venue:
        before = (await venue.get("/api/v3/depth?symbol=BTCUSDT&limit=5"))["bids"][0][0]
    async with running(tmp_path, *STILL) as venue:
        after = (await venue.get("/api/v3/depth?symbol=BTCUSDT&limit=5"))["bids"][0][0]

    assert abs(Decimal(after) / Decimal(before) - 1) < Decimal("0.005")


async def test_ids_do_not_repeat_over_restarts(running: Any, tmp_path: Path) -> None:
    seen: list[tuple[int, int]] = []
    for _ in range(3):
        async with running(tmp_path, *STILL) as venue:
            client = await venue.trader()
            answer = await client.buy("0.01")
            depth = await venue.get("/api/v3/depth?symbol=BTCUSDT")
            seen.append((answer["fills"][0]["tradeId"], depth["lastUpdateId"]))

    for earlier, later in pairwise(seen):
        assert earlier[0] < later[0]
        assert earlier[1] < later[1]
