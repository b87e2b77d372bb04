"""The order actor's side of the handshake: what risk has not absorbed is told again, in pieces."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from itertools import islice

from loguru import logger

from krator_actors.messages.handshake import OrdersRemoved, OrdersSynced, SyncOrders
from krator_actors.messages.orders import OrderEventTold
from krator_actors.order_ledger import OrderLedger
from supervisors.messages import Message

PIECE_EVENTS = 500
"""So many records are told in one turn; between turns cancels and the venue are heard."""


class TellOn(Message, frozen=True, kw_only=True):
    """To itself: the next piece of what risk is told again."""

    risk_generation: int
    sync_id: int


class Retelling:
    """The answer to one ``SyncOrders``. While it lasts, nothing is told to risk live.

    What is new meanwhile stands at the log's end, and so comes in its turn.
    """

    def __init__(self, ledger: OrderLedger, sync: SyncOrders) -> None:
        self.sync = sync
        self._ledger = ledger
        # the last record that was told, or that risk knew before
        self._number = sync.watermark
        self._records: Iterator[OrderEventTold] = iter(())

    @property
    def is_done(self) -> bool:
        """True when the log has nothing more to tell."""
        return self._number >= self._ledger.last_number

    async def piece(self) -> list[OrderEventTold]:
        """Return the next records, at most ``PIECE_EVENTS``; they are read in another thread.

        Because far back in a long log the first of them may take a second to find.
        """
        told = await asyncio.to_thread(self._read) if not self.is_done else []
        if told:
            self._number = told[-1].number
        return told

    def _read(self) -> list[OrderEventTold]:
        told = list(islice(self._records, PIECE_EVENTS))
        if not told:
            self._records = self._ledger.told_after(self._number)
            told = list(islice(self._records, PIECE_EVENTS))
        return told

    def end(self, venue: str) -> OrdersSynced:
        """Return what is told when all has been told."""
        return OrdersSynced(
            venue=venue,
            risk_generation=self.sync.risk_generation,
            number=self._ledger.last_number,
            open_orders=tuple(order.to_open_order() for order in self._ledger.table.open_orders),
            sync_id=self.sync.sync_id,
        )

    def goes_on(self) -> TellOn:
        """Return what the actor tells itself to be called again."""
        return TellOn(risk_generation=self.sync.risk_generation, sync_id=self.sync.sync_id)

    def is_called_by(self, message: TellOn) -> bool:
        """False when ``message`` belongs to an answer that a later request has replaced."""
        return message == self.goes_on()


def removed(ledger: OrderLedger, sync: SyncOrders, venue: str) -> OrdersRemoved:
    """Return the answer when ``sync`` asks for records that the log does not have any more."""
    logger.bind(
        event_type="orders_removed", watermark=sync.watermark, first_number=ledger.first_number
    ).error("risk asks for records that were removed from the log; a person must see to it")
    return OrdersRemoved(
        venue=venue, risk_generation=sync.risk_generation, first_number=ledger.first_number
    )
