"""What a log is read for stays, and the redactor is a function that any input may be given to."""

from __future__ import annotations

import json

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from krator_actors.core.redaction import Redactor

REDACTOR = Redactor(secrets=["swordfish-1742"], names=["Ada Lovelace"])

KEPT = """
order=kbcdefghijklmnopqrstuvwxyz234567 filled
client_order_id=kbcdefghijklmnopqrstuvwxyz234567 venue_order_id=43079405111 trade_id=3735683259
ts_event=1723161255000000000 ts_ms=1690000000123 seq=1234567 number=88
prev_hash=9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08
commit 3f786850e387550fdab836ed7e6dc881de23001b on main
incident 7fd4cdd9-b0f5-4578-be62-8fa467e18849 opened, generation 3, pid 4711
BTC-USDT.BINANCE ETHUSDT btcusdt@depth@100ms btcusdt@trade !ticker@arr
sqlstate=40001 SQLSTATE 23505: duplicate key value violates unique constraint "events_pkey"
DETAIL: Key (writer, number)=(risk, 5) already exists.
venue error -2015: Invalid API-key, IP, or permissions for action.
venue error -1022: Signature for this request is not valid.
venue error -1021: Timestamp for this request is outside of the recvWindow.
price=64123.50 quantity=0.00120 notional 1500.25 exceeds max 1000 fee=0.0770
listening on 127.0.0.1:46551, [::1]:5432, 10.1.2.3:6379 and 192.168.0.17
LSN 16/B374D848 xid 731 stream 1690000000000-0 last 1690000000123-12
krator 0.1.0, Python 3.11.7, PostgreSQL 16.2, google-re2 1.1.20240702
/var/lib/krator/log/order-SIM.log /work/krator_actors/core/redaction/redactor.py:118
krator_actors.adapters.trading.TradingClient asyncpg.exceptions.ConnectionDoesNotExistError
ConnectionResetError: [Errno 104] Connection reset by peer
2026-11-22T18:49:45.123456+00:00 2026-11-22 18:49:45,123 20261122T184945123456
SIGKILL RISK_RECOVERING NEVER_ARRIVED MAX_ORDER_NOTIONAL HTTP 429 Retry-After 20 code=1006
strategy:BTC-USDT.SIM/sma_cross order:BINANCE feed:SIM root/operations
restart_p50_ms=12.4 inbox=0 handled=123456 dropped=0 lag_ms=14.9 rss_mb=88.1
max_tokens=4096 token_bucket=12 tokens_left=3 password_attempts=2 key_count=5 secret_count=1
api_key_env=KRATOR_VENUE_API_KEY auth_failed=true token=USDT session=london
idempotency_key=kbcdefghijklmnopqrstuvwxyz234567 cache_key=book:BTC-USDT partition_key=2026-11-22
cpu 1 2 3 of 8, pinned to 0-3; threads 12; 0x7f3a2c001000; 4.5 MiB of 64 MB
BTC-29SEP23-30000-C AAPL230616C00150000 ES=F EUR.USD BRK.B
krator-20261122T184945123456.jsonl.gz postgres.log.1 krator@live.service
account_report assets=3 sign_count=0 passed=12 author designs keyboard monkey
""".strip().splitlines()


@pytest.mark.parametrize("line", KEPT)
@pytest.mark.parametrize("shape", ["{}", "WARNING {}", '{{"message": "{}"}}'])
def test_line_without_a_secret_is_unchanged(line: str, shape: str) -> None:
    text = shape.format(json.dumps(line)[1:-1]) if "message" in shape else shape.format(line)

    assert REDACTOR.text(text) == text


FRAGMENTS = """
password api_key token = : " ' \\ \\" { } [ ] < > </ <password> <key> & , ; :// @ a@b.de u:p
Bearer eyJhbGciOiJ \\n 4111-1111-1111-1111 +49-30-1 23456 DE89370400440532013000 cookie ghp_
swordfish-1742 xY7 is --token aB3dE5gH7jK9mN1pQ3sT passport | %3D é sk- phone value name street
secret 0171/ 1.2.3.4 U1234567 0x12
"""
SPACED = (
    " ",
    "\n",
    "-----BEGIN PRIVATE KEY-----",
    "Ada Lovelace",
    "Bob ",
    "\ud800",
    " is ",
    " to ",
)
PIECES = st.sampled_from([*FRAGMENTS.split(), *SPACED])
TEXTS = st.lists(PIECES | st.text(max_size=4), max_size=24).map("".join)


@given(TEXTS)
@example('password=<key> token="')
def test_redacting_twice_is_redacting_once(text: str) -> None:
    once = REDACTOR.text(text)

    assert REDACTOR.text(once) == once


@given(st.text() | st.binary().map(lambda data: data.decode("utf-8", "surrogateescape")))
def test_no_text_raises_and_none_is_answered_differently(text: str) -> None:
    assert REDACTOR.text(text) == Redactor(secrets=["swordfish-1742"], names=["Ada Lovelace"]).text(
        text
    )


@given(st.binary())
def test_no_bytes_raise(data: bytes) -> None:
    assert isinstance(REDACTOR.data(data), bytes)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=8,
)


@given(JSON, st.text())
def test_no_value_raises(value: object, name: str) -> None:
    REDACTOR.value(value, name)


def test_long_text_is_cut_at_a_blank_and_says_so() -> None:
    redactor = Redactor(max_bytes=1_000)

    short = redactor.text(f"{'word ' * 180} ghp_{'a1B2' * 10} {'word ' * 100}")

    assert len(short) <= 1_000
    assert short.endswith("bytes>")
    assert "a1B2" not in short


def test_number_in_a_field_is_kept_unless_its_name_or_its_digits_tell() -> None:
    fields = {"order_id": 43079405111, "ts_ns": 1723161255000000000, "uid": 354937868}
    fields |= {"reference": 4111111111111111, "price": 4111}

    redacted = REDACTOR.value(fields)

    assert redacted == fields | {"uid": "<account>", "reference": "<card>"}


def test_registered_secret_goes_in_every_form_and_the_longest_first() -> None:
    redactor = Redactor(secrets=["correct horse", "correct horse/battery+staple"])

    shown = redactor.text("correct horse/battery+staple elpats+yrettab/esroh tcerroc correct horse")

    assert shown == "<secret> <secret> <secret>"
