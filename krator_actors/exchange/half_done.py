"""A cancel-replace of which not everything happened, as Binance tells it."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any

from krator_actors.exchange.errors import ApiError


class HalfDoneError(Exception):
    """A cancel-replace of which not everything happened; ``answer`` is what the venue says."""

    def __init__(
        self, canceled: Any, cancel: ApiError | None, placed: Any, place: ApiError | None
    ) -> None:
        attempted = placed is not None or place is not None
        both = cancel is not None and placed is None
        data = {
            "cancelResult": "SUCCESS" if cancel is None else "FAILURE",
            "newOrderResult": _result(place) if attempted else "NOT_ATTEMPTED",
            "cancelResponse": canceled if cancel is None else error_body(cancel),
            "newOrderResponse": placed if place is None else error_body(place),
        }
        self.answer = ApiError(
            -2022 if both else -2021,
            "Order cancel-replace failed." if both else "Order cancel-replace partially failed.",
            status=HTTPStatus.BAD_REQUEST if both else HTTPStatus.CONFLICT,
            data=data,
        )
        super().__init__(str(self.answer))


def _result(error: ApiError | None) -> str:
    return "SUCCESS" if error is None else "FAILURE"


def error_body(error: ApiError) -> dict[str, Any]:
    """Return an error as Binance's JSON has it."""
    return {"code": error.code, "msg": error.message}
