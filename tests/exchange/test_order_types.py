"""Stop orders, changes and replacements over the real WebSocket API, as Binance answers them."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from krator_actors.exchange import admission, half_done, methods

MODULES_UNDER_TEST = (admission, half_done, methods)


async def stop(client: Any, side: str, kind: str, stop_price: str, **params: Any) -> Any:
    order = {"symbol": "BTCUSDT", "side": side, "type": kind, "stopPrice": stop_price}
    order |= {"quantity": "0.01"}
    return await client.result("order.place", **(order | params))


async def last_price(still: Any) -> Decimal:
    ticker = await still.get("/api/v3/ticker/price?symbol=BTCUSDT")
    return Decimal(ticker["price"])


def at(price: Decimal, factor: str) -> str:
    return str((price * Decimal(factor)).quantize(Decimal("0.01")))


async def test_stop_order_waits_out_of_the_book_and_locks_what_it_sells(still: Any) -> None:
    client = await still.trader()
    await client.subscribe()
    await client.buy("0.02")
    last = await last_price(still)

    await stop(client, "SELL", "STOP_LOSS", at(last, "0.9"), newClientOrderId="stop-1")

    status = await client.result("order.status", symbol="BTCUSDT", origClientOrderId="stop-1")
    assert (status["status"], status["isWorking"], status["type"]) == ("NEW", False, "STOP_LOSS")
    assert Decimal(status["stopPrice"]) == Decimal(at(last, "0.9"))
    account = await client.result("account.status")
    locked = {b["asset"]: Decimal(b["locked"]) for b in account["balances"]}
    assert locked["BTC"] == Decimal("0.01")
    new = client.reports("NEW")[-1]
    assert (new["w"], "W" in new, Decimal(new["P"])) == (False, False, Decimal(at(last, "0.9")))


async def test_stop_order_is_triggered_by_the_last_price_and_sells(
    still: Any, eventually: Any
) -> None:
    client = await still.trader()
    await client.subscribe()
    await client.buy("0.05")
    bids = (await still.get("/api/v3/depth?symbol=BTCUSDT&limit=5"))["bids"]
    await stop(client, "SELL", "STOP_LOSS", bids[0][0], newClientOrderId="stop-1")

    sell = {"symbol": "BTCUSDT", "side": "SELL", "type": "MARKET", "quantity": "0.01"}
    await client.result("order.place", **sell)

    await eventually(lambda: any(e["c"] == "stop-1" for e in client.reports("TRADE")), "trade")
    told = [e for e in client.events if e.get("c") == "stop-1"]
    assert [(e["x"], e["X"]) for e in told[:2]] == [("NEW", "NEW"), ("NEW", "NEW")]
    assert ["W" in e for e in told[:2]] == [False, True]
    assert told[-1]["X"] == "FILLED"
    assert [r["clientOrderId"] for r in still.ledger("triggered")] == ["stop-1"]


async def test_stop_limit_order_rests_at_its_limit_once_triggered(
    still: Any, eventually: Any
) -> None:
    client = await still.trader()
    await client.subscribe()
    await client.buy("0.05")
    bid, ask = await still.best()
    terms = {"price": at(Decimal(ask), "1.01"), "timeInForce": "GTC"}
    await stop(client, "SELL", "STOP_LOSS_LIMIT", bid, newClientOrderId="s", **terms)

    sell = {"symbol": "BTCUSDT", "side": "SELL", "type": "MARKET", "quantity": "0.01"}
    await client.result("order.place", **sell)

    status = await client.result("order.status", symbol="BTCUSDT", origClientOrderId="s")
    assert (status["status"], status["isWorking"]) == ("NEW", True)
    await eventually(lambda: client.reports("NEW")[-1]["w"], "working")


async def test_take_profit_sells_when_the_price_has_risen(still: Any) -> None:
    client = await still.trader()
    await client.buy("0.05")
    _, ask = await still.best()
    await stop(client, "SELL", "TAKE_PROFIT", at(Decimal(ask), "1.0001"), newClientOrderId="t")

    await client.buy("1.4")

    status = await client.result("order.status", symbol="BTCUSDT", origClientOrderId="t")
    assert (status["status"], status["isWorking"]) == ("FILLED", True)


@pytest.mark.parametrize(
    ("kind", "side", "factor"),
    [
        ("STOP_LOSS", "SELL", "1.001"),
        ("STOP_LOSS", "BUY", "0.999"),
        ("TAKE_PROFIT", "SELL", "0.999"),
        ("TAKE_PROFIT", "BUY", "1.001"),
    ],
)
async def test_stop_price_on_the_wrong_side_is_refused(
    still: Any, kind: str, side: str, factor: str
) -> None:
    client = await still.trader()
    await client.subscribe()
    await client.buy("0.05")
    price = at(await last_price(still), factor)

    order = {"symbol": "BTCUSDT", "side": side, "type": kind, "stopPrice": price}
    error = await client.error("order.place", **order, quantity="0.01")

    assert error == (-2010, "Order would trigger immediately.")
    assert client.reports("REJECTED")[-1]["r"] == "STOP_PRICE_WOULD_TRIGGER_IMMEDIATELY"


async def test_stop_orders_of_a_symbol_have_a_limit(still: Any) -> None:
    client = await still.trader()
    await client.buy("0.5")
    low = at(await last_price(still), "0.9")
    for _ in range(5):
        await stop(client, "SELL", "STOP_LOSS", low)

    order = {"symbol": "BTCUSDT", "side": "SELL", "type": "STOP_LOSS", "stopPrice": low}

    error = await client.error("order.place", **order, quantity="0.01")
    assert error == (-2010, "Filter failure: MAX_NUM_ALGO_ORDERS")


async def test_stop_order_waits_across_a_restart(running: Any, tmp_path: Path) -> None:
    arguments = ["--symbols", "BTCUSDT", "--ticks-per-sec", "0.001"]
    async with running(tmp_path, *arguments) as venue:
        client = await venue.trader()
        await client.buy("0.05")
        price = at(await last_price(venue), "0.8")
        await stop(client, "SELL", "STOP_LOSS", price, newClientOrderId="s")

    async with running(tmp_path, *arguments) as venue:
        client = await venue.trader()
        status = await client.result("order.status", symbol="BTCUSDT", origClientOrderId="s")

    assert (status["status"], status["isWorking"]) == ("NEW", False)


# -- a smaller order in its place ----------------------------------------------------------------


async def test_amended_order_is_smaller_and_keeps_its_ids(still: Any, eventually: Any) -> None:
    client = await still.trader()
    await client.subscribe()
    placed = await client.limit("BUY", "50000", "0.03", newClientOrderId="a")

    named = {"symbol": "BTCUSDT", "orderId": placed["orderId"], "newClientOrderId": "a"}
    answer = await client.result("order.amend.keepPriority", **named, newQty="0.01")

    order = answer["amendedOrder"]
    assert (order["orderId"], order["clientOrderId"]) == (placed["orderId"], "a")
    assert Decimal(order["qty"]) == Decimal("0.01")
    await eventually(lambda: client.reports("REPLACED"), "replaced")
    assert client.reports("REPLACED")[0]["X"] == "NEW"
    account = await client.result("account.status")
    locked = {b["asset"]: Decimal(b["locked"]) for b in account["balances"]}
    assert locked["USDT"] == 500
    assert still.ledger("amended")[0]["qty"] == "0.01000000"


@pytest.mark.parametrize(
    ("quantity", "code", "text"),
    [
        ("0.04", -2038, "quantity increase"),
        ("0.03", -2038, "no state"),
        ("0.000001", -1013, "LOT_SIZE"),
    ],
)
async def test_amendment_that_is_refused_leaves_the_order_as_it_was(
    still: Any, quantity: str, code: int, text: str
) -> None:
    client = await still.trader()
    await client.limit("BUY", "50000", "0.03", newClientOrderId="a")
    named = {"symbol": "BTCUSDT", "origClientOrderId": "a"}

    error = await client.error("order.amend.keepPriority", **named, newQty=quantity)

    assert error[0] == code
    assert text in error[1]
    status = await client.result("order.status", **named)
    assert Decimal(status["origQty"]) == Decimal("0.03")


async def test_amendment_of_an_order_that_is_over_is_refused(still: Any) -> None:
    client = await still.trader()
    await client.buy("0.01", newClientOrderId="b")

    error = await client.error(
        "order.amend.keepPriority", symbol="BTCUSDT", origClientOrderId="b", newQty="0.005"
    )

    assert error == (-2038, "Unknown order sent.")


# -- one order in the place of another -----------------------------------------------------------


def replacement(cancel: str, price: str, new: str, **params: Any) -> dict[str, Any]:
    return {
        "symbol": "BTCUSDT",
        "cancelReplaceMode": "STOP_ON_FAILURE",
        "cancelOrigClientOrderId": cancel,
        "side": "BUY",
        "type": "LIMIT",
        "timeInForce": "GTC",
        "quantity": "0.01",
        "price": price,
        "newClientOrderId": new,
    } | params


async def test_replacement_cancels_one_order_and_places_the_other(still: Any) -> None:
    client = await still.trader()
    await client.limit("BUY", "50000", newClientOrderId="a")

    answer = await client.result("order.cancelReplace", **replacement("a", "51000", "b"))

    assert (answer["cancelResult"], answer["newOrderResult"]) == ("SUCCESS", "SUCCESS")
    assert answer["cancelResponse"]["origClientOrderId"] == "a"
    assert answer["newOrderResponse"]["clientOrderId"] == "b"
    opened = await client.result("openOrders.status", symbol="BTCUSDT")
    assert [o["clientOrderId"] for o in opened] == ["b"]


async def test_replacement_is_not_attempted_when_the_cancel_fails(still: Any) -> None:
    client = await still.trader()

    answer = await client.request("order.cancelReplace", **replacement("gone", "51000", "b"))

    assert (answer["status"], answer["error"]["code"]) == (400, -2022)
    data = answer["error"]["data"]
    assert (data["cancelResult"], data["newOrderResult"]) == ("FAILURE", "NOT_ATTEMPTED")
    assert data["cancelResponse"]["code"] == -2011
    assert data["newOrderResponse"] is None
    assert await client.result("openOrders.status", symbol="BTCUSDT") == []


async def test_replacement_that_fails_leaves_neither_order(still: Any) -> None:
    client = await still.trader()
    await client.limit("BUY", "50000", newClientOrderId="a")

    params = replacement("a", "50000", "b", quantity="100")
    answer = await client.request("order.cancelReplace", **params)

    assert (answer["status"], answer["error"]["code"]) == (409, -2021)
    data = answer["error"]["data"]
    assert (data["cancelResult"], data["newOrderResult"]) == ("SUCCESS", "FAILURE")
    assert data["newOrderResponse"]["code"] == -2010
    assert await client.result("openOrders.status", symbol="BTCUSDT") == []
    assert [r["code"] for r in still.ledger("rejected")] == [-2010]


async def test_replacement_that_may_fail_to_cancel_is_placed_all_the_same(still: Any) -> None:
    client = await still.trader()

    params = replacement("gone", "51000", "b", cancelReplaceMode="ALLOW_FAILURE")
    answer = await client.request("order.cancelReplace", **params)

    assert (answer["status"], answer["error"]["code"]) == (409, -2021)
    assert answer["error"]["data"]["newOrderResult"] == "SUCCESS"


async def test_replacement_that_breaks_a_filter_cancels_nothing(still: Any) -> None:
    client = await still.trader()
    await client.limit("BUY", "50000", newClientOrderId="a")

    params = replacement("a", "50000.001", "b")
    error = await client.error("order.cancelReplace", **params)

    assert error == (-1013, "Filter failure: PRICE_FILTER")
    opened = await client.result("openOrders.status", symbol="BTCUSDT")
    assert [o["clientOrderId"] for o in opened] == ["a"]
