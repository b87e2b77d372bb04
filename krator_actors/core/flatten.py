"""Which market orders sell everything that is held. Spot: there is nothing to buy back."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from decimal import Decimal

from krator_actors.core.identity import client_order_id
from krator_actors.messages.orders import SubmitOrder
from krator_actors.model import Instrument, OrderSide, OrderType, quantize_down

WRITER = "flatten"
"""Name of its log, and what stands as strategy in its orders."""


def sell_orders(
    balances: Mapping[str, Decimal],
    instruments: Collection[Instrument],
    *,
    act_ns: int,
    first_leg: int,
    ts_ns: int,
) -> tuple[SubmitOrder, ...]:
    """Return orders that sell the base assets of ``instruments``, in steps of their lots.

    ``balances`` is asset to total. An asset with several instruments is sold through the first. A
    holding above the venue's largest order becomes several. ``act_ns`` tells this act from others,
    legs count through the act from ``first_leg``: an id is never used twice. ``ts_ns`` is now.
    """
    chosen: dict[str, Instrument] = {}
    for instrument in instruments:
        chosen.setdefault(instrument.base, instrument)
    cause = f"flatten:{act_ns}"
    sold = (
        (instrument.symbol, quantity)
        for base, instrument in chosen.items()
        for quantity in _lots(balances.get(base, Decimal(0)), instrument)
    )
    return tuple(
        SubmitOrder(
            client_order_id=client_order_id(WRITER, symbol, cause, leg),
            strategy=WRITER,
            symbol=symbol,
            side=OrderSide.SELL,
            order_type=OrderType.MARKET,
            quantity=quantity,
            cause=cause,
            ts_event=ts_ns,
            ts_init=ts_ns,
        )
        for leg, (symbol, quantity) in enumerate(sold, first_leg)
    )


def _lots(held: Decimal, instrument: Instrument) -> Iterator[Decimal]:
    largest = quantize_down(instrument.max_quantity, instrument.lot_size)
    while True:
        quantity = min(quantize_down(held, instrument.lot_size), largest)
        if quantity <= 0 or quantity < instrument.min_quantity:
            return
        yield quantity
        held -= quantity
