"""HTTP to a venue, with a deadline for each request and an error class for each remedy."""

from __future__ import annotations

from collections.abc import Mapping

import aiohttp
import msgspec

from krator_actors.adapters.session import parse_retry_after
from krator_actors.venue_errors import VenueRefusedError, VenueUnavailableError

_OK = range(200, 300)
_LATER = frozenset({403, 408, 418, 425, 429})
"""firewall, timeout, banned, too early, rate limited"""
_SERVER_ERROR = 500
_CHUNK_BYTES = 65_536
_TEXT_LIMIT = 200


class _Refusal(msgspec.Struct):
    code: int = 0
    msg: str = ""


class RestClient:
    """Reads from one host. Opened by the first request; ``close`` it at the end.

    Args:
        base_url: ``https://host`` without a path; certificates are verified.
        timeout_secs: for a whole request, from the name lookup to the last byte.
        headers: what every request carries; may hold keys.
        max_body_bytes: a longer answer is given up.
    """

    def __init__(
        self,
        base_url: str,
        *,
        timeout_secs: float,
        headers: Mapping[str, str] | None = None,
        max_body_bytes: int = 32 * 1024 * 1024,
    ) -> None:
        self._base_url = base_url.rstrip("/")
        self._timeout_secs = timeout_secs
        self._headers = dict(headers or {})
        self._max_body_bytes = max_body_bytes
        self._session: aiohttp.ClientSession | None = None

    async def get(self, path: str, headers: Mapping[str, str] | None = None) -> bytes:
        """Return the body of a successful answer.

        Raises VenueRefusedError (asking again is of no use) or VenueUnavailableError (later, and
        after ``retry_after_secs`` if the venue named it). A read changes nothing, so its outcome
        is never unknown.
        """
        return await self._ask("GET", path, headers)

    async def delete(self, path: str, headers: Mapping[str, str] | None = None) -> bytes:
        """As ``get``, of what may be asked for twice.

        VenueUnavailableError leaves open whether it was done.
        """
        return await self._ask("DELETE", path, headers)

    async def _ask(self, verb: str, path: str, headers: Mapping[str, str] | None) -> bytes:
        if self._session is None:
            self._session = aiohttp.ClientSession(
                timeout=aiohttp.ClientTimeout(total=self._timeout_secs), headers=self._headers
            )
        url = self._base_url + path
        try:
            # No redirects, because a venue's API has none and a captive portal has.
            async with self._session.request(
                verb, url, headers=headers, allow_redirects=False
            ) as response:
                body = await self._read(response)
        except TimeoutError:
            raise VenueUnavailableError(f"no answer within {self._timeout_secs:g} s") from None
        except (aiohttp.ClientError, OSError) as error:
            raise VenueUnavailableError(f"{type(error).__name__}: {error}") from None
        if response.status in _OK:
            return body
        raise _error_of(response.status, body, response.headers.get("Retry-After"))

    async def close(self) -> None:
        """Let go of the connections; idempotent."""
        if self._session is not None:
            await self._session.close()
            self._session = None

    async def _read(self, response: aiohttp.ClientResponse) -> bytes:
        body = bytearray()
        async for chunk in response.content.iter_chunked(_CHUNK_BYTES):
            body += chunk
            if len(body) > self._max_body_bytes:
                response.close()
                raise VenueUnavailableError(f"answer exceeds {self._max_body_bytes} bytes")
        return bytes(body)


def _error_of(
    status: int, body: bytes, retry_after: str | None
) -> VenueRefusedError | VenueUnavailableError:
    try:
        refusal = msgspec.json.decode(body, type=_Refusal)
    except (msgspec.DecodeError, RecursionError):
        refusal = _Refusal(msg="no reason given")  # a proxy's page, for example
    fact = f"HTTP {status}: {refusal.msg[:_TEXT_LIMIT]} (code {refusal.code})"
    if status in _LATER or status >= _SERVER_ERROR:
        return VenueUnavailableError(fact, retry_after_secs=parse_retry_after(retry_after) or None)
    return VenueRefusedError(fact, code=refusal.code)
