"""How the venue misbehaves when it is told to: ``POST /sim/faults``."""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass
from http import HTTPStatus
from typing import Annotated, Literal

import msgspec

_ERROR_TEXTS = {
    -1000: "An unknown error occurred while processing the request.",
    -1001: "Internal error; unable to process your request. Please try again.",
    -1006: "An unexpected response was received from the message bus. Execution status unknown.",
    -1007: "Timeout waiting for response from backend server. Send status unknown; "
    "execution status unknown.",
    -1008: "Server is currently overloaded with other requests. Please try again in a few "
    "minutes.",
}

Count = Annotated[int, msgspec.Meta(ge=1, le=1_000_000)]
Secs = Annotated[float, msgspec.Meta(gt=0, le=86_400)]


class _Action(msgspec.Struct, frozen=True, tag_field="action", forbid_unknown_fields=True):
    pass


class DropConnections(_Action, tag="drop_connections", frozen=True):
    """Break every connection now, without a goodbye."""

    only: Literal["streams", "ws-api"] | None = None


class Silence(_Action, tag="silence", frozen=True):
    """Send no market data, but answer pings. Without ``secs`` until ``end_silence``."""

    secs: Secs | None = None


class EndSilence(_Action, tag="end_silence", frozen=True):
    """Send market data again."""


class LoseAnswer(_Action, tag="lose_answer", frozen=True):
    """Do what the next ``count`` requests of ``method`` ask, then drop their connection."""

    count: Count = 1
    method: str = "order.place"


class DelayAnswers(_Action, tag="delay_answers", frozen=True):
    """Hold every answer back for ``ms``; events are not delayed. 0 ends it."""

    ms: Annotated[float, msgspec.Meta(ge=0, le=600_000)]


class RefuseConnections(_Action, tag="refuse_connections", frozen=True):
    """Drop whoever connects, and every REST request, for ``secs``; ``/sim`` stays open."""

    secs: Secs


class AnswerError(_Action, tag="answer_error", frozen=True):
    """Answer the next ``count`` requests (of ``method``, else any) with an error.

    ``act``: the request is carried out all the same.
    """

    count: Count = 1
    code: Literal[-1000, -1001, -1006, -1007, -1008] = -1001
    status: Annotated[int, msgspec.Meta(ge=500, le=599)] = HTTPStatus.INTERNAL_SERVER_ERROR.value
    method: str | None = None
    act: bool = False

    @property
    def text(self) -> str:
        """Binance's text for the code."""
        return _ERROR_TEXTS[self.code]


class Clear(_Action, tag="clear", frozen=True):
    """End all faults."""


Action = (
    DropConnections
    | Silence
    | EndSilence
    | LoseAnswer
    | DelayAnswers
    | RefuseConnections
    | AnswerError
    | Clear
)

ACTIONS = (
    "drop_connections, silence, end_silence, lose_answer, delay_answers, refuse_connections, "
    "answer_error, clear"
)


@dataclass(slots=True)
class _Pending:
    """How much of a counted fault is left."""

    left: int = 0
    method: str | None = None


class Faults:
    """What is broken at the moment. Times are of the monotonic clock."""

    def __init__(self) -> None:
        self.delay_ms = 0.0
        self._silent_until = 0.0
        self._refusing_until = 0.0
        self._lost = _Pending()
        self._errors = _Pending()
        self._error = AnswerError()

    def set(self, action: Action) -> None:
        """Begin or end a fault. Dropping connections is the server's to do."""
        now = time.monotonic()
        match action:
            case Silence(secs):
                self._silent_until = now + (float("inf") if secs is None else secs)
            case EndSilence():
                self._silent_until = 0.0
            case LoseAnswer(count, method):
                self._lost = _Pending(count, method)
            case DelayAnswers(ms):
                self.delay_ms = ms
            case RefuseConnections(secs):
                self._refusing_until = now + secs
            case AnswerError():
                self._error = action
                self._errors = _Pending(action.count, action.method)
            case Clear():
                self.__init__()  # type: ignore[misc]
            case DropConnections():
                pass

    @property
    def silent(self) -> bool:
        """Whether market data is withheld."""
        return self._silent_until > time.monotonic()

    @property
    def refusing(self) -> bool:
        """Whether new connections are dropped."""
        return self._refusing_until > time.monotonic()

    def take_lost_answer(self, method: str) -> bool:
        """Return whether this request's answer is to be lost, and count it."""
        return _take(self._lost, method)

    def take_error(self, method: str) -> AnswerError | None:
        """Return the error that this request is to be answered with, and count it."""
        return self._error if _take(self._errors, method) else None

    def listing(self) -> dict[str, object]:
        """Return what is broken, for ``/sim/status``."""
        return {
            "silent": self.silent,
            "refusing": self.refusing,
            "delay_ms": self.delay_ms,
            "lose_answer": asdict(self._lost),
            "answer_error": asdict(self._errors),
        }


def _take(pending: _Pending, method: str) -> bool:
    if not pending.left or pending.method not in {None, method}:
        return False
    pending.left -= 1
    return True
