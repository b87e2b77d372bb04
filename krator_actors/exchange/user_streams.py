"""User data streams: the account's events, pushed over WebSocket API connections."""

from __future__ import annotations

from typing import Any

import msgspec

from krator_actors.exchange.connections import Connection
from krator_actors.exchange.errors import ApiError


class UserStreams:
    """Who has subscribed to the account's events."""

    def __init__(self) -> None:
        self._subscriptions: dict[Connection, int] = {}
        self._next_id = 0

    def __len__(self) -> int:
        return len(self._subscriptions)

    def subscribe(self, connection: Connection) -> int:
        """Return the new subscription's id; -2035 when the connection has one already."""
        if connection in self._subscriptions:
            raise ApiError(-2035, "User Data Stream subscription already active.")
        subscription_id = self._subscriptions[connection] = self._next_id
        self._next_id += 1
        return subscription_id

    def unsubscribe(self, connection: Connection) -> None:
        """End a connection's subscription, if it has one."""
        self._subscriptions.pop(connection, None)

    def push(self, events: list[dict[str, Any]]) -> None:
        """Send events to all subscribers, in order."""
        if not self._subscriptions:
            return
        for event in events:
            text = msgspec.json.encode(event).decode()
            for connection, subscription_id in self._subscriptions.items():
                connection.send(f'{{"subscriptionId":{subscription_id},"event":{text}}}')
