"""The redactor: text or fields in, the same without secrets and personal data out."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, Final

from krator_actors.core.redaction import forms, named
from krator_actors.core.redaction.apart import BAR, apart, unstyled
from krator_actors.core.redaction.checks import (
    iban_within,
    is_digest,
    is_login,
    is_operational,
    is_phrase,
    is_random,
    is_ticket,
    is_usual_card,
    message_within,
)
from krator_actors.core.redaction.fields import field_of, is_left_alone
from krator_actors.core.redaction.linear import compiled
from krator_actors.core.redaction.prose import in_prose
from krator_actors.core.redaction.registered import registered
from krator_actors.core.redaction.sentences import goes_on
from krator_actors.core.redaction.values import (
    argument,
    assigned,
    assignments,
    changed,
    element,
    is_done,
    person,
    query,
    said,
)

MAX_BYTES: Final = 1 << 20

_MIN_HEADER_CHARS = 8
_MAX_ROUNDS = 8
_CUT_BACK_BYTES = 4_096
_CUT_ROOM = 48
_MIN_RANDOM = 20
_MIN_PRIVATE = 32
_MAX_DEPTH = 12
_MAX_NUMBER_CHARS = 5
_MIN_PHRASE_GAPS = 11
_FIRST_CARD = 10**11
_ASSIGNED: Final = compiled(rb"[a-z][a-z_]+=[^=]")
_WORD: Final = compiled(rb"[a-z][a-z_.-]{2,}")
_OBJECT: Final = compiled(rb"secret\s+\\*[\"']", any_case=True)
_LINE: Final = compiled(rb"[A-Za-z_<>]+:[0-9]{1,5}")
_COLLECTIONS: Final = frozenset(b"order trade fill execution job run pod container image".split())


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
        self._registered = registered(tuple(secrets), names)

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
            if not is_left_alone(raw, field.doubt) and not is_done(raw):
                return field.kind.decode()
        if isinstance(value, int):
            is_number_of_card = value > _FIRST_CARD and is_usual_card(b"%d" % value)
            is_number_of_card = is_number_of_card and not forms.ORDINARY.search(
                name.encode("utf-8", "replace")
            )
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
        if b"\x1b" in data or b"1b[" in data or b"1B[" in data or b"033[" in data:
            data = unstyled(data)
        data = self.exact(data)
        if b"-----BEGIN" in data:
            data = forms.PEM.sub(b"<pem>", forms.WHOLE_PEM.sub(b"<pem>", data))
        if b"://" in data or b":\\/" in data:
            for pattern in forms.USER_INFO:
                data = pattern.sub(_user_info, data)
        if b"|" in data or b"\n" in data or b"\\n" in data or BAR in data:
            data = apart(data)
        is_long = forms.LONG.search(data) is not None
        has_digit = data.translate(None, b"0123456789") != data
        data = self._by_form(data, is_long=is_long, has_digit=has_digit)
        if named.MAY_BE_COMMAND.search(data) is not None:
            for pattern in named.COMMAND:
                data = pattern.sub(_command, data)
        if named.MAY_BE_NAMED.search(data) is not None:
            data = _by_name(data)
        data = in_prose(data)
        if is_long:
            data = forms.CANDIDATE.sub(self._candidate, data)
            data = forms.GLUED.sub(rb"\1\2", data)
        return data

    def _by_form(self, data: bytes, *, is_long: bool, has_digit: bool) -> bytes:
        if has_digit:
            data = forms.IBAN.sub(_iban, data)
        if data.count(b" ") >= _MIN_PHRASE_GAPS or data.count(b",") >= _MIN_PHRASE_GAPS:
            data = named.SEED.sub(rb"\1\2\3<phrase>", data)
            data = forms.PHRASE.sub(_phrase, data)
        if is_long and (b"ey" in data or b"Z" in data):
            data = forms.JWT.sub(self._jwt, data)
        rules = _LONG_TOKENS + _TOKENS if is_long else _TOKENS
        for pattern, replaced, needs in rules + _NUMBERS if has_digit else rules:
            if needs is None or needs(data):
                data = pattern.sub(replaced, data)
        if has_digit:
            data = named.CONTEXT.sub(_context, data)
            if b" is " in data or b" to " in data:
                data = named.SENT_CODE.sub(rb"\1<pin>\3", data)
        return data

    def _jwt(self, match: Any) -> bytes:
        before, value = match.group(1, 2)
        return bytes(match.group() if self._is_harmless(value.rstrip(b".")) else before + b"<jwt>")

    def _candidate(self, match: Any) -> bytes:
        before, value = match.group(1, 2)
        if before and not is_login(value):
            return bytes(match.group())
        if value[:1] == b"/" and value.count(b"/") > 1 and not self._is_base64(value):
            return (before or b"") + b"/".join(self._segments(value))
        is_secret = self._is_key(value) or is_login(value)
        return bytes((before or b"") + b"<key>" if is_secret else match.group())

    def _is_base64(self, value: bytes) -> bool:
        """True for a key whose first character is a slash, and not for a path."""
        return self._is_key(value) and not any(map(_WORD.fullmatch, value.split(b"/")))

    def _segments(self, path: bytes) -> Iterator[bytes]:
        """Yield the segments of a path, without a key; an order's id stays."""
        before = b""
        for segment in path.split(b"/"):
            is_named = before.rstrip(b"s") in _COLLECTIONS
            yield b"<key>" if not is_named and self._is_key(segment) else segment
            before = segment

    def _is_key(self, value: bytes) -> bool:
        is_key = len(value) >= _MIN_RANDOM and is_random(value) and not is_ticket(value)
        return is_key and not self._is_harmless(value)

    def _is_harmless(self, value: bytes) -> bool:
        """True for the base64 of a message that holds nothing secret itself."""
        message = message_within(value)
        return message is not None and self._round(message) == message

    def _cut(self, data: bytes) -> bytes:
        """Cut at a blank, so that no half of a secret is left that no pattern knows."""
        if len(data) <= self._max_bytes:
            return data
        end = self._max_bytes - _CUT_ROOM
        start = max(0, end - _CUT_BACK_BYTES)
        blank = max(data.rfind(b" ", start, end), data.rfind(b"\n", start, end), start)
        return data[:blank] + b" <cut %d bytes>" % (len(data) - blank)


def _user_info(match: Any) -> bytes:
    before, value = match.group(1, 2)
    port, slash, _ = value.partition(b"/")
    if (slash and port.isdigit()) or is_done(value):
        return bytes(match.group())
    return bytes(before + b"<password>@")


def _command(match: Any) -> bytes:
    before, opening, value = match.group(1, 2, 3)
    if value[:1] == b"[" and b"=" in value:
        return bytes(match.group())  # "AUTH" "..." [request=7]
    if is_done(value) or value[:2] == b"//" or goes_on(value):
        return bytes(match.group())
    if value.isdigit() and len(value) <= _MAX_NUMBER_CHARS:
        return bytes(match.group())  # --user 1000:1000, -p 5432
    if _OBJECT.fullmatch(before) is not None and _WORD.fullmatch(value) is not None:
        return bytes(match.group())  # secret "krator-venues" not found
    return bytes(before + opening + b"<password>")


def _phrase(match: Any) -> bytes:
    """Redact what lies between words of prose, where it is long enough for a wallet's seed."""
    text: bytes = match.group()
    shown, at = b"", 0
    for stop in forms.PROSE.finditer(text):
        piece = text[at : stop.start()]
        shown += b"<phrase>" if is_phrase(piece) else piece
        shown += stop.group()
        at = stop.end()
    return shown + (b"<phrase>" if is_phrase(text[at:]) else text[at:])


def _header(match: Any) -> bytes:
    name, between, value = match.group(1, 2, 3)
    if is_done(value) or len(value) < _MIN_HEADER_CHARS:
        return bytes(match.group())
    kind = b"<session>" if b"ookie" in name.lower() else b"<token>"
    return bytes(name + between + kind)


def _scheme(match: Any) -> bytes:
    word, between, value = match.group(1, 2, 3)
    whole: bytes = match.group()
    end = len(value.rstrip(b".,:;!"))
    kept = value[end:]
    value = value[:end]
    if between == b":" and _LINE.fullmatch(value) is not None:
        return whole  # krator.secrets:rotate:41
    if _ASSIGNED.match(value) is not None or is_digest(value) or value.replace(b"/", b"").isdigit():
        return whole  # token_type=bearer expires_in=3599
    is_secret = any(48 <= char < 58 for char in value) and not value.replace(b".", b"").isdigit()  # noqa: PLR2004 - ASCII 0 to 9
    if not is_secret and not (word.lower() in {b"bearer", b"basic"} and is_random(value)):
        return whole
    if word.lower() in {b"private key", b"signing key"} and len(value) < _MIN_PRIVATE:
        return whole  # private key ed25519
    if word.lower() == b"key" and (is_operational(value) or not is_random(value)):
        return whole
    if (value[:1] == b"k" or word.lower() == b"digest") and is_operational(value):
        return whole
    return bytes(word + between + b"<token>" + kept)


def _by_name(data: bytes) -> bytes:
    if b"uth" in data or b"UTH" in data or b"ookie" in data or b"OOKIE" in data:
        data = named.HEADER.sub(_header, data)
    if b"</" in data:
        data = named.XML.sub(element, data)
    if b"=" in data and b">" in data:
        data = named.ELEMENT.sub(argument, data)
    if b"SET " in data or b" set " in data:
        data = named.SETTING.sub(argument, data)
    if b" from " in data:
        data = named.CHANGED.sub(changed, data)
    if b"->" in data or b"=>" in data:
        data = named.CHANGED_TO.sub(changed, data)
    if b"val" in data or b"Val" in data:
        data = named.PAIR.sub(argument, data)
    if named.ASSIGNED.search(data) is not None:
        data = assignments(named.PERSON.sub(person, data))
    data = said(data)
    if b"&" in data or b";" in data:
        data = named.QUERY.sub(query, data)
    if b"='" in data or b'="' in data or b"': " in data:
        data = named.ARGUMENT.sub(argument, data)
    if b"," in data and (b"(" in data or b"[" in data):
        data = named.LISTED.sub(argument, data)
        data = named.COUPLE.sub(argument, data)
    if b"account_number" in data:
        data = named.HOLDER.sub(rb"\1<account>\3", data)
    if b"rivate" in data or b"ecret" in data:
        data = named.KEY_ID.sub(rb"\1<key>\3", data)
        data = named.ID_BEHIND_KEY.sub(rb"\1<key>\3", data)
    if b"value:" in data:
        data = named.VARIABLE.sub(argument, data)
    if b"-" in data:
        data = named.FLAG.sub(assigned, data)
    return bytes(named.SCHEME.sub(_scheme, data))


def _by(rule: forms.Rule) -> Callable[[Any], bytes]:
    check, unless, kind = rule.check, rule.unless, rule.kind

    def replaced(match: Any) -> bytes:
        before, value = match.group(1, 2)
        is_other = unless is not None and unless.search(before) is not None
        if is_other or (check is not None and not check(value)):
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
    if value.count(b".") == 3 and value.replace(b".", b"").isdigit():  # noqa: PLR2004 - a host
        return bytes(match.group())
    if value[:2] == b"0x":
        return bytes(match.group())  # <Client at 0x7f7ea7aa6bf6>
    if lowered == b"uid" and is_operational(value) and b"-" in value:
        return bytes(match.group())  # of an object of Kubernetes
    is_short = lowered in {b"pin", b"otp", b"cvv"}
    if digits < (3 if is_short else 6):
        return bytes(match.group())
    kind = _CONTEXT_KIND.get(lowered[:2], b"<account>" if b"acc" in lowered else b"<id>")
    return bytes(word + between + kind)


def _ready(rules: Iterable[forms.Rule]) -> list[tuple[Any, Any, Any]]:
    return [(rule.pattern, _by(rule), rule.needs) for rule in rules]


_LONG_TOKENS: Final = _ready(forms.LONG_TOKENS)
_TOKENS: Final = _ready(forms.TOKENS)
_NUMBERS: Final = _ready(forms.NUMBERS)
