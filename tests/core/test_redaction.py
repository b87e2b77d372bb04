"""The redactor's checks of form, and what it reads out of a field's name."""

from __future__ import annotations

import pytest

from krator_actors.core.redaction import values
from krator_actors.core.redaction.checks import (
    iban_within,
    is_card,
    is_operational,
    is_public_address,
    is_random,
)
from krator_actors.core.redaction.fields import field_of, is_left_alone
from krator_actors.core.redaction.forms import LONG_TOKENS, NUMBERS, TOKENS
from krator_actors.core.redaction.registered import registered


@pytest.mark.parametrize(
    "number",
    [b"4111 1111 1111 1111", b"5555-5555-5555-4444", b"378282246310005", b"6011000990139424"],
)
def test_card_has_an_issuer_and_a_check_digit(number: bytes) -> None:
    assert is_card(number)
    assert not is_card(number[:-1] + b"%d" % ((number[-1] - 47) % 10))


@pytest.mark.parametrize("number", [b"1723161255000000000", b"1690000000123", b"0" * 16, b"411111"])
def test_time_or_id_is_no_card(number: bytes) -> None:
    assert not is_card(number)


def test_iban_ends_where_its_country_says() -> None:
    text = b"DE89 3704 0044 0532 0130 00 BIC"

    assert iban_within(text) == len(b"DE89 3704 0044 0532 0130 00")
    assert iban_within(b"DE88" + text[4:]) == 0
    assert iban_within(b"ZZ" + text[2:]) == 0
    assert iban_within(text[:12]) == 0


@pytest.mark.parametrize(
    ("address", "is_public"),
    [
        (b"8.8.8.8", True),
        (b"2a00:1450:4001:81b::200e", True),
        (b"127.0.0.1", False),
        (b"10.1.2.3", False),
        (b"192.168.0.1", False),
        (b"169.254.1.1", False),
        (b"::1", False),
        (b"fe80::1", False),
        (b"999.1.1.1", False),
        (b"", False),
    ],
)
def test_address_of_the_world_is_public(address: bytes, *, is_public: bool) -> None:
    assert is_public_address(address) is is_public


@pytest.mark.parametrize(
    "text",
    [
        b"vmPUZE6mv9SD5VNHk4HlWFsOr6aKE2zvsw0MuIgwCIPy6utIco14y7Ju91duEh8A",
        b"4/dpxb3iT4tp/ZCVEwSnEsLxx0bqyhLpdfOpc6fn7OR8+UClSV5n9E6aSS8MPtnRfp32bAb0nmbRn6H8ndwLUQ==",
        b"x5kq0z8r2m4v7n1b9c3d6f5g8h2j",
    ],
)
def test_key_looks_drawn_by_lot(text: bytes) -> None:
    assert is_random(text)


@pytest.mark.parametrize(
    "text",
    [
        b"kbcdefghijklmnopqrstuvwxyz234567",
        b"9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
        b"7fd4cdd9-b0f5-4578-be62-8fa467e18849",
        b"1723161255000000000",
    ],
)
def test_id_of_ours_is_operational_and_not_drawn_by_lot(text: bytes) -> None:
    assert is_operational(text)
    assert not is_random(text)


@pytest.mark.parametrize(
    "text",
    [
        b"ConnectionDoesNotExistError",
        b"krator_actors/core/redaction/redactor",
        b"20261122T184945123456",
        b"AAPL230616C00150000",
        b"test_order_filled_after_cancel_is_filled",
    ],
)
def test_name_or_path_is_not_drawn_by_lot(text: bytes) -> None:
    assert not is_random(text)


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        (b"password", b"<password>"),
        (b"spring.datasource.password", b"<password>"),
        (b"X-MBX-APIKEY", b"<key>"),
        (b"clientSecret", b"<secret>"),
        (b"APCA-API-SECRET-KEY", b"<key>"),
        (b"refreshToken", b"<token>"),
        (b"listenKey", b"<session>"),
        (b"CB-ACCESS-SIGN", b"<signature>"),
        (b"accountId", b"<account>"),
        (b"full_name", b"<name>"),
        (b"some_vendor_key", b"<key>"),
        (b"client_order_id", None),
        (b"max_tokens_count", None),
        (b"api_key_env", None),
        (b"cache_key", None),
        (b"account_type", None),
        (b"symbol", None),
        (b"", None),
    ],
)
def test_name_tells_what_stands_in_its_field(name: bytes, kind: bytes | None) -> None:
    field = field_of(name)

    assert (field and field.kind) == kind


def test_flag_or_word_is_left_alone_where_it_can_be_no_secret() -> None:
    assert is_left_alone(b"true", "none")
    assert is_left_alone(b"USDT", "word")
    assert is_left_alone(b"12", "digits")
    assert is_left_alone(b"london", "random")
    assert not is_left_alone(b"tulip", "none")
    assert not is_left_alone(b"a1b2c3d4", "word")
    assert not is_left_alone(b"123456", "digits")
    assert not is_left_alone(b"9f86d081884c7d65", "random")


def test_every_kind_is_a_placeholder_that_is_known_as_one() -> None:
    done = values._DONE

    assert all(done.fullmatch(rule.kind) for rule in (*LONG_TOKENS, *TOKENS, *NUMBERS))


@pytest.mark.parametrize(
    "written", ["Chloé Dubois", "CHLO\\u00c9 DUBOIS", "chlo%C3%A9%20dubois", "Dubois, Chloe"]
)
def test_name_is_found_as_json_a_url_or_a_keyboard_without_accents_writes_it(written: str) -> None:
    [(pattern, kind)] = registered((), ["Chloé Dubois"])

    assert pattern.sub(kind, f"for {written};".encode()) == b"for <name>;"
