"""What actors say to one another: frozen structs with a delivery class.

A message travels as MessagePack, tagged with its class name under the key ``_``. A lane decodes
only the types that its receiver lists in ``Actor.inbox``; there is no pickle anywhere.
"""

from __future__ import annotations

import enum
from typing import ClassVar

import msgspec


class Delivery(enum.Enum):
    """What a full lane does with one more message of this class. Nothing is dropped silently."""

    WAIT = "wait"
    """``tell`` waits until there is room: commands and order events."""

    CONFLATE = "conflate"
    """The newest with the same ``conflation_key`` replaces the older; merges are counted."""

    GAP = "gap"
    """What does not fit is left out, and declared by one ``gap_message`` when there is room."""


class Message(
    msgspec.Struct, frozen=True, kw_only=True, tag=True, tag_field="_", forbid_unknown_fields=True
):
    """The base of every message. Subclasses are frozen and keyword-only as well.

    A class whose instances may be conflated or left out sets ``delivery`` and overrides the
    matching method.
    """

    delivery: ClassVar[Delivery] = Delivery.WAIT
    urgent: ClassVar[bool] = True
    """False: may wait some milliseconds for company, because every write wakes its receiver."""

    def conflation_key(self) -> str:
        """Return what makes two messages of this class the same subject, e.g. the symbol."""
        raise TypeError(f"{type(self).__name__} is not conflatable")

    def gap_key(self) -> str:
        """Return the stream this belongs to: one gap never spans two. Default: one per class."""
        return ""

    def gap_message(self, last: Message, count: int) -> Message:  # noqa: ARG002 - an override's
        """Return the declaration that ``count`` messages from self to ``last`` were left out."""
        raise TypeError(f"{type(self).__name__} may not be left out")


class Terminated(Message, frozen=True, kw_only=True):
    """What an actor that watches ``name`` tells itself, once, when it is gone for good.

    Nothing will start it again by itself. A restart is not told, nor the end of the whole system.
    """

    name: str


class ActorError(Exception):
    """The base of what ``tell`` and ``ask`` raise."""


class PeerDiedError(ActorError):
    """The peer ended while an ``ask`` was under way: outcome unknown. Query, do not repeat."""


class AskTimeoutError(ActorError):
    """No answer within the deadline: the outcome is unknown. Query, do not repeat."""


class PeerUnreachableError(ActorError):
    """Nobody of that name could be reached within the deadline: the message was not sent."""


class MessageRefusedError(ActorError):
    """The receiver did not handle the message and never will; the text says why."""


class NoAnswerError(ActorError):
    """The message was handled, and no answer came back that the asker can read."""


class InboxFullError(ActorError):
    """An actor tells itself more than it handles: ``inbox_limit`` of its own messages wait."""


class FencedError(ActorError):
    """A peer has already heard from a newer generation of this name: this one must end."""
