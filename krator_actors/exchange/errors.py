"""Binance's error codes and texts, and what makes the process itself refuse to start."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any


class ExchangeStartError(Exception):
    """The exchange cannot start; the text is one line that names the cause. Exit code 2."""


class ApiError(Exception):
    """What Binance would answer: HTTP status, error code and message.

    ``data`` goes into the WebSocket API's error object, for example ``retryAfter``.
    """

    def __init__(
        self,
        code: int,
        message: str,
        *,
        status: int = HTTPStatus.BAD_REQUEST,
        data: dict[str, Any] | None = None,
    ) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code
        self.message = message
        self.status = status
        self.data = data


class OrderRejectedError(ApiError):
    """The matching engine refused an order; ``reason`` is the execution report's ``r``."""

    def __init__(self, message: str, *, reason: str) -> None:
        super().__init__(-2010, message)
        self.reason = reason


def missing(name: str) -> ApiError:
    """-1102 for a parameter that is absent, empty or malformed."""
    return ApiError(
        -1102, f"Mandatory parameter '{name}' was not sent, was empty/null, or malformed."
    )


def neither(first: str, second: str) -> ApiError:
    """-1102 when one of two parameters is needed."""
    return ApiError(-1102, f"Param '{first}' or '{second}' must be sent, but both were empty/null!")


def illegal(name: str, legal: str) -> ApiError:
    """-1100 for characters that a parameter must not have."""
    return ApiError(
        -1100, f"Illegal characters found in parameter '{name}'; legal range is '{legal}'."
    )


def not_required(name: str) -> ApiError:
    """-1106 for a parameter that this kind of order does not take."""
    return ApiError(-1106, f"Parameter '{name}' sent when not required.")


def too_precise(name: str) -> ApiError:
    """-1111 for more decimals than the asset has."""
    return ApiError(-1111, f"Parameter '{name}' has too much precision.")


def filter_failure(name: str) -> ApiError:
    """-1013 with the filter's name, which is Binance's text."""
    return ApiError(-1013, f"Filter failure: {name}")


def bad_symbol() -> ApiError:
    """-1121."""
    return ApiError(-1121, "Invalid symbol.")
