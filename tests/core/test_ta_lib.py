"""TA-Lib is imported without what it would drag along, and nobody else loses it."""

from __future__ import annotations

import subprocess
import sys

from krator_actors.core.indicators.ta_lib import talib

_PROGRAM = """
import sys
{before}
from krator_actors.core import indicators
print("pandas" in sys.modules)
import pandas
print(pandas.Series([1.0]).sum())
"""


def _printed(before: str) -> list[str]:
    program = _PROGRAM.format(before=before)
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60
    )
    return done.stdout.split()


def test_pandas_is_not_imported_and_can_still_be() -> None:
    assert _printed("") == ["False", "1.0"]


def test_pandas_that_is_there_already_stays() -> None:
    assert _printed("import pandas") == ["True", "1.0"]


def test_functions_are_ta_libs() -> None:
    assert talib.SMA.__name__ == "SMA"
