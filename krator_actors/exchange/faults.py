"""How the venue misbehaves when it is told to: ``POST /sim/faults``."""

from __future__ import annotations

import math
import time
from dataclasses import asdict, dataclass, field
from http import HTTPStatus
from typing import Annotated, Literal

import msgspec

_ERROR_TEXTS = {
    -1000: "An unknown error occurred while processing the request.",
    -1003: "Too many requests; please use the websocket for live updates.",
    -1001: "Internal error; unable to process your request. Please try again.",
    -1006: "An unexpected response was received from the message bus. Execution status unknown.",
    -1007: "Timeout waiting for response from backend server. Send status unknown; "
    "execution status unknown.",
    -1008: "Server is currently overloaded with other requests. Please try again in a few minutes.",
}

_REST_MS = 1_000

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


class DelayRequests(_Action, tag="delay_requests", frozen=True):
    """Let every WebSocket API request (of ``method``, else any) arrive ``ms`` late. 0 ends it.

    One that is named is overtaken by the others, and may arrive when its recvWindow is over.
    """

    ms: Annotated[float, msgspec.Meta(ge=0, le=600_000)]
    method: str | None = None


class RefuseConnections(_Action, tag="refuse_connections", frozen=True):
    """Drop whoever connects, and every REST request, for ``secs``; ``/sim`` stays open."""

    secs: Secs


class AnswerError(_Action, tag="answer_error", frozen=True):
    """Answer the next ``count`` requests (of ``method``, else any) with an error.

    ``act``: the request is carried out all the same. Status 429 asks for a second's rest.
    """

    count: Count = 1
    code: Literal[-1000, -1001, -1003, -1006, -1007, -1008] = -1001
    status: Annotated[int, msgspec.Meta(ge=400, le=599)] = HTTPStatus.INTERNAL_SERVER_ERROR.value
    method: str | None = None
    act: bool = False

    @property
    def text(self) -> str:
        """Binance's text for the code."""
        return _ERROR_TEXTS[self.code]

    def body(self, now_ms: int) -> dict[str, object]:
        """Return the error object of an answer at ``now_ms``."""
        error: dict[str, object] = {"code": self.code, "msg": self.text}
        if self.status == HTTPStatus.TOO_MANY_REQUESTS:
            error["data"] = {"serverTime": now_ms, "retryAfter": now_ms + _REST_MS}
        return error


class Clear(_Action, tag="clear", frozen=True):
    """End all faults."""


Action = (
    DropConnections
    | Silence
    | EndSilence
    | LoseAnswer
    | DelayAnswers
    | DelayRequests
    | RefuseConnections
    | AnswerError
    | Clear
)

ACTIONS = (
    "drop_connections, silence, end_silence, lose_answer, delay_answers, delay_requests, "
    "refuse_connections, answer_error, clear"
)


class _Named(msgspec.Struct):
    method: str = ""


@dataclass(slots=True)
class _Pending:
    """How much of a counted fault is left."""

    left: int = 0
    method: str | None = None


@dataclass(slots=True)
class _State:
    delay_ms: float = 0.0
    late: DelayRequests = field(default_factory=lambda: DelayRequests(ms=0))
    silent_until: float = 0.0
    refusing_until: float = 0.0
    lost: _Pending = field(default_factory=_Pending)
    errors: _Pending = field(default_factory=_Pending)
    error: AnswerError = field(default_factory=AnswerError)


class Faults:
    """What is broken at the moment. Times are of the monotonic clock."""

    def __init__(self) -> None:
        self._state = _State()

    def set(self, action: Action) -> None:
        """Begin or end a fault. Dropping connections is the server's to do."""
        now = time.monotonic()
        state = self._state
        match action:
            case Silence():
                state.silent_until = now + (math.inf if action.secs is None else action.secs)
            case EndSilence():
                state.silent_until = 0.0
            case LoseAnswer():
                state.lost = _Pending(action.count, action.method)
            case DelayAnswers():
                state.delay_ms = action.ms
            case DelayRequests():
                state.late = action
            case RefuseConnections():
                state.refusing_until = now + action.secs
            case AnswerError():
                state.error = action
                state.errors = _Pending(action.count, action.method)
            case Clear():
                self._state = _State()
            case DropConnections():
                pass

    @property
    def delay_ms(self) -> float:
        """How long every answer is held back."""
        return self._state.delay_ms

    def late_ms(self, text: str) -> float:
        """Return how late a request, still as it was sent, is to arrive."""
        late = self._state.late
        if not late.ms or late.method is None:
            return late.ms
        try:
            method = msgspec.json.decode(text, type=_Named).method
        except msgspec.MsgspecError:
            return 0.0
        return late.ms if method.removeprefix("v3/") == late.method else 0.0

    @property
    def silent(self) -> bool:
        """Whether market data is withheld."""
        return self._state.silent_until > time.monotonic()

    @property
    def refusing(self) -> bool:
        """Whether new connections are dropped."""
        return self._state.refusing_until > time.monotonic()

    def take_lost_answer(self, method: str) -> bool:
        """Return whether this request's answer is to be lost, and count it."""
        return _take(self._state.lost, method)

    def take_error(self, method: str) -> AnswerError | None:
        """Return the error that this request is to be answered with, and count it."""
        return self._state.error if _take(self._state.errors, method) else None

    def listing(self) -> dict[str, object]:
        """Return what is broken, for ``/sim/status``."""
        return {
            "silent": self.silent,
            "refusing": self.refusing,
            "delay_ms": self.delay_ms,
            "delay_requests": msgspec.structs.asdict(self._state.late),
            "lose_answer": asdict(self._state.lost),
            "answer_error": asdict(self._state.errors),
        }


def _take(pending: _Pending, method: str) -> bool:
    if not pending.left or pending.method not in {None, method}:
        return False
    pending.left -= 1
    return True
