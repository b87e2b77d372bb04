"""Lockstep: the replayed venue sends one frame, and the next when all that followed has happened.

So the same recording gives the same decisions, whatever the machine is busy with.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Final

import msgspec
from loguru import logger

from krator_actors.adapters.rest import RestClient
from krator_actors.messages.risk import PortfolioRequest
from krator_actors.messages.strategy import Settled, SettleRequest
from krator_actors.ports import MalformedFrameError
from krator_actors.venue_errors import VenueError
from supervisors.messages import ActorError, Message

_ASK_SECS: Final = 5.0
_AGAIN_SECS: Final = 0.002
_RETRY_SECS: Final = 0.2
_ARRIVAL_SECS: Final = 5.0
_STEP_PATH: Final = "/sim/step"


class _Step(msgspec.Struct):
    sent: int
    ended: bool


class Lockstep:
    """Run ``keep_stepping`` in a task; call ``on_frame`` for each market frame that was told on.

    Args:
        rest: the simulated venue, which was started with ``--lockstep``.
        strategies: each must have settled before the next frame: no order of it is under way, it
            knows its position, it waits for no history.
        ask: ``Actor.ask``.
    """

    def __init__(
        self,
        rest: RestClient,
        strategies: Sequence[str],
        ask: Callable[[str, Message, float], Awaitable[Message]],
    ) -> None:
        self._rest = rest
        self._strategies = strategies
        self._ask = ask
        self._arrived = asyncio.Event()

    def on_frame(self) -> None:
        """A frame has been handled here: what it leads to has been told."""
        self._arrived.set()

    async def keep_stepping(self, ready: Callable[[], bool], tell_risk: Callable[[], None]) -> None:
        """Until the recording's end; begins when ``ready`` says that the venue is heard.

        ``tell_risk`` tells risk what was traded; it is called, and has been heard, before each
        step, because by a clock it would be before or after an order as it happens.
        """
        while not ready():  # noqa: ASYNC110 - the connection has no event to wait for
            await asyncio.sleep(_AGAIN_SECS)
        while True:
            for name in self._strategies:
                await self._until_settled(name)
            tell_risk()
            await self._until_risk_heard()
            self._arrived.clear()
            step = await self._step()
            if step.ended:
                return
            if step.sent:
                await self._await_frame()

    async def _until_settled(self, name: str) -> None:
        while not await self._has_settled(name):  # noqa: ASYNC110 - it is another process
            await asyncio.sleep(_AGAIN_SECS)

    async def _until_risk_heard(self) -> None:
        while True:
            try:
                # What it answers is of no concern: it has read all that was told before.
                await self._ask("risk", PortfolioRequest(), _ASK_SECS)
            except ActorError:
                await asyncio.sleep(_RETRY_SECS)
            else:
                return

    async def _has_settled(self, name: str) -> bool:
        try:
            answer = await self._ask(name, SettleRequest(), _ASK_SECS)
        except ActorError:
            return False  # it is being restarted
        return isinstance(answer, Settled) and answer.is_settled

    async def _step(self) -> _Step:
        while True:
            try:
                return msgspec.json.decode(await self._rest.get(_STEP_PATH), type=_Step)
            except (VenueError, MalformedFrameError, msgspec.DecodeError) as error:
                logger.bind(event_type="lockstep_waits", reason=str(error)).warning(
                    "the venue does not take a step"
                )
                await asyncio.sleep(_RETRY_SECS)

    async def _await_frame(self) -> None:
        try:
            async with asyncio.timeout(_ARRIVAL_SECS):
                await self._arrived.wait()
        except TimeoutError:
            # Its connection was lost on the way; the hole in the ids will say so.
            logger.bind(event_type="lockstep_frame_lost").warning("a frame did not arrive")
