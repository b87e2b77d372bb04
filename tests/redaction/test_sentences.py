"""What words announce goes, what words protect stays, and a sentence stays a sentence."""

from __future__ import annotations

import pytest

from krator_actors.core.redaction import Redactor
from krator_actors.core.redaction.checks import is_digest, is_ticket
from krator_actors.core.redaction.prose import in_prose
from krator_actors.core.redaction.sentences import goes_on
from tests.redaction import sentences
from tests.redaction.scoring import expect_found, expect_kept


def test_secrets_that_words_announce_go() -> None:
    expect_found(sentences.planted(seed=9, rounds=20))


def test_tokens_that_words_protect_stay() -> None:
    expect_kept(sentences.kept(seed=10, rounds=20))


@pytest.mark.parametrize(
    "line",
    [
        "the password is required",
        "with password authentication",
        "token bucket empty",
        "password policy v2",
        "250-AUTH PLAIN LOGIN",
    ],
)
def test_sentence_about_a_secret_is_unchanged(line: str) -> None:
    assert Redactor().text(line) == line


def test_words_go_on_and_passwords_do_not() -> None:
    assert goes_on(b"Required.")
    assert not goes_on(b"tulip")
    assert in_prose(b"with password tulip") == b"with password <password>"


def test_digest_and_ticket_say_what_they_are() -> None:
    assert is_digest(b"sha256:" + b"0a" * 32)
    assert is_ticket(b"msg_01AbCdEfGhIjKl")
    assert not is_ticket(b"aB3dE5gH7jK9mN1pQ3sT")


ID = "1f6b3c52-8a4d-4e0b-9c77-2d5e8f0a6b13"


@pytest.mark.parametrize(
    ("line", "secret"),
    [
        ('key file {"id": "%s", "privateKey": "x9"}', ID),
        ("{'secret_key': 'Zk3wPq9LmT2vR8yB', 'id': '%s'}", ID),
        ("Account(id=UUID('%s'), account_number='PA1')", ID),
        ("KRAKEN_OTP_SECRET: None -> '%s'", "tulip-boat-7"),
        ("webhook_secret=old => %s", "tulip-boat-7"),
        ("account = Account.from_key('%s')", "0x" + "1cafc9d42d9dae9e" * 4),
        ('new ethers.Wallet("%s", provider)', "9e1db23e36226d6e" * 4),
    ],
)
def test_id_beside_a_key_and_new_value_of_a_setting_go(line: str, secret: str) -> None:
    assert secret not in Redactor().text(line % secret)


def test_pem_whose_lines_a_log_has_prefixed_goes_as_a_whole() -> None:
    lines = ["-----BEGIN PRIVATE KEY-----", "MC4CAQAwBQYDK2VwBCIEIJ1n9T0kqv1c", "UbSpmbtq"]
    lines += ["-----END PRIVATE KEY-----", "order 7 accepted"]
    text = "\n".join(f"Nov 24 10:03:09 host-1 krator[52556]: {line}" for line in lines)

    redacted = Redactor().text(text)

    assert "UbSpmbtq" not in redacted
    assert "MC4CAQ" not in redacted
    assert redacted.endswith("krator[52556]: order 7 accepted")


@pytest.mark.parametrize(
    "line",
    [
        f'order {{"id": "{ID}", "symbol": "BTC-USDT"}}',
        f'{{"id": "{ID}", "event": "secret rotated"}}',
        "def sign(self, secret: str) -> str:",
        "XADD krator:secrets:changes -> 1715476709547-24",
        "lei=7840008OR4KG5QGM4658 mic=XNAS",
        "order_id: None -> kabcdefghijklmnopqrstuvwxyz234567",
    ],
)
def test_ids_and_annotations_that_only_stand_near_a_secret_stay(line: str) -> None:
    assert Redactor().text(line) == line


@pytest.mark.parametrize(
    ("line", "secret"),
    [
        ("Password for grafana admin reset to %s", "tulip-boat-7"),
        ("Password reset for grafana admin: %s", "tulip-boat-7"),
        ("TOTP seed for kraken login is %s (base32)", "JBSWY3DPEHPKQXZT"),
        ("totp = pyotp.TOTP('%s').now()", "JBSWY3DPEHPKQXZT"),
        ("kraken 2FA password %s configured", "XALQLKXFLSHGKGTE"),
        ("Client('AC" + "0af3" * 8 + "', '%s')", "9277b02f" * 4),
        ("ssh-keygen -t ed25519 -f key -N '%s'", "tulip-boat-7"),
        ("backup codes: ab845-iur04, xp0vc-e5gt7, %s", "ijtv1-ri28q"),
        ('SecretRotationService: "password": "%s"', "p2sfodtgq2zl"),
        ("TokenBucketLimiter: SECRET_KEY = '%s'", "=fd_*_8c^bq#w7)&m_9"),
        ('{"action":"auth","params":"%s"}', "heNstNLQ0_IVxOfqDHsY"),
        ("|553=svc|554=%s|98=0|", "_^fauVnzx7GU6L^fbP73"),
        ("private=b'%s=='", "/vHOdnLyXJQsKvNfJQynEv7eTEZ3ecqIUU3RcG4S0HiP/NWTVUPkiXv6R/2a"),
        ("new password for user krator is %s", "tulip-boat-7"),
        ('"AUTH" "%s" [rid=1754147963400]', "tulip-boat-7"),
        ("ERROR:asyncio:db-1:5432:krator:krator_rw:%s  # .pgpass", "tulip-boat-7"),
        ("withdrawal to %s fee=81", "TEG2bmrmBeKUXvu3igJtyotDrGXTXjxfem"),
        ("chpasswd <<< 'krator:%s'", "tulip-boat-7"),
        ("echo '%s' | sudo -S systemctl restart krator", "tulip-boat-7"),
        ("REDIS_PASSWORD changed from 'None' to '%s'", "tulip-boat-7"),
        ("MIGRATE 10.0.0.4 6379 k1 0 5000 AUTH2 krator %s KEYS k1", "tulip-boat-7"),
        ("redis-benchmark -h 10.0.0.3 -a %s -q", "tulip-boat-7"),
        ("SELECT pgp_sym_decrypt(payload, '%s') FROM vault", "tulip-boat-7"),
        ("eth_account: private key %s loaded", "0x" + "6b64b29bc2f08a6e" * 4),
        ("openssl enc -aes-256-cbc -k '%s' -in backup.sql", "tulip-boat-lamp-moon"),
        ("htpasswd -nbB krator %s", "tulip-boat-7"),
        ("htpasswd -b /etc/krator/users krator %s", "tulip-boat-7"),
        ("ALTER USER krator PASSWORD E'%s';", "tulip-boat-7"),
        (r'{"dsn":"postgresql:\/\/krator:%s@db-1\/ledger"}', "tulip-boat-7"),
        ('"MIGRATE" "db-1" "6379" "" "0" "5000" "AUTH2" "krator" "%s"', "tulip-boat-7"),
        ('{"Name":"/krator/db/password","Type":"SecureString","Value":"%s"}', "tulip-boat-7"),
        ("#033[36mpassword#033[0m=#033[35m%s#033[0m", "tulip-boat-7"),
        ("docker secret create db_password - <<< %s", "tulip-boat-7"),
        ("{'accounts': [{'account_number': '%s', 'name': 'BTC Wallet'}]}", "4711471147"),
        ('{"accounts":[{"uuid":"1a","accounts":[{"uuid":"%s"}]}]}', "494a0e0c-fba4-44e5-a512-c514"),
        ("phrase: %s", "area sing feed have arrange able acid lamp moon tent wolf zebra"),
    ],
)
def test_secret_goes_whose_place_only_its_sentence_or_call_tells(line: str, secret: str) -> None:
    assert secret not in Redactor().text(line % secret)


@pytest.mark.parametrize(
    "line",
    [
        "krator_actors.ops.secrets:rotate:41 - done",
        "krator_actors/ops/secrets.py:41: in rotate",
        "/run/secrets/venue_key:1",
        "postgresql://krator@ws-auth.example.com:5432/db?sslmode=require",
        f"2026-11-23 | DEBUG | TokenBucketLimiter | trace_id={'0a' * 16} | done",
        "PasswordPolicyChecker: order.filled rule=min_length",
        "ApiKeyRegistry: ApiKeyRegistry.load took 3 ms",
        "ERROR:krator.ledger.auth:APIError(code=E_RISK_0042): outside of the window",
        "dict keys: primary_key=3016515637 foreign_key=1398812",
        "password_encryption=scram-sha-256",
        "LoadCredential=tls_cert:/etc/ssl/krator.pem",
        "missing secret: BINANCE_API_KEY (checked /etc/krator)",
        "usage prompt_tokens=381462 completion_tokens=7272",
        "raised websockets.client at 0x7fe7aa6bf651",
        "using /run/secrets/venue_key [rid=1706421032784]",
        "withdrawal refid FTQcuak-V6Za8qrWnhzTx67yYHz8Tg",
        "Sec-WebSocket-Accept: d3WCjU8rhZ2B9E+X18k0SKwnrgE=",
        "the password for krator was changed by admin",
        "loaded private key ed25519-2026 from /etc/ssl/private/krator2026.pem",
        "INSERT INTO fills VALUES ('TX8EK6-3G0PW-HKWHIQ', 'OY0UKR-XHO3Z-2WDY2D', 95961.905)",
        '{"price":"985.3020444","vol":"10424.990790"}',
        "    sig = sign(self.secret, query)\n          │    └ <function sign at 0x7fb6c83aab5c>",
        f"user=krator,db=ledger,sid=008fc70c.44d sms sid=SM{'ab8f6859' * 4}",
        r"MountVolume.SetUp failed : secret \"krator-venues\" not found",
        "order=6548482534 coid=ueuyK7TLJCjn67kDsFAX7h sym=NVDA",
        "api_key: Optional[SecretStr] = Field(default=None)",
        "last_password_change=2026-03-24T05:48:05.791969Z",
        "wss://stream.binance.com:9443/ws/btcusdt@trade/ethusdt@trade",
    ],
)
def test_places_classes_and_references_stay(line: str) -> None:
    assert Redactor().text(line) == line


@pytest.mark.parametrize(
    ("line", "shown"),
    [
        (
            '{"accounts":[{"uuid":"494a0e0c-fba4-44e5-a512-c514652118ab","available":"9.79"}]}',
            '{"accounts":[{"uuid":"<account>","available":"9.79"}]}',
        ),
        (
            f"connecting wss://stream.binance.com:9443/ws/{'SfrvxfZf3SpK' * 5}",
            "connecting wss://stream.binance.com:9443/ws/<session>",
        ),
        ("openssl enc -d -pass pass:tulip7 -in a", "openssl enc -d -pass <password> -in a"),
    ],
)
def test_what_stands_around_a_secret_stays(line: str, shown: str) -> None:
    assert Redactor().text(line) == shown


def test_field_behind_an_encoded_key_stays() -> None:
    line = "apiKey%3DfNFHvL3RcmkdNhZchJHtWYmkIjo3nfGw5S1KBrNisKZpe2Mqd7%26timestamp%3D1793491990444"

    assert Redactor().text(line) == "apiKey%3D<key>%26timestamp%3D1793491990444"


def test_name_with_a_blank_that_does_not_break_goes() -> None:
    assert Redactor(names=["Anna Schmidt"]).text("by=Anna\u00a0Schmidt") == "by=<name>"
