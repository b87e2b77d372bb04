"""A value that stands apart from its name goes, and what only looks like one stays."""

from __future__ import annotations

import pytest

from krator_actors.core.redaction import Redactor
from krator_actors.core.redaction.apart import apart, unstyled
from krator_actors.core.redaction.linear import compiled
from krator_actors.core.redaction.named import MAY_BE_NAMED
from krator_actors.core.redaction.redactor import MAX_BYTES
from tests.redaction import reports
from tests.redaction.scoring import expect_found, expect_kept


def test_values_apart_from_their_names_go() -> None:
    expect_found(reports.planted(seed=7, rounds=4))


def test_ordinary_tokens_beside_words_of_secrets_stay() -> None:
    expect_kept(reports.kept(seed=8, rounds=30))


def test_only_the_telling_column_of_a_table_goes() -> None:
    table = b'time,"password",note\n17,"tulip, rose",fine\n18,daisy,good\n\n19,x,y'

    shown = apart(table)

    assert shown == b'time,"password",note\n17,"<password>",fine\n18,<password>,good\n\n19,x,y'


def test_value_under_a_line_of_code_goes_by_the_name_above_it() -> None:
    report = "  sign(secret, body)\n       │       └ 'plain'\n       └ 'tulip'\n"

    shown = Redactor().text(report)

    assert shown == "  sign(secret, body)\n       │       └ 'plain'\n       └ '<secret>'\n"


def test_values_are_found_between_colors_and_colors_go() -> None:
    assert unstyled(b"\x1b[1;31mred\x1b[0m") == b"red"


def test_address_of_a_person_in_the_list_goes_whole() -> None:
    redactor = Redactor(names=["Priya Patel"])

    assert redactor.text("mail priya.patel@example.org now") == "mail <email> now"


@pytest.mark.parametrize(
    "named", [b"apiKey", b"PASSWORD", b"iban", b"uid", b"mnemonic", b"negotiate"]
)
def test_text_with_a_telling_word_is_looked_into(named: bytes) -> None:
    assert MAY_BE_NAMED.search(b"x." + named + b"=1") is not None


def test_pattern_is_of_bytes_and_has_a_limit() -> None:
    assert compiled(b"\xff").search(b"\xff") is not None
    assert len(Redactor().data(b"a " * MAX_BYTES)) <= MAX_BYTES
