"""The gateway actor: metrics, health and status for programs on this host; it changes nothing.

It looks at the others every few seconds, each with a deadline, and answers a scrape from what it
saw last: nobody who is dead or slow can hold one up, and nothing waits for the gateway. Orders it
reads from the logs' files, so that a scrape costs the way of an order nothing.
"""

from __future__ import annotations

import asyncio
import importlib.metadata
from http import HTTPStatus
from pathlib import Path
from typing import Any, ClassVar, Final

import msgspec
from loguru import logger
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest

from krator_actors import clock, gateway_address
from krator_actors.adapters.equity_file import EquityFile
from krator_actors.adapters.http_server import HttpServer, Response, plain
from krator_actors.adapters.log_drops import LogDrops
from krator_actors.adapters.log_follower import LogFollower
from krator_actors.config import RiskConfig, VenueConfig
from krator_actors.core.journal_lag import JournalLag
from krator_actors.core.log_frames import RawRecord
from krator_actors.core.order_statistics import STATES, OrderStatistics
from krator_actors.core.performance import MAX_SAMPLES, EquitySamples
from krator_actors.core.sightings import Sightings
from krator_actors.messages.operations import (
    JobsStatus,
    JobsStatusRequest,
    JournalStatus,
    JournalStatusRequest,
    PublisherStatus,
    PublisherStatusRequest,
)
from krator_actors.messages.orders import OrderFilled
from krator_actors.messages.risk import PortfolioReport, PortfolioRequest
from krator_actors.metrics import Observed
from krator_actors.model import NANOS_PER_SEC
from krator_actors.risk_limits import limits_of
from krator_actors.venue_clock import VenueClockError, offset_secs
from supervisors.actor import Actor
from supervisors.looking import times
from supervisors.messages import ActorError, Message
from supervisors.system import NotRunningError, RefusedError, status

_ASK_TIMEOUT_SECS = 1.0
_READ_LIMIT = 1_000
_POLL_SECS = 0.2
_CLOCK_SECS = 60.0
_CLOCK_TIMEOUT_SECS = 2.0
_PORT_AGAIN_SECS = 2.0
_SAMPLE_SECS = 60.0
_STALE_INTERVALS = 3

_JSON = "application/json"
_COUNTED: Final[tuple[type[Message], ...]] = (*STATES, OrderFilled)
_DECODERS: Final = {kind.__name__: msgspec.msgpack.Decoder(kind) for kind in _COUNTED}
_encode = msgspec.json.Encoder(decimal_format="string").encode


class GatewayConfig(msgspec.Struct, frozen=True, kw_only=True):
    """Where to listen, and what is looked at."""

    data_dir: Path
    port: int
    """on 127.0.0.1; 0: the one of its last incarnation, else any free one"""
    interval_secs: float
    """the others are looked at so often"""
    venue: VenueConfig
    venue_url: str
    risk: RiskConfig
    symbols: tuple[str, ...]
    observed: tuple[str, ...]
    """actors whose messages' times are asked for, one of them each interval"""


class LookDue(Message, frozen=True, kw_only=True):
    """To itself: time to look at the others."""


class GatewayActor(Actor):
    """Ready at once, also when its port is taken: trading must not wait for it."""

    inbox: ClassVar[Any] = LookDue
    answers: ClassVar[Any] = PortfolioReport | JournalStatus | PublisherStatus | JobsStatus
    config: GatewayConfig

    async def on_start(self) -> None:
        """Begin to look, to read and to listen."""
        config = self.config
        self._logger = logger.bind(component=self.name)
        self._sightings = Sightings(
            stale_secs=_STALE_INTERVALS * config.interval_secs + _ASK_TIMEOUT_SECS
        )
        self._orders = OrderStatistics()
        self._samples = EquitySamples(_SAMPLE_SECS)
        self._equity_file = EquityFile(config.data_dir / "equity.txt", limit=MAX_SAMPLES)
        self._restore_samples()
        self._lag = JournalLag()
        self._log_drops = LogDrops(config.data_dir / "logs" / "krator.jsonl")
        self._follower = LogFollower(config.data_dir, limit=_READ_LIMIT)
        self._registry = CollectorRegistry(auto_describe=False)
        self._registry.register(
            Observed(
                self._sightings,
                self._orders,
                self._samples,
                self._lag,
                self._log_drops.dropped,
                limits_of(config.risk, config.symbols, {}),
                version=importlib.metadata.version("krator"),
                monotonic_ns=clock.monotonic_ns,
                utc_ns=clock.utc_ns,
            )
        )
        # None until the port is ours.
        self._server: HttpServer | None = None
        # Whose messages' times are asked for next.
        self._turn = 0
        first = config.port or gateway_address.last_port(self.runtime)
        if not await self._try_to_listen(first):
            gateway_address.withdraw(self.runtime)
            self.start_task(self._listen(), name="listen")
        self.start_task(self._read(), name="read")
        self.start_task(self._compare_clocks(), name="clock")
        self.every(config.interval_secs, LookDue())

    async def receive(self, message: Message, sender: str) -> Message | None:
        """Look at the others; scrapes are answered meanwhile."""
        match message:
            case LookDue():
                self._log_drops.look()
                await asyncio.gather(
                    self._look_at_tree(),
                    self._ask("risk", PortfolioRequest()),
                    self._ask("journal", JournalStatusRequest()),
                    self._ask("publisher", PublisherStatusRequest()),
                    self._ask("jobs", JobsStatusRequest()),
                )
                return None
            case _:
                raise TypeError(f"gateway has no use for {type(message).__name__} of {sender}")

    async def on_stop(self) -> None:
        """Take no more requests."""
        if self._server is not None:
            await self._server.close()
        self._follower.close()

    # -- what it serves -------------------------------------------------------------------------

    async def _try_to_listen(self, port: int) -> bool:
        try:
            self._server = await HttpServer.start(self._respond, port=port)
        except OSError as error:
            self.raise_alarm("port_taken", f"{port}: {error.strerror}")
            return False
        self.clear_alarm("port_taken")
        gateway_address.publish(self.runtime, self._server.port)
        return True

    async def _listen(self) -> None:
        self._logger.bind(event_type="gateway_port_taken", port=self.config.port).warning(
            "nobody can read metrics until the port is free"
        )
        is_listening = False
        while not is_listening:
            await asyncio.sleep(_PORT_AGAIN_SECS)
            is_listening = await self._try_to_listen(self.config.port)

    def _respond(self, path: str) -> Response:
        match path:
            case "/metrics":
                return Response(HTTPStatus.OK, CONTENT_TYPE_LATEST, generate_latest(self._registry))
            case "/health":
                return Response(HTTPStatus.OK, _JSON, b'{"status":"ok"}\n')
            case "/ready":
                obstacles = self._sightings.obstacles(_now_secs())
                code = HTTPStatus.SERVICE_UNAVAILABLE if obstacles else HTTPStatus.OK
                return _json(code, {"ready": not obstacles, "obstacles": obstacles})
            case "/status":
                return _json(HTTPStatus.OK, self._status())
            case _:
                return plain(HTTPStatus.NOT_FOUND)

    def _status(self) -> dict[str, Any]:
        seen, now_secs = self._sightings, _now_secs()
        return {
            "ts": clock.utc_ns(),
            "ages_secs": seen.ages(now_secs),
            "obstacles": seen.obstacles(now_secs),
            "tree": seen.tree,
            "trading": seen.portfolio,
            "journal": seen.journal,
            "publisher": seen.publisher,
            "jobs": seen.jobs,
        }

    # -- what it knows it from -------------------------------------------------------------------

    async def _look_at_tree(self) -> None:
        observed = self.config.observed
        name = observed[self._turn % len(observed)]
        self._turn += 1
        try:
            self._sightings.tree = await asyncio.to_thread(status, self.runtime)
            self._sightings.heard("tree", _now_secs())
            self._sightings.times[name] = await asyncio.to_thread(times, self.runtime, name)
        except (NotRunningError, RefusedError, OSError):
            # An actor that is away is seen in the tree, and a tree that is away by its age.
            return

    async def _ask(self, source: str, question: Message) -> None:
        try:
            answer = await self.ask(source, question, timeout_secs=_ASK_TIMEOUT_SECS)
        except ActorError:
            return
        self._sightings.heard(source, _now_secs())
        match answer:
            case PortfolioReport():
                self._sightings.portfolio = answer
                if answer.recovered:
                    self._sample(float(answer.equity))
            case JournalStatus():
                self._sightings.journal = answer
                self._lag.committed(answer.watermarks)
            case PublisherStatus():
                self._sightings.publisher = answer
            case JobsStatus():
                self._sightings.jobs = answer
            case _:
                raise TypeError(f"{source} answered with {type(answer).__name__}")

    def _restore_samples(self) -> None:
        try:
            self._samples.restore(self._equity_file.read())
        except OSError as error:
            self._logger.bind(event_type="equity_unreadable", reason=str(error)).warning(
                "Sharpe and Sortino begin anew"
            )

    def _sample(self, equity: float) -> None:
        sample = self._samples.take(equity, clock.utc_ns() / NANOS_PER_SEC)
        if sample is None:
            return
        try:
            self._equity_file.append(sample)
        except OSError as error:
            self._logger.bind(event_type="equity_not_kept", reason=str(error)).warning(
                "a restart of the gateway will not know this minute"
            )

    async def _read(self) -> None:
        while True:
            batch = self._follower.batch()
            for writer, record in batch:
                self._lag.read(writer, record.number, record.ts_ns)
                self._take(record)
            self._follower.committed(batch)
            # A turn for scrapes between two pieces of a long log.
            await asyncio.sleep(0 if batch else _POLL_SECS)

    def _take(self, record: RawRecord) -> None:
        decoder = _DECODERS.get(record.event_type)
        if decoder is None:
            return
        try:
            event = decoder.decode(record.body)
        except msgspec.MsgspecError as error:
            self._logger.bind(event_type="record_unreadable", reason=str(error)).warning(
                "a record of another version is not counted"
            )
            return
        self._orders.take(event, record.ts_ns)

    async def _compare_clocks(self) -> None:
        venue, url = self.config.venue, self.config.venue_url
        while True:
            try:
                self._sightings.clock_offset_secs = await asyncio.to_thread(
                    offset_secs, venue, url, timeout_secs=_CLOCK_TIMEOUT_SECS
                )
                self._sightings.heard("clock", _now_secs())
            except VenueClockError:
                # Its age says so; what is wrong with the venue says the feed.
                pass
            await asyncio.sleep(_CLOCK_SECS)


def _json(code: HTTPStatus, value: Any) -> Response:
    return Response(code, _JSON, _encode(value) + b"\n")


def _now_secs() -> float:
    return clock.monotonic_ns() / NANOS_PER_SEC
