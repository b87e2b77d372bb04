"""Every message of the trading system, by topic.

Commands are imperative, events past tense, the venue's truth is a report. Who sends what to whom
is in docs/ARCHITECTURE.md.
"""

from __future__ import annotations

from krator_actors.messages import (
    emergency,
    handshake,
    incidents,
    market,
    operations,
    orders,
    risk,
    strategy,
)
from supervisors.messages import Message

_TOPICS = (market, orders, handshake, risk, strategy, operations, incidents, emergency)

CATALOGUE: tuple[type[Message], ...] = tuple(
    value
    for topic in _TOPICS
    for value in vars(topic).values()
    if isinstance(value, type) and issubclass(value, Message) and value.__module__ == topic.__name__
)
"""Every class of message, in the order of its topic's file."""
