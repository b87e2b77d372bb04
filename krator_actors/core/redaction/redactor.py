"""The redactor: text or fields in, the same without secrets and personal data out."""

from __future__ import annotations

import base64
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, Final
from urllib.parse import quote

import re2

from krator_actors.core.redaction import rules
from krator_actors.core.redaction.checks import iban_within, is_card, is_operational, is_random
from krator_actors.core.redaction.fields import field_of, is_left_alone

MAX_BYTES: Final = 1 << 20

_MIN_SECRET_CHARS = 4
_MIN_ENCODED_CHARS = 8
_MAX_ROUNDS = 8
_CUT_BACK_BYTES = 4_096
_CUT_ROOM = 48
_MIN_RANDOM = 20
_MAX_DEPTH = 12
_FIRST_CARD = 10**11
_DONE: Final = rules.compiled(rb"[bBrRuU]?[\\\"'`(\[]*<[a-z]+>")
_QUOTES: Final = rules.compiled(
    rb"(\[|(?:[A-Za-z_]{1,24}\()?[bBrRuUfF]{0,2}\\*[\"'`]|&quot;)(.*?)(\]|\\*[\"'`]|&quot;|\n|\\*)"
)
_NEXT_FIELD: Final = rules.compiled(
    rb"&[A-Za-z_][A-Za-z0-9_.-]*=|[,;|][A-Za-z][A-Za-z_.-]{2,}[=:]|&amp;|%26[A-Za-z_]+%3D|</|\\[nrt][A-Za-z_]+[=:]|\\u0026"
)
_TAIL: Final = b")]},;.>\\"


class Redactor:
    """Takes secrets and personal data out of text; made once, and then the same in every thread.

    Each is replaced by its kind, e.g. ``<email>``; the same input always gives the same output,
    and what was redacted once is not changed again. ``secrets`` are replaced wherever they stand,
    also in base64, hex, URL, JSON and reversed form; ``names`` are those of people, in any case.
    Text longer than ``max_bytes`` is cut, which is said at its end.
    """

    def __init__(
        self,
        *,
        secrets: Iterable[str] = (),
        names: Iterable[str] = (),
        max_bytes: int = MAX_BYTES,
    ) -> None:
        self._max_bytes = max(max_bytes, _CUT_ROOM * 2)
        secrets = tuple(secrets)
        of_secrets = _any_of(_secret_forms(secrets))
        of_encoded = _any_of(_encoded_forms(secrets), any_case=True)
        of_names = _any_of(_name_forms(names), any_case=True, quoted=False)
        self._registered = [
            (pattern, kind)
            for pattern, kind in (
                (of_encoded, b"<secret>"),
                (of_secrets, b"<secret>"),
                (of_names, b"<name>"),
            )
            if pattern is not None
        ]

    def text(self, text: str) -> str:
        """Return ``text`` redacted; never raises, whatever is in it."""
        try:
            data = text.encode("utf-8", "surrogatepass")
        except UnicodeError:  # pragma: no cover - no str is like that
            data = text.encode("utf-8", "replace")
        redacted = self.data(data)
        if redacted == data:
            return text
        try:
            return redacted.decode("utf-8", "surrogatepass")
        except UnicodeDecodeError:
            return redacted.decode("utf-8", "replace")

    def data(self, data: bytes) -> bytes:
        """Return ``data``, of any encoding that contains ASCII, redacted; never raises."""
        data = self._cut(data)
        for _ in range(_MAX_ROUNDS):
            before, data = data, self._cut(self._round(data))
            if data == before:
                break
        return data

    def value(self, value: Any, name: str = "") -> Any:
        """Return a field's value redacted, by its name and by what is in it, at any depth.

        Numbers, booleans and None are left as they are, unless the name says otherwise.
        """
        return self._value(value, name, _MAX_DEPTH)

    def _value(self, value: Any, name: str, depth: int) -> Any:
        field = field_of(name.encode("utf-8", "replace")) if name else None
        if isinstance(value, Mapping):
            if depth == 0:
                return "<deep>"
            return {
                self.text(str(k)): self._value(v, f"{name}.{k}" if field else str(k), depth - 1)
                for k, v in value.items()
            }
        if isinstance(value, list | tuple | set | frozenset):
            if depth == 0:
                return "<deep>"
            return [self._value(item, name, depth - 1) for item in value]
        if value is None or isinstance(value, bool):
            return value
        if field is not None:
            raw = str(value).encode("utf-8", "replace")
            if not is_left_alone(raw, field.doubt) and _DONE.fullmatch(raw) is None:
                return field.kind.decode()
        if isinstance(value, int):
            is_number_of_card = value > _FIRST_CARD and is_card(b"%d" % value)
            return "<card>" if is_number_of_card else value
        if isinstance(value, bytes | bytearray | memoryview):
            return self.data(bytes(value)).decode("utf-8", "replace")
        return self.text(value) if isinstance(value, str) else value

    def exact(self, data: bytes) -> bytes:
        """Return ``data`` without the registered secrets and names; no pattern is tried."""
        for pattern, kind in self._registered:
            data = pattern.sub(kind, data)
        return data

    def _round(self, data: bytes) -> bytes:
        data = self.exact(data)
        if b"-----BEGIN" in data:
            data = rules.PEM.sub(b"<pem>", data)
        if b"://" in data:
            for pattern in rules.USER_INFO:
                data = pattern.sub(_user_info, data)
        data = rules.IBAN.sub(_iban, data)
        data = rules.CONTEXT.sub(_context, data)
        data = rules.HEADER.sub(_header, data)
        if b"</" in data:
            data = rules.XML.sub(_element, data)
        data = rules.PAIR.sub(_pair, data)
        data = rules.PERSON.sub(_person, data)
        data = rules.ASSIGNED.sub(_assigned, data)
        if b"-" in data:
            data = rules.FLAG.sub(_assigned, data)
        data = rules.SCHEME.sub(_scheme, data)
        for rule in rules.TOKENS:
            data = rule.pattern.sub(_by(rule), data)
        for rule in rules.NUMBERS:
            data = rule.pattern.sub(_by(rule), data)
        return bytes(rules.CANDIDATE.sub(_candidate, data))

    def _cut(self, data: bytes) -> bytes:
        """Cut at a blank, so that no half of a secret is left that no pattern knows."""
        if len(data) <= self._max_bytes:
            return data
        end = self._max_bytes - _CUT_ROOM
        start = max(0, end - _CUT_BACK_BYTES)
        blank = max(data.rfind(b" ", start, end), data.rfind(b"\n", start, end), start)
        return data[:blank] + b" <cut %d bytes>" % (len(data) - blank)


def _any_of(forms: Iterable[bytes], *, any_case: bool = False, quoted: bool = True) -> Any:
    longest_first = sorted(set(forms), key=lambda form: (-len(form), form))
    if not longest_first:
        return None
    alternatives = [re2.escape(form) if quoted else form for form in longest_first]
    return rules.compiled(b"|".join(alternatives), any_case=any_case)


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
    gap = rb"(?:[\s,._+-]|%20|\\u0020){0,3}"
    for name in names:
        words = name.replace("-", " ").split()
        if not words:
            continue
        orders = [words, [*words[-1:], *words[:-1]], [*words[1:], words[0]]]
        for order in orders:
            for form in ("NFC", "NFD"):
                text = [unicodedata.normalize(form, word) for word in order]
                yield gap.join(re2.escape(word.encode()) for word in text)
                yield gap.join(re2.escape(word.upper().encode()) for word in text)
                yield gap.join(re2.escape(word.lower().encode()) for word in text)
            plain = [unicodedata.normalize("NFD", w).encode("ascii", "ignore") for w in order]
            if all(plain):
                yield gap.join(map(re2.escape, plain))
            yield gap.join(re2.escape(w.encode("ascii", "backslashreplace")) for w in order)


def _user_info(match: Any) -> bytes:
    before, value = match.group(1, 2)
    port, slash, _ = value.partition(b"/")
    if (slash and port.isdigit()) or _is_done(value):
        return bytes(match.group())
    return bytes(before + b"<password>@")


def _assigned(match: Any) -> bytes:
    name, between, value = match.group(1, 2, 3)
    if field_of(name) is None:
        # What its value is says nothing, but something may be assigned within it.
        return bytes(name + between + rules.ASSIGNED.sub(_assigned_within, value))
    return _assigned_within(match)


def _assigned_within(match: Any) -> bytes:
    name, between, value = match.group(1, 2, 3)
    return bytes(name + between + _of_field(name, between, value))


def _pair(match: Any) -> bytes:
    quote_, name, between, value = match.group(1, 2, 3, 4)
    return bytes(quote_ + name + between + _of_field(name, between, value))


def _of_field(name: bytes, between: bytes, value: bytes) -> bytes:
    """Return the value, with its quotes, as a field of that name may show it."""
    field = field_of(name)
    if field is None or _is_done(value):
        return value
    opening, inner, closing = _inner(value)
    doubt = field.doubt
    if doubt == "none" and between.strip() in {b",", b"of", b"to"} and not opening:
        doubt = "word"  # "the password, please"
    if is_left_alone(inner, doubt) or not (opening or inner.strip(b"{[(<|>")):
        return value
    return opening + field.kind + closing


def _person(match: Any) -> bytes:
    name, between = match.group(1, 2)
    field = field_of(name)
    if field is None or field.kind not in {b"<name>", b"<address>"}:
        return bytes(match.group())
    return bytes(name + between + field.kind)


def _is_done(value: bytes) -> bool:
    """True for a placeholder of ours, with or without quotes, that nothing is glued to."""
    done = _DONE.match(value)
    return done is not None and (len(value) == done.end() or not value[done.end() :][:1].isalnum())


def _element(match: Any) -> bytes:
    name, rest, content = match.group(1, 2, 3)
    field = field_of(name)
    if field is None or is_left_alone(content, field.doubt):
        return bytes(match.group())
    return bytes(b"<" + name + rest + field.kind + b"</")


def _inner(value: bytes) -> tuple[bytes, bytes, bytes]:
    """Part a value from its quotes, or, without any, from what follows it."""
    quoted = _QUOTES.fullmatch(value)
    if quoted is not None:
        opening, inner, closing = quoted.group(1, 2, 3)
        return opening, inner, closing
    following = _NEXT_FIELD.search(value)
    end = len(value) if following is None else following.start()
    while end and value[end - 1] in _TAIL:
        end -= 1
    return b"", value[:end], value[end:]


def _header(match: Any) -> bytes:
    name, between, value = match.group(1, 2, 3)
    if _is_done(value) or len(value) < _MIN_ENCODED_CHARS:
        return bytes(match.group())
    kind = b"<session>" if b"ookie" in name.lower() else b"<token>"
    return bytes(name + between + kind)


def _scheme(match: Any) -> bytes:
    word, between, value = match.group(1, 2, 3)
    whole: bytes = match.group()
    end = len(value.rstrip(b".,:;!"))
    kept = value[end:]
    value = value[:end]
    is_secret = any(48 <= char < 58 for char in value) and not value.replace(b".", b"").isdigit()  # noqa: PLR2004 - ASCII 0 to 9
    if not is_secret and not (word.lower() in {b"bearer", b"basic"} and is_random(value)):
        return whole
    if word.lower() == b"key" and (is_operational(value) or not is_random(value)):
        return whole
    if value[:1] == b"k" and is_operational(value):
        return whole
    return bytes(word + between + b"<token>" + kept)


def _by(rule: rules.Rule) -> Callable[[Any], bytes]:
    check, kind = rule.check, rule.kind

    def replaced(match: Any) -> bytes:
        before, value = match.group(1, 2)
        if check is not None and not check(value):
            return bytes(match.group())
        return bytes(before + kind)

    return replaced


def _iban(match: Any) -> bytes:
    before, value = match.group(1, 2)
    length = iban_within(value)
    return bytes(before + b"<iban>" + value[length:] if length else match.group())


_CONTEXT_KIND: Final = {b"ph": b"<phone>", b"te": b"<phone>", b"mo": b"<phone>", b"ca": b"<phone>"}


def _context(match: Any) -> bytes:
    word, between, value = match.group(1, 2, 3)
    digits = sum(48 <= char < 58 for char in value)  # noqa: PLR2004 - ASCII 0 to 9
    lowered = word.lower()
    is_short = lowered in {b"pin", b"otp", b"cvv"}
    if digits < (3 if is_short else 6):
        return bytes(match.group())
    kind = _CONTEXT_KIND.get(lowered[:2], b"<account>" if b"acc" in lowered else b"<id>")
    return bytes(word + between + kind)


def _candidate(match: Any) -> bytes:
    value: bytes = match.group()
    return b"<key>" if len(value) >= _MIN_RANDOM and is_random(value) else value
