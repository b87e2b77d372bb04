"""Where a value stands apart from its name: tables, colors, reports; written blind, as before."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from tests.redaction.corpus import Dice, email, iban, phone
from tests.redaction.positions import Planted

_LETTERS = "abcdefghijklmnopqrstuvwxyz"
_ALNUM = _LETTERS + _LETTERS.upper() + "0123456789"
_HEX = "0123456789abcdef"

_NAMES: dict[str, Callable[[Dice], str]] = {
    "api_key": lambda dice: dice.chars(_ALNUM, 64),
    "coinbase_api_key": lambda dice: "a1" + dice.chars(_ALNUM, 14),
    "apiSecret": lambda dice: dice.base64(64),
    "signature": lambda dice: dice.chars(_HEX, 64),
    "CB-ACCESS-PASSPHRASE": lambda dice: "q7" + dice.chars(_LETTERS, 9),
    "db_password": lambda dice: f"{dice.word()}-{dice.word()}-{dice.digits(2)}",
    "session_token": Dice.uuid,
    "account_uuid": Dice.uuid,
    "account_number": lambda dice: dice.digits(9),
    "SUBACCOUNTID": lambda dice: dice.digits(9),
    "phone_number": phone,
    "iban": iban,
    "operator_email": email,
}

_SHAPES = (
    "| symbol | {n} | price |\n|---|---|---|\n| BTCUSDT | {v} | 64123.5 |",
    "| field | value |\n|---|---|\n| {n} | {v} |\n| symbol | BTCUSDT |",
    "|{n}|{v}|",
    "time,{n},order_id\n1754000000000,{v},8812345678",
    "time\t{n}\torder\n1754000000000\t{v}\t8812345678",
    " symbol | {n} \n--------+-------\n BTCUSDT | {v}",
    "\x1b[36m{n}\x1b[0m=\x1b[35m{v}\x1b[0m \x1b[36morder\x1b[0m=\x1b[35m8812345678\x1b[0m",
    '{{"line": "\\u001b[36m{n}\\u001b[0m=\\u001b[35m{v}\\u001b[0m"}}',
    "1 validation error for Venue\n{n}\n  Too long [type=string_too_long, input_value='{v}', x]",
    "krator_actors.TokenError: {n}='{v}' at 0x7f80d965a399",
    "WARNING:krator.session:{n}: {v}",
    "os.environ['{n}']='{v}'",
    'header["{n}"] = "{v}"',
    "- **{n}**: `{v}`",
    '<entry key="{n}">{v}</entry>',
    '[{{"op":"replace","path":"/venue/{n}","value":"{v}"}}]',
    "diff: {{'{n}': ('old', '{v}')}}",
    "invalid {n} '{v}' code=40110000",
    "using {n} [{v}] for BTCUSDT",
    "HSET venue {n} '{v}'",
    "changed {n} from '{v}' to '{v}'",
)

_ORDINARY: dict[str, tuple[Callable[[Dice], str], tuple[str, ...]]] = {
    "order": (
        lambda dice: dice.digits(16),
        (
            "symbol,price,order_id\nBTCUSDT,1.5,{}",
            "| symbol | order |\n|---|---|\n| BTCUSDT | {} |",
            "trade_id={}",
            "AuthenticationError: orderId={} code=-2015",
            "rejected with INVALID_API_KEY: orderId={}",
        ),
    ),
    "hash": (
        lambda dice: dice.chars(_HEX, 64),
        ("block 0x{} height 9", "\x1b[35m{}\x1b[0m", "checksum | {}"),
    ),
    "uuid": (Dice.uuid, ("session {} closed", "\x1b[36morder\x1b[0m=\x1b[35m{}\x1b[0m")),
    "contract": (
        lambda dice: dice.pick(("AAPL240621C00190000", "ETHUSDT_240628")),
        ("key={} shard=3", "rate limit tokens=4 key={}"),
    ),
    "query": (
        lambda dice: "17" + dice.digits(11),
        ("GET https://venue/x?timestamp={}&user=ada%40example.org&limit=5",),
    ),
    "wait": (lambda dice: f"{dice.digits(3)}ms", ("TokenBucketEmpty: wait={} order=x",)),
    "host": (lambda dice: f"10.0.3.{dice.between(1, 9)}", ("client {}:6379 subscribed",)),
}


def planted(seed: int, rounds: int) -> Iterator[Planted]:
    """Yield every name in every shape, ``rounds`` times, with fresh values."""
    dice = Dice(seed)
    for _ in range(rounds):
        for name, maker in _NAMES.items():
            for shape in _SHAPES:
                value = maker(dice)
                yield Planted(name, value, shape.format(n=name, v=value))


def kept(seed: int, rounds: int) -> Iterator[tuple[str, str, str]]:
    """Yield kind, token, and a line that holds it beside words of secrets."""
    dice = Dice(seed)
    for _ in range(rounds):
        for kind, (maker, shapes) in _ORDINARY.items():
            for shape in shapes:
                value = maker(dice)
                yield kind, value, shape.replace("{}", value)
