"""Where secrets stand that no field announces in the plain way, and which tokens look like them.

Written blind like the corpus: from how tools, venues and libraries print, not from the redactor.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Iterator
from typing import NamedTuple
from urllib.parse import quote

from tests.redaction.corpus import Dice, card, email, iban, jwt, phone

_LETTERS = "abcdefghijklmnopqrstuvwxyz"
_ALNUM = _LETTERS + _LETTERS.upper() + "0123456789"
_UPPER = _LETTERS.upper() + "0123456789"
_HEX = "0123456789abcdef"
_ULID = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_SEED = """
abandon ability absorb account acoustic across adapt album alpha anchor april arena
armor autumn bamboo banner bargain battle bicycle blanket bottom breeze bridge bronze
bubble cactus canvas castle cereal cherry circle copper cotton cradle credit dragon
easily eight fabric finger galaxy garden gospel hamster hockey indoor island jungle
kitten ladder lemon magnet mirror needle orange
"""


class Planted(NamedTuple):
    """One line, and the secret in it."""

    kind: str
    value: str
    text: str


def planted(seed: int, rounds: int) -> Iterator[Planted]:
    """Yield every position in every surrounding, ``rounds`` times, with fresh values."""
    dice = Dice(seed)
    for _ in range(rounds):
        for kind, (maker, shapes) in _positions(dice).items():
            for shape in shapes:
                value = maker()
                said = shape.replace("{}", value)
                yield Planted(kind, value, said)
                yield Planted(
                    kind, value, f"{dice.uuid()} WARNING [order] {said}\n{dice.digits(9)}"
                )
                in_json = json.dumps({"level": "ERROR", "message": said}, ensure_ascii=False)
                yield Planted(kind, json.dumps(value, ensure_ascii=False)[1:-1], in_json)


def kept(seed: int, rounds: int) -> Iterator[tuple[str, str, str]]:
    """Yield kind, token, and a line without any secret that holds it."""
    dice = Dice(seed)
    fields = ("ref", "id", "order", "state", "detail", "hash", "code_hash", "where", "cause")
    for _ in range(rounds):
        for kind, maker in _operational(dice).items():
            value = maker()
            for text in (
                f"halted {value} and went on",
                f"{dice.pick(fields)}={value} generation=3",
                f"order refused, {value}.",
                json.dumps({dice.pick(fields): value, "number": 88}),
                repr({dice.pick(fields): value}),
                f"https://host/token\n{value}",
            ):
                yield kind, value, text


def _positions(dice: Dice) -> dict[str, tuple[Callable[[], str], tuple[str, ...]]]:
    def password() -> str:
        return dice.pick((dice.chars(_LETTERS, 9), dice.chars(_ALNUM, 12), dice.digits(8)))

    def words(gap: str) -> str:
        chosen: list[str] = []
        while len(chosen) < dice.pick((12, 24)):
            chosen = list(dict.fromkeys([*chosen, dice.pick(_SEED.split())]))
        return gap.join(chosen)

    def basic() -> str:
        return base64.b64encode(f"me:{password()}".encode()).decode()

    return {
        "command": (password, (
            "redis-cli -h r -a {} ping", "curl -s -u me:{} https://api.venue.io/x",
            'curl --user "me:{}" https://h/', "sshpass -p {} ssh root@10.0.0.1",
            "mysql -u root -p{} krator", "argv=['curl', '-u', 'me:{}', 'https://h']",
        )),
        "statement": (password, (
            "ALTER ROLE krator WITH LOGIN PASSWORD '{}'", "CREATE USER app IDENTIFIED BY '{}'",
            "CONFIG SET requirepass {}", "8=FIX.4.4|35=A|553=me|554={}|10=128|",
            "machine api.venue.io login svc password {}",
        )),
        "argument": (password, (
            "client = Client(password='{}', timeout=5)", "Namespace(config='x', password='{}')",
            "Login(user='me', api_secret='{}')", "headers=[('CB-ACCESS-PASSPHRASE', '{}')]",
        )),
        "query": (lambda: dice.chars(_ALNUM + "_-", 22), (
            "GET /callback?code=4/0Ab12cd34ef56gh78ij90&state={}&scope=x",
            "POST body nonce=1723161255000&token={}&pair=XBTUSD",
        )),
        "encoded": (password, ("data=%7B%22password%22%3A%22{}%22%2C%22x%22%3A1%7D",)),
        "document": (password, (
            '<wsse:Password Type="x">{}</wsse:Password>', "- name: API_SECRET\n  value: {}1x",
            'form-data; name="password"\r\n\r\n{}\r\n--x--',
        )),
        "language": (password, (
            "Kennwort={}", "mot_de_passe: {}", "Mot de passe: {}", '{"contraseña": "{}"}',
            '{"contrase\\u00f1a": "{}"}', "wachtwoord = {}", "senha={}",
        )),
        "one-time code": (lambda: dice.digits(6), (
            "your verification code is {}", "2FA code {} rejected", "{} is your login code",
            "two_factor_code={}", '{"2fa_code": "{}"}', "Ihr Bestätigungscode lautet {}",
        )),
        "cvv": (lambda: dice.digits(3), ("cvv={}", '{"cvc": "{}"}')),
        "wallet seed": (lambda: words(" "), (
            "{}", "seed phrase is {}", 'recovered wallet from "{}"', "seedPhrase: {}",
            "the wallet was restored from {} in 3 s",
        )),
        "wallet seed with commas": (lambda: words(", "), ("restored from: {}",)),
        "digest": (lambda: dice.chars(_HEX, 32), (
            'Authorization: Digest username="me", response="{}", nonce="x"',
        )),
        "basic": (basic, ("{'Proxy-Authorization': 'Basic {}'}", "sent {} to the proxy")),
        "address": (lambda: f"203.0.113.{dice.between(1, 254)}", (
            "Accepted password for root from {} port 4711", "X-Forwarded-For: {}, 10.0.0.1",
        )),
        "iban": (lambda: iban(dice).lower(), ("transfer to {} refused",)),
        "iban in a query": (lambda: quote(iban(dice)), ("GET /x?a=1&ref={}&b=2",)),
        "card in a query": (lambda: quote(card(dice)), ("GET /x?a=1&ref={}&b=2",)),
        "mail": (lambda: quote(email(dice), safe=""), ("body=from={}&x=1",)),
        "quoted mail": (lambda: f'"{dice.word()} {dice.word()}"@web.de', ("bounced: {} again",)),
        "phone": (lambda: phone(dice), ("2026-03-14,BUY,{},x", "{}: call at once")),
        "jwt": (lambda: jwt(dice), ("//h/:_authToken={}", "<{}>; refused")),
        "bic": (lambda: dice.chars(_UPPER[:26], 8), ("BIC: {}", '{"swift_code": "{}"}')),
        "kraken account": (lambda: f"AA{dice.digits(2)} N84G {dice.chars(_UPPER, 4)} WOKL", (
            "customer_id: {}", "account {} not verified",
        )),
    }  # fmt: skip


def _operational(dice: Dice) -> dict[str, Callable[[], str]]:
    def said(message: str) -> str:
        return base64.b64encode(message.encode()).decode()

    return {
        "ulid": lambda: "01J" + dice.chars(_ULID, 23),
        "message in base64": lambda: said(f"order {dice.digits(3)} filled at {dice.digits(5)}"),
        "json in base64": lambda: said(json.dumps({"e": "trade", "s": "BTC", "p": dice.digits(4)})),
        "chain hash": lambda: dice.chars(_HEX, 64),
        "commit": lambda: dice.chars(_HEX, 40),
        "client order id": lambda: "k" + dice.chars(_LETTERS + "234567", 31),
        "kraken order id": lambda: (
            f"O{dice.chars(_UPPER, 5)}-{dice.chars(_UPPER, 5)}-{dice.chars(_UPPER, 6)}"
        ),
        "option": lambda: f"AAPL2610{dice.between(10, 28)}C00{dice.digits(3)}000",
        "cipher": lambda: dice.pick(("TLS_AES_256_GCM_SHA384", "ECDHE-RSA-AES128-GCM-SHA256")),
        "image": lambda: f"ghcr.io/krator@sha256:bc1{dice.chars(_HEX, 61)}",
        "pod": lambda: f"krator-{dice.chars('bcdfgh2456789', 10)}-{dice.chars('bcdfgh24', 5)}",
        "qualified name": lambda: "krator_actors.order.OrderActor.on_place.<locals>.retry",
        "nanoseconds": lambda: f"17{dice.digits(17)}",
        "sentence": lambda: (
            "this order was not filled, because the venue had closed before its last frame came"
        ),
    }
