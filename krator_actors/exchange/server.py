"""The venue's HTTP and WebSocket server, on loopback only."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from http import HTTPStatus
from typing import Annotated, Any

import msgspec
from aiohttp import WSMsgType, web

from krator_actors.exchange.connections import Connection, Connections
from krator_actors.exchange.errors import ApiError, ExchangeStartError
from krator_actors.exchange.faults import ACTIONS, Action, DropConnections, Faults
from krator_actors.exchange.ledger import LedgerFailedError
from krator_actors.exchange.limits import RateLimits
from krator_actors.exchange.options import HOST
from krator_actors.exchange.records import FaultSet
from krator_actors.exchange.rest import RestApi
from krator_actors.exchange.rest_account import RestAccount
from krator_actors.exchange.streams import StreamHub
from krator_actors.exchange.user_streams import UserStreams
from krator_actors.exchange.venue import Venue
from krator_actors.exchange.ws_api import WsApi
from krator_actors.model import NANOS_PER_MILLI

_PING_SECS = 20.0
_REQUEST_BYTES_MAX = 1 << 20
_CONNECT_WEIGHT = 2
_GOODBYE_SECS = 1.0
"""how long a client may take to close"""

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class _Parent(msgspec.Struct, forbid_unknown_fields=True):
    pid: Annotated[int, msgspec.Meta(ge=1)]


class Server:
    """Listens, and knows who is connected.

    ``failed`` resolves with the error that must end the process; ``idle_secs`` is how long no
    client has been here.
    """

    def __init__(
        self,
        *,
        venue: Venue,
        hub: StreamHub,
        faults: Faults,
        limits: RateLimits,
        user_streams: UserStreams,
        ws_api: WsApi,
        rest_account: RestAccount,
        status: Callable[[], Mapping[str, Any]],
        adopt: Callable[[int], bool],
        step: Callable[[], Awaitable[Mapping[str, Any]]],
    ) -> None:
        """``adopt``: follow another parent process, False when it is gone. ``step``: Session's."""
        self.connections = Connections()
        self.failed: asyncio.Future[LedgerFailedError] = asyncio.get_running_loop().create_future()
        self._venue = venue
        self._hub = hub
        self._faults = faults
        self._limits = limits
        self._user_streams = user_streams
        self._ws_api = ws_api
        self._rest_account = rest_account
        self._status = status
        self._adopt = adopt
        self._step = step
        self._last_seen = time.monotonic()
        self._runner = web.AppRunner(
            self._application(),
            handle_signals=False,
            access_log=None,
            shutdown_timeout=_GOODBYE_SECS,
        )

    @property
    def idle_secs(self) -> float:
        """Seconds since the last client left or the last REST request, 0 while one is here."""
        return 0.0 if len(self.connections) else time.monotonic() - self._last_seen

    async def start(self, port: int, host: str = HOST) -> str:
        """Listen on ``host``; return the URL. Raises ExchangeStartError when the port is taken."""
        name = f"[{host}]" if ":" in host else host
        await self._runner.setup()
        site = web.TCPSite(self._runner, host, port)
        try:
            await site.start()
        except OSError as error:
            await self._runner.cleanup()
            reason = error.strerror or str(error)
            raise ExchangeStartError(f"cannot listen on {name}:{port}: {reason}") from None
        bound = self._runner.addresses[0][1]
        return f"http://{name}:{bound}"

    async def stop(self) -> None:
        """Close all connections and stop listening."""
        await self.connections.close()
        await self._runner.cleanup()

    def _application(self) -> web.Application:
        rest = RestApi(
            markets=self._venue.markets,
            limits=self._limits,
            faults=self._faults,
            ledger=self._venue.ledger,
        )
        application = web.Application(middlewares=[self._gate])
        application.add_routes(
            [
                *rest.routes(),
                *self._rest_account.routes(),
                web.get("/stream", self._combined_streams),
                web.get("/ws", self._raw_streams),
                web.get("/ws/{streams:.+}", self._raw_streams),
                web.get("/ws-api/v3", self._websocket_api),
                web.get("/sim/status", self._show_status),
                web.get("/sim/step", self._take_step),
                web.post("/sim/faults", self._set_fault),
                web.post("/sim/parent", self._set_parent),
            ]
        )
        return application

    @web.middleware
    async def _gate(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Drop whoever connects while connections are refused; end the process when it must."""
        if request.path.startswith("/sim/"):
            return await handler(request)
        self._last_seen = time.monotonic()
        if self._faults.refusing:
            if request.transport is not None:
                request.transport.abort()
            return web.Response(status=HTTPStatus.SERVICE_UNAVAILABLE)
        try:
            return await handler(request)
        except LedgerFailedError as error:
            self._fail(error)
            raise

    async def _combined_streams(self, request: web.Request) -> web.StreamResponse:
        return await self._serve_streams(request, request.query.get("streams", ""), combined=True)

    async def _raw_streams(self, request: web.Request) -> web.StreamResponse:
        return await self._serve_streams(
            request, request.match_info.get("streams", ""), combined=False
        )

    async def _serve_streams(
        self, request: web.Request, names: str, *, combined: bool
    ) -> web.StreamResponse:
        connection = await self._connect(request, "streams")
        streams = [name for name in names.split("/") if name]
        try:
            self._hub.add(connection, streams, combined=combined)
            async for message in connection.socket:
                if message.type is WSMsgType.TEXT:
                    connection.send(self._hub.control(connection, message.data))
        finally:
            self._hub.remove(connection)
            await self._disconnect(connection)
        return connection.socket

    async def _websocket_api(self, request: web.Request) -> web.StreamResponse:
        show_limits = request.query.get("returnRateLimits", "true") != "false"
        try:
            self._limits.spend(_CONNECT_WEIGHT, time.time_ns() // NANOS_PER_MILLI)
        except ApiError as error:
            return _json({"code": error.code, "msg": error.message}, error.status)
        connection = await self._connect(request, "ws-api")
        try:
            async for message in connection.socket:
                if message.type is WSMsgType.TEXT:
                    self._take(connection, message.data, show_limits=show_limits)
        finally:
            self._user_streams.unsubscribe(connection)
            await self._disconnect(connection)
        return connection.socket

    def _take(self, connection: Connection, text: str, *, show_limits: bool) -> None:
        late_ms = self._faults.late_ms(text)
        if not late_ms:
            self._ws_api.handle(connection, text, show_limits=show_limits)
            return

        def arrive() -> None:
            try:
                self._ws_api.handle(connection, text, show_limits=show_limits)
            except LedgerFailedError as error:
                self._fail(error)

        asyncio.get_running_loop().call_later(late_ms / 1_000, arrive)

    def _fail(self, error: LedgerFailedError) -> None:
        if not self.failed.done():
            self.failed.set_result(error)

    async def _connect(self, request: web.Request, kind: str) -> Connection:
        socket = web.WebSocketResponse(
            heartbeat=_PING_SECS,
            compress=False,
            max_msg_size=_REQUEST_BYTES_MAX,
            timeout=_GOODBYE_SECS,
        )
        await socket.prepare(request)
        connection = Connection(socket, request, kind)
        self.connections.add(connection)
        return connection

    async def _disconnect(self, connection: Connection) -> None:
        self.connections.remove(connection)
        self._last_seen = time.monotonic()
        await connection.finish()

    async def _take_step(self, _: web.Request) -> web.Response:
        try:
            return _json(await self._step())
        except ExchangeStartError as error:
            return _json({"code": 0, "msg": str(error)}, HTTPStatus.BAD_REQUEST)

    async def _show_status(self, _: web.Request) -> web.Response:
        body = {
            **self._status(),
            "connections": len(self.connections),
            "faults": self._faults.listing(),
        }
        return _json(body)

    async def _set_fault(self, request: web.Request) -> web.Response:
        raw = await request.read()
        try:
            action = msgspec.json.decode(raw, type=Action)
        except msgspec.MsgspecError as error:
            return _json({"error": f"{error}; actions: {ACTIONS}"}, HTTPStatus.BAD_REQUEST)
        params = msgspec.to_builtins(action)
        name = params.pop("action")
        self._venue.ledger.append(FaultSet(action=name, params=params))
        self._faults.set(action)
        if isinstance(action, DropConnections):
            self.connections.abort(action.only)
        return _json({"faults": self._faults.listing()})

    async def _set_parent(self, request: web.Request) -> web.Response:
        try:
            parent = msgspec.json.decode(await request.read(), type=_Parent)
        except msgspec.MsgspecError as error:
            return _json({"error": str(error)}, HTTPStatus.BAD_REQUEST)
        return _json({"adopted": self._adopt(parent.pid)})


def _json(body: Any, status: int = HTTPStatus.OK) -> web.Response:
    return web.Response(
        body=msgspec.json.encode(body), status=status, content_type="application/json"
    )
