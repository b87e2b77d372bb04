"""Secrets that words announce, as people and tools write them, and ids that words protect.

Own shapes, in the classes that strangers' corpora missed; the redactor was mended by such, so
this set is not held out.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterator

from tests.redaction.corpus import Dice
from tests.redaction.positions import Planted

_LETTERS = "abcdefghijklmnopqrstuvwxyz"
_ALNUM = _LETTERS + _LETTERS.upper() + "0123456789"
_UPPER = _LETTERS.upper() + "0123456789"
_HEX = "0123456789abcdef"

_SAID = (
    "the password for staging is {}",
    "Passwort für den VPN lautet {}",
    "mot de passe pour la base : {}",
    "new pw: {}, tell nobody",
    "please log in with password {}",
    "passphrase of the key = {}",
    "{} is the new password",
    "* password - {}",
    "creds: ops / {}",
    "login is ops@example.org / {}",
    "HELLO 3 AUTH krator {} SETNAME x",
    '1763862000.1 [0 10.0.0.7:50112] "auth" "krator" "{}"',
    "b'*2\\r\\n$4\\r\\nAUTH\\r\\n$9\\r\\n{}\\r\\n'",
    '1) "masterauth"\n2) "{}"',
    "ACL SETUSER feed on >{} ~feed:* +@read",
    "sentinel auth-pass main {}",
    'args: ["redis-cli", "-a", "{}", "info"]',
    "echo 'krator:{}' | chpasswd",
    "sudo htpasswd -bc /etc/krator/users ops {}",
    "kubectl create secret generic venue --from-literal=x={}",
    "venue_password: !unsafe '{}'",
    "<passwords><entry>x</entry></passwords> password={}",
)
_NAMED: tuple[tuple[str, Callable[[Dice], str]], ...] = (
    ("PAGER_ROUTING_KEY={}", lambda d: d.chars(_HEX, 32)),
    ('{{"passport_no": "{}"}}', lambda d: d.chars(_UPPER.replace("O", ""), 9)),
    ("sv_nummer={}", lambda d: f"{d.digits(8)}M{d.digits(3)}"),
    ("AHV {}", lambda d: f"756.{d.digits(4)}.{d.digits(4)}.{d.digits(2)}"),
    ("backup codes: {}", lambda d: f"{d.digits(4)}-{d.digits(4)}"),
    ('{{"address": "{}"}}', lambda d: f"Lindenweg {d.digits(2)}, {d.digits(5)} Ulm"),
    ("user ops on #{} ~* +@all", lambda d: d.chars(_HEX, 64)),
    ("krator:$6${}:19900:0:", lambda d: d.chars(_ALNUM, 16) + "$" + d.chars(_ALNUM + "./", 86)),
    ("POST /hooks/{} 204", lambda d: d.chars(_ALNUM, 32)),
    (
        "kind: Secret\ndata:\n  venue.conf: {}\n",
        lambda d: base64.b64encode(d.chars(_LETTERS, 12).encode()).decode(),
    ),
)

_ORDINARY: tuple[tuple[str, Callable[[Dice], str]], ...] = (
    ("client_order_id={} filled", lambda d: d.chars(_ALNUM, 22)),
    ('{{"origClientOrderId": "{}", "side": "BUY"}}', lambda d: "ios_" + d.chars(_ALNUM, 20)),
    ("DELETE /api/v2/orders/{} 204", lambda d: "x-" + d.chars(_ALNUM, 20)),
    ('"c":"{}","S":"SELL"', lambda d: "web_" + d.chars(_ALNUM, 20)),
    ("message_id={}", lambda d: "msg_" + d.chars(_ALNUM, 24)),
    ("completion id=chatcmpl-{}", lambda d: d.chars(_ALNUM, 29)),
    ('etag: W/"{}"', lambda d: "1f-" + d.chars(_ALNUM, 27)),
    ("content-md5: {}", lambda d: d.base64(16)),
    ('"integrity": "sha512-{}"', lambda d: d.base64(64)),
    ("host key SHA256:{} accepted", lambda d: d.base64(32).rstrip("=")),
    ("digest: sha256:{} size: 88", lambda d: d.chars(_HEX, 64)),
    (
        "fingerprint={} pinned",
        lambda d: ":".join(d.chars("0123456789ABCDEF", 2) for _ in range(20)),
    ),
    ("krator.risk.keys:load_secret:{} - started", lambda d: d.digits(3)),
    ("tests/test_token.py::test_secret_{} FAILED", lambda d: d.word()),
    ("api_key= api_key_file=/run/secrets/{} ok=1", lambda d: d.word()),
    ("password_file=/run/secrets/{}_password", lambda d: d.word()),
    ("TOKEN={}", lambda d: "${" + d.word().upper() + "_TOKEN}"),
    ("token_type=bearer expires_in={}", lambda d: d.digits(4)),
    ("weight tokens={}/1200", lambda d: d.digits(3)),
    ("kind: Pod uid: {}", Dice.uuid),
    ("PASSWORD_HASH_ROUNDS={}", lambda d: d.digits(2)),
    ("INSERT INTO t VALUES ($1::TEXT, $2::TEXT) -- {}", lambda d: d.word()),
    ("dsn=postgresql://krator@{}.internal:5432/krator", lambda d: d.word()),
    ('secrets "krator-{}" not found', lambda d: d.word()),
    ("password authentication failed for user {}", lambda d: d.word()),
    ("the token was refreshed by {}", lambda d: d.word()),
    ("the secret is required by {}", lambda d: d.word()),
)


def _password(dice: Dice) -> str:
    word = dice.chars(_LETTERS, 5)
    return dice.pick(
        (dice.chars(_LETTERS, 9), f"{word}{dice.digits(3)}{word}", f"{word}-{word}-{word}-rain")
    )


def planted(seed: int, rounds: int) -> Iterator[Planted]:
    """Yield every shape, ``rounds`` times, with fresh values."""
    dice = Dice(seed)
    for _ in range(rounds):
        for shape in _SAID:
            value = _password(dice)
            yield Planted(shape, value, shape.replace("{}", value))
        for shape, maker in _NAMED:
            value = maker(dice)
            yield Planted(shape, value, shape.format(value))


def kept(seed: int, rounds: int) -> Iterator[tuple[str, str, str]]:
    """Yield the shape, an ordinary token, and a line that holds it."""
    dice = Dice(seed)
    for _ in range(rounds):
        for shape, maker in _ORDINARY:
            value = maker(dice)
            yield shape, value, shape.replace("{{", "{").replace("}}", "}").replace("{}", value)
