"""Bugs that people have had in trading systems, planted; the simulation must see each."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from krator_actors import order_doubts
from krator_actors.core import brackets, order_rules
from krator_actors.core.handshake import Handshake, Order
from krator_actors.core.orders import Order as OrderOfTable
from krator_actors.core.orders import OrderTable
from krator_actors.core.positions import Portfolio
from krator_actors.core.reservations import Reservations
from krator_actors.core.risk import RiskEngine
from krator_actors.messages.orders import OrderEventTold, PlaceOrder, SubmitOrder
from krator_actors.order_ledger import OrderLedger
from krator_actors.order_sender import OrderSender
from krator_actors.reconciliation import Reconciliation
from krator_actors.risk_ledger import RiskLedger
from krator_actors.venue_errors import OutcomeUnknownError

Plant = Callable[[pytest.MonkeyPatch], None]


def resends_what_is_unknown(patch: pytest.MonkeyPatch) -> None:
    hand_over, placed = OrderSender._hand_over, OrderSender._placed

    def remember(self: OrderSender, order: SubmitOrder, *rest: Any) -> None:
        vars(self).setdefault("sent", {})[order.client_order_id] = order
        hand_over(self, order, *rest)

    def again(self: OrderSender, client_order_id: str, answer: Any) -> None:
        placed(self, client_order_id, answer)
        if isinstance(answer.exception(), OutcomeUnknownError):
            order = vars(self)["sent"][client_order_id]
            asyncio.get_running_loop().call_later(0.5, resend, self._client, order)

    def resend(client: Any, order: SubmitOrder) -> None:
        if client.connected:
            client.place(order, timestamp_ms=client.now_ms())

    patch.setattr(OrderSender, "_hand_over", remember)
    patch.setattr(OrderSender, "_placed", again)


def sends_before_it_writes(patch: pytest.MonkeyPatch) -> None:
    sent = OrderSender.place

    async def place(self: OrderSender, message: PlaceOrder) -> list[OrderEventTold]:
        client: Any = self._client
        if not client.connected:
            return await sent(self, message)
        answer = client.place(message.order, timestamp_ms=client.now_ms())
        client.place = lambda *_, **__: answer
        try:
            return await sent(self, message)
        finally:
            del client.place

    patch.setattr(OrderSender, "place", place)


def believes_no_such_order_at_once(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(order_rules, "never_arrived", lambda order, **_: order.is_unanswered)


def takes_unknown_for_rejected(patch: pytest.MonkeyPatch) -> None:
    judged = order_doubts._place_failed

    def failed(ledger: OrderLedger, order: Any, message: Any) -> list[OrderEventTold]:
        return judged(ledger, order, msgspec.structs.replace(message, refused=True))

    patch.setattr(order_doubts, "_place_failed", failed)


def asks_for_no_order(patch: pytest.MonkeyPatch) -> None:
    async def nothing(*_: object) -> None:
        pass

    patch.setattr(Reconciliation, "_ask_for", nothing)


def logs_a_fill_twice(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(OrderTable, "knows_fill", lambda *_: False)


def counts_a_fill_twice(patch: pytest.MonkeyPatch) -> None:
    """What is told again is absorbed again, and no memory of trades stops it."""
    place, apply_fill = Handshake.place, Portfolio.apply_fill

    def again(self: Handshake, number: int) -> Order:
        return Order.NEXT if number == self.watermark else place(self, number)

    def forgetful(self: Portfolio, fill: Any) -> bool:
        self._trades.clear()
        return apply_fill(self, fill)

    patch.setattr(Handshake, "place", again)
    patch.setattr(Portfolio, "apply_fill", forgetful)


def forgets_reservations_on_restart(patch: pytest.MonkeyPatch) -> None:
    recover = RiskLedger._recover

    def forgetful(self: RiskLedger) -> int:
        watermark = recover(self)
        self.engine.reservations = Reservations()
        return watermark

    patch.setattr(RiskLedger, "_recover", forgetful)


def keeps_reservations_for_ever(patch: pytest.MonkeyPatch) -> None:
    apply = Reservations.apply

    def hoard(self: Reservations, event: Any, **fields: Any) -> None:
        if type(event).__name__ not in {"OrderCanceled", "OrderExpired"}:
            apply(self, event, **fields)

    patch.setattr(Reservations, "apply", hoard)


def forgets_a_halt_on_restart(patch: pytest.MonkeyPatch) -> None:
    recover = RiskLedger._recover

    def forgetful(self: RiskLedger) -> int:
        watermark = recover(self)
        self.engine.latches.states._latched.clear()
        return watermark

    patch.setattr(RiskLedger, "_recover", forgetful)


def reserves_nothing(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Reservations, "_add", lambda *_: None)


def knows_no_order_again(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(RiskEngine, "_know", lambda *_: None)
    patch.setattr(OrderLedger, "is_forgotten", lambda *_: False)


def doubts_nothing_after_a_restart(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(order_rules, "doubts_at_start", lambda *_, **__: [])


def begins_what_an_older_risk_approved(patch: pytest.MonkeyPatch) -> None:
    obstacle = order_rules.obstacle

    def trusting(message: PlaceOrder, **given: Any) -> tuple[str, str] | None:
        return obstacle(message, **given | {"risk_generation": 0})

    patch.setattr(order_rules, "obstacle", trusting)


def forgets_what_an_order_was_made(patch: pytest.MonkeyPatch) -> None:
    """Risk goes on counting an order that was made smaller in full."""
    patch.setattr(Reservations, "_update", lambda *_: None)


def places_a_leg_beside_an_open_one(patch: pytest.MonkeyPatch) -> None:
    def another(entry: OrderOfTable, legs: Any, bid: Any) -> Any:
        terms = brackets._stop(legs[-1].remaining, brackets._bracket_of(entry))
        is_one = len(legs) < brackets.MAX_REFUSED_LEGS
        return brackets.PlaceLeg(brackets._leg(entry, len(legs) + 1, terms, 0)) if is_one else None

    patch.setattr(brackets, "_with_open_leg", another)


def forgets_brackets(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(OrderTable, "brackets", lambda *_: [])


MUTANTS: tuple[Plant, ...] = (
    resends_what_is_unknown,
    sends_before_it_writes,
    believes_no_such_order_at_once,
    takes_unknown_for_rejected,
    asks_for_no_order,
    logs_a_fill_twice,
    counts_a_fill_twice,
    forgets_reservations_on_restart,
    keeps_reservations_for_ever,
    forgets_a_halt_on_restart,
    reserves_nothing,
    knows_no_order_again,
    doubts_nothing_after_a_restart,
    begins_what_an_older_risk_approved,
    forgets_what_an_order_was_made,
    places_a_leg_beside_an_open_one,
    forgets_brackets,
)
