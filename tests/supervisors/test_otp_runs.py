"""The pure core decides as a live Erlang/OTP supervisor did, in 2,500 recorded runs."""

from __future__ import annotations

import pytest
from otp_runs import PATH, differences, recorded_runs

pytestmark = pytest.mark.skipif(
    not PATH.exists(), reason=f"the recorded runs are not at {PATH} (set KRATOR_TEST_DATA)"
)


def test_every_recorded_run_replays_without_a_difference() -> None:
    found = [text for run in recorded_runs() for text in differences(run)[:1]]

    assert found == []
    assert len(recorded_runs()) == 2500
