"""A venue's clock, measured again and again beside this machine's."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Final

from loguru import logger

from krator_actors import clock
from krator_actors.core.clock_offset import ClockOffset
from krator_actors.core.market_watch import LIVE
from krator_actors.market_reader import MarketReader
from krator_actors.messages.incidents import StallDetected
from krator_actors.symbol_watch import RCA, Put

CLOCK: Final = "clock"
"""The symbol of a StallDetected about the clocks."""
CLOCK_SKEW: Final = "CLOCK_SKEW"

_CHECK_SECS: Final = 60.0
TOLERANCE_SECS: Final = 1.0
"""Further apart a request's validity and a bar's end mean two things."""


class ClockWatch:
    """Run ``keep_measuring`` in a task. Ages are by the monotonic clock and do not depend on it."""

    def __init__(self, reader: MarketReader, *, put: Put, component: str) -> None:
        self._reader = reader
        self._put = put
        self._component = component
        self.offset = ClockOffset(tolerance_secs=TOLERANCE_SECS)

    async def keep_measuring(self) -> None:
        """Ask the venue once a minute; tell rca when the clocks part and when they agree again."""
        was_off = False
        while True:
            sample = await self._reader.venue_time()
            if sample is not None:
                self.offset.on_sample(sample)
                if self.offset.is_off != was_off:
                    was_off = self.offset.is_off
                    self._tell((RCA,), sample.offset_secs, is_off=was_off)
            await asyncio.sleep(_CHECK_SECS)

    def _tell(self, receivers: Sequence[str], offset_secs: float, *, is_off: bool) -> None:
        stall = StallDetected(
            component=self._component,
            symbol=CLOCK,
            code=CLOCK_SKEW if is_off else LIVE,
            age_secs=abs(offset_secs),
            ts_event=clock.utc_ns(),
        )
        self._put(receivers, stall)
        log = logger.bind(
            component=self._component, event_type="venue_clock", offset_secs=offset_secs
        )
        if is_off:
            log.warning("the venue's clock and this machine's are apart")
        else:
            log.warning("the clocks agree again")
