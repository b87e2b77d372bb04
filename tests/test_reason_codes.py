"""Every reason that an order can be denied for is explained to who checks it and to who runs it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from krator_actors.core.rules import DenialReason

ROOT = Path(__file__).parent.parent
# What the order actor itself denies with; its reasons are written where it decides.
ORDER_ACTOR = ("core/order_rules.py", "order_sender.py", "order_doubts.py")
CODE = re.compile(r'"([A-Z]{3,}(?:_[A-Z]+)*)"')


def codes() -> list[str]:
    texts = ((ROOT / "krator_actors" / name).read_text() for name in ORDER_ACTOR)
    found = {code for text in texts for code in CODE.findall(text)}
    return sorted(found | {reason.value for reason in DenialReason})


def test_reasons_of_both_actors_are_found() -> None:
    assert {"MAX_POSITION", "RECONCILIATION", "DRY_RUN", "EXPIRED", "NEVER_ARRIVED"} <= set(codes())


@pytest.mark.parametrize("page", ["RISK.md", "OPERATIONS.md"])
def test_every_reason_code_is_on_the_page(page: str) -> None:
    text = (ROOT / "docs" / page).read_text()

    assert [code for code in codes() if f"`{code}`" not in text] == []
