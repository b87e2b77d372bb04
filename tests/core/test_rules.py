"""Reason codes are what people search for: their text is their name."""

from __future__ import annotations

from krator_actors.core.rules import DenialReason


def test_reason_code_is_its_name() -> None:
    assert all(reason.value == reason.name for reason in DenialReason)
