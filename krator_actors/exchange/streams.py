"""Market streams: who listens to what, in combined or raw form."""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec

from krator_actors.exchange.connections import Connection
from krator_actors.exchange.faults import Faults

MAX_STREAMS = 1_024
_METHODS = (
    "SUBSCRIBE",
    "UNSUBSCRIBE",
    "LIST_SUBSCRIPTIONS",
    "SET_PROPERTY",
    "GET_PROPERTY",
)


class _ControlError(Exception):
    def __init__(self, code: int, text: str) -> None:
        super().__init__(text)
        self.code = code
        self.text = text


class StreamHub:
    """Sends each event to its stream's subscribers."""

    def __init__(self, faults: Faults) -> None:
        self._faults = faults
        self._subscribers: dict[str, dict[Connection, None]] = {}
        # connections whose events are wrapped with the stream's name
        self._combined: set[Connection] = set()
        # set when the first market stream has a subscriber: a replay waits for it
        self.heard = asyncio.Event()

    def publish(self, stream: str, data: str, combined: str | None = None) -> int:
        """Send an event's JSON text to so many; ``combined``: its wrapped text if that is known."""
        listeners = self._subscribers.get(stream)
        if not listeners or self._faults.silent:
            return 0
        wrapped = combined or f'{{"stream":"{stream}","data":{data}}}'
        for connection in tuple(listeners):
            connection.send(wrapped if connection in self._combined else data)
        return len(listeners)

    def add(self, connection: Connection, streams: list[str], *, combined: bool) -> None:
        """A client has connected, with the streams that its URL names."""
        if combined:
            self._combined.add(connection)
        self._subscribe(connection, streams)

    def remove(self, connection: Connection) -> None:
        """A client has gone."""
        self._combined.discard(connection)
        for stream in self._streams_of(connection):
            self._unsubscribe(connection, stream)

    def control(self, connection: Connection, text: str) -> str:
        """Carry out a control frame; return the answer."""
        try:
            request = msgspec.json.decode(text)
        except msgspec.DecodeError:
            return _error(3, "Invalid JSON: expected value at line 1 column 1", None)
        if not isinstance(request, dict):
            return _error(2, "Invalid request: expected an object", None)
        request_id = request.get("id")
        try:
            result = self._carry_out(connection, request)
        except _ControlError as error:
            return _error(error.code, error.text, request_id)
        return msgspec.json.encode({"result": result, "id": request_id}).decode()

    def _carry_out(self, connection: Connection, request: dict[str, Any]) -> Any:
        method = request.get("method")
        if method is None:
            raise _ControlError(2, "Invalid request: missing field `method`")
        params = request.get("params") or []
        match method:
            case "SUBSCRIBE":
                self._subscribe(connection, _names(params))
            case "UNSUBSCRIBE":
                for stream in _names(params):
                    self._unsubscribe(connection, stream)
            case "LIST_SUBSCRIPTIONS":
                return self._streams_of(connection)
            case "GET_PROPERTY" if params == ["combined"]:
                return connection in self._combined
            case "SET_PROPERTY" if params in (["combined", True], ["combined", False]):
                if params[1]:
                    self._combined.add(connection)
                else:
                    self._combined.discard(connection)
            case "GET_PROPERTY" | "SET_PROPERTY":
                raise _ControlError(0, "Unknown property")
            case _:
                known = ", ".join(f"`{name}`" for name in _METHODS)
                raise _ControlError(
                    2, f"Invalid request: unknown variant `{method}`, expected one of {known}"
                )
        return None

    def _subscribe(self, connection: Connection, streams: list[str]) -> None:
        if len({*self._streams_of(connection), *streams}) > MAX_STREAMS:
            raise _ControlError(2, f"Invalid request: more than {MAX_STREAMS} streams")
        for stream in streams:
            self._subscribers.setdefault(stream, {})[connection] = None
        if streams:
            self.heard.set()

    def _unsubscribe(self, connection: Connection, stream: str) -> None:
        listeners = self._subscribers.get(stream, {})
        listeners.pop(connection, None)
        if not listeners:
            self._subscribers.pop(stream, None)

    def _streams_of(self, connection: Connection) -> list[str]:
        return [name for name, there in self._subscribers.items() if connection in there]


def _names(params: Any) -> list[str]:
    if not isinstance(params, list) or not all(isinstance(name, str) for name in params):
        raise _ControlError(2, "Invalid request: params must be a list of stream names")
    return params


def _error(code: int, text: str, request_id: Any) -> str:
    error = {"error": {"code": code, "msg": text}, "id": request_id}
    return msgspec.json.encode(error).decode()
