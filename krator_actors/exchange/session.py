"""Where the venue's markets come from, and what makes them go on."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from krator_actors.exchange.ids import IdSource
from krator_actors.exchange.market import Market, Publish
from krator_actors.exchange.venue import Venue


@dataclass(frozen=True, slots=True, kw_only=True)
class Surroundings:
    """What a session's markets are given."""

    ids: Callable[[str, int], IdSource]
    """(name, first id of a new ledger) -> the source"""
    publish: Publish
    epoch_ns: int


class Session(Protocol):
    """Synthetic or replayed."""

    mode: str
    symbols: tuple[str, ...]

    def open_markets(self, surroundings: Surroundings) -> Mapping[str, Market]:
        """Return the markets, by symbol, with their opening books. Called once."""

    async def pace(
        self, venue: Venue, *, heard: asyncio.Event, announce: Callable[[], None]
    ) -> None:
        """Let the markets go on; returns when there is nothing more to come.

        ``heard`` is set when somebody listens; ``announce`` tells all who listen what happened.
        """

    async def step(self) -> dict[str, Any]:
        """Send one more frame that somebody hears; return ``sent`` and ``ended``.

        ExchangeStartError unless this is a replay in lockstep.
        """

    def status(self) -> dict[str, Any]:
        """Return ``ended``, ``position`` and more, for ``/sim/status``."""
