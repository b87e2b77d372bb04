"""More formats than the corpus has, in more of the shapes of a log, a header or a file."""

from __future__ import annotations

import random
import string
from collections.abc import Callable, Iterator

_LETTERS = string.ascii_letters + string.digits
_HEX, _UPPER = "0123456789abcdef", string.ascii_uppercase + string.digits
_BASE58 = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"
_SYMBOLS = "!#$%*+-./:?@^_~"

BARE = (
    "{}", "value {} seen", "value={}", "'{}'", '"{}"', '["{}"]', "({})", "{{{}}}", "got {}, retry",
    "id:{};", "<v>{}</v>", "a={}&b=2", '{{"note": "{}"}}', '{{\\"note\\": \\"{}\\"}}', "[{}]",
    "line\\n{}\\nnext", "x|{}|y", "{}.",
)  # fmt: skip
NAMED = (
    "{k}={v}", "{k}: {v}", '"{k}": "{v}"', "'{k}': '{v}'", '{k} = "{v}"', '{{\\"{k}\\":\\"{v}\\"}}',
    "?{k}={v}&x=1", '{k} := "{v}"', '{k} => "{v}"', "<{k}>{v}</{k}>", "--{k} {v}", "--{k}={v}",
    '("{k}", "{v}")', "(b'{k}', b'{v}')", "Config({k}={v!r})", '${k} .= "{v}"', '{k} ||= "{v}"',
    "{k} is {v}", "{{{k}:{v}}}", '"{k}":["{v}"]', '{{"{k}": {{"value": "{v}"}}}}', "{k}: |\n  {v}",
    "set {k} to '{v}'", '<add key="{k}" value="{v}"/>', '{{"name": "{k}", "value": "{v}"}}',
    '"{{\\\\\\"{k}\\\\\\": \\\\\\"{v}\\\\\\"}}"',
)  # fmt: skip


def planted(seed: int, rounds: int) -> Iterator[tuple[str, str, str]]:
    """Yield kind, secret, and a line that holds it."""
    dice = random.Random(seed)

    def some(count: int, alphabet: str = _LETTERS) -> str:
        return "".join(dice.choice(alphabet) for _ in range(count))

    for _ in range(rounds):
        for kind, maker in _tokens(some).items():
            for shape in BARE:
                value = maker()
                yield kind, value, f"ERROR venue said {shape.format(value)} after 3 tries"
        for kind, (keys, maker) in _fields(some).items():
            for shape in NAMED:
                for key in keys:
                    value = maker()
                    yield kind, value, f"ERROR {shape.format(k=key, v=value)} after 3 tries"


def _tokens(some: Callable[..., str]) -> dict[str, Callable[[], str]]:
    digits = string.digits
    return {
        "gitlab": lambda: "glpat-" + some(20),
        "stripe": lambda: "sk_live_" + some(24),
        "sendgrid": lambda: f"SG.{some(22)}.{some(43)}",
        "mailgun": lambda: "key-" + some(32, _HEX),
        "twilio": lambda: "SK" + some(32, _HEX),
        "npm": lambda: "npm_" + some(36),
        "vault": lambda: "hvs." + some(90),
        "databricks": lambda: "dapi" + some(32, _HEX),
        "shopify": lambda: "shpat_" + some(32, _HEX),
        "new relic": lambda: "NRAK-" + some(27, _UPPER),
        "postman": lambda: f"PMAK-{some(24, _HEX)}-{some(34, _HEX)}",
        "airtable": lambda: f"pat{some(14)}.{some(64, _HEX)}",
        "plaid": lambda: f"access-sandbox-{_uuid(some)}",
        "grafana": lambda: f"glsa_{some(32)}_{some(8, _HEX)}",
        "kraken websocket": lambda: some(43, _LETTERS + "+/"),
        "solana": lambda: some(44, _BASE58),
        "ethereum": lambda: "0x" + some(40, _HEX),
        "extended key": lambda: "xprv9" + some(106),
        "ssn": lambda: f"{some(3, digits)}-{some(2, digits)}-{some(4, digits)}",
        "phone us": lambda: f"({some(3, '23456789')}) {some(3, '23456789')}-{some(4, digits)}",
        "phone uk": lambda: f"+44 20 {some(4, digits)} {some(4, digits)}",
        "phone fr": lambda: "06" + "".join(f" {some(2, digits)}" for _ in range(4)),
        "ipv4": lambda: f"52.{some(2, '123456789')}.{some(2, '123456789')}.7",
        "ipv6": lambda: "2a01:" + ":".join(some(4, "123456789abcdef") for _ in range(7)),
    }


def _fields(some: Callable[..., str]) -> dict[str, tuple[tuple[str, ...], Callable[[], str]]]:
    return {
        "hex key": (("api_key", "X-API-Key", "mailgun.api.key"), lambda: some(32, _HEX)),
        "signature": (("signature", "CB-ACCESS-SIGN", "API-Sign"), lambda: some(64, _HEX)),
        "secret": (("clientSecret", "AWS_SECRET_ACCESS_KEY"), lambda: some(32, _UPPER)),
        "password": (
            ("password", "PGPASSWORD", "CB-ACCESS-PASSPHRASE"),
            lambda: some(6) + some(3, _SYMBOLS) + some(6),
        ),
        "token": (("access_token", "bitbucketToken"), lambda: _uuid(some)),
        "session": (("JSESSIONID", "listenKey"), lambda: some(32, _UPPER)),
        "account": (("account_id", "accountNumber", "uid"), lambda: some(9, "123456789")),
        "passport": (("passport_number",), lambda: some(9, "123456789")),
        "licence": (("driver_license",), lambda: "D" + some(7, "123456789")),
    }


def _uuid(some: Callable[..., str]) -> str:
    return "-".join(some(count, _HEX) for count in (8, 4, 4, 4, 12))
