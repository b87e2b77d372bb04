"""How an actor reads the answers to its asks."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import msgspec

from supervisors.messages import Message

AnswerDecoder = Callable[[bytes], Message]
"""Raises ``msgspec.DecodeError`` for what it cannot read."""


class _Tag(msgspec.Struct):
    name: str = msgspec.field(name="_")


_tag_decoder = msgspec.msgpack.Decoder(_Tag)


def answer_decoder(types: Any) -> AnswerDecoder:
    """Return a decoder of exactly these types, e.g. ``PortfolioReport`` or ``A | B``."""
    decode: AnswerDecoder = msgspec.msgpack.Decoder(types).decode
    return decode


class LoadedAnswers:
    """Decodes any ``Message`` class that this process has imported, by its class name.

    Where two loaded classes share a name, the one of ``module`` (the asking actor's) is meant.
    """

    def __init__(self, module: str) -> None:
        self._module = module
        self._decoders: dict[str, AnswerDecoder] = {}

    def __call__(self, body: bytes) -> Message:
        """Return the answer; see ``AnswerDecoder``."""
        name = _tag_decoder.decode(body).name
        decode = self._decoders.get(name)
        if decode is None:
            decode = self._decoders[name] = answer_decoder(self._find(name))
        return decode(body)

    def _find(self, name: str) -> type[Message]:
        found = [loaded for loaded in _loaded(Message) if loaded.__name__ == name]
        at_home = [loaded for loaded in found if loaded.__module__ == self._module]
        if len(at_home) == 1:
            return at_home[0]
        if len(found) == 1:
            return found[0]
        modules = ", ".join(sorted(loaded.__module__ for loaded in found)) or "no loaded module"
        text = f"{name} is defined in {modules}: set {self._module}'s Actor.answers"
        raise msgspec.ValidationError(text)


def _loaded(parent: type[Message]) -> Iterator[type[Message]]:
    for child in parent.__subclasses__():
        yield child
        yield from _loaded(child)
