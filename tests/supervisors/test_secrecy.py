"""No secret in what is written about a crash."""

from __future__ import annotations

import pytest

from supervisors.control import Crash
from supervisors.secrecy import without_secrets

ENVIRONMENT = {
    "KRATOR_API_KEY": "k-123456",
    "VENUE_SECRET": "very secret",
    "SHORT_TOKEN": "a",
    "HOME": "/home/ada",
}


def test_values_of_secret_variables_are_left_out() -> None:
    text = "401 for k-123456 signed with very secret in /home/ada by a"

    assert without_secrets(text, ENVIRONMENT) == "401 for *** signed with *** in /home/ada by a"


def test_crash_that_leaves_a_process_holds_no_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VENUE_SECRET", "very secret")

    crash = Crash.of("HttpError", "bad very secret", "Traceback: very secret" + "x" * 40_000)

    assert crash.detail == "bad ***"
    assert "very secret" not in crash.traceback
