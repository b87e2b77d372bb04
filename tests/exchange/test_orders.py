"""Orders over the real WebSocket API, in a market that does not move by itself."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from krator_actors.exchange import reports, user_streams, venue, ws_api

MODULES_UNDER_TEST = (reports, user_streams, venue, ws_api)


async def balances(client: Any) -> dict[str, tuple[Any, Any]]:
    status = await client.result("account.status", omitZeroBalances=True)
    return {b["asset"]: (Decimal(b["free"]), Decimal(b["locked"])) for b in status["balances"]}


async def test_market_buy_fills_and_pays_its_fee_in_what_it_received(still: Any) -> None:
    client = await still.trader()

    answer = await client.buy("0.01", newClientOrderId="buy-1")

    (fill,) = answer["fills"]
    assert answer["status"] == "FILLED"
    assert (fill["commission"], fill["commissionAsset"]) == ("0.00001000", "BTC")
    cost = Decimal(answer["cummulativeQuoteQty"])
    assert cost == Decimal(fill["price"]) * Decimal("0.01")
    held = await balances(client)
    assert held == {"BTC": (Decimal("0.00999"), 0), "USDT": (100_000 - cost, 0)}


async def test_sell_pays_its_fee_in_quote(still: Any) -> None:
    client = await still.trader()
    await client.buy("0.02")

    order = {"symbol": "BTCUSDT", "side": "SELL", "type": "MARKET", "quantity": "0.01"}
    answer = await client.result("order.place", **order)

    (fill,) = answer["fills"]
    assert fill["commissionAsset"] == "USDT"
    assert Decimal(fill["commission"]) == Decimal(fill["price"]) * Decimal("0.00001")


@pytest.mark.parametrize(
    ("kind", "fields"),
    [
        ("ACK", {"symbol", "orderId", "orderListId", "clientOrderId", "transactTime"}),
        ("RESULT", {"status", "executedQty", "cummulativeQuoteQty", "workingTime"}),
        ("FULL", {"status", "fills"}),
    ],
)
async def test_answer_says_as_much_as_was_asked_for(
    still: Any, kind: str, fields: set[str]
) -> None:
    client = await still.trader()

    answer = await client.buy(newOrderRespType=kind)

    assert fields <= set(answer)
    assert ("status" in answer) == (kind != "ACK")
    assert ("fills" in answer) == (kind == "FULL")


async def test_resting_order_is_open_until_it_is_canceled(still: Any) -> None:
    client = await still.trader()
    await client.limit("BUY", "50000", newClientOrderId="rest-1")
    named = {"symbol": "BTCUSDT", "origClientOrderId": "rest-1"}

    (opened,) = await client.result("openOrders.status", symbol="BTCUSDT")
    locked = (await balances(client))["USDT"]
    canceled = await client.result("order.cancel", **named, newClientOrderId="cancel-1")
    status = await client.result("order.status", **named)

    assert (opened["status"], opened["clientOrderId"]) == ("NEW", "rest-1")
    assert locked == (99_500, 500)
    assert (canceled["clientOrderId"], canceled["origClientOrderId"]) == ("cancel-1", "rest-1")
    assert (status["status"], status["clientOrderId"]) == ("CANCELED", "rest-1")
    assert await client.result("openOrders.status") == []
    assert (await balances(client))["USDT"] == (100_000, 0)


async def test_user_stream_tells_the_life_of_an_order(still: Any, eventually: Any) -> None:
    client = await still.trader()
    await client.subscribe()

    await client.buy(newClientOrderId="a")
    await client.limit("BUY", "50000", newClientOrderId="b")
    await client.result(
        "order.cancel", symbol="BTCUSDT", origClientOrderId="b", newClientOrderId="c"
    )
    await eventually(lambda: client.reports("CANCELED"))

    seen = [(e["x"], e["X"], e["c"], e["C"]) for e in client.events if e["e"] != POSITION]
    assert seen == [
        ("NEW", "NEW", "a", ""),
        ("TRADE", "FILLED", "a", ""),
        ("NEW", "NEW", "b", ""),
        ("CANCELED", "CANCELED", "c", "b"),
    ]
    (trade,) = client.reports("TRADE")
    assert (trade["l"], trade["z"], trade["N"], trade["m"]) == (
        "0.01000000",
        "0.01000000",
        "BTC",
        False,
    )
    positions = [{b["a"]: b["l"] for b in e["B"]} for e in client.events if e["e"] == POSITION]
    assert positions == [
        {"BTC": "0.00000000", "USDT": "0.00000000"},
        {"USDT": "500.00000000"},
        {"USDT": "0.00000000"},
    ]


POSITION = "outboundAccountPosition"


async def test_one_connection_has_one_user_stream(still: Any) -> None:
    client = await still.trader()
    await client.subscribe()

    assert (await client.error("userDataStream.subscribe.signature"))[0] == -2035
    answer = await client.send("userDataStream.unsubscribe", {})
    assert (await answer)["status"] == 200
    await client.subscribe()


@pytest.fixture
async def rich(running: Any, tmp_path: Path) -> Any:
    """As ``still``, with an account that can buy a whole level."""
    still = ["--symbols", "BTCUSDT", "--ticks-per-sec", "0.001"]
    async with running(tmp_path, *still, "--quote-balance", "1000000000") as venue:
        yield venue


async def test_immediate_or_cancel_expires_what_is_left(rich: Any, eventually: Any) -> None:
    client = await rich.trader()
    await client.subscribe()
    depth = await rich.get("/api/v3/depth?symbol=BTCUSDT&limit=5")
    price, size = depth["asks"][0]
    wanted = str(Decimal(size) + Decimal("0.01"))
    await client.result("order.place", **order_for(wanted, price, "IOC"))

    await eventually(lambda: client.reports("EXPIRED"))

    (expired,) = client.reports("EXPIRED")
    assert (expired["X"], expired["z"]) == ("EXPIRED", size)
    assert (await balances(client))["USDT"][1] == 0


async def test_fill_or_kill_that_cannot_fill_whole_trades_nothing(rich: Any) -> None:
    client = await rich.trader()
    depth = await rich.get("/api/v3/depth?symbol=BTCUSDT&limit=5")
    price, size = depth["asks"][0]
    wanted = str(Decimal(size) + Decimal("0.01"))

    killed = await client.result("order.place", **order_for(wanted, price, "FOK"))
    filled = await client.result("order.place", **order_for("0.01", price, "FOK"))

    assert (killed["status"], killed["executedQty"]) == ("EXPIRED", "0.00000000")
    assert filled["status"] == "FILLED"


def order_for(quantity: str, price: str, time_in_force: str) -> dict[str, str]:
    return {
        "symbol": "BTCUSDT",
        "side": "BUY",
        "type": "LIMIT",
        "timeInForce": time_in_force,
        "quantity": quantity,
        "price": price,
    }


async def test_maker_that_would_take_is_rejected_and_told(still: Any, eventually: Any) -> None:
    client = await still.trader()
    await client.subscribe()
    order = {"symbol": "BTCUSDT", "side": "BUY", "type": "LIMIT_MAKER", "quantity": "0.01"}
    _, ask = await still.best()

    refused = await client.error("order.place", **order, price=ask, newClientOrderId="m")
    taken = await client.result("order.place", **order, price="50000.00")

    assert refused == (-2010, "Order would immediately match and take.")
    assert set(taken) == {"symbol", "orderId", "orderListId", "clientOrderId", "transactTime"}
    await eventually(lambda: client.reports("REJECTED"))
    (report,) = client.reports("REJECTED")
    assert (report["c"], report["r"]) == ("m", "WOULD_MATCH_IMMEDIATELY")


async def test_client_order_id_is_unique_among_open_orders_only(still: Any) -> None:
    client = await still.trader()
    await client.limit("BUY", "50000", newClientOrderId="same")

    again = await client.error("order.place", **order_for("0.01", "50000", "GTC") | SAME)
    await client.result("order.cancel", symbol="BTCUSDT", origClientOrderId="same")
    reused = await client.limit("BUY", "50001", newClientOrderId="same")

    assert again == (-2010, "Duplicate order sent.")
    newest = await client.result("order.status", symbol="BTCUSDT", origClientOrderId="same")
    assert newest["orderId"] == reused["orderId"]
    (_, refused, *_) = still.ledger("order", "rejected", "ended")
    assert (refused["record"], refused["params"]["newClientOrderId"]) == ("rejected", "same")


SAME = {"newClientOrderId": "same"}


@pytest.mark.parametrize(
    ("order", "error"),
    [
        ({"quantity": "10"}, (-2010, "Account has insufficient balance for requested action.")),
        ({"side": "SELL"}, (-2010, "Account has insufficient balance for requested action.")),
        ({"quantity": "0.00001"}, (-1013, "Filter failure: NOTIONAL")),
        ({"quantity": "0.000001"}, (-1013, "Filter failure: LOT_SIZE")),
        ({"price": "1.001"}, (-1013, "Filter failure: PRICE_FILTER")),
        ({"symbol": "XXXUSDT"}, (-1121, "Invalid symbol.")),
    ],
)
async def test_refused_order_is_in_the_ledger_and_leaves_nothing(
    still: Any, order: dict[str, str], error: tuple[int, str]
) -> None:
    client = await still.trader()

    assert await client.error("order.place", **order_for("0.01", "50000", "GTC") | order) == error

    (record,) = still.ledger("rejected")
    assert (record["code"], record["msg"]) == error
    assert not {"apiKey", "signature"} & set(record["params"])
    assert await balances(client) == {"USDT": (100_000, 0)}


async def test_market_order_without_funds_is_rejected(still: Any) -> None:
    client = await still.trader()
    order = {"symbol": "BTCUSDT", "side": "BUY", "type": "MARKET", "quantity": "5"}

    assert (await client.error("order.place", **order))[0] == -2010


@pytest.mark.parametrize(
    ("method", "params", "error"),
    [
        ("order.status", {"origClientOrderId": "no"}, (-2013, "Order does not exist.")),
        ("order.status", {"orderId": 99}, (-2013, "Order does not exist.")),
        ("order.cancel", {"origClientOrderId": "no"}, (-2011, "Unknown order sent.")),
        ("openOrders.cancelAll", {}, (-2011, "Unknown order sent.")),
    ],
)
async def test_order_that_is_not_there_has_its_error(
    still: Any, method: str, params: dict[str, Any], error: tuple[int, str]
) -> None:
    client = await still.trader()

    assert await client.error(method, symbol="BTCUSDT", **params) == error


async def test_order_must_be_named(still: Any) -> None:
    client = await still.trader()

    code, text = await client.error("order.status", symbol="BTCUSDT")

    assert code == -1102
    assert "'origClientOrderId' or 'orderId'" in text


async def test_ids_that_name_different_orders_find_none(still: Any) -> None:
    client = await still.trader()
    placed = await client.limit("BUY", "50000", newClientOrderId="a")
    named = {"symbol": "BTCUSDT", "orderId": placed["orderId"], "origClientOrderId": "b"}

    assert (await client.error("order.status", **named))[0] == -2013
    assert (await client.error("order.cancel", **named))[0] == -2011


async def test_cancel_all_cancels_every_open_order_of_the_symbol(still: Any) -> None:
    client = await still.trader()
    for price in ("50000", "50001"):
        await client.limit("BUY", price)

    canceled = await client.result("openOrders.cancelAll", symbol="BTCUSDT")

    assert [order["status"] for order in canceled] == ["CANCELED", "CANCELED"]
    assert await client.result("openOrders.status", symbol="BTCUSDT") == []


async def test_own_orders_may_meet_and_share_the_trade(still: Any) -> None:
    client = await still.trader()
    await client.buy("0.05")
    bid, ask = (Decimal(price) for price in await still.best())
    inside = str((bid + ask).quantize(Decimal("0.01")) / 2 // Decimal("0.01") * Decimal("0.01"))
    sell = await client.limit("SELL", inside)

    buy = await client.limit("BUY", inside)

    trades = await client.result("myTrades", symbol="BTCUSDT", fromId=buy["fills"][0]["tradeId"])
    assert {(t["orderId"], t["isMaker"]) for t in trades} == {
        (sell["orderId"], True),
        (buy["orderId"], False),
    }


async def test_trades_are_paged_from_an_id_or_the_newest_come(still: Any) -> None:
    client = await still.trader()
    orders = [await client.buy() for _ in range(3)]
    ids = [order["fills"][0]["tradeId"] for order in orders]

    async def listed(**params: Any) -> list[int]:
        trades = await client.result("myTrades", symbol="BTCUSDT", **params)
        return [trade["id"] for trade in trades]

    assert await listed() == ids
    assert await listed(limit=2) == ids[1:]
    assert await listed(fromId=ids[0], limit=2) == ids[:2]
    assert await listed(orderId=orders[1]["orderId"]) == [ids[1]]
    assert await listed(startTime=0, endTime=1) == []


async def test_every_change_is_in_the_ledger_and_adds_up(still: Any) -> None:
    client = await still.trader()
    await client.buy("0.05")
    await client.limit("BUY", "50000")
    order = {"symbol": "BTCUSDT", "side": "SELL", "type": "MARKET", "quantity": "0.02"}
    await client.result("order.place", **order)

    held = {"USDT": Decimal(100_000), "BTC": Decimal(0)}
    for fill in still.ledger("fill"):
        sign = 1 if fill["side"] == "BUY" else -1
        held["BTC"] += sign * Decimal(fill["qty"])
        held["USDT"] -= sign * Decimal(fill["quoteQty"])
        held[fill["commissionAsset"]] -= Decimal(fill["commission"])
    told = {a: free + locked for a, (free, locked) in (await balances(client)).items()}
    assert told == held
    last = {r["asset"]: Decimal(r["free"]) + Decimal(r["locked"]) for r in still.ledger("balance")}
    assert last == held
    assert [r["seq"] for r in still.ledger()] == list(range(1, len(still.ledger()) + 1))
