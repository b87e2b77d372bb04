"""No input makes the redactor slow: eight times the text takes about eight times the time."""

from __future__ import annotations

import time

import pytest

from krator_actors.core.redaction import Redactor

SIZE = 25_000
TIMES = 8
MAX_RATIO = 3 * TIMES
"""A quadratic rule gives the square of ``TIMES``."""

STORMS = {
    "equals": "=",
    "at": "a@",
    "mails": "a@b.c ",
    "keys": "token=",
    "open brackets": "token=[ ",
    "open quotes": 'password="',
    "nested quotes": '\\"password\\": \\"',
    "deep quotes": '\\\\\\"token\\\\\\": ',
    "backslashes": "\\",
    "pem": "-----BEGIN EC PRIVATE KEY-----\n",
    "pem without end": "-----BEGIN PRIVATE KEY-----A-",
    "urls": "://a:b",
    "urls with slashes": "http://a:b/c ",
    "jwt": "eyJhbGciOi",
    "digits": "4",
    "spaced digits": "4 1 ",
    "plus": "+4 ",
    "brackets": "(0",
    "hex groups": "a:",
    "colons": ":",
    "base64": "aB3/",
    "upper": "GB29 ABCD ",
    "iban": "DE89370400440532013000",
    "tags": "<token>",
    "open tags": "<token a=",
    "flags": " --token",
    "words": "phone number is ",
    "dots": "a.b.",
    "json": '{"a":',
    "unicode": "é\u2028",
    "names": "Ada ",
    "bearer": "bearer ",
    "cookies": "cookie: a=b; ",
    "names without fields": "token_env=",
    "names in names": "TokenError: ",
    "names and blanks": "api_key ",
    "lists of names": "token_env=[ ",
    "tuples": "token=('a', ",
    "cells": "|token",
    "rows": "a,token\n1,2\n",
    "rows of cells": "|token|a|\n|--|--|\n",
    "written rows": "a,token\\n",
    "colors": "\x1b[1m",
    "refusals": "token\n input_value=",
    "markers": "token\n│ └ ",
    "accounts": '"id": "00000000-0000-4000-8000-000000000000", account_number',
    "changes": "token from a to ",
    "arrows": "token: a -> ",
    "type annotations": "token: str) -> ",
    "ids of keys": "'id': '00000000-0000-4000-8000-000000000000', secret",
    "ids behind keys": "'secret': '<key>', 'id': '",
    "pem in lines": "-----BEGIN PRIVATE KEY-----\nh k[1]: -- ---- a",
    "settings": "SET token ",
    "attributes": 'key="token" <',
    "paths": '"/a/token',
    "seeds": "seed words abandon ability ",
    "announced": "with password ",
    "of": "password for a of b ",
    "before": "ab1cd is the password of ",
    "pairs": "login is a / ",
    "codes": "backup codes: 1a2b-3c4d ",
    "access": "SETUSER >abcd ",
    "pipes": "echo 'a' | ",
    "manifests": "kind: Secret\n a: YWJjZA==",
    "hooks": "/hooks/",
    "ordinary names": "order_id=order_",
    "glued": "<key>a-",
    "pairs of hex": "0A:",
}


def seconds(redactor: Redactor, text: str) -> float:
    best = float("inf")
    for _ in range(2):
        began = time.process_time()
        redactor.text(text)
        best = min(best, time.process_time() - began)
    return best


@pytest.mark.parametrize("storm", STORMS)
def test_time_grows_no_faster_than_the_text(storm: str) -> None:
    redactor = Redactor(secrets=["a-secret-of-ours"], names=["Ada Lovelace"])
    unit = STORMS[storm]

    little = seconds(redactor, unit * (SIZE // len(unit)))
    much = seconds(redactor, unit * (TIMES * SIZE // len(unit)))

    ratio = much / max(little, 1e-9)
    print(f"{storm}: {TIMES * SIZE / max(much, 1e-9) / 1e6:.2f} MB/s, ratio {ratio:.1f}")
    assert much <= MAX_RATIO * max(little, 0.001)
