"""Requests of Binance's WebSocket API for spot trading, and their signatures: Sans-I/O.

No socket and no clock; ``adapters.trading`` sends what is made here, ``binance_reports`` reads what
comes back. Written after github.com/binance/binance-spot-api-docs, web-socket-api.md. The key and
the secret live in this object and nowhere else.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Callable, Iterable, Mapping
from decimal import Decimal
from typing import Any
from urllib.parse import quote, urlencode

import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from krator_actors.adapters.binance_reports import venue_symbol_of
from krator_actors.messages.orders import SubmitOrder
from krator_actors.model import OrderType, TimeInForce

MAX_TRADES = 1_000
"""Binance's largest page of ``myTrades``"""


class Request(msgspec.Struct, frozen=True):
    """One request, signed when it has to be."""

    method: str
    params: dict[str, Any]


class SignedPath(msgspec.Struct, frozen=True):
    """One REST request, signed when it has to be."""

    path: str
    """with its query and the signature"""
    headers: dict[str, str]
    verb: str = "GET"


class BinanceTrading:
    """Makes the requests of one account.

    Args:
        api_key: sent with every signed request.
        secret: an HMAC secret, or an Ed25519 private key as PEM text. ValueError when the PEM
            holds another kind of key.
        recv_window_ms: for how long the venue may accept a request after its timestamp.
    """

    def __init__(self, *, api_key: str, secret: str, recv_window_ms: int) -> None:
        self._api_key = api_key
        self._sign = _signer(secret)
        self._recv_window_ms = recv_window_ms

    def time(self) -> Request:
        """Ask for the venue's clock."""
        return Request("time", {})

    def subscribe(self, *, timestamp_ms: int) -> Request:
        """Ask for the user stream on this connection."""
        return self._signed("userDataStream.subscribe.signature", {}, timestamp_ms)

    def place(self, order: SubmitOrder, *, timestamp_ms: int) -> Request:
        """Place ``order``; the venue refuses it after ``timestamp_ms`` + recvWindow."""
        return self._signed("order.place", _order_params(order), timestamp_ms)

    def replace(
        self, order: SubmitOrder, *, venue_order_id: str, client_order_id: str, timestamp_ms: int
    ) -> Request:
        """Take one order off and, only if that is done, place ``order``."""
        params = _order_params(order)
        params["cancelReplaceMode"] = "STOP_ON_FAILURE"
        if venue_order_id:
            params["cancelOrderId"] = int(venue_order_id)
        else:
            params["cancelOrigClientOrderId"] = client_order_id
        return self._signed("order.cancelReplace", params, timestamp_ms)

    def amend(
        self,
        symbol: str,
        *,
        venue_order_id: str,
        client_order_id: str,
        quantity: Decimal,
        timestamp_ms: int,
    ) -> Request:
        """Make an order smaller in its place; it keeps its client order id."""
        params = _which(symbol, venue_order_id, client_order_id)
        params |= {"newQty": _plain(quantity), "newClientOrderId": client_order_id}
        return self._signed("order.amend.keepPriority", params, timestamp_ms)

    def best_prices(self, symbols: Iterable[str]) -> Request:
        """Ask for the best bids and offers, of many symbols for what two cost."""
        return Request("ticker.book", {"symbols": [venue_symbol_of(symbol) for symbol in symbols]})

    def key_permissions(self, *, timestamp_ms: int) -> SignedPath:
        """Return the REST request that tells what the API key may do."""
        return self._signed_path("/sapi/v1/account/apiRestrictions", {}, timestamp_ms)

    def cancel(
        self, symbol: str, *, venue_order_id: str, client_order_id: str, timestamp_ms: int
    ) -> Request:
        """Take an order off; by the venue's id when it is known (not empty)."""
        params = _which(symbol, venue_order_id, client_order_id)
        return self._signed("order.cancel", params, timestamp_ms)

    def order_status(
        self, symbol: str, *, venue_order_id: str, client_order_id: str, timestamp_ms: int
    ) -> Request:
        """Ask what became of an order; by the venue's id when it is known (not empty)."""
        params = _which(symbol, venue_order_id, client_order_id)
        return self._signed("order.status", params, timestamp_ms)

    def open_orders(self, symbol: str, *, timestamp_ms: int) -> Request:
        """Ask for every order of ``symbol`` that the venue works."""
        params: dict[str, str | int] = {"symbol": venue_symbol_of(symbol)}
        return self._signed("openOrders.status", params, timestamp_ms)

    def trades(
        self,
        symbol: str,
        *,
        from_id: str | None = None,
        venue_order_id: str | None = None,
        timestamp_ms: int,
    ) -> Request:
        """Ask for our trades: those of one order, or from one trade id on, or the newest."""
        params: dict[str, str | int] = {
            "symbol": venue_symbol_of(symbol),
            "limit": MAX_TRADES,
        }
        if from_id is not None:
            params["fromId"] = int(from_id)
        if venue_order_id is not None:
            params["orderId"] = int(venue_order_id)
        return self._signed("myTrades", params, timestamp_ms)

    def account(self, *, timestamp_ms: int) -> Request:
        """Ask for the balances."""
        return self._signed("account.status", {}, timestamp_ms)

    def encode(self, request_id: str, request: Request) -> bytes:
        """Return the frame to send."""
        frame: dict[str, Any] = {"id": request_id, "method": request.method}
        if request.params:
            frame["params"] = request.params
        return msgspec.json.encode(frame)

    def by_rest(self, request: Request) -> SignedPath | None:
        """Return the same request for REST; None for what is never asked for there.

        These are the questions, and the cancel: what may be asked twice. What places or changes an
        order goes over the connection that also tells what became of it, or not at all.
        """
        found = _REST.get(request.method)
        if found is None:
            return None
        verb, path = found
        own = {"apiKey", "signature", "recvWindow", "timestamp"}
        params = {name: value for name, value in request.params.items() if name not in own}
        if "timestamp" in request.params:
            signed = self._signed_path(path, params, request.params["timestamp"])
            return SignedPath(signed.path, signed.headers, verb)
        plain = {
            name: value if isinstance(value, str | int) else msgspec.json.encode(value).decode()
            for name, value in params.items()
        }
        return SignedPath(f"{path}?{urlencode(plain)}", {}, verb)

    def _signed_path(
        self, path: str, params: Mapping[str, str | int], timestamp_ms: int
    ) -> SignedPath:
        # REST signs the percent-encoded text, the WebSocket API the plain one.
        query = urlencode({**params, "recvWindow": self._recv_window_ms, "timestamp": timestamp_ms})
        signature = quote(self._sign(query.encode()), safe="")
        return SignedPath(f"{path}?{query}&signature={signature}", {"X-MBX-APIKEY": self._api_key})

    def _signed(self, method: str, params: dict[str, str | int], timestamp_ms: int) -> Request:
        params |= {
            "recvWindow": self._recv_window_ms,
            "timestamp": timestamp_ms,
            "apiKey": self._api_key,
        }
        payload = "&".join(f"{name}={params[name]}" for name in sorted(params))
        params["signature"] = self._sign(payload.encode())
        return Request(method, params)


_REST = {
    "time": ("GET", "/api/v3/time"),
    "ticker.book": ("GET", "/api/v3/ticker/bookTicker"),
    "order.status": ("GET", "/api/v3/order"),
    "openOrders.status": ("GET", "/api/v3/openOrders"),
    "myTrades": ("GET", "/api/v3/myTrades"),
    "account.status": ("GET", "/api/v3/account"),
    "order.cancel": ("DELETE", "/api/v3/order"),
}
"""Method of the WebSocket API to the REST endpoint that does and answers the same."""
_STOP_TYPES = {OrderType.STOP_MARKET: "STOP_LOSS", OrderType.STOP_LIMIT: "STOP_LOSS_LIMIT"}
_HELD_BY_US = frozenset({TimeInForce.GTD, TimeInForce.DAY})


def _order_params(order: SubmitOrder) -> dict[str, str | int]:
    kind = _STOP_TYPES.get(order.order_type, order.order_type.value)
    params: dict[str, str | int] = {
        "symbol": venue_symbol_of(order.symbol),
        "side": order.side.value,
        "type": "LIMIT_MAKER" if order.post_only else kind,
        "quantity": _plain(order.quantity),
        "newClientOrderId": order.client_order_id,
        "newOrderRespType": "FULL",
    }
    if order.order_type.has_stop:
        if order.stop_price is None:
            raise ValueError(f"stop order {order.client_order_id} has no stop price")
        params["stopPrice"] = _plain(order.stop_price)
    if order.order_type.has_price:
        if order.price is None:
            raise ValueError(f"limit order {order.client_order_id} has no price")
        params["price"] = _plain(order.price)
        if not order.post_only:
            held = order.time_in_force in _HELD_BY_US
            params["timeInForce"] = "GTC" if held else order.time_in_force.value
    return params


def _which(symbol: str, venue_order_id: str, client_order_id: str) -> dict[str, str | int]:
    if venue_order_id:
        return {"symbol": venue_symbol_of(symbol), "orderId": int(venue_order_id)}
    return {"symbol": venue_symbol_of(symbol), "origClientOrderId": client_order_id}


def _signer(secret: str) -> Callable[[bytes], str]:
    if secret.lstrip().startswith("-----BEGIN"):
        key = load_pem_private_key(secret.encode(), password=None)
        if not isinstance(key, Ed25519PrivateKey):
            raise ValueError(f"the venue's secret is a {type(key).__name__}, not an Ed25519 key")
        return lambda payload: base64.b64encode(key.sign(payload)).decode()
    hmac_key = secret.encode()
    return lambda payload: hmac.new(hmac_key, payload, hashlib.sha256).hexdigest()


def _plain(value: Decimal) -> str:
    return format(value, "f")
