"""How far this machine's clock is from a venue's, and how fast they part. Pure.

One question and its answer bound the venue's clock as NTP does (RFC 5905, 8): when the answer was
written is known to half the round trip. RTS 25 of MiFID II asks for the divergence to be known.
"""

from __future__ import annotations

from collections import deque
from typing import Final

import msgspec

from krator_actors.model import NANOS_PER_SEC

_SAMPLES: Final = 60
_DRIFT_SAMPLES: Final = 5
_MILLION: Final = 1e6


class ClockSample(msgspec.Struct, frozen=True, kw_only=True):
    """One answer to "what time is it?"."""

    sent_utc_ns: int
    """this machine's clock when it was asked"""
    venue_ns: int
    """UTC, as the venue said"""
    round_trip_ns: int
    """by the monotonic clock"""

    @property
    def offset_secs(self) -> float:
        """By how much the venue's clock is ahead, if both ways took equally long."""
        middle_ns = self.sent_utc_ns + self.round_trip_ns // 2
        return (self.venue_ns - middle_ns) / NANOS_PER_SEC

    @property
    def error_secs(self) -> float:
        """How wrong ``offset_secs`` may be."""
        return self.round_trip_ns / 2 / NANOS_PER_SEC


class ClockOffset:
    """The last samples, judged."""

    def __init__(self, *, tolerance_secs: float) -> None:
        self._tolerance_secs = tolerance_secs
        self._samples: deque[ClockSample] = deque(maxlen=_SAMPLES)

    def on_sample(self, sample: ClockSample) -> None:
        """Take one more."""
        self._samples.append(sample)

    @property
    def latest(self) -> ClockSample | None:
        """The newest sample; None before the first."""
        return self._samples[-1] if self._samples else None

    @property
    def is_off(self) -> bool:
        """True when even the best case is further off than the tolerance."""
        latest = self.latest
        return latest is not None and (
            abs(latest.offset_secs) - latest.error_secs > self._tolerance_secs
        )

    @property
    def drift_ppm(self) -> float | None:
        """By how many millionths the venue's clock runs faster; None with fewer than five samples.

        The slope of a straight line through the samples, by least squares.
        """
        if len(self._samples) < _DRIFT_SAMPLES:
            return None
        begin_ns = self._samples[0].sent_utc_ns
        at = [(sample.sent_utc_ns - begin_ns) / NANOS_PER_SEC for sample in self._samples]
        offsets = [sample.offset_secs for sample in self._samples]
        mean_at, mean_offset = sum(at) / len(at), sum(offsets) / len(offsets)
        spread = sum((x - mean_at) ** 2 for x in at)
        if not spread:
            return None
        pairs = zip(at, offsets, strict=True)
        return sum((x - mean_at) * (y - mean_offset) for x, y in pairs) / spread * _MILLION
