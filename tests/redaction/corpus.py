"""A labelled corpus of log lines: planted secrets and personal data, and what must survive.

Made from public descriptions of the formats. It shares no code and no pattern with the redactor,
and is written without reading it: a rule that fits only its own examples shows here.
"""

from __future__ import annotations

import base64
import json
import random
import string
import uuid
from collections.abc import Callable, Sequence
from functools import partial
from typing import NamedTuple, TypeVar
from urllib.parse import quote

T = TypeVar("T")

NAMES = ("Ottoline Vasquez-Brandt", "Kazimir Thorvaldsen", "Amara Okonkwo-Reyes")
"""What the test configures as names that never stand in a log."""

_ALNUM = string.ascii_letters + string.digits
_UPPER = string.ascii_uppercase + string.digits
_HEX = "0123456789abcdef"
_BASE32 = "abcdefghijklmnopqrstuvwxyz234567"
_CONSONANTS, _VOWELS = "bcdfghklmnprstvz", "aeiou"
_IBAN_SHAPES = {"DE": "n18", "GB": "a4n14", "FR": "n23", "NL": "a4n10", "ES": "n20", "CH": "n17"}


class Line(NamedTuple):
    """One line of a log, what in it is secret, and what in it a person needs for diagnosis."""

    text: str
    secrets: tuple[tuple[str, str], ...]
    """kind and value"""
    kept: tuple[str, ...]


class Dice:
    """Random values in the formats of the world, from one seed."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)

    def pick(self, options: Sequence[T]) -> T:
        return self._random.choice(options)

    def between(self, low: int, high: int) -> int:
        return self._random.randint(low, high)

    def chars(self, alphabet: str, length: int) -> str:
        return "".join(self._random.choices(alphabet, k=length))

    def digits(self, length: int) -> str:
        return str(self.between(1, 9)) + self.chars(string.digits, length - 1)

    def base64(self, size: int) -> str:
        return base64.b64encode(self._random.randbytes(size)).decode()

    def url64(self, size: int) -> str:
        return base64.urlsafe_b64encode(self._random.randbytes(size)).decode().rstrip("=")

    def uuid(self) -> str:
        return str(uuid.UUID(int=self._random.getrandbits(128), version=4))

    def word(self) -> str:
        syllables = (self.pick(_CONSONANTS) + self.pick(_VOWELS) for _ in range(self.between(2, 4)))
        return "".join(syllables)


# -- secrets and personal data: kind -> a value ----------------------------------------------------


def jwt(dice: Dice) -> str:
    claims = {"sub": dice.digits(8), "iat": int(dice.digits(10)), "scope": dice.word()}
    parts = ({"alg": dice.pick(["HS256", "ES256"]), "typ": "JWT"}, claims)
    coded = (
        base64.urlsafe_b64encode(json.dumps(part).encode()).decode().rstrip("=") for part in parts
    )
    return ".".join((*coded, dice.url64(32)))


def pem(dice: Dice) -> str:
    kind = dice.pick(["PRIVATE KEY", "EC PRIVATE KEY", "RSA PRIVATE KEY", "OPENSSH PRIVATE KEY"])
    body = dice.base64(dice.between(48, 200))
    lines = [body[n : n + 64] for n in range(0, len(body), 64)]
    end = dice.pick(["\n", "\\n"])
    return end.join((f"-----BEGIN {kind}-----", *lines, f"-----END {kind}-----"))


def password(dice: Dice) -> str:
    return dice.chars(_ALNUM + "!#$%*+-._~", dice.between(10, 24))


def email(dice: Dice) -> str:
    user = dice.word() + dice.pick([".", "_", "-", "+", ""]) + dice.word()
    domain = f"{dice.word()}.{dice.pick(['com', 'io', 'co.uk', 'de', 'trading', 'email'])}"
    return f"{user}{dice.between(1, 99) if dice.between(0, 1) else ''}@{domain}"


def phone(dice: Dice) -> str:
    separator = dice.pick([" ", "-", "."])
    shapes = (
        f"+1{separator}{dice.digits(3)}{separator}{dice.digits(3)}{separator}{dice.digits(4)}",
        f"+1 ({dice.digits(3)}) {dice.digits(3)}-{dice.digits(4)}",
        f"+44{separator}7{dice.digits(3)}{separator}{dice.digits(6)}",
        f"+49{separator}1{dice.digits(2)}{separator}{dice.digits(8)}",
        f"+{dice.between(30, 98)}{dice.digits(10)}",
        f"({dice.digits(3)}) {dice.digits(3)}-{dice.digits(4)}",
    )
    return dice.pick(shapes)


def iban(dice: Dice) -> str:
    country = dice.pick(list(_IBAN_SHAPES))
    shape = _IBAN_SHAPES[country]
    if shape.startswith("a4"):
        account = dice.chars(string.ascii_uppercase, 4) + dice.chars(string.digits, int(shape[3:]))
    else:
        account = dice.chars(string.digits, int(shape[1:]))
    number = "".join(str(int(char, 36)) for char in f"{account}{country}00")
    whole = f"{country}{98 - int(number) % 97:02d}{account}"
    if dice.between(0, 1):
        return whole
    return " ".join(whole[n : n + 4] for n in range(0, len(whole), 4))


def card(dice: Dice) -> str:
    head = dice.pick(["4", "51", "55", "37"])
    digits = head + dice.chars(string.digits, (14 if head == "37" else 15) - len(head))
    doubled = (
        int(d) if n % 2 else sum(divmod(2 * int(d), 10)) for n, d in enumerate(reversed(digits))
    )
    whole = f"{digits}{-sum(doubled) % 10}"
    if dice.between(0, 1) or len(whole) != 16:
        return whole
    return dice.pick([" ", "-"]).join(whole[n : n + 4] for n in range(0, 16, 4))


Maker = Callable[[Dice], str]

TOKENS: dict[str, Maker] = {  # recognizable wherever they stand
    "jwt": jwt,
    "pem": pem,
    "openai_key": lambda d: f"sk-proj-{d.url64(54)}",
    "anthropic_key": lambda d: f"sk-ant-api03-{d.url64(69)}",
    "aws_access_key": lambda d: f"AKIA{d.chars(string.ascii_uppercase + '234567', 16)}",
    "github_token": lambda d: d.pick(["ghp_", "gho_", "ghs_"]) + d.chars(_ALNUM, 36),
    "github_fine_token": lambda d: f"github_pat_{d.chars(_ALNUM, 22)}_{d.chars(_ALNUM, 59)}",
    "slack_token": lambda d: f"xoxb-{d.digits(12)}-{d.digits(12)}-{d.chars(_ALNUM, 24)}",
    "slack_webhook": lambda d: (
        f"https://hooks.slack.com/services/T{d.chars(_UPPER, 8)}/B{d.chars(_UPPER, 8)}"
        f"/{d.chars(_ALNUM, 24)}"
    ),
    "telegram_token": lambda d: f"{d.digits(10)}:AA{d.chars(_ALNUM + '-_', 33)}",
    "discord_webhook": lambda d: (
        f"https://discord.com/api/webhooks/{d.digits(18)}/{d.chars(_ALNUM + '-_', 68)}"
    ),
    "stripe_key": lambda d: f"sk_live_{d.chars(_ALNUM, 24)}",
    "google_key": lambda d: f"AIza{d.chars(_ALNUM + '-_', 35)}",
    "alpaca_key_id": lambda d: d.pick(["PK", "AK"]) + d.chars(_UPPER, 18),
    "coinbase_key_name": lambda d: f"organizations/{d.uuid()}/apiKeys/{d.uuid()}",
    "email": email,
    "phone": phone,
    "iban": iban,
    "card": card,
    "alpaca_account": lambda d: f"PA3{d.chars(_UPPER, 9)}",
    "name": lambda d: d.pick(NAMES),
}

NAMED: dict[str, tuple[tuple[str, ...], Maker]] = {  # secret by the field that they stand in
    "binance_api_key": (("X-MBX-APIKEY", "apiKey", "api_key"), lambda d: d.chars(_ALNUM, 64)),
    "binance_secret": (
        ("api_secret", "secretKey", "KRATOR_VENUE_API_SECRET", "apiSecret"),
        lambda d: d.chars(_ALNUM, 64),
    ),
    "binance_signature": (("signature",), lambda d: d.chars(_HEX, 64)),
    "binance_listen_key": (("listenKey", "listen_key"), lambda d: d.chars(_ALNUM, 60)),
    "ed25519_signature": (("signature",), lambda d: d.base64(64)),
    "kraken_api_key": (("API-Key", "api_key"), lambda d: d.base64(42)),
    "kraken_secret": (("kraken_secret", "private_key", "secret"), lambda d: d.base64(64)),
    "kraken_sign": (("API-Sign",), lambda d: d.base64(64)),
    "kraken_ws_token": (("token", "ws_token"), lambda d: d.url64(33)),
    "coinbase_secret": (("CB-ACCESS-SECRET", "api_secret"), lambda d: d.base64(64)),
    "coinbase_passphrase": (("CB-ACCESS-PASSPHRASE", "passphrase"), lambda d: d.chars(_ALNUM, 11)),
    "alpaca_secret": (("APCA-API-SECRET-KEY", "secret_key"), lambda d: d.chars(_ALNUM, 40)),
    "aws_secret": (("aws_secret_access_key",), lambda d: d.base64(30)),
    "password": (("password", "passwd", "PGPASSWORD", "db_password"), password),
    "access_token": (("access_token", "refresh_token", "auth_token"), lambda d: d.url64(30)),
    "binance_uid": (("uid", "account_id", "accountId"), lambda d: d.digits(9)),
    "ibkr_account": (("account", "acctId"), lambda d: f"U{d.digits(7)}"),
}


# -- what must be kept: kind -> a value ------------------------------------------------------------

OPERATIONAL: dict[str, Maker] = {
    "client_order_id": lambda d: "k" + d.chars(_BASE32, 31),
    "venue_order_id": lambda d: d.digits(d.between(8, 11)),
    "trade_id": lambda d: d.digits(10),
    "chain_hash": lambda d: d.chars(_HEX, 64),
    "commit": lambda d: d.chars(_HEX, 40),
    "incident_id": lambda d: d.uuid(),
    "symbol": lambda d: f"{d.pick(['BTC', 'ETH', 'SOL', 'XRP'])}-USDT.{d.pick(['SIM', 'BINANCE'])}",
    "strategy": lambda d: f"strategy:{d.pick(['BTC', 'ADA'])}-USDT.BINANCE/sma_cross",
    "sqlstate": lambda d: d.pick(["53100", "08006", "57P01", "40P01", "23505"]),
    "venue_code": lambda d: d.pick(["-1021", "-2010", "-1003", "-2011", "-1015"]),
    "timestamp": lambda d: (
        f"2026-{d.between(1, 12):02d}-{d.between(1, 28):02d}T{d.between(0, 23):02d}"
        f":{d.between(0, 59):02d}:{d.between(0, 59):02d}.{d.digits(6)}+00:00"
    ),
    "ts_ns": lambda d: f"17{d.digits(17)}",
    "price": lambda d: f"{d.between(1, 99_999)}.{d.digits(2)}",
    "quantity": lambda d: f"0.{d.digits(5)}",
    "pid": lambda d: str(d.between(300, 99_999)),
    "event": lambda d: d.pick(["OrderFilled", "MarketDataGap", "RISK_RESTARTED", "NEVER_ARRIVED"]),
    "error": lambda d: d.pick(["ConnectionResetError", "TimeoutError", "DiskFullError"]),
    "close_code": lambda d: d.pick(["1006", "1001", "1012", "1000"]),
    "address": lambda d: f"127.0.0.1:{d.between(1_024, 65_535)}",
    "path": lambda d: f"/var/krator/log/{d.pick(['order', 'risk'])}-{d.digits(8)}.log",
    "lsn": lambda d: f"{d.between(0, 9)}/{d.chars('0123456789ABCDEF', 7)}",
    "version": lambda d: f"{d.between(0, 18)}.{d.between(0, 30)}.{d.between(0, 9)}",
    "duration": lambda d: f"{d.between(1, 999)}.{d.between(0, 9)} ms",
    "signal": lambda d: d.pick(["SIGKILL", "SIGSEGV", "SIGSTOP"]),
}


# -- lines -----------------------------------------------------------------------------------------

_BARE = (
    "giving up after the venue said: {}",
    "ValueError: invalid literal for int() with base 10: '{}'",
    "user replied ({}) to the alert",
    'unexpected frame: ["note", "{}"]',
    "note={}; retry in 2 s",
    "contact {} before lifting the halt",
    "received {}",
    "<title>{}</title>",
)
_NAMED = (
    "{key}={value}",
    "{key}: {value}",
    '{{"{key}": "{value}"}}',
    "{{'{key}': '{value}', 'recvWindow': 5000}}",
    'request headers {{"Accept": "*/*", "{key}": "{value}"}}',
    "POST body {key}={value}&recvWindow=5000",
    'export {key}="{value}"',
    'parsed config: {key} = "{value}" # from the environment',
    '{{\\"{key}\\":\\"{value}\\"}}',
)
_HEADERS = (
    ("bearer", "Authorization: Bearer {}", lambda d: d.url64(30)),
    ("basic", "authorization: Basic {}", lambda d: d.base64(24)),
    ("dsn", "could not connect to postgresql://krator:{}@db.internal:5432/journal", password),
    ("dsn", "redis error at rediss://default:{}@10.1.2.3:6380/0", password),
    ("dsn", "proxy http://ops:{}@proxy.internal:3128 refused", password),
    ("dsn", "cannot connect: host=db port=5432 user=krator password={} dbname=journal", password),
)
_URL = (
    "GET /api/v3/account?timestamp={ts}&{key}={value}",
    "403 for https://api.binance.com/sapi/v1/x?{key}={value}&timestamp={ts}",
)


def lines(seed: int, count: int) -> list[Line]:
    """Return ``count`` lines with one secret each, every kind about equally often."""
    dice = Dice(seed)
    makers: list[Callable[[], tuple[str, str, str]]] = [
        *(partial(_bare, dice, kind, maker) for kind, maker in TOKENS.items()),
        *(partial(_named, dice, kind, keys, maker) for kind, (keys, maker) in NAMED.items()),
        *(partial(_header, dice, kind, shape, maker) for kind, shape, maker in _HEADERS),
    ]
    return [_line(dice, *makers[n % len(makers)]()) for n in range(count)]


def _bare(dice: Dice, kind: str, maker: Maker) -> tuple[str, str, str]:
    value = maker(dice)
    return kind, value, dice.pick(_BARE).format(value)


def _named(dice: Dice, kind: str, keys: Sequence[str], maker: Maker) -> tuple[str, str, str]:
    key, value = dice.pick(keys), maker(dice)
    if dice.between(0, 4) == 0 and key in {"signature", "listenKey"}:
        shape, value = dice.pick(_URL), quote(value, safe="")
        return kind, value, shape.format(key=key, value=value, ts=dice.digits(13))
    return kind, value, dice.pick(_NAMED).format(key=key, value=value)


def _header(dice: Dice, kind: str, shape: str, maker: Maker) -> tuple[str, str, str]:
    value = maker(dice).replace("%", "p").replace("#", "h")  # because a URL does not take them
    return kind, value, shape.format(value)


def _line(dice: Dice, kind: str, value: str, said: str) -> Line:
    """Put a secret between the ordinary parts of a log line."""
    kept = {name: OPERATIONAL[name](dice) for name in _some(dice)}
    before = dice.pick(("order={client_order_id}", "{timestamp} WARNING {error}", "{symbol}"))
    for name in ("client_order_id", "timestamp", "error", "symbol"):
        if f"{{{name}}}" in before:
            kept[name] = kept.get(name) or OPERATIONAL[name](dice)
    parts = [before.format(**kept)]
    parts += [f"{name}={v}" for name, v in kept.items() if f"{{{name}}}" not in before]
    style = dice.between(0, 2)
    if style == 0:
        text = json.dumps({"message": " ".join(parts), "detail": said}, ensure_ascii=False)
        value = json.dumps(value, ensure_ascii=False)[1:-1]
    elif style == 1:
        text = f"{' '.join(parts)} {said}"
    else:
        text = f"{parts[0]} {said} {' '.join(parts[1:])}"
    return Line(text, ((kind, value),), tuple(kept.values()))


def _some(dice: Dice) -> list[str]:
    return [name for name in OPERATIONAL if dice.between(0, 5) == 0]


def is_leaked(value: str, redacted: str) -> bool:
    """Return whether half of ``value`` survives in one piece; of a short one, all of it."""
    if len(value) <= 10:
        return value in redacted
    half = max(8, -(-len(value) // 2))
    return any(value[n : n + half] in redacted for n in range(len(value) - half + 1))
