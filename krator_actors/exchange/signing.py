"""Who may trade: the API key and its signature, HMAC-SHA256 or Ed25519, as Binance checks them."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from collections.abc import Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from pathlib import Path
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key, load_pem_public_key

from krator_actors.exchange.errors import ApiError, ExchangeStartError, missing

KEY_ENV = "KRATOR_VENUE_API_KEY"
SECRET_ENV = "KRATOR_VENUE_API_SECRET"  # noqa: S105 - a name, not a secret
DEFAULT_KEY = "krator-sim"
DEFAULT_SECRET = "krator-sim-secret"  # noqa: S105 - opens nothing but the simulated venue

DEFAULT_RECV_WINDOW_MS = 5_000
MAX_RECV_WINDOW_MS = 60_000
_PEM = "-----BEGIN"
_AHEAD_MS = 1_000
_MICROS_FROM = 10**14
"""a timestamp from here on is in microseconds, which Binance also takes"""


@dataclass(frozen=True)
class Credentials:
    """The one API key. With an Ed25519 public key only that is accepted, else HMAC."""

    key: str
    secret: str = field(repr=False, default="")
    public_key: Ed25519PublicKey | None = field(repr=False, default=None)

    @classmethod
    def load(cls, environment: Mapping[str, str], public_key: Path | None) -> Credentials:
        """Take key and secret from the environment, the public key from a PEM file.

        A secret that is an Ed25519 private key as PEM gives the public key too. Raises
        ExchangeStartError for a key that is not Ed25519; the text never has the secret in it.
        """
        key = environment.get(KEY_ENV) or DEFAULT_KEY
        secret = environment.get(SECRET_ENV) or DEFAULT_SECRET
        if public_key is None and secret.startswith(_PEM):
            return cls(key, public_key=_public_half(secret))
        if public_key is None:
            return cls(key, secret=secret)
        try:
            loaded = load_pem_public_key(public_key.read_bytes())
        except (OSError, ValueError) as error:
            raise ExchangeStartError(f"{public_key}: no public key: {error}") from None
        if not isinstance(loaded, Ed25519PublicKey):
            raise ExchangeStartError(f"{public_key}: not an Ed25519 public key")
        return cls(key, public_key=loaded)

    def authorize(self, params: Mapping[str, Any], now_ms: int) -> None:
        """Check key, signature and timestamp of a SIGNED request; raises ApiError."""
        key = params.get("apiKey")
        if not key:
            raise missing("apiKey")
        self._check(str(key), payload_of(params), params, now_ms)

    def authorize_text(self, key: str, text: str, params: Mapping[str, Any], now_ms: int) -> None:
        """Check a SIGNED request over HTTP; raises ApiError.

        ``text`` is what is signed: query and body as they were sent, percent-encoded, without the
        signature.
        """
        if not key:
            raise ApiError(-2014, "API-key format invalid.", status=HTTPStatus.UNAUTHORIZED)
        self._check(key, text.encode(), params, now_ms)

    def _check(self, key: str, payload: bytes, params: Mapping[str, Any], now_ms: int) -> None:
        if not hmac.compare_digest(key.encode(), self.key.encode()):
            raise ApiError(
                -2015,
                "Invalid API-key, IP, or permissions for action.",
                status=HTTPStatus.UNAUTHORIZED,
            )
        signature = params.get("signature")
        if not signature or not isinstance(signature, str):
            raise missing("signature")
        if not self._signed(payload, signature):
            raise ApiError(-1022, "Signature for this request is not valid.")
        check_timestamp(params, now_ms)

    def _signed(self, payload: bytes, signature: str) -> bool:
        if self.public_key is None:
            expected = hmac.new(self.secret.encode(), payload, hashlib.sha256).hexdigest()
            return hmac.compare_digest(expected.encode(), signature.lower().encode())
        try:
            self.public_key.verify(base64.b64decode(signature, validate=True), payload)
        except (InvalidSignature, binascii.Error, ValueError):
            return False
        return True


def _public_half(secret: str) -> Ed25519PublicKey:
    try:
        loaded = load_pem_private_key(secret.encode(), password=None)
    except (ValueError, TypeError):
        raise ExchangeStartError(f"{SECRET_ENV} is a PEM text, but no private key") from None
    if not isinstance(loaded, Ed25519PrivateKey):
        raise ExchangeStartError(f"{SECRET_ENV} is a private key, but not an Ed25519 one")
    return loaded.public_key()


def payload_of(params: Mapping[str, Any]) -> bytes:
    """Return what is signed: the parameters but the signature, by name, as ``k=v&k=v``."""
    pairs = (f"{name}={_text(params[name])}" for name in sorted(params) if name != "signature")
    return "&".join(pairs).encode()


def check_timestamp(params: Mapping[str, Any], now_ms: int) -> None:
    """Raise -1102, -1131 or -1021 unless the request is within its ``recvWindow``."""
    timestamp = _milliseconds(params.get("timestamp"))
    if timestamp is None:
        raise missing("timestamp")
    window = params.get("recvWindow", DEFAULT_RECV_WINDOW_MS)
    try:
        window_ms = float(window)
    except (TypeError, ValueError):
        raise missing("recvWindow") from None
    if not 0 <= window_ms <= MAX_RECV_WINDOW_MS:
        raise ApiError(-1131, "recvWindow must be less than 60000.")
    if timestamp >= now_ms + _AHEAD_MS:
        raise ApiError(-1021, "Timestamp for this request was 1000ms ahead of the server's time.")
    if now_ms - timestamp > window_ms:
        raise ApiError(-1021, "Timestamp for this request is outside of the recvWindow.")


def _milliseconds(timestamp: object) -> float | None:
    if isinstance(timestamp, bool) or not isinstance(timestamp, int | str):
        return None
    try:
        number = int(timestamp)
    except ValueError:
        return None
    return number / 1_000 if number >= _MICROS_FROM else number


def _text(value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)
