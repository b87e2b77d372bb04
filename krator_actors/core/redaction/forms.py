"""Patterns of what is secret or personal by its own form, whatever stands beside it."""

# ruff: noqa: E501 - a pattern is one line, because it is read against a format and not as prose
from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, NamedTuple

from krator_actors.core.redaction.checks import (
    is_address,
    is_card,
    is_operational,
    is_public_address,
    is_random,
    is_usual_card,
)
from krator_actors.core.redaction.linear import compiled

_PHONE_DIGITS = range(9, 16)
_MAC_CHARS = 17


class Rule(NamedTuple):
    """One form: group 1 is kept, group 2 is what ``check`` must agree to and is replaced."""

    kind: bytes
    pattern: Any
    check: Callable[[bytes], bool] | None = None
    unless: Any = None
    """found in group 1, it speaks for something ordinary"""
    needs: Callable[[bytes], bool] | None = None
    """false for a text that cannot hold it; cheaper than to look, as most lines hold nothing"""


# An escape in front of a value (\n, %3D) is no letter of it.
_START = rb"(\b|\\[nrtf]|%[0-9A-Fa-f]{2}|\\u00[0-9a-f]{2}|_)"


def _rule(
    kind: bytes,
    *forms: bytes,
    check: Callable[[bytes], bool] | None = None,
    start: bytes = _START,
    unless: Any = None,
    needs: Callable[[bytes], bool] | None = None,
) -> Rule:
    pattern = start + rb"(" + rb"|".join(forms) + rb")"
    return Rule(kind, compiled(pattern), check, unless, needs)


_PEM_BEGIN = rb"-----BEGIN[ A-Z0-9]{0,40}(?:PRIVATE KEY|SECRET|CERTIFICATE|PRIVATE)[ A-Z]{0,20}"
WHOLE_PEM: Final = compiled(_PEM_BEGIN + rb"-----(?:[^-]|-{1,4}[^-])*?-----END[ A-Z0-9]{0,60}-----")
"""whatever stands in its lines: a log may have put its own words before each"""

PEM: Final = compiled(
    _PEM_BEGIN + rb"(?:-----)?"
    rb"(?:[A-Za-z0-9+/=\s\\:,.\"'>|#]|-[A-Za-z0-9])*(?:-{2,5}END[A-Z ]*-{0,5})?"
)

_SCHEMES = rb"(?:[A-Za-z][A-Za-z0-9+.-]*)"
USER_INFO: Final = (
    # the password up to the last @ before the path; then one that holds a slash; then a token alone
    compiled(rb"(:(?:\\*/){2}[^\s/?#\"'<>@:\\]*(?::|%3A))([^\s/?#\"'<>\\]+)@"),
    compiled(rb"(://[^\s/?#\"'<>@:\\]*:)([^\s\"'<>@\\]+)@"),
    compiled(rb"(://)([^\s/?#\"'<>@:\\]{12,})@"),
)

PHRASE: Final = compiled(rb"\b[a-z]{3,8}(?:(?: |, ?|\\*[\"'], ?\\*[\"'])[a-z]{3,8}){11,}\b")
"""twelve words and more as a wallet's seed has them: short, in lower case, one after another"""

PROSE: Final = compiled(
    rb"\b(?:the|and|for|was|not|from|has|are|its|with|been|were|had|but|out|our|their|which|while|than)\b"
)
"""words that no wallet's list has and no sentence does without"""

_PREFIXED = (
    rb"(?:AKIA|ASIA|ABIA|ACCA|AROA|AIDA|AGPA|ANPA|ANVA|APKA|A3T[A-Z0-9])[A-Z0-9]{12,}",
    rb"gh[opusr]_[A-Za-z0-9_]{16,}|github_pat_[A-Za-z0-9_]{20,}",
    rb"gl(?:pat|dt|ptt|rt|cbt|ft|imt|agent|oas|soat|rtr|ffct)-[A-Za-z0-9_.=-]{12,}|GR1348941[\w-]{10,}",
    rb"xox[a-z](?:\.xox[a-z])?-[A-Za-z0-9.-]{8,}|xapp-[A-Za-z0-9-]{10,}|xwfp-[A-Za-z0-9-]{10,}",
    rb"(?:sk|rk|pk|ak|tk|mk|live|test|prod)_(?:live|test|prod|sandbox)_[A-Za-z0-9_-]{8,}",
    rb"(?:live|test)_[A-Za-z0-9]{20,}|whsec_[A-Za-z0-9+/=]{16,}|cs_(?:live|test)_\w{16,}",
    rb"sk-[A-Za-z0-9_-]{16,}|(?:pplx|xai|gsk|nvapi|r8|hf|api_org|fw|tgp_v1|csk|key)[-_][A-Za-z0-9_-]{16,}",
    rb"AIza[A-Za-z0-9_-]{20,}|ya29\.[A-Za-z0-9_.-]{10,}|GOCSPX-[A-Za-z0-9_-]{16,}|1//[A-Za-z0-9_-]{20,}",
    rb"AQVN[A-Za-z0-9_-]{20,}|t1\.[A-Z0-9a-z_-]+=*\.[A-Za-z0-9_=-]{20,}|YC[A-Za-z0-9_-]{30,}",
    rb"EAA[A-Za-z0-9]{16,}|EAAA[A-Za-z0-9_-]{20,}|sq0[a-z]{3}-[A-Za-z0-9_-]{16,}|sandbox-sq0\w{3}-[\w-]{16,}",
    rb"shp(?:at|ss|ca|pa|ua)_[A-Fa-f0-9]{16,}|npm_[A-Za-z0-9]{20,}|pypi-[A-Za-z0-9_-]{20,}",
    rb"do[oprt]_v1_[a-f0-9]{32,}|dapi[a-h0-9]{16,}(?:-[0-9])?|dckr_(?:pat|oat)_[A-Za-z0-9_-]{16,}",
    rb"gl(?:sa|c)_[A-Za-z0-9_+/=]{16,}|lin_(?:api|oauth)_[A-Za-z0-9]{16,}|(?:ntn|secret)_[A-Za-z0-9]{20,}",
    rb"NR(?:AK|II|JS|RA|IQ|AA)-?[A-Za-z0-9_-]{16,}|PMAK-[A-Fa-f0-9-]{20,}|pul-[a-f0-9]{20,}|rubygems_[a-f0-9]{20,}",
    rb"access_token\$(?:production|sandbox)\$[a-z0-9]+\$[a-f0-9]+|dp\.(?:pt|st|ct|sa|scim|audit)\.[A-Za-z0-9._-]{16,}",
    rb"dt0[a-z][0-9]{2}\.[A-Z0-9]{16,}\.[A-Z0-9]{16,}|figd_[A-Za-z0-9_-]{16,}|fio-u-[A-Za-z0-9_=-]{16,}",
    rb"FLW(?:SECK|PUBK)(?:_TEST)?-?[A-Za-z0-9-]{12,}|ico-[a-zA-Z0-9]{20,}|pat[A-Za-z0-9]{14}\.[a-f0-9]{32,}",
    rb"(?:pub)?key-[a-f0-9]{24,}|x(?:keysib|smtpsib)-[a-f0-9]{20,}-?[A-Za-z0-9]*|AGE-SECRET-KEY-1[A-Z0-9]{20,}",
    rb"hv[sbr]\.[A-Za-z0-9_-]{20,}|[sbr]\.[A-Za-z0-9]{24}|[A-Za-z0-9]{14}\.atlasv1\.[A-Za-z0-9_=-]{30,}",
    rb"AT(?:ATT|CTT|BB)[A-Za-z0-9_=-]{16,}|BBDC-[A-Za-z0-9+/=]{16,}|CLOJARS_[a-z0-9]{20,}|CFPAT-[A-Za-z0-9_-]{16,}",
    rb"duffel_(?:test|live)_[\w=-]{16,}|EZ[AT]K[A-Za-z0-9]{20,}|sntry[su]_[A-Za-z0-9+/=_-]{16,}|sgp_[A-Za-z0-9_]{16,}",
    rb"ph[cxs]_[A-Za-z0-9]{20,}|shippo_(?:live|test)_[a-f0-9]{16,}|(?:SK|AC)[0-9a-f]{32}|LTAI[A-Za-z0-9]{12,}|AKID[A-Za-z0-9]{13,}",
    rb"(?:bot)?[0-9]{8,10}:[A-Za-z0-9_-]{34,36}|ops_eyJ[A-Za-z0-9+/=_-]{20,}|A3-[A-Z0-9]{6}-(?:[A-Z0-9]{5,11}-?){4,6}",
    rb"sl\.[A-Za-z0-9_=-]{30,}|pscale_(?:tkn|pw|oauth)_[\w=.-]{16,}|rdme_[a-z0-9]{30,}|tk-us-[\w-]{20,}",
    rb"sb(?:p|_secret|_publishable)_[A-Za-z0-9_-]{16,}|oy2[a-z0-9]{20,}|p8e-[a-z0-9]{20,}|HRKU-[A-Za-z0-9_-]{20,}",
    rb"v1\.0-[a-f0-9]{20,}-[a-f0-9]{20,}|mlsn\.[a-f0-9]{20,}|tfp_[A-Za-z0-9]{20,}|sm_[a-f0-9]{30,}",
    rb"SG\.[A-Za-z0-9_=.-]{16,}|AAAA[A-Za-z0-9_-]{7}:[A-Za-z0-9_-]{30,}|[MNO][A-Za-z\d_-]{22,28}\.[\w-]{6}\.[\w-]{25,}",
    rb"organizations/[A-Za-z0-9-]{8,}/apiKeys/[A-Za-z0-9-]{8,}|[a-z0-9]{4}AAAA[a-z0-9]{8,}",
    rb"(?:PK|AK|CK|SK)[A-Z0-9]{16,24}|[A-Za-z0-9_~.-]{3}[0-9]Q~[A-Za-z0-9_~.-]{31,34}|AccountKey=[A-Za-z0-9+/=]{20,}",
    rb"[a-z]{2,12}[-_](?:pat|sk|pk|rk|tok|token|secret|key|api|live|test|prod)[-_][A-Za-z0-9]{20,}",
    rb"[a-z]{3,12}-(?:sandbox|production|development|live|test)-[0-9a-f]{8}-[0-9a-f-]{20,27}",
    rb"fo1_[A-Za-z0-9_-]{20,}|fm[0-9][a-z]?_[A-Za-z0-9+/=_-]{20,}",
    rb"SCRAM-SHA-256\$[0-9]+:[A-Za-z0-9+/=:$]+",
    rb"sq[pua]_[a-f0-9]{20,}|bkua_[a-f0-9]{20,}|lsv2_(?:pt|sk)_[a-f0-9_]{20,}|CCIPAT_[A-Za-z0-9_]{16,}",
    rb"(?:sdk|mob)-[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}|[0-9a-f]{32}-us[0-9]{1,2}\b|[A-Za-z0-9]{6}_[A-Za-z0-9]{29}_mmk",
)
_CRYPT = (
    rb"\$2[abxy]?\$[0-9]{2}\$[A-Za-z0-9./]{30,}|\$(?:argon2(?:id|i|d)|scrypt|pbkdf2[a-z0-9-]*|apr1|[1567y]|gy|sha1|md5)\$[A-Za-z0-9./+=,$-]{16,}",
    rb"(?:pbkdf2_sha(?:1|256|512)|bcrypt_sha256|argon2)\$[A-Za-z0-9./+=,$-]{16,}|\{(?:S?SHA(?:256|512)?|S?MD5|CRYPT)\}[A-Za-z0-9./+=$]{16,}",
    rb"md5[0-9a-f]{32}\b",
)
"""passwords as crypt(3), Django, LDAP and PostgreSQL keep them"""
_URLS = (
    rb"hooks\.slack\.com\\*/(?:services|workflows|triggers)\\*/[A-Za-z0-9_/+\\-]+",
    rb"(?:discord(?:app)?\.com/api/(?:v[0-9]+/)?webhooks)/[0-9]+/[A-Za-z0-9_-]+",
    rb"[a-z0-9.-]*webhook\.office\.com/webhookb2/[A-Za-z0-9@/_-]+",
    rb"api\.telegram\.org/bot[A-Za-z0-9:_-]+|outlook\.office\.com/webhook/[A-Za-z0-9@/_-]+",
)
_NODES = rb"(?:infura\.io/(?:ws/)?v[0-9]+|alchemy(?:api)?\.(?:com|io)/v[0-9]+|quiknode\.pro|ankr\.com/[a-z_]+)/[A-Za-z0-9_-]{20,}"
_WALLETS = (
    rb"(?:bc1|tb1|ltc1)[ac-hj-np-z02-9]{25,87}\b|[13][a-km-zA-HJ-NP-Z1-9]{25,34}|0x[a-fA-F0-9]{40}\b",
    rb"[xyzt](?:prv|pub)[A-Za-z0-9]{80,}|addr1[a-z0-9]{30,}|cosmos1[a-z0-9]{38}|[5KL][1-9A-HJ-NP-Za-km-z]{50,51}",
    rb"(?:T|r|D|L|M|X)[1-9A-HJ-NP-Za-km-z]{32,34}|bitcoincash:[a-z0-9]{40,}|4[0-9AB][1-9A-HJ-NP-Za-km-z]{93}",
)


def _has_digit_and_letter_mix(text: bytes) -> bool:
    if text[:1] in {b"1", b"3"} and not text.islower() and not text.isupper():
        return True
    return (
        text[:2] in {b"bc", b"tb", b"lt", b"0x", b"ad", b"co", b"bi"}
        or is_random(text)
        or is_address(text)
    )


_NO_WORD: Final = compiled(rb"[BCDFGHJKLMNPQRTVWXZ]{3}|Q[^U]|[JQXZ]{2}|[AEIOU]{4}")


def _has_digit(text: bytes) -> bool:
    return any(48 <= char < 58 for char in text)  # noqa: PLR2004 - ASCII 0 to 9


def _is_drawn(text: bytes) -> bool:
    """True for letters that are no word, or for any with a digit."""
    is_word = text.startswith(b"PASS") or _NO_WORD.search(text) is None
    return _has_digit(text) or not is_word


def _is_phone(text: bytes) -> bool:
    number = text.replace(b"%20", b" ").lower().partition(b"x")[0].partition(b"e")[0]
    return len(number) - len(number.translate(None, b"0123456789")) in _PHONE_DIGITS


def _is_public_ipv6(text: bytes) -> bool:
    return is_public_address(text.rstrip(b":"))


def _is_address_of_few(text: bytes) -> bool:
    """True for the end of an address that only those know to whom it was given."""
    if is_operational(text):
        return not text.isdigit() and b"-" not in text
    return _has_digit(text) and not text.islower() and (text.upper() != text or b"/" in text)


def _is_mail(text: bytes) -> bool:
    return not text.endswith((b".service", b".socket", b".timer", b".slice", b".scope", b".mount"))


_HOST = rb"[A-Za-z0-9\x80-\xff-]|\\+u[0-9a-f]{4}|%[C-Fc-f89ABab][0-9A-Fa-f]"

JWT: Final = compiled(
    _START + rb"(ey[JK][A-Za-z0-9_+/-]{8,}={0,2}(?:\.[A-Za-z0-9_=-]*){0,4}"
    rb"|Z[XY][a-zA-Z0-9_+/-]{1}K[A-Za-z0-9+/_-]{30,}={0,2})"
)
"""JSON in base64, which a JWT begins with; once more encoded, too"""


def _has_at(data: bytes) -> bool:
    return any(at in data for at in (b"@", b"%40", b" at ", b"(at)", b"[at]", b"0040", b"&#64;"))


def _has_plus(data: bytes) -> bool:
    return b"+" in data or b"%2" in data


def _has_dots(data: bytes) -> bool:
    return data.count(b".") >= 3  # noqa: PLR2004 - of an IPv4 address


def _has_colons(data: bytes) -> bool:
    return data.count(b":") >= 2 or b"%3" in data  # noqa: PLR2004 - of an IPv6 address


def _has_pairs(data: bytes) -> bool:
    return data.count(b":") >= 5 or data.count(b"-") >= 5  # noqa: PLR2004 - of a MAC address


LONG: Final = compiled(rb"[A-Za-z0-9+/_%.:$~-]{13,}")
"""without it no LONG_TOKENS are there, no JWT and no CANDIDATE"""

LONG_TOKENS: Final[tuple[Rule, ...]] = (
    _rule(b"<url>", *_URLS, _NODES, needs=lambda data: b"/" in data),
    _rule(
        b"<session>",
        rb"[A-Za-z0-9]{40,}",
        start=rb"(\b(?:ws|stream|userstream|fstream|dstream)[a-z0-9.:-]*/(?:ws|stream)/)",
        needs=lambda data: b"/" in data,
    ),
    _rule(b"<password>", *_CRYPT, start=rb"(^|[^A-Za-z0-9$/+])"),
    _rule(
        b"<token>",
        rb"[A-Za-z0-9_~=/-]{16,}",
        start=rb"((?i:/(?:hooks?|webhooks?|services|incoming|bot|reset(?:-password)?|password-reset|verify|confirm|activate|invite|magic|unsubscribe|share)/))",
        check=_is_address_of_few,
        needs=lambda data: b"/" in data,
    ),
    _rule(b"<key>", *_PREFIXED),
    _rule(
        b"<key>",
        rb"[A-Za-z0-9+/=]{32,}",
        start=rb"((?i:from_(?:private_|secret_)?key|private_?key_?to_?account|new (?:ethers\.)?wallet)\(\\*[\"'])",
        needs=lambda data: b"(" in data,
    ),
    _rule(
        b"<secret>",
        rb"[A-Z2-7]{16,}",
        start=rb"((?i:\b[th]otp\(\\*[\"'])|otpauth://[^\s\"']{1,200}secret=)",
        needs=lambda data: b"otp" in data.lower(),
    ),
    _rule(
        b"<wallet>",
        *_WALLETS,
        check=_has_digit_and_letter_mix,
        start=rb"((?i:sha[0-9]{1,3}[:-])|-|^|[^%0-9A-Za-z_]|\\[nrtf]|%[0-9A-Fa-f]{2}|\\u00[0-9a-f]{2}|_)",
        unless=compiled(rb"-|sha", any_case=True),
    ),
)

TOKENS: Final[tuple[Rule, ...]] = (
    # Kraken's account number looks like an IBAN
    _rule(
        b"<account>",
        rb"PA[0-9A-Z]{8,12}\b",
        rb"[DF]?[UI][0-9]{7,8}\b",
        rb"AA[0-9]{2}(?:(?:[ +-]|%20)?[A-Z0-9]{4}){3}\b",
        check=_is_drawn,
    ),
    _rule(
        b"<account>",
        rb"[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}|[0-9]{6,}|[A-Z0-9]{8,16}\b",
        start=rb"(/(?:sub-?)?(?:accounts?|portfolios?)/)",
        check=_is_drawn,
        needs=lambda data: b"/" in data,
    ),
    _rule(
        b"<email>",
        rb"(?:(?:[A-Za-z0-9.!#$'*+^_~%\x80-\xff-]|<name>)+|\\*\"[A-Za-z0-9 ._+-]{1,64}\\*\")(?:@|%40|\\u0040|&#64;|\(at\)|\[at\]| at )"
        rb"(?:(?:"
        + _HOST
        + rb")+(?:\.| dot |\[dot\]|\(dot\)))+(?:xn--[a-z0-9-]+|(?:[A-Za-z\x80-\xff]|\\+u[0-9a-f]{4}|%[C-Fc-f89ABab][0-9A-Fa-f]){2,})",
        check=_is_mail,
        needs=_has_at,
        start=rb"((?:://)?)",
        unless=compiled(rb"://"),
    ),
)

_COUNTED = rb"ids?|orders?|trades?|seq|sequence|nonce|time|timestamp|ts|lock|key|[nmu]s|offset|update|bytes|size"
ORDINARY: Final = compiled(
    rb"(?:(?:^|[^A-Za-z])(?i:"
    + _COUNTED
    + rb"|of|at|(?:order|trade|exec|fill|req|update)(?:ids?|number))"
    rb"|[a-z](?:I[Dd]s?|Seq|Time|Timestamp|Number|Nonce|[NMU]s))[^A-Za-z]*$"
)
"""a name in front of a number that says it is a count, a time or an id"""

NUMBERS: Final[tuple[Rule, ...]] = (
    _rule(
        b"<card>",
        rb"[0-9]{4}(?:(?:[ +-]|%20)[0-9]{4}){3}(?:(?:[ +-]|%20)[0-9]{3})?\b|[0-9]{4}(?:[ +-]|%20)[0-9]{6}(?:[ +-]|%20)[0-9]{4,5}\b",
        check=is_card,
    ),
    _rule(
        b"<card>",
        rb"[0-9]{15,16}\b",
        check=is_usual_card,
        start=rb"((?:[A-Za-z_]+[\s\\\"']{0,4}[:=#]?[\s\\\"'(\[]{0,3})?\b)",
        unless=ORDINARY,
    ),
    _rule(
        b"<ssn>",
        rb"[0-9]{3}[- ][0-9]{2}[- ][0-9]{4}\b",
        rb"[A-CEGHJ-PR-TW-Z]{2} ?[0-9]{2} ?[0-9]{2} ?[0-9]{2} ?[A-D]\b",
        rb"[0-9]{3}\.[0-9]{3}\.[0-9]{3}-[0-9]{2}\b",
        # Switzerland, Italy, Mexico, Germany's pension, Singapore, France, India
        rb"756\.[0-9]{4}\.[0-9]{4}\.[0-9]{2}\b|[A-Z]{6}[0-9]{2}[A-EHLMPR-T][0-9]{2}[A-Z][0-9]{3}[A-Z]\b",
        rb"[A-Z]{4}[0-9]{6}[HM][A-Z]{5}[A-Z0-9][0-9]\b|[0-9]{2} ?[0-9]{6} ?[A-Z] ?[0-9]{3}\b",
        rb"[STFG][0-9]{7}[A-Z]\b|[12] [0-9]{2} (?:0[1-9]|1[0-2]) [0-9]{2} [0-9]{3} [0-9]{3}(?: [0-9]{2})?\b",
        rb"[2-9][0-9]{3} [0-9]{4} [0-9]{4}\b",
    ),
    _rule(
        b"<phone>",
        rb"%2[Bb][0-9]{1,3}(?:(?:[ ./()+\x2d]|%20|%28|%29){0,3}[0-9]){6,13}(?:(?: |\+|%20)?(?:x|ext\.?)(?: |\+|%20)?[0-9]{1,6})?",
        rb"(?:\+|\(\+)[0-9]{1,3}\)?(?:[ ./()\x2d]{0,3}[0-9]){6,13}(?: ?(?:x|ext\.?) ?[0-9]{1,6})?",
        start=rb"(^|[^0-9A-Za-z.+]|\\[nrt])",
        needs=_has_plus,
    ),
    _rule(
        b"<phone>",
        # (555) 123-4567, 555-123-4567 x12, 001-555-123-4567, 1-800-555-0199
        rb"(?:(?:001|1)[ .\x2d])?(?:\([0-9]{2,5}\) ?|[0-9]{3}[ .\x2d])[0-9]{3}[ .\x2d][0-9]{4}(?: ?(?:x|ext\.?) ?[0-9]{1,6})?\b",
        rb"(?:\([0-9]{3}\)|[0-9]{3}\x2d)[0-9]{3}[.\x2d]?[0-9]{4}(?: ?(?:x|ext\.?) ?[0-9]{1,6})?\b",
        rb"[0-9]{10}(?:x|ext\.?)[0-9]{1,6}\b",
        # a national number begins with 0 and has a gap: 030 1234567, 0171/1234567, 06 12 34 56 78
        rb"\(?(?:0|00)[1-9][0-9]{0,4}\)?[ /\x2d][0-9]{3,8}(?:[ \x2d][0-9]{2,8}){0,3}\b",
        rb"0[0-9](?:[ .\x2d][0-9]{2}){4}\b|07[0-9]{9}\b|0[0-9]{3} [0-9]{3} [0-9]{3,4}\b",
        rb"\([0-9]{2,5}\) ?[0-9]{3,5}[ \x2d]?[0-9]{3,5}\b|[0-9]{5} [0-9]{5}\b",
        start=rb"(^|[^0-9A-Za-z.,:/_+-]|[A-Za-z\"'\]]:|[^0-9],|\\[nrt]|%3[DdAa])",
        check=_is_phone,
    ),
    _rule(
        b"<phone>",
        rb"00[1-9][0-9]{1,2}(?:[ /+\x2d]|%20)[0-9]{2,8}(?:(?:[ /+\x2d]|%20)[0-9]{2,8}){0,3}\b",
        start=rb"(^|[^0-9A-Za-z.+-]|\\[nrt])",
        check=_is_phone,
        needs=lambda data: b"00" in data,
    ),
    _rule(
        b"<ip>",
        rb"(?:[0-9]{1,3}\.){3}[0-9]{1,3}\b",
        check=is_public_address,
        start=rb"(^|[^0-9A-Za-z.v_-]|\\[nrt])",
        needs=_has_dots,
    ),
    _rule(
        b"<ip>",
        rb"(?:(?:[0-9A-Fa-f]{1,4}:){7}[0-9A-Fa-f]{1,4}\b|(?:[0-9A-Fa-f]{1,4}:){1,7}:(?:[0-9A-Fa-f]{1,4}(?::[0-9A-Fa-f]{1,4}){0,6})?)[0-9A-Za-z_:]*",
        rb"(?:[0-9A-Fa-f]{1,4}%3[Aa]){2,7}(?:%3[Aa])?(?:[0-9A-Fa-f]{1,4}(?:%3[Aa][0-9A-Fa-f]{1,4}){0,6})?",
        check=_is_public_ipv6,
        start=rb"(^|[^0-9A-Za-z.:%v_-]|[A-Za-z_]:|\\[nrt])",
        needs=_has_colons,
    ),
    _rule(
        b"<mac>",
        rb"[0-9A-Fa-f]{2}(?::[0-9A-Fa-f]{2}){5,}\b|[0-9A-Fa-f]{2}(?:-[0-9A-Fa-f]{2}){5,}\b",
        check=lambda text: len(text) == _MAC_CHARS,
        needs=_has_pairs,
    ),
)

_GAPS = rb"(?:[ .+\x2d]|%20)"
IBAN: Final = compiled(
    _START
    + rb"([A-Z]{2}[0-9]{2}(?:[A-Z0-9]{11,30}\b|(?:"
    + _GAPS
    + rb"[A-Z0-9]{4}){2,7}(?:"
    + _GAPS
    + rb"[A-Z0-9]{1,4}\b)?))",
    any_case=True,
)

_RUN = rb"[A-Za-z0-9+/_%-]{14,}={0,2}"
_IDS = rb"(?:[-_ ]?(?:id|ids|key|token_id|name|version))?"
CANDIDATE: Final = compiled(
    rb"([\"'][cC]\\*[\"']\s*:\s*\\*[\"']|(?i:[a-z_-]*(?:etag|md5|sha(?:[0-9]{1,3})?|hash|checksum|digest|integrity|fingerprint|commit|revision|cursor|cf-ray|queued as"
    rb"|(?:order|trade|fill|exec(?:ution)?|request|req|trace|span|correlation|event|message|msg|job|run|build|pod|container|coid|cloid"
    rb"|image|replica|cache|lock|batch|cid|cl_?ord|order_?link|invocation|etag|part|upload|version|queue|instance|lei|isin|figi|cusip|sedol|ref|reference|ksuid|xid|cuid|nanoid|websocket-accept)"
    + _IDS
    + rb")(?:\\*[\"'])?(?:\)?\s*[:=]{1,2}\s*|[ (,:]\s?\\*[\"']?)(?:W/)?\\*[\"'(]?))?("
    + _RUN
    + rb")"
)
"""a name that says something ordinary, if there is one, and a long run"""

GLUED: Final = compiled(
    rb"(<(?:key|token|wallet|secret|password)>)(?:[A-Za-z0-9+=]|%2[BbFf]|%3[Dd]|[_-][A-Za-z0-9]{4})(?:[A-Za-z0-9+/_=-]|%2[BbFf]|%3[Dd])*"
    rb"|(<wallet>)/[A-Za-z0-9+/=]+"
)
"""a placeholder, and what is left of the run that it stands for"""
