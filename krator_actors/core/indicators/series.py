"""How series come to TA-Lib: without their missing values, and with a period that it takes."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]

MISSING = math.nan


class PresentRows:
    """The rows of one or more equally long series at which nothing is missing."""

    def __init__(self, *series: FloatArray) -> None:
        """Each is one-dimensional float64 and as long as the first, else TypeError, ValueError."""
        for values in series:
            _check(values, series[0].size)
        self._present = np.logical_and.reduce([np.isfinite(values) for values in series])
        # Nothing is copied where nothing is missing, because that takes longer than an indicator.
        self._is_whole = bool(self._present.all())
        # The series without the missing rows, in the order given; not to be written to.
        self.columns = [values if self._is_whole else values[self._present] for values in series]

    def spread(self, answers: FloatArray, *, warm_up: int) -> FloatArray:
        """Put one answer per present row back in its place; ``answers`` is used up.

        NaN where a row is missing, and for the first ``warm_up - 1`` present rows.
        """
        answers[: warm_up - 1] = MISSING
        if self._is_whole:
            return answers
        spread = np.full(self._present.shape, MISSING)
        spread[self._present] = answers
        return spread


def checked_period(period: int) -> int:
    """Return ``period``; ValueError when TA-Lib does not take it."""
    if not 2 <= period <= 100_000:  # noqa: PLR2004 - TA-Lib's own limits
        raise ValueError(f"period was {period}; TA-Lib takes 2 to 100000")
    return period


def checked_warm_up(warm_up: int | None, *, seeded_after: int) -> int:
    """Return ``warm_up``, by default ``seeded_after``; ValueError when it is below that."""
    if warm_up is None:
        return seeded_after
    if warm_up < seeded_after:
        raise ValueError(f"warm_up {warm_up} is below {seeded_after}, which the seed takes")
    return warm_up


def _check(values: FloatArray, size: int) -> None:
    if values.dtype != np.float64:
        raise TypeError(f"values are {values.dtype}; expected float64")
    if values.ndim != 1:
        raise ValueError(f"values have {values.ndim} dimensions; expected 1")
    if values.size != size:
        raise ValueError(f"series of {size} and of {values.size} values do not belong together")
