"""The venue's books hold whatever its client does: random orders against a moving market."""

from __future__ import annotations

import hashlib
import hmac
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from krator_actors.exchange.account import Account
from krator_actors.exchange.errors import ApiError
from krator_actors.exchange.faults import Faults
from krator_actors.exchange.fixed import parse, show
from krator_actors.exchange.ids import IdSource
from krator_actors.exchange.ledger import Ledger, read_ledger
from krator_actors.exchange.limits import RateLimits
from krator_actors.exchange.methods import Methods
from krator_actors.exchange.orders import OrderRequest
from krator_actors.exchange.recording import Snapshot, TradeEvent
from krator_actors.exchange.records import Filled, OrderAccepted, OrderEnded
from krator_actors.exchange.replay_market import FIRST_OWN_TRADE_ID, ReplayMarket
from krator_actors.exchange.rules import rules_of
from krator_actors.exchange.signing import DEFAULT_SECRET, Credentials, payload_of
from krator_actors.exchange.user_streams import UserStreams
from krator_actors.exchange.venue import Venue
from krator_actors.exchange.ws_api import WsApi
from krator_actors.model import OrderSide

BTC = rules_of("BTCUSDT")
FEE_RATE = parse("0.001")

places = st.tuples(
    st.sampled_from(list(OrderSide)),
    st.sampled_from(["MARKET", "GTC", "IOC", "FOK", "MAKER"]),
    st.integers(98, 103),
    st.integers(1, 8),
    st.sampled_from("abcd"),
)
cancels = st.sampled_from("abcd")
trades = st.tuples(st.integers(97, 104), st.integers(1, 9), st.booleans())
books = st.tuples(st.integers(1, 9), st.integers(1, 9))
steps = st.lists(st.one_of(places, cancels, trades, books), min_size=1, max_size=30)


class Desk:
    """A venue with one market, without a server."""

    def __init__(self, folder: Path, deposit: str = "1000") -> None:
        self.ledger = Ledger(folder / "ledger.jsonl")
        self.account = Account.recovered(self.ledger.recover())
        start = self.account.next_ids.get("own", FIRST_OWN_TRADE_ID)
        ids = IdSource("own", self.ledger, start=start)
        self.market = ReplayMarket(BTC, own_trade_ids=ids)
        self.show_book(5, 5)
        self.venue = Venue(
            account=self.account,
            ledger=self.ledger,
            markets={"BTCUSDT": self.market},
            fee_rate=FEE_RATE,
        )
        if not self.account.holdings:
            self.venue.deposit("USDT", parse(deposit))
        self.venue.resume()

    def show_book(self, bid_size: int, ask_size: int) -> None:
        self.market.absorb(
            Snapshot(
                last_update_id=self.market.depth(1).last_update_id + 1,
                bids=[("100", str(bid_size)), ("99", "3")],
                asks=[("101", str(ask_size)), ("102", "3")],
            )
        )

    def place(self, side: OrderSide, kind: str, price: int, lots: int, name: str) -> Any:
        market = kind == "MARKET"
        return self.venue.place(
            OrderRequest(
                rules=BTC,
                client_order_id=name,
                side=side,
                order_type={"MARKET": "MARKET", "MAKER": "LIMIT_MAKER"}.get(kind, "LIMIT"),
                time_in_force=kind if kind in {"IOC", "FOK"} else "GTC",
                quantity=lots * parse("1"),
                price=0 if market else price * parse("1"),
                stop_price=0,
                received_ns=1,
            )
        )

    def do(self, step: Any) -> None:
        match step:
            case str():
                self.venue.cancel(
                    symbol="BTCUSDT", order_id=None, client_order_id=step, cancel_id="x"
                )
            case (bid_size, ask_size):
                self.show_book(bid_size, ask_size)
            case (price, quantity, buyer_is_maker):
                event = TradeEvent(1, str(price), str(quantity), 1, buyer_is_maker)
                self.venue.absorb(self.market.rules.symbol, self.market.absorb(event))
            case _:
                self.place(*step)


@contextmanager
def desk(**options: Any) -> Iterator[Desk]:
    with tempfile.TemporaryDirectory() as folder:
        opened = Desk(Path(folder), **options)
        try:
            yield opened
        finally:
            opened.ledger.close()


def state_of(account: Account) -> Any:
    return (
        {asset: (h.free, h.locked) for asset, h in account.holdings.items() if h.free or h.locked},
        {i: (o.status, o.executed, o.executed_quote, o.locked) for i, o in account.orders.items()},
        account.trades,
        [order.order_id for order in account.open_orders()],
    )


@settings(max_examples=150)
@given(steps)
def test_ledger_leads_to_the_same_account_and_nothing_is_made_or_lost(steps: list[Any]) -> None:
    with desk() as one:
        for step in steps:
            try:
                one.do(step)
            except ApiError as error:
                assert error.code in {-2010, -2011, -1112}  # noqa: PT017 - refusals are fine
            for holding in one.account.holdings.values():
                assert holding.free >= 0
                assert holding.locked >= 0

        recovered = Account.recovered(read_ledger(one.ledger.path))
        assert state_of(recovered) == state_of(one.account)
        assert_books_balance(one)


def assert_books_balance(one: Desk) -> None:
    held = defaultdict(int, {"USDT": parse("1000")})
    executed: dict[int, int] = defaultdict(int)
    ended = {}
    for record in read_ledger(one.ledger.path):
        if isinstance(record, Filled):
            sign = 1 if record.side == "BUY" else -1
            held["BTC"] += sign * parse(record.quantity)
            held["USDT"] -= sign * parse(record.quote_quantity)
            held[record.commission_asset] -= parse(record.commission)
            executed[record.order_id] += parse(record.quantity)
            assert record.order_id not in ended
        elif isinstance(record, OrderEnded):
            assert record.order_id not in ended
            ended[record.order_id] = record
            assert parse(record.executed_quantity) == executed[record.order_id]
        elif isinstance(record, OrderAccepted):
            assert executed[record.order_id] == 0
    for asset, units in held.items():
        holding = one.account.holding(asset)
        assert holding.free + holding.locked == units
    locked: dict[str, int] = defaultdict(int)
    for order in one.account.open_orders():
        assert order.order_id not in ended
        locked[order.locked_asset] += order.locked
    for asset, holding in one.account.holdings.items():
        assert holding.locked == locked[asset]


METHODS = [
    "ping",
    "time",
    "order.place",
    "order.cancelReplace",
    "order.amend.keepPriority",
    "order.status",
    "order.cancel",
    "openOrders.status",
    "openOrders.cancelAll",
    "myTrades",
    "allOrders",
    "ticker.book",
    "account.rateLimits.orders",
    "account.status",
    "userDataStream.subscribe.signature",
    "userDataStream.unsubscribe",
    "nonsense",
]
NAMES = [
    *("symbol", "side", "type", "timeInForce", "price", "quantity", "orderId", "limit", "fromId"),
    *("newClientOrderId", "origClientOrderId", "recvWindow", "returnRateLimits", "timestamp"),
    *("stopPrice", "newQty", "cancelReplaceMode", "cancelOrderId", "cancelRestrictions"),
    *("newOrderRespType", "omitZeroBalances", "selfTradePreventionMode", "startTime", "other"),
]
values = st.one_of(
    st.sampled_from(["BTCUSDT", "BUY", "SELL", "LIMIT", "MARKET", "GTC", "1", "100", "FULL"]),
    st.integers(-(2**70), 2**70),
    st.floats(),
    st.booleans(),
    st.none(),
    st.text(max_size=5),
    st.lists(st.integers(), max_size=1),
    st.dictionaries(st.text(max_size=1), st.integers(), max_size=1),
)


class Client:
    def __init__(self) -> None:
        self.sent: list[str] = []

    def send(self, text: str) -> None:
        self.sent.append(text)


@settings(max_examples=300)
@given(
    method=st.sampled_from(METHODS),
    params=st.dictionaries(st.sampled_from(NAMES), values, max_size=8),
    signed=st.booleans(),
)
def test_any_request_gets_exactly_one_answer(
    method: str, params: dict[str, Any], *, signed: bool
) -> None:
    credentials = Credentials.load({}, None)
    with desk() as one:
        client, user_streams = Client(), UserStreams()
        limits, faults = RateLimits(weight_limit=6_000, order_limit=100), Faults()
        api = WsApi(
            methods=Methods(venue=one.venue, limits=limits, faults=faults, fee_rate=FEE_RATE),
            credentials=credentials,
            limits=limits,
            faults=faults,
            user_streams=user_streams,
            announce=lambda: user_streams.push(one.venue.take_events()),
        )
        # through JSON first, because that is how the venue sees it
        sent = msgspec.json.decode(msgspec.json.encode(params))
        if signed:
            sent |= {"apiKey": "krator-sim"} | (
                {} if "timestamp" in sent else {"timestamp": time.time_ns() // 1_000_000}
            )
            digest = hmac.new(DEFAULT_SECRET.encode(), payload_of(sent), hashlib.sha256)
            sent["signature"] = digest.hexdigest()
        request = {"id": 1, "method": method, "params": sent}

        api.handle(client, msgspec.json.encode(request).decode(), show_limits=True)  # type: ignore[arg-type]

        answers = [m for m in map(msgspec.json.decode, client.sent) if "id" in m]
        assert len(answers) == 1
        assert ("result" in answers[0]) == (answers[0]["status"] == 200)
        list(read_ledger(one.ledger.path))


def test_restart_in_the_middle_of_a_groups_lines_ends_what_was_filled() -> None:
    with desk() as one:
        one.place(OrderSide.BUY, "MARKET", 0, 2, "a")
        lines = one.ledger.path.read_bytes().splitlines(keepends=True)
        kinds = [line.split(b'"')[3] for line in lines]
        cut = kinds.index(b"ended")
        one.ledger.path.write_bytes(b"".join(lines[:cut]) + lines[cut][:20])
        one.ledger.close()

        again = Desk(one.ledger.path.parent)
        order = again.account.find(order_id=1, client_order_id=None)
        one.ledger = again.ledger

        assert order is not None
        assert (order.status, order.is_open) == ("FILLED", False)
        assert again.ledger.torn_bytes == 20
        assert again.account.holding("BTC").free == parse("1.998")


def test_price_improvement_is_given_back_to_the_buyer() -> None:
    with desk() as one:
        one.place(OrderSide.BUY, "GTC", 103, 8, "a")

        usdt = one.account.holding("USDT")

        assert show(usdt.free) == show(parse("1000") - parse("811"))
        assert usdt.locked == 0


def test_refusal_leaves_no_trace_but_its_record() -> None:
    with desk(deposit="10") as one:
        with pytest.raises(ApiError):
            one.place(OrderSide.BUY, "GTC", 100, 1, "a")

        assert one.venue.take_events() == []
        assert not one.account.orders
