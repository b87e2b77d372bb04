"""Secrets that people and shells put among words: ``the password for vpn is ...``.

A word after such a name goes unless it is one with which a sentence goes on.
"""

# ruff: noqa: E501 - a pattern is one line, because it is read against a format and not as prose
from __future__ import annotations

import base64
from typing import Any, Final

from krator_actors.core.redaction.checks import is_operational, is_random, is_ticket
from krator_actors.core.redaction.fields import field_of, is_left_alone
from krator_actors.core.redaction.linear import compiled
from krator_actors.core.redaction.sentences import goes_on
from krator_actors.core.redaction.values import is_done

_MIN_WORD_CHARS = 4
_MIN_MIXED_CHARS = 5
_MIN_HYPHENS = 2
_MIN_HEX_CHARS = 16
_MIN_UPPER_CHARS = 16

_NAME = (
    rb"(?:[a-z0-9]+[-_])?(?:pass(?:word|wort|wd|phrase|code)|pass|pwd|pw|psw|kennwort|zugangscode|contrase\S{1,6}a|clave|senha|"
    rb"mot de passe|mdp|parola|wachtwoord|has\S{1,4}o|l\S{1,4}senord|heslo|secret|token|otp|pin|"
    rb"(?:api|access|secret|private|signing|license|client|shared|auth|webhook|encryption|consumer|app|bot|listen|session)[ _-]?(?:key|secret|token|passphrase|id)|"
    rb"cred(?:ential)?s?|credentials|(?:recovery|backup|verification|security|login|access|one-time|2fa|mfa|auth|activation|invite|sms)[ _-](?:code|token)s?|"
    rb"(?:[th]otp|otp|2fa|mfa|authenticator)[ _-](?:seed|secret|key))"
)
_VALUE = rb"[^\s\"'`<>(){}\[\],;|\\]+"
_OF = rb"(?: (?:for|of|to|on|at|in|from|f\S{1,3}r|pour|para|de|per|di|von|zum|auf)(?: (?:the|our|my|your|der|die|das|den|dem|des|le|la|el))?(?: (?:user|account|role|login|service|database|user(?:name)?))? [A-Za-z0-9_.@/'-]{1,64}(?: (?:user|admin|account|role|login|database|db|server|dashboard|superuser|console|cluster|replica|api|key|bot))?){1,2}"
_BE = rb"(?: (?:is|was|lautet|ist|est|es|\xc3\xa8|jest|er|now|still|again|currently|changed|set|reset|updated|to|should|must|will|be|been|has))+ (?:now )?[:=]?\s*"
_GIVEN = rb"(?:with|using|use|used|via|by|try|tried|mit|avec|con|com|and|new|old|temp|temporary|initial|default|my|your|his|her|their|user|admin|root|db|database|redis|vpn|wifi|master|neues|nouveau|nueva|enter|entered|typed|send|sent|provided|supplied)"

OF: Final = compiled(
    rb"\b("
    + _NAME
    + rb")((?: (?:reset|change|update|rotation))?"
    + _OF
    + rb"(?:\s*(?:[:=]|=>|->)\s*|"
    + _BE
    + rb"))([\"'`]?)("
    + _VALUE
    + rb")",
    any_case=True,
)
"""name, of what it is and what stands between, a quote, value"""

AFTER: Final = compiled(
    rb"\b("
    + _GIVEN
    + rb"(?: (?:the|a|an|this|your|my|new))? )?("
    + _NAME
    + rb")([ \t]+(?:[-~>*]+|\xe2\x80[\x90-\x95]|\xe2\x86\x92|\.{2,})?[ \t]*\**)("
    + _VALUE
    + rb")",
    any_case=True,
)
"""a word that announces it, name, what stands between, value"""

BEFORE: Final = compiled(
    rb"("
    + _VALUE
    + rb"|\"[^\"\s]+\"|'[^'\s]+')((?:\s+(?:is|was|as|are|ist|est|es|=)\s+(?:(?:the|a|an|my|your|our|its|his|her|new|old|current|temp|temporary|admin|root|db|database|redis|vpn|venue|binance|kraken|coinbase|alpaca|der|das|die|le|la|el)\s+){0,4}|\s*[(\[]\s*(?:(?:the|new|old|temp)\s+)?|\s+<-+\s*)"
    + _NAME
    + rb")\b",
    any_case=True,
)
"""value, what stands between and the name"""

PAIR: Final = compiled(
    rb"\b((?:cred(?:ential)?s?|logins?|log in|sign in|zugang(?:sdaten)?|user(?:name)?[/:]pass(?:word)?|acceso|identifiants)\b[^\n/:=]{0,24}[:=]?\s+)([A-Za-z0-9_.@+-]{2,64}|<email>|<name>)(\s+[/|-]\s+|[/|:]|,\s+)([\"'`]?)("
    + _VALUE
    + rb")",
    any_case=True,
)
"""word for a name and its password, what stands between, the name, what parts them, quote, password"""

CODES: Final = compiled(
    rb"((?:backup|recovery|scratch|emergency|rescue|reserve)[ _-]?codes?[\"']?(?: are| is)?\s*[:=]?\s*[\[(\"']*)((?:[a-z0-9]{4,6}-[a-z0-9]{4,6}[, |/\"']{0,4}|[a-z]{0,8}[0-9][a-z0-9]{2,11}(?:-[a-z0-9]{3,8}){0,3}[, |/\"']{0,4}){1,16})",
    any_case=True,
)
"""name, codes that are used once, one after another"""

PIPED: Final = compiled(
    rb"(\b(?:echo|printf)\s+(?:-[ne]+\s+|\\*[\"']%s(?:\\+n)?\\*[\"']\s+)?\\*[\"']?)([^\s\"'|\\]+)(\\*[\"']?\s*\|\s*[^\n|]{0,60}?(?:secret|passw|stdin|vault|gopass|pass insert|login|credential|sudo -S|cryptsetup))",
    any_case=True,
)
"""a shell's echo, a word, and the command that takes it for a secret"""

ACL: Final = compiled(rb"([\s\"'][><#!])([^\s\"'<>]{4,})")
"""passwords and their hashes in a rule of Redis's access list"""

MANIFEST: Final = compiled(rb"((?:\n|\\n)\s+[A-Za-z0-9_.-]{1,80}: )([A-Za-z0-9+/]{4,}={0,2})")
"""a key and base64 in the data of a Kubernetes secret"""

MAY_BE: Final = compiled(
    rb"pass|pw|kennwort|zugang|contrase|clave|senha|mot de|mdp|parola|wachtw|has.{1,4}o |senord|heslo|secret|token|otp|pin\b|"
    rb"sudo|cryptsetup|key|cred|code|login|log in|sign in|acceso|identifiants",
    any_case=True,
)

_OWN_NAME: Final = compiled(rb"[A-Za-z_][A-Za-z0-9_.-]*[=:(].*")
_PLAIN: Final = compiled(rb"[A-Za-z\x80-\xff]+")
_WORDS: Final = compiled(rb"[A-Za-z]+(?:[-_/.:][A-Za-z]+)+")
_ARTICLE: Final = compiled(
    rb" (?:is|was|ist|est) (?:the|my|your|our|his|her|new|das|le) ", any_case=True
)
_MEASURE: Final = compiled(
    rb"[#v-]?[0-9][0-9.,:/%-]*[a-z]{0,3}|[0-9]+(?:st|nd|rd|th|-char|-bit).*|sha-?[0-9].*|scram.*|hmac.*|aes.*|v[0-9.]+",
    any_case=True,
)
_PASSWORD: Final = compiled(
    rb"pass|pw|kennw|contras|senha|mot de|mdp|parola|wachtw|has|l.{1,4}sen|heslo|zugang",
    any_case=True,
)
_TAIL: Final = b".,;:!?*)]}"


def in_prose(data: bytes) -> bytes:
    """Return the text without what words announce as a secret."""
    if b"SETUSER" in data or b"setuser" in data or b"+@" in data:
        data = ACL.sub(_rule_of_access, data)
    if b"kind: Secret" in data:
        data = MANIFEST.sub(_encoded, data)
    if MAY_BE.search(data) is None:
        return data
    if b"|" in data:
        data = PIPED.sub(_piped, data)
    data = CODES.sub(rb"\1<secret>", data)
    data = OF.sub(_of, data)
    data = AFTER.sub(_after, data)
    data = BEFORE.sub(_before, data)
    return bytes(PAIR.sub(_pair, data))


def _is_secret(value: bytes, *, is_announced: bool, is_password: bool) -> bool:
    """True for what stands beside the name of a secret and is no part of the sentence."""
    if is_done(value) or b"<" in value or goes_on(value):
        return False
    is_hex = is_announced and is_password and len(value) >= _MIN_HEX_CHARS and not value.isdigit()
    if is_left_alone(value, "none") or is_ticket(value) or (is_operational(value) and not is_hex):
        return False
    if _MEASURE.fullmatch(value) is not None or _OWN_NAME.fullmatch(value.rstrip(b"=")) is not None:
        return False
    if _PLAIN.fullmatch(value) is not None:
        is_word = value[1:].islower()
        return (
            len(value) >= _MIN_WORD_CHARS
            and is_password
            and (is_announced or not is_word)
            and (not value.isupper() or len(value) >= _MIN_UPPER_CHARS)
        )
    if _WORDS.fullmatch(value) is not None:
        return is_password and (is_announced or value.count(b"-") >= _MIN_HYPHENS)
    return len(value) >= _MIN_MIXED_CHARS and (
        is_password or is_random(value) or not is_left_alone(value, "random")
    )


def _parted(value: bytes) -> tuple[bytes, bytes]:
    inner = value.rstrip(_TAIL)
    return inner, value[len(inner) :]


def _kind(name: bytes) -> bytes:
    field = field_of(name)
    return b"<password>" if field is None else field.kind


def _of(match: Any) -> bytes:
    name, between, quote, value = match.group(1, 2, 3, 4)
    inner, tail = _parted(value)
    if not _is_secret(inner, is_announced=True, is_password=True):
        return bytes(match.group())
    return bytes(name + between + quote + _kind(name) + tail)


def _after(match: Any) -> bytes:
    announced, name, between, value = match.group(1, 2, 3, 4)
    inner, tail = _parted(value)
    is_marked = between.strip() != b""
    is_password = _PASSWORD.search(name) is not None
    if not _is_secret(inner, is_announced=bool(announced) or is_marked, is_password=is_password):
        return bytes(match.group())
    return bytes((announced or b"") + name + between + _kind(name) + tail)


def _before(match: Any) -> bytes:
    value, between = match.group(1, 2)
    inner = value.strip(b"\"'")
    has_digit = inner.translate(None, b"0123456789") != inner
    is_told = _ARTICLE.search(between) is not None
    is_word = (
        not has_digit
        and inner == value
        and not is_told
        and (_PLAIN.fullmatch(inner) or inner.count(b"-") < _MIN_HYPHENS)
    )
    if is_word or not _is_secret(inner, is_announced=is_told or inner != value, is_password=True):
        return bytes(match.group())
    quote = value[:1] if inner != value else b""
    return bytes(quote + b"<secret>" + quote + between)


def _pair(match: Any) -> bytes:
    before, user, between, quote, value = match.group(1, 2, 3, 4, 5)
    inner, tail = _parted(value)
    is_told = (before[:4].lower() == b"cred" or user == b"<email>") and between.strip() in {
        b"/",
        b"|",
        b":",
    }
    is_plain = _PLAIN.fullmatch(inner) is not None or _WORDS.fullmatch(inner) is not None
    if (is_plain and not is_told) or not _is_secret(inner, is_announced=True, is_password=True):
        return bytes(match.group())
    return bytes(before + user + between + quote + b"<password>" + tail)


def _piped(match: Any) -> bytes:
    before, value, after = match.group(1, 2, 3)
    return bytes(match.group() if is_left_alone(value, "none") else before + b"<secret>" + after)


def _rule_of_access(match: Any) -> bytes:
    before, value = match.group(1, 2)
    return bytes(match.group() if is_done(value) else before + b"<password>")


def _encoded(match: Any) -> bytes:
    before, value = match.group(1, 2)
    try:
        text = base64.b64decode(value, validate=True)
    except ValueError:
        return bytes(match.group())
    return bytes(before + b"<secret>" if text.isascii() and len(value) % 4 == 0 else match.group())
