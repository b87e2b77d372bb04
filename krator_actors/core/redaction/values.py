"""What is put in the place of a value, after the name of its field."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from krator_actors.core.redaction import named
from krator_actors.core.redaction.checks import is_random
from krator_actors.core.redaction.fields import Field, could_be_code, field_of, is_left_alone
from krator_actors.core.redaction.linear import compiled
from krator_actors.core.redaction.sentences import goes_on

_DONE: Final = compiled(rb"[bBrRuU]?[\\\"'`(\[]*<[a-z]+>")
_DONE_LAST: Final = compiled(rb"<[a-z]+>$")
_OBJECT_LIST: Final = compiled(rb"\[\s*\{")
_NUMBER_OF: Final = compiled(
    rb"(\\*[\"'](?:uuid|id|number|no|code)\\*[\"']\s*:\s*\\*[\"']?)([^\s\"'\\,}]+)", any_case=True
)
"""the field of an object that says which one it is, its value"""
_QUOTES: Final = compiled(
    rb"(\[|\(|(?:[A-Za-z_]{1,24}\()?[bBrRuUfF]{0,2}\\*[\"'`]|&quot;|%22)(.*?)(\]|\)|\\*[\"'`]|&quot;|%22|\n|\\*)"
)
_NEXT_FIELD: Final = compiled(
    rb"&[A-Za-z_][A-Za-z0-9_.-]*=|[,;|][A-Za-z][A-Za-z_.-]{2,}[=:]|&amp;|%26[A-Za-z_]+%3D|</|\\[nrt][A-Za-z_]+[=:]|\\u0026"
)
_QUOTE: Final = compiled(rb"[\"'`]|&quot;|%22")
_OPENING: Final = frozenset((b'"', b"'", b"`", b"\\"))
_MAX_NAME_BYTES: Final = 128
_ANOTHER: Final = compiled(
    rb"(?:[A-Za-z_][A-Za-z0-9_.]{0,63}[({])?([A-Za-z_][A-Za-z0-9_.-]{1,63})[=:](.*)"
)
_ORDINARY: Final = compiled(
    rb"(?:^|[a-z_])(?:id|symbol|seq|time|timestamp|status|order|price|qty|side|venue)$",
    any_case=True,
)
_SNAKE: Final = compiled(rb"[a-z]{2,}(?:_[a-z]{2,})+")
_WRITTEN: Final = compiled(rb"[A-Za-z0-9][_-][A-Za-z]|[a-z][A-Z]")
"""a name as programs write it, which is no word of a sentence"""
_NUMBERED: Final = frozenset((b"<account>", b"<phone>", b"<iban>", b"<pin>", b"<card>"))
_CLASS: Final = compiled(rb"(?:[A-Za-z_]+\.)*(?:[A-Z][a-z]+){2,}")
_PLACE: Final = compiled(rb"[A-Za-z_<>.]+:[0-9]{1,5}\b")
_OBJECTS: Final = frozenset((b"secret", b"secrets"))
_PART: Final = compiled(rb"[0-9]{1,5}(?:[^0-9A-Za-z]|$)|[a-z_]+(?:[^0-9A-Za-z]|$)")
_NUMBER: Final = compiled(rb"[0-9]{1,5}(?:[^0-9A-Za-z]|$)")
_TAIL: Final = b")]},;.>\\"


def assignments(data: bytes) -> bytes:
    """Redact what is assigned to a name that tells, also behind a name that only seemed to."""
    return _scanned(named.ASSIGNED, data, _begins_another, assigned)


def said(data: bytes) -> bytes:
    """Redact what stands behind a name with only a blank between, where no sentence goes on."""
    return _scanned(named.SPOKEN, data, _is_no_name, _said)


def _scanned(
    pattern: Any,
    data: bytes,
    goes_on: Callable[[bytes, bytes, bytes, bytes], bool],
    redacted: Callable[[Any], bytes],
) -> bytes:
    """Redact the matches; where it ``goes_on``, the next search begins at the value's own begin.

    Linear, because only a short value is looked at again.
    """
    pieces: list[bytes] = []
    at = start = 0
    while (match := pattern.search(data, start)) is not None:
        begin, end = match.span(3)
        name, between, value = match.group(1, 2, 3)
        is_short = len(value) <= _MAX_NAME_BYTES and value[:1] != b"["
        is_quoted = _QUOTE.search(value) is not None
        if is_short and (
            (is_quoted and _is_key(value, data[end : end + 2]))
            or (not is_quoted and goes_on(name, between, value, data[end : end + 1]))
        ):
            start = begin
            continue
        pieces += (data[at : match.start()], redacted(match))
        at = start = end
    return b"".join((*pieces, data[at:])) if pieces else data


def _is_key(value: bytes, after: bytes) -> bool:
    """True for the name of a field behind a logger's: ``Keys: "password": "..."``."""
    is_assigned = after.lstrip()[:1] in {b":", b"="}
    return is_assigned and field_of(value.strip(b"\"'`\\")) is not None


def _is_no_name(name: bytes, _between: bytes, value: bytes, _after: bytes) -> bool:
    return field_of(name) is None or b"=" in value.rstrip(b"=")


def _begins_another(name: bytes, between: bytes, value: bytes, after: bytes) -> bool:
    """True where the value is itself a name: ``TokenError: api_key='...'``."""
    field = _field(name, between, value)
    if field is None:
        return True
    another = _ANOTHER.match(value)
    if another is None:
        return False
    inner, rest = another.group(1, 2)
    if not rest:  # the value is behind a quote or a blank
        is_open = after in _OPENING or (value.endswith(b":") and after.isspace())
        return is_open and field_of(inner) is not None
    if between == b"= ":  # nothing is assigned: ``api_key= api_key_file=/run/key``
        return True
    is_said = field.doubt != "none" and between.strip() == b":"
    is_class = _CLASS.fullmatch(name) is not None
    return is_said and (
        is_class
        or field_of(inner) is not None
        or _SNAKE.fullmatch(inner) is not None
        or _ORDINARY.search(inner) is not None
    )


def _field(name: bytes, between: bytes, value: bytes) -> Field | None:
    """Return the field, but None for a logger's name, and for a test's.

    As ``WARNING:krator.session:connected``, ``krator.mail:send:52``, ``test_auth.py::test_a``.
    """
    field = field_of(name)
    if field is None or between != b":":
        return field
    is_place = value[:1] == b":" or (b"." in name and _PLACE.match(value) is not None)
    return None if is_place or (field.doubt == "random" and b"." in name) else field


def assigned(match: Any) -> bytes:
    """Redact a match of a name, what stands between, and a value."""
    name, between, value = match.group(1, 2, 3)
    before = match.string[max(0, match.start() - 1) : match.start()]
    if between == b":" and before == b":" and _PART.match(value) is not None:
        return bytes(match.group())  # krator.keys:load_secret:52, krator:secrets:version
    if between == b":" and before == b":" and b"." in name:
        # ERROR:krator.auth:APIError(code=-1021)
        return bytes(name + between + named.ASSIGNED.sub(_assigned_within, value))
    if between == b":" and (before == b"/" or b"." in name) and _NUMBER.match(value) is not None:
        return bytes(match.group())  # secrets.py:41, /run/secrets/venue_key:1, auth.krator.io:5432
    if _field(name, between, value) is None:
        # What its value is says nothing, but something may be assigned within it.
        return bytes(name + between + named.ASSIGNED.sub(_assigned_within, value))
    return _assigned_within(match)


def _assigned_within(match: Any) -> bytes:
    name, between, value = match.group(1, 2, 3)
    return bytes(name + between + of_field(name, between, value))


def _assigned_in_list(match: Any) -> bytes:
    """As ``_assigned_within``, but a list goes whole: how deep it is must not cost more time."""
    name, between, value = match.group(1, 2, 3)
    field = field_of(name)
    if field is not None and value[:1] == b"[":
        return bytes(name + between + field.kind)
    return _assigned_within(match)


def argument(match: Any) -> bytes:
    """Redact a match of what is before, a name, what stands between, and a value."""
    before, name, between, value = match.group(1, 2, 3, 4)
    return bytes(before + name + between + of_field(name, between, value))


def query(match: Any) -> bytes:
    """Redact a match of a query's field, of which a login's code is one."""
    before, name, between, value = match.group(1, 2, 3, 4)
    if could_be_code(name, value) and not is_done(value):
        return bytes(before + name + between + b"<code>")
    return argument(match)


def _said(match: Any) -> bytes:
    name, between, value = match.group(1, 2, 3)
    whole = bytes(match.group())
    field = field_of(name)
    is_context = value[:1] in {b"[", b"("} and b"=" in value
    if field is None or is_done(value) or is_context:
        return whole
    opening, inner, closing = _inner(value)
    if name.lower() in _OBJECTS and inner.translate(None, b"0123456789") == inner:
        return whole  # secrets "krator-venue" not found
    if not opening and _WRITTEN.search(name) is None:
        return whole
    is_key = field.doubt == "word" and field.kind not in _NUMBERED
    has_digit = inner.translate(None, b"0123456789") != inner
    is_sentence = not has_digit and not (opening and field.doubt == "none")
    if is_sentence and not (is_key and is_random(inner)):
        return whole
    if is_left_alone(inner, "random" if is_key else field.doubt):
        return whole
    return bytes(name + between + opening + field.kind + closing)


def changed(match: Any) -> bytes:
    """Redact both values of ``changed NAME from OLD to NEW``."""
    name, before, old, between, new = match.group(1, 2, 3, 4, 5)
    old, new = (of_field(name, b"=", value) for value in (old, new))
    return bytes(name + before + old + between + new)


def person(match: Any) -> bytes:
    """Redact a match of a name, what stands between, and words with capitals."""
    name, between = match.group(1, 2)
    field = field_of(name)
    if field is None or field.kind not in {b"<name>", b"<address>"}:
        return bytes(match.group())
    return bytes(name + between + field.kind)


def element(match: Any) -> bytes:
    """Redact a match of an XML element's name, the rest of its tag, and its content."""
    name, rest, content = match.group(1, 2, 3)
    field = field_of(name)
    if field is None or is_left_alone(content, field.doubt):
        return bytes(match.group())
    return bytes(b"<" + name + rest + field.kind + b"</")


def of_field(name: bytes, between: bytes, value: bytes) -> bytes:
    """Return the value, with its quotes, as a field of that name may show it."""
    field = field_of(name)
    if field is None or is_done(value):
        return value
    if field.kind == b"<account>" and _OBJECT_LIST.match(value) is not None:
        value = named.ASSIGNED.sub(_assigned_in_list, value)
        return bytes(_NUMBER_OF.sub(rb"\1<account>", value))  # accounts, with their balances
    opening, inner, closing = _inner(value)
    doubt = field.doubt
    if doubt == "none" and between.strip() in {b",", b"of", b"to"} and not opening:
        doubt = "word"  # "the password, please"
    if doubt == "none" and between.replace(b" ", b"").isalpha() and not opening and goes_on(inner):
        return value  # "the password is required"
    if is_left_alone(inner, doubt) or not (opening or inner.strip(b"{[(<|>=")):
        return value
    return opening + field.kind + closing


def _inner(value: bytes) -> tuple[bytes, bytes, bytes]:
    """Part a value from its quotes, or, without any, from what follows it."""
    quoted = _QUOTES.fullmatch(value)
    if quoted is not None:
        opening, inner, closing = quoted.group(1, 2, 3)
        return opening, inner, closing
    following = _NEXT_FIELD.search(value)
    end = len(value) if following is None else following.start()
    while end and value[end - 1] in _TAIL and _DONE_LAST.search(value[:end]) is None:
        end -= 1
    return b"", value[:end], value[end:]


def is_done(value: bytes) -> bool:
    """True for a placeholder of ours, with or without quotes, that nothing is glued to."""
    done = _DONE.match(value)
    return done is not None and (len(value) == done.end() or not value[done.end() :][:1].isalnum())
