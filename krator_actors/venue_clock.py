"""What time the venue has, asked once and without an event loop."""

from __future__ import annotations

import json
import urllib.request

from krator_actors.clock import utc_ns
from krator_actors.config import ConfigError, VenueConfig
from krator_actors.model import NANOS_PER_SEC
from krator_actors.venue_login import rest_url

CLOCK_TOLERANCE_SECS = 1.0
"""Further apart than this a person should know."""


class VenueClockError(Exception):
    """The venue did not say what time it has; the text says why."""


def offset_secs(venue: VenueConfig, url: str, *, timeout_secs: float) -> float:
    """Return by how much the venue's clock is ahead of this machine's.

    ``url`` as in ``rest_url``. Blocks. Raises VenueClockError.
    """
    try:
        address = f"{rest_url(venue, url)}/api/v3/time"
        before_ns = utc_ns()
        with urllib.request.urlopen(address, timeout=timeout_secs) as answer:  # noqa: S310 - rest_url gives http only
            server_ms = int(json.load(answer)["serverTime"])
    except (ConfigError, OSError, ValueError, KeyError, TypeError) as error:
        raise VenueClockError(str(error)) from error
    middle_ns = (before_ns + utc_ns()) // 2
    return server_ms / 1_000 - middle_ns / NANOS_PER_SEC
