"""How a request to a venue can fail, by what the caller may safely do next."""

from __future__ import annotations

from supervisors.redaction import redacted


class VenueError(Exception):
    """The base of the three; catch one of them, because each asks for another remedy.

    Its text is redacted when it is made, because a venue repeats what it was sent, and the text
    goes on into the record, to Redis and to people.
    """

    def __init__(self, text: str) -> None:
        super().__init__(redacted(text))


class VenueRefusedError(VenueError):
    """The venue said no: it did not happen, and asking again will not change that.

    ``code`` is the venue's own error code (Binance: -1121), 0 when it gave none.
    """

    def __init__(self, text: str, *, code: int = 0) -> None:
        super().__init__(text)
        self.code = code


class VenueUnavailableError(VenueError):
    """Nothing was done: not connected, rate limited, busy. It may work later.

    ``retry_after_secs`` is what the venue asked us to wait, None when it did not say.
    """

    def __init__(self, text: str, *, retry_after_secs: float | None = None) -> None:
        super().__init__(text)
        self.retry_after_secs = retry_after_secs


class OutcomeUnknownError(VenueError):
    """The request may have been carried out and the answer was lost: query, never resend."""
