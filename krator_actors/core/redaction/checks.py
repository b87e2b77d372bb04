"""Checks of what a pattern has found: check digits, randomness, shapes of our own ids."""

from __future__ import annotations

import base64
import ipaddress
from hashlib import sha256
from itertools import pairwise
from typing import Final

import re2

_MIN_MIXED_CHARS = 16
_LONG_CHARS = 24
_MANY_DIGITS = 3
_MIN_CHANGES = 0.3
_MIN_CHANGES_SHORT = 0.42
_MIN_CHANGES_WITHOUT_DIGIT = 0.5
_MIN_LOWER_CHARS = 25
_MIN_UPPER_CHARS = 20
_MIN_CHANGES_ONE_CASE = 0.22
_MIN_SPLIT_CHARS = 8
_MIN_PHRASE_WORDS = 12
_URL_SAFE: Final = bytes.maketrans(b"-_", b"+/")
_WORDS: Final = re2.compile(rb"[a-z]{3,8}")
_MAX_LOGIN_CHARS = 256
_LOGIN: Final = re2.compile(rb"[A-Za-z0-9._@+-]{0,64}:[!-~]{4,}")
_MESSAGE: Final = re2.compile(rb"[\t\n\r -~]+")
_CARD_DIGITS = range(12, 20)
_IBAN_CHARS: Final = {
    country.encode(): chars
    for chars, countries in {
        15: "NO",
        16: "BE",
        18: "DK FI FO GL NL SD",
        19: "MK SI",
        20: "AT BA EE KZ LT LU MN XK",
        21: "CH HR LI LV",
        22: "BG BH CR DE GB GE IE ME RS VA",
        23: "AE GI IL IQ OM SO TL",
        24: "AD CZ ES MD PK RO SA SE SK TN VG",
        25: "LY PT ST",
        26: "IS TR",
        27: "BI DJ FR GR IT MC MR SM",
        28: "AL AZ BY CY DO GT HU LB PL SV NI",
        29: "BR EG PS QA UA",
        30: "JO KW MU YE",
        31: "MT SC",
        32: "LC",
        33: "RU",
    }.items()
    for country in countries.split()
}
"""ISO 13616's register"""

_DOCUMENTED: Final = tuple(
    ipaddress.ip_network(network)
    for network in ("192.0.2.0/24", "198.51.100.0/24", "203.0.113.0/24", "2001:db8::/32")
)

_OPERATIONAL: Final = re2.compile(
    rb"k[a-z2-7]{31}"  # our client order ids
    rb"|01[0-9A-HJKMNP-TV-Z]{24}"  # ULIDs
    rb"|0x[0-9a-f]+"
    rb"|[0-9]+|[0-9a-f]+|[0-9A-F]+"  # numbers, hashes, commits
    rb"|(?i:[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12})"
)
_DIGEST: Final = re2.compile(
    rb"(?i:(?:sha(?:1|224|256|384|512)|md5|blake[23][bs]?)[:=/-])[A-Za-z0-9+/=_-]{16,}"
)
_TICKET: Final = re2.compile(
    rb"x-[A-Za-z0-9_]{6,34}"  # an order of Binance's through a broker
    rb"|(?:SM|MM|CA)[0-9a-f]{32}"  # a message or a call at Twilio's
    rb"|(?:android|ios|web|and|mac|win|electron)_[A-Za-z0-9]{12,36}"  # and its clients'
    rb"|(?:po|ch|pi|py|evt|in|ii|sub|req|txn|re|tr|cus|price|prod|seti|pm|msg|chatcmpl|cmpl|run|gen"
    rb"|thread|file|job|batch|resp|asst|step|call|toolu|ord|order|trade|fill|trc|span|inc|dep|wamid"
    rb"|srv|build|deploy|snap|vol|sha|etag|vpc|subnet|eni|ami|sg|i)[_-][A-Za-z0-9]{8,40}"
)
_CONTRACT: Final = re2.compile(rb"[A-Z]{1,6}[0-9]{6}[CP][0-9]{8}|[A-Z0-9]{3,16}[-_][0-9]{6}")
_SPLIT: Final = re2.compile(rb"[-_/+%.=~]+")
_CARD: Final = re2.compile(
    rb"4(?:[0-9]{12}|[0-9]{15}|[0-9]{18})|(?:5[1-5]|2[2-7])[0-9]{14}|3[47][0-9]{13}"
    rb"|3(?:0[0-5]|[689][0-9])[0-9]{11}|(?:6011|6[45][0-9]{2}|35[2-8][0-9])[0-9]{12}"
    rb"|62[0-9]{14,17}|(?:50|5[6-9]|6[0-9])[0-9]{10,17}|(?:1800|2131)[0-9]{11}"
)


_BITCOIN: Final = b"123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"
_RIPPLE: Final = b"rpshnaf39wBUDNEGHJKLM4PQRST7VWXYZ2bcdeCg65jkm8oFqi1tuvAxyz"
_MAX_ADDRESS_CHARS = 36
_ADDRESS_BYTES = 25
"""a version, 20 bytes of a key's hash, four of a checksum"""

_USUAL_CARD: Final = re2.compile(rb"(?:4[0-9]|5[1-5]|2[2-7]|35|6[05])[0-9]{14}|3[47][0-9]{13}")


def is_card(text: bytes) -> bool:
    """True for a payment card's number: an issuer's first digits, its length, Luhn's sum."""
    digits = text.replace(b"%20", b"").translate(None, b" -.+")
    if len(digits) not in _CARD_DIGITS or _CARD.fullmatch(digits) is None:
        return False
    total = 0
    for position, char in enumerate(reversed(digits)):
        digit = char - 48
        if position % 2:
            digit = digit * 2 - 9 * (digit > 4)  # noqa: PLR2004 - Luhn: the sum of its digits
        total += digit
    return total % 10 == 0


def is_address(text: bytes) -> bool:
    """True for an address in base58 whose checksum holds: of Bitcoin and its kin, Tron, Ripple."""
    alphabet = _RIPPLE if text[:1] == b"r" else _BITCOIN
    if len(text) > _MAX_ADDRESS_CHARS or text.translate(None, alphabet):
        return False
    number = 0
    for char in text:
        number = number * 58 + alphabet.index(char)
    if number.bit_length() > _ADDRESS_BYTES * 8:
        return False
    data = number.to_bytes(_ADDRESS_BYTES, "big")
    return sha256(sha256(data[:-4]).digest()).digest()[:4] == data[-4:]


def is_usual_card(text: bytes) -> bool:
    """True for a card's number of the lengths and issuers that most are of.

    For a number without gaps, because one of ten of any length satisfies Luhn.
    """
    return _USUAL_CARD.fullmatch(text) is not None and is_card(text)


def iban_within(text: bytes) -> int:
    """Return how long the IBAN at the beginning of ``text`` is, with its gaps; 0 for none.

    ISO 13616: each country has its length, and the whole is 1 modulo 97.
    """
    wanted = _IBAN_CHARS.get(text[:2].upper(), 0)
    letters = bytearray()
    for position, char in enumerate(text.replace(b"%20", b"   "), 1):
        if char not in b" -.+":
            letters.append(char)
            if len(letters) == wanted:
                digits = "".join(str(int(chr(c), 36)) for c in letters[4:] + letters[:4])
                is_whole = not text[position : position + 1].isalnum()
                return position if is_whole and int(digits) % 97 == 1 else 0
    return 0


def is_public_address(text: bytes) -> bool:
    """True for an IP address that is routed in the world, so that it is somebody's.

    Also for one that documents use for such addresses (RFC 5737, RFC 3849).
    """
    try:
        address = ipaddress.ip_address(
            text.replace(b"%3A", b":").replace(b"%3a", b":").decode("ascii")
        )
    except ValueError:
        return False
    return address.is_global or any(address in network for network in _DOCUMENTED)


def is_operational(text: bytes) -> bool:
    """True for numbers, hashes, UUIDs and our own order ids: what a log is read for."""
    return _OPERATIONAL.fullmatch(text) is not None or is_digest(text)


def is_digest(text: bytes) -> bool:
    """True for a hash that says by which function it was made: ``sha256:...``."""
    return _DIGEST.fullmatch(text) is not None


def is_ticket(text: bytes) -> bool:
    """True for an id that says of what it is one: a payment provider's, a language model's."""
    return _TICKET.fullmatch(text) is not None


def is_contract(text: bytes) -> bool:
    """True for a symbol with a date: an option as OCC names it, a future of a venue."""
    return _CONTRACT.fullmatch(text) is not None


def is_phrase(text: bytes) -> bool:
    """True for twelve words and more of which hardly one comes again."""
    words = _WORDS.findall(text)
    return len(words) >= _MIN_PHRASE_WORDS and len(set(words)) > len(words) * 3 // 4


def is_login(text: bytes) -> bool:
    """True for the base64 of ``name:password``, as HTTP sends it."""
    return len(text) <= _MAX_LOGIN_CHARS and _LOGIN.fullmatch(_decoded(text) or b"") is not None


def message_within(text: bytes) -> bytes | None:
    """Return what a text in base64 says, when it says JSON or words; None for anything else."""
    message = _decoded(text) or b""
    is_message = message[:1] in {b"{", b"["} or b" " in message
    return message if is_message and _MESSAGE.fullmatch(message) is not None else None


def _decoded(text: bytes) -> bytes | None:
    encoded = text.rstrip(b"=").translate(_URL_SAFE)
    try:
        return base64.b64decode(encoded + b"=" * (-len(encoded) % 4), validate=True)
    except ValueError:
        return None


def is_random(text: bytes) -> bool:
    """True for what looks drawn by lot: a key, and not a path, a name or an id of ours.

    The measure is how often the class of character (upper, lower, digit) changes from one to
    the next: 62 % of the time in base62, about a third in words set together.
    """
    if is_operational(text) or is_contract(text):
        return False
    pieces = [piece for piece in _SPLIT.split(text) if not is_operational(piece)]
    longest = max(pieces, key=len, default=b"")
    if _is_mixed(longest) or _is_one_case(longest):
        return True
    joined = b"".join(piece for piece in pieces if len(piece) >= _MIN_SPLIT_CHARS)
    return len(joined) >= _LONG_CHARS and _is_mixed(joined)


def _is_mixed(piece: bytes) -> bool:
    if len(piece) < _MIN_MIXED_CHARS or piece.isupper() or piece.islower():
        return False
    changes, digits = _changes(piece), _digits(piece)
    if digits >= _MANY_DIGITS and len(piece) >= _LONG_CHARS:
        return changes >= _MIN_CHANGES
    return changes >= (_MIN_CHANGES_SHORT if digits else _MIN_CHANGES_WITHOUT_DIGIT)


def _is_one_case(piece: bytes) -> bool:
    if piece.islower():
        enough = len(piece) >= _MIN_LOWER_CHARS
    else:
        enough = piece.isupper() and len(piece) >= _MIN_UPPER_CHARS
    return (
        enough and _digits(piece) >= _MANY_DIGITS - 1 and _changes(piece) >= _MIN_CHANGES_ONE_CASE
    )


def _digits(piece: bytes) -> int:
    return len(piece) - len(piece.translate(None, b"0123456789"))


def _changes(piece: bytes) -> float:
    classes = piece.translate(_CLASS)
    return sum(a != b for a, b in pairwise(classes)) / len(piece)


_CLASS: Final = bytes(
    ord("0") if chr(c).isdigit() else ord("A") if chr(c).isupper() else ord("a") for c in range(256)
)
