"""The risk engine that begins from a snapshot."""

from __future__ import annotations

import msgspec

from krator_actors.core.risk import RiskEngine, RiskState
from krator_actors.messages.orders import (
    OrderAccepted,
    OrderRejected,
)
from krator_actors.messages.risk import (
    DuplicateRefused,
)
from krator_actors.model import (
    NANOS_PER_SEC,
    TradingState,
)
from tests.core.risk_desk import (
    BTC,
    ETH,
    NOON_NS,
    Desk,
    limit,
    order,
    risk_limits,
)


def through_msgpack(state: RiskState) -> RiskState:
    return msgspec.msgpack.decode(msgspec.msgpack.encode(state), type=RiskState)


def restarted(desk: Desk) -> Desk:
    """Return a desk whose engine begins from a snapshot of ``desk``'s, taken now."""
    state = desk.engine.state(now_ns=desk.now_ns, utc_ns=desk.utc_ns)
    fresh = Desk(balances={}, duplicate_secs=3.0)
    fresh.engine = RiskEngine(desk.engine.limits, symbols=(BTC, ETH), venue="SIM")
    fresh.engine.restore(through_msgpack(state), now_ns=fresh.now_ns, utc_ns=fresh.utc_ns)
    fresh.resume_market()
    return fresh


def test_duplicate_is_known_after_a_restart_from_a_snapshot() -> None:
    desk = Desk(duplicate_secs=3.0)
    desk.submit(limit("99.50", client_order_id="first"))

    fresh = restarted(desk)
    fresh.now_ns += 2 * NANOS_PER_SEC

    assert fresh.reason(limit("99.50", client_order_id="again")) == "DUPLICATE_ORDER"
    fresh.now_ns += NANOS_PER_SEC
    assert fresh.reason(limit("99.50", client_order_id="again")) == "APPROVED"


def test_rejected_order_that_the_venue_works_is_counted_after_a_restart() -> None:
    desk = Desk()
    desk.submit(order("k1", quantity="3"))
    desk.begin(order("k1", quantity="3"))
    desk.engine.absorb(OrderRejected(client_order_id="k1", symbol=BTC, reason="x", ts_event=1))

    fresh = restarted(desk)
    fresh.engine.absorb(
        OrderAccepted(client_order_id="k1", venue_order_id="1", symbol=BTC, ts_event=2)
    )

    assert fresh.engine.reservations.exposure(BTC).buy_quantity == 3


def test_restored_engine_decides_as_the_first_would_have() -> None:
    desk = Desk(max_orders_per_sec=2)
    desk.due()
    held, opened = limit("100", "5", client_order_id="held"), limit("100", "10")
    for submitted in (held, opened):
        desk.submit(submitted)
        desk.begin(submitted)
    desk.fill(held, "5")
    desk.latch(TradingState.HALTED)

    restored = Desk(balances={}, max_orders_per_sec=2)
    restored.engine = RiskEngine(desk.engine.limits, symbols=(BTC, ETH), venue="SIM")
    state = through_msgpack(desk.engine.state(now_ns=desk.now_ns, utc_ns=desk.utc_ns))
    restored.now_ns = 5 * NANOS_PER_SEC
    restored.engine.restore(state, now_ns=restored.now_ns, utc_ns=NOON_NS + NANOS_PER_SEC // 2)

    engine = restored.engine
    assert engine.reservations.open_orders() == desk.engine.reservations.open_orders()
    assert engine.portfolio.equity == desk.engine.portfolio.equity
    assert engine.latches.daily_loss.start_equity == 100_000
    (latched,) = engine.latches.states.latched
    assert (latched.state, latched.by) == (TradingState.HALTED, "ada")
    assert (engine.approved, engine.denied) == (2, 0)
    assert isinstance(restored.submit(held), DuplicateRefused)
    sent = engine.state(now_ns=restored.now_ns, utc_ns=1).sent
    assert [s.age_ns for s in sent] == [500_000_000] * 2


def test_state_before_the_first_day_is_restored() -> None:
    desk = Desk()
    fresh = RiskEngine(risk_limits(), symbols=(BTC,), venue="SIM")

    fresh.restore(desk.engine.state(now_ns=1, utc_ns=1), now_ns=1, utc_ns=1)

    assert fresh.latches.daily_loss.base is None
