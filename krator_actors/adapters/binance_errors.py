"""Binance's error codes, sorted by what they mean for the request that they answer.

One table. Its source is github.com/binance/binance-spot-api-docs, errors.md, and for the statuses
rest-api.md, "HTTP Return Codes". A code that is not in it is a refusal when the status is 4xx:
Binance answers 5xx whenever it does not know whether something happened.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from typing import Any

from krator_actors.venue_errors import (
    OutcomeUnknownError,
    VenueError,
    VenueRefusedError,
    VenueUnavailableError,
)

TOO_MANY_ORDERS = -1015
INVALID_TIMESTAMP = -1021
CANCEL_REJECTED = -2011
NO_SUCH_ORDER = -2013
REPLACE_HALF_DONE = -2021
REPLACE_FAILED = -2022
ORDER_ARCHIVED = -2026
"""Canceled or expired without a fill, more than 90 days ago."""


class Meaning(enum.Enum):
    """What an error says of the request."""

    REFUSED = "REFUSED"
    """It did not happen, and will not if it is sent again."""
    LATER = "LATER"
    """It did not happen; it may be sent again later."""
    UNKNOWN = "UNKNOWN"
    """It may have happened."""


_REFUSED, _LATER, _UNKNOWN = Meaning.REFUSED, Meaning.LATER, Meaning.UNKNOWN

CODES: dict[int, tuple[str, Meaning]] = {
    # 10xx: server and network
    -1000: ("UNKNOWN", _UNKNOWN),
    -1001: ("DISCONNECTED", _UNKNOWN),
    -1002: ("UNAUTHORIZED", _REFUSED),
    -1003: ("TOO_MANY_REQUESTS", _LATER),
    -1006: ("UNEXPECTED_RESP", _UNKNOWN),
    -1007: ("TIMEOUT", _UNKNOWN),
    -1008: ("SERVER_BUSY", _UNKNOWN),
    -1010: ("ERROR_MSG_RECEIVED", _REFUSED),
    -1013: ("INVALID_MESSAGE", _REFUSED),
    -1014: ("UNKNOWN_ORDER_COMPOSITION", _REFUSED),
    TOO_MANY_ORDERS: ("TOO_MANY_ORDERS", _LATER),
    -1016: ("SERVICE_SHUTTING_DOWN", _LATER),
    -1020: ("UNSUPPORTED_OPERATION", _REFUSED),
    INVALID_TIMESTAMP: ("INVALID_TIMESTAMP", _REFUSED),
    -1022: ("INVALID_SIGNATURE", _REFUSED),
    -1034: ("TOO_MANY_CONNECTIONS", _LATER),
    # 11xx: what the request says
    -1100: ("ILLEGAL_CHARS", _REFUSED),
    -1101: ("TOO_MANY_PARAMETERS", _REFUSED),
    -1102: ("MANDATORY_PARAM_EMPTY_OR_MALFORMED", _REFUSED),
    -1103: ("UNKNOWN_PARAM", _REFUSED),
    -1104: ("UNREAD_PARAMETERS", _REFUSED),
    -1105: ("PARAM_EMPTY", _REFUSED),
    -1106: ("PARAM_NOT_REQUIRED", _REFUSED),
    -1108: ("PARAM_OVERFLOW", _REFUSED),
    -1111: ("BAD_PRECISION", _REFUSED),
    -1112: ("NO_DEPTH", _REFUSED),
    -1114: ("TIF_NOT_REQUIRED", _REFUSED),
    -1115: ("INVALID_TIF", _REFUSED),
    -1116: ("INVALID_ORDER_TYPE", _REFUSED),
    -1117: ("INVALID_SIDE", _REFUSED),
    -1118: ("EMPTY_NEW_CL_ORD_ID", _REFUSED),
    -1119: ("EMPTY_ORG_CL_ORD_ID", _REFUSED),
    -1120: ("BAD_INTERVAL", _REFUSED),
    -1121: ("BAD_SYMBOL", _REFUSED),
    -1122: ("INVALID_SYMBOLSTATUS", _REFUSED),
    -1125: ("INVALID_LISTEN_KEY", _REFUSED),
    -1127: ("MORE_THAN_XX_HOURS", _REFUSED),
    -1128: ("OPTIONAL_PARAMS_BAD_COMBO", _REFUSED),
    -1130: ("INVALID_PARAMETER", _REFUSED),
    -1134: ("BAD_STRATEGY_TYPE", _REFUSED),
    -1135: ("INVALID_JSON", _REFUSED),
    -1139: ("INVALID_TICKER_TYPE", _REFUSED),
    -1145: ("INVALID_CANCEL_RESTRICTIONS", _REFUSED),
    -1151: ("DUPLICATE_SYMBOLS", _REFUSED),
    -1220: ("SYMBOL_DOES_NOT_MATCH_STATUS", _REFUSED),
    # 20xx: what the matching engine and the account say
    -2010: ("NEW_ORDER_REJECTED", _REFUSED),
    CANCEL_REJECTED: ("CANCEL_REJECTED", _REFUSED),
    NO_SUCH_ORDER: ("NO_SUCH_ORDER", _REFUSED),
    -2014: ("BAD_API_KEY_FMT", _REFUSED),
    -2015: ("REJECTED_MBX_KEY", _REFUSED),
    -2016: ("NO_TRADING_WINDOW", _REFUSED),
    REPLACE_HALF_DONE: ("CANCEL_REPLACE_PARTIALLY_FAILED", _UNKNOWN),
    REPLACE_FAILED: ("CANCEL_REPLACE_FAILED", _REFUSED),
    ORDER_ARCHIVED: ("ORDER_ARCHIVED", _REFUSED),
    -2035: ("SUBSCRIPTION_ACTIVE", _REFUSED),
    -2036: ("SUBSCRIPTION_INACTIVE", _REFUSED),
    -2038: ("ORDER_AMEND_REJECTED", _REFUSED),
    -2039: ("CLIENT_ORDER_ID_INVALID", _REFUSED),
    -2042: ("MAXIMUM_SUBSCRIPTION_IDS", _REFUSED),
}
"""Error code to its name and what it means. Half of a cancel-replace happened: which is in its
data, and who does not read that does not know."""

_LATER_STATUSES = frozenset({403, 418, 429})
"""firewall, banned, rate limited"""
_LIMITED_STATUSES = frozenset({418, 429})
_UNTOLD_SECS = 60.0
"""how long nothing is sent after one of them that does not say: Binance's weight is of a minute"""
_SERVER_ERROR = 500
_DUPLICATE = "duplicate order"


def error_of(status: int, code: int, text: str, data: Mapping[str, Any]) -> VenueError:
    """Return the error that an answer with ``status`` (as in HTTP) and error ``code`` is.

    ``data`` is the error's optional data, of which ``retryAfter`` (Unix ms) and ``serverTime``
    say how long we are asked to wait.
    """
    name, meaning = CODES.get(code, ("", _REFUSED))
    fact = f"{text or 'no reason given'} (status {status}, code {code}{name and ' ' + name})"
    # "Duplicate order sent." means that the venue has an order of this id: that is no refusal.
    if status >= _SERVER_ERROR or meaning is _UNKNOWN or _DUPLICATE in text.lower():
        return OutcomeUnknownError(fact)
    if status in _LATER_STATUSES or meaning is _LATER:
        wait_secs = _retry_after_secs(data)
        if wait_secs is None and status in _LIMITED_STATUSES:
            wait_secs = _UNTOLD_SECS
        return VenueUnavailableError(fact, retry_after_secs=wait_secs)
    return VenueRefusedError(fact, code=code)


def _retry_after_secs(data: Mapping[str, Any]) -> float | None:
    until, now = data.get("retryAfter"), data.get("serverTime")
    if isinstance(until, int) and isinstance(now, int):
        return max(0.0, (until - now) / 1_000)
    return None
