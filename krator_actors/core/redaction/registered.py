"""The values and names that are known: in which forms each may stand in a text."""

from __future__ import annotations

import base64
import unicodedata
from collections.abc import Iterable, Iterator
from typing import Any, Final
from urllib.parse import quote

import re2

from krator_actors.core.redaction.linear import compiled

_MIN_SECRET_CHARS = 4
_MIN_ENCODED_CHARS = 8
_GAP: Final = rb"(?:[\s,._+-]|\xc2\xa0|%20|%2[cC]|\\+u0020){0,3}"


def registered(secrets: Iterable[str], names: Iterable[str]) -> list[tuple[Any, bytes]]:
    """Return patterns that find the secrets and the people's names, and what to put there."""
    secrets = tuple(secrets)
    patterns = (
        (_any_of(_encoded_forms(secrets), any_case=True), b"<secret>"),
        (_any_of(_secret_forms(secrets)), b"<secret>"),
        (_any_of(_name_forms(names), any_case=True, quoted=False), b"<name>"),
    )
    return [(pattern, kind) for pattern, kind in patterns if pattern is not None]


def _any_of(forms: Iterable[bytes], *, any_case: bool = False, quoted: bool = True) -> Any:
    longest_first = sorted(set(forms), key=lambda form: (-len(form), form))
    if not longest_first:
        return None
    alternatives = [re2.escape(form) if quoted else form for form in longest_first]
    return compiled(b"|".join(alternatives), any_case=any_case)


def _secret_forms(secrets: Iterable[str]) -> Iterator[bytes]:
    for secret in secrets:
        raw = secret.encode("utf-8", "surrogatepass")
        if len(raw) >= _MIN_SECRET_CHARS:
            yield raw


def _encoded_forms(secrets: Iterable[str]) -> Iterator[bytes]:
    for secret in secrets:
        raw = secret.encode("utf-8", "surrogatepass")
        if len(raw) < _MIN_ENCODED_CHARS:
            continue
        yield raw
        yield raw[::-1]
        yield raw.hex().encode()
        yield quote(raw, safe="").encode()
        yield quote(raw, safe="/:@&=+$,").encode()
        yield raw.replace(b"\\", b"\\\\").replace(b'"', b'\\"')
        yield secret.encode("unicode_escape", "replace")
        yield from _base64_forms(raw)


def _base64_forms(raw: bytes) -> Iterator[bytes]:
    """The secret in base64 wherever it may begin in what was encoded, without the shared ends."""
    for before in range(3):
        encoded = base64.b64encode(b"\0" * before + raw)
        whole = encoded[(0, 2, 3)[before] :].rstrip(b"=")
        form = whole[: len(whole) - 1] if (before + len(raw)) % 3 else whole
        yield form
        yield form.replace(b"+", b"-").replace(b"/", b"_")


def _name_forms(names: Iterable[str]) -> Iterator[bytes]:
    for name in names:
        words = [_word_forms(word) for word in name.replace("-", " ").split()]
        if words:
            yield _GAP.join(words)
            yield _GAP.join([*words[-1:], *words[:-1]])
            yield _GAP.join([*words[1:], words[0]])


def _word_forms(word: str) -> bytes:
    return b"".join(_char_forms(char) for char in unicodedata.normalize("NFC", word))


def _char_forms(char: str) -> bytes:
    """Return what finds the character as it is, without its accent, in JSON, in a URL, in SQL."""
    if char.isascii() and char.isalnum():
        return char.encode()
    forms = [b"''", "\N{RIGHT SINGLE QUOTATION MARK}".encode()] if char == "'" else []
    escapes = []
    for one in dict.fromkeys((char, char.upper(), char.lower())):
        decomposed = unicodedata.normalize("NFD", one)
        forms += [one.encode(), decomposed.encode(), decomposed.encode("ascii", "ignore")]
        forms += [quote(one, safe="").encode(), quote(decomposed, safe="").encode()]
        escapes += [b"\\\\+u" + b"".join(b"%04x" % ord(c) for c in one)]
    found = [re2.escape(form) for form in dict.fromkeys(forms) if form]
    return b"(?:" + b"|".join([*found, *escapes]) + b")"
