"""The parameters of requests: present, well formed, known. Errors are Binance's."""

from __future__ import annotations

import re
import uuid
from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from krator_actors.exchange import fixed
from krator_actors.exchange.errors import (
    ApiError,
    bad_symbol,
    illegal,
    missing,
    not_required,
    too_precise,
)
from krator_actors.exchange.fixed import TooPreciseError
from krator_actors.exchange.market import Market
from krator_actors.exchange.orders import PRICED_TYPES, STOP_TYPES, OrderRequest
from krator_actors.exchange.rules import ORDER_TYPES
from krator_actors.model import OrderSide

_CLIENT_ID = re.compile(r"[a-zA-Z0-9\-_.:/]{1,36}")
_CLIENT_ID_LEGAL = "^[a-zA-Z0-9-_]{1,36}$"
_AMOUNT_LEGAL = r"^([0-9]{1,20})(\.[0-9]{1,20})?$"
_TIMES_IN_FORCE = ("GTC", "IOC", "FOK")
_RESPONSE_TYPES = ("ACK", "RESULT", "FULL")

SIGNED = frozenset({"apiKey", "signature", "timestamp", "recvWindow", "returnRateLimits"})
"""parameters that every signed request may have"""

PLACE = frozenset(
    {
        "symbol",
        "side",
        "type",
        "timeInForce",
        "price",
        "quantity",
        "stopPrice",
        "newClientOrderId",
        "newOrderRespType",
        "selfTradePreventionMode",
        "quoteOrderQty",
    }
)
"""parameters of ``order.place``"""

REPLACE = PLACE | {
    "cancelReplaceMode",
    "cancelOrderId",
    "cancelOrigClientOrderId",
    "cancelNewClientOrderId",
    "cancelRestrictions",
}
"""parameters of ``order.cancelReplace``"""

_REPLACE_MODES = ("STOP_ON_FAILURE", "ALLOW_FAILURE")
_RESTRICTIONS = {"ONLY_NEW": "NEW", "ONLY_PARTIALLY_FILLED": "PARTIALLY_FILLED"}

Params = Mapping[str, Any]


def refuse_unknown(params: Params, known: frozenset[str]) -> None:
    """Raise -1104 for parameters that the method does not have."""
    read = sum(1 for name in params if name in known)
    if read != len(params):
        raise ApiError(
            -1104,
            f"Not all sent parameters were read; read '{read}' parameter(s) but was sent "
            f"'{len(params)}'.",
        )


def text(params: Params, name: str) -> str:
    """Return a parameter that must be a text with something in it."""
    value = params.get(name)
    if not isinstance(value, str) or not value:
        raise missing(name)
    return value


def optional_text(params: Params, name: str) -> str | None:
    """Return a text or, when it was not sent, None."""
    return text(params, name) if name in params else None


def optional_int(params: Params, name: str) -> int | None:
    """Return an integer, sent as number or text; None when it was not sent."""
    value = params.get(name)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | str):
        raise missing(name)
    try:
        return int(value)
    except ValueError:
        raise illegal(name, "^[0-9]{1,20}$") from None


def flag(params: Params, name: str, *, default: bool) -> bool:
    """Return a boolean, sent as such or as text; anything else is False."""
    value = params.get(name, default)
    return value is True or value == "true"


def limit(params: Params, *, default: int, largest: int) -> int:
    """Return ``limit``, cut to the largest that there is."""
    value = optional_int(params, "limit")
    if value is None:
        return default
    if value < 1:
        raise ApiError(-1130, "Data sent for parameter 'limit' is not valid.")
    return min(value, largest)


def amount(params: Params, name: str) -> int:
    """Return a price or quantity in units of 1e-8; numbers are taken as they are printed."""
    value = params.get(name)
    if value is None or value == "" or isinstance(value, bool):
        raise missing(name)
    try:
        return fixed.parse(str(value))
    except TooPreciseError:
        raise too_precise(name) from None
    except ValueError:
        raise illegal(name, _AMOUNT_LEGAL) from None


def market(params: Params, markets: Mapping[str, Market]) -> Market:
    """Return the market of ``symbol``."""
    found = markets.get(text(params, "symbol"))
    if found is None:
        raise bad_symbol()
    return found


def listed_markets(params: Params, markets: Mapping[str, Market]) -> list[Market]:
    """Return the markets of ``symbols``: a list, or over HTTP the JSON of one."""
    value = params["symbols"]
    try:
        symbols = msgspec.convert(
            msgspec.json.decode(value) if isinstance(value, str) else value, list[str]
        )
    except msgspec.MsgspecError:
        raise illegal("symbols", '["BTCUSDT","ETHUSDT"]') from None
    if any(symbol not in markets for symbol in symbols):
        raise bad_symbol()
    return [markets[symbol] for symbol in symbols]


def client_id(params: Params, name: str) -> str:
    """Return a client order id, a fresh one when it was not sent."""
    if name not in params:
        return uuid.uuid4().hex[:22]
    value = text(params, name)
    if not _CLIENT_ID.fullmatch(value):
        raise illegal(name, _CLIENT_ID_LEGAL)
    return value


def response_type(params: Params, order_type: str) -> str:
    """Return ``newOrderRespType``; FULL is the default of market and limit orders."""
    default = "FULL" if order_type in {"MARKET", "LIMIT"} else "ACK"
    value = optional_text(params, "newOrderRespType") or default
    if value not in _RESPONSE_TYPES:
        raise ApiError(-1130, "Data sent for parameter 'newOrderRespType' is not valid.")
    return value


def place_request(params: Params, markets: Mapping[str, Market], received_ns: int) -> OrderRequest:
    """Return what ``order.place`` asks for. Filters and funds are the venue's to check."""
    if "quoteOrderQty" in params:
        raise ApiError(-2010, "Quote order qty market orders are not support for this symbol.")
    rules = market(params, markets).rules
    side = text(params, "side")
    if side not in OrderSide.__members__:
        raise ApiError(-1117, "Invalid side.")
    order_type = text(params, "type")
    if order_type not in ORDER_TYPES:
        raise ApiError(-1116, "Invalid orderType.")
    if params.get("selfTradePreventionMode", "NONE") != "NONE":
        raise ApiError(-1130, "Data sent for parameter 'selfTradePreventionMode' is not valid.")
    time_in_force, price, stop_price = _terms(params, order_type)
    response_type(params, order_type)
    return OrderRequest(
        rules=rules,
        client_order_id=client_id(params, "newClientOrderId"),
        side=OrderSide(side),
        order_type=order_type,
        time_in_force=time_in_force,
        quantity=amount(params, "quantity"),
        price=price,
        stop_price=stop_price,
        received_ns=received_ns,
    )


def stops_on_failure(params: Params) -> bool:
    """Return whether a cancel that fails keeps the replacement from being placed."""
    mode = text(params, "cancelReplaceMode")
    if mode not in _REPLACE_MODES:
        raise ApiError(-1130, "Data sent for parameter 'cancelReplaceMode' is not valid.")
    return mode == "STOP_ON_FAILURE"


def cancel_restriction(params: Params) -> str | None:
    """Return the only status in which the order may be canceled; None: in any."""
    restriction = optional_text(params, "cancelRestrictions")
    if restriction is not None and restriction not in _RESTRICTIONS:
        raise ApiError(
            -1145,
            "cancelRestrictions has to be either ONLY_NEW or ONLY_PARTIALLY_FILLED.",
        )
    return _RESTRICTIONS.get(restriction or "")


def period(params: Params) -> Callable[[int], bool]:
    """Return whether a time in Unix ms is between ``startTime`` and ``endTime``, inclusive."""
    start_ms, end_ms = optional_int(params, "startTime"), optional_int(params, "endTime")
    return lambda ms: (start_ms is None or ms >= start_ms) and (end_ms is None or ms <= end_ms)


def _terms(params: Params, order_type: str) -> tuple[str, int, int]:
    """Return time in force, price and stop price, which depend on the type of the order."""
    has_terms = order_type in PRICED_TYPES - {"LIMIT_MAKER"}
    if not has_terms and "timeInForce" in params:
        raise not_required("timeInForce")
    if order_type not in PRICED_TYPES and "price" in params:
        raise not_required("price")
    if order_type not in STOP_TYPES and "stopPrice" in params:
        raise not_required("stopPrice")
    time_in_force = text(params, "timeInForce") if has_terms else "GTC"
    if time_in_force not in _TIMES_IN_FORCE:
        raise ApiError(-1115, "Invalid timeInForce.")
    price = amount(params, "price") if order_type in PRICED_TYPES else 0
    stop_price = amount(params, "stopPrice") if order_type in STOP_TYPES else 0
    return time_in_force, price, stop_price
