"""Binance's error codes, sorted by what they mean for the request that they answer.

Written after github.com/binance/binance-spot-api-docs, errors.md.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from krator_actors.venue_errors import (
    OutcomeUnknownError,
    VenueError,
    VenueRefusedError,
    VenueUnavailableError,
)

NO_SUCH_ORDER = -2013
ORDER_ARCHIVED = -2026
"""Canceled or expired without a fill, more than 90 days ago."""
CANCEL_REJECTED = -2011
INVALID_TIMESTAMP = -1021

_LATER = frozenset({-1003, -1015, -1016, -1034})
"""TOO_MANY_REQUESTS, TOO_MANY_ORDERS, SERVICE_SHUTTING_DOWN, TOO_MANY_CONNECTIONS"""
_LATER_STATUSES = frozenset({403, 418, 429})
"""firewall, banned, rate limited"""
_UNKNOWN = frozenset({-1000, -1001, -1006, -1007, -1008})
"""UNKNOWN, DISCONNECTED, UNEXPECTED_RESP, TIMEOUT, SERVER_BUSY"""
_SERVER_ERROR = 500
_DUPLICATE = "duplicate order"


def error_of(status: int, code: int, text: str, data: Mapping[str, Any]) -> VenueError:
    """Return the error that an answer with ``status`` (as in HTTP) and error ``code`` is.

    ``data`` is the error's optional data, of which ``retryAfter`` (Unix ms) and ``serverTime``
    say how long we are asked to wait.
    """
    fact = f"{text or 'no reason given'} (status {status}, code {code})"
    # "Duplicate order sent." means that the venue has an order of this id: that is no refusal.
    if status >= _SERVER_ERROR or code in _UNKNOWN or _DUPLICATE in text.lower():
        return OutcomeUnknownError(fact)
    if status in _LATER_STATUSES or code in _LATER:
        return VenueUnavailableError(fact, retry_after_secs=_retry_after_secs(data))
    return VenueRefusedError(fact, code=code)


def _retry_after_secs(data: Mapping[str, Any]) -> float | None:
    until, now = data.get("retryAfter"), data.get("serverTime")
    if isinstance(until, int) and isinstance(now, int):
        return max(0.0, (until - now) / 1_000)
    return None
