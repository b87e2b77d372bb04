"""TA-Lib for arrays alone.

Where pandas or polars are installed, TA-Lib imports them and looks at every argument of every call
for their series. That is 0.2 s and some 30 MB of each process, for what is never given to it.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType


@contextmanager
def _hidden(*names: str) -> Iterator[None]:
    """Let the modules seem not installed; those that are imported already are left alone."""
    hidden: dict[str, ModuleType | None] = {name: None for name in names if name not in sys.modules}
    # A module that is None is not looked for; the types do not know that.
    sys.modules.update(hidden)  # type: ignore[arg-type]
    try:
        yield
    finally:
        for name in hidden:
            del sys.modules[name]


with _hidden("pandas", "polars"):
    import talib

__all__ = ["talib"]
