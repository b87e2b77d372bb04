"""Where a venue's trading API is and who we are there. Secrets pass through and stay nowhere."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Iterable, Mapping

from loguru import logger

from krator_actors.adapters.at_rest import DataKeyError, key_file_text
from krator_actors.adapters.binance_reports import BinanceReports, Execution
from krator_actors.adapters.binance_rest import BinanceRest
from krator_actors.adapters.binance_trading import BinanceTrading
from krator_actors.adapters.rest import RestClient
from krator_actors.adapters.session import ReconnectPolicy
from krator_actors.adapters.trading import TradingClient
from krator_actors.config import ConfigError, VenueConfig
from krator_actors.model import NANOS_PER_MILLI
from krator_actors.venue_errors import VenueError, VenueUnavailableError


class KeyRefusedError(Exception):
    """The API key may do more than a trading system should be able to lose."""


_BINANCE_URL = "wss://ws-api.binance.com:443/ws-api/v3"
_BINANCE_REST = "https://api.binance.com"
_PATH = "/ws-api/v3"

# Not secrets: they open nothing but the simulated venue, and stand in its documentation.
_SIM_KEY = "krator-sim"
_SIM_SECRET = "krator-sim-secret"  # noqa: S105 - see above


def require_orders(venue: VenueConfig) -> None:
    """Raise ConfigError where no order entry is built: nothing may be sent in a wrong dialect."""
    if not venue.takes_orders:
        raise ConfigError(
            f'venue.kind = "{venue.kind}" has market data only; orders go to "sim" and "binance"'
        )


def trading_url(venue: VenueConfig, url: str) -> str:
    """Return the WebSocket API's address.

    ``url`` is the venue's HTTP base, or the address itself (``ws://``, ``wss://``), or empty for
    Binance's own. Raises ConfigError.
    """
    require_orders(venue)
    if url.startswith(("ws://", "wss://")):
        return url
    if url.startswith(("http://", "https://")):
        return "ws" + url.removeprefix("http").rstrip("/") + _PATH
    if not url and venue.kind == "binance":
        return _BINANCE_URL
    raise ConfigError(f"venue.url {url!r} is no address of a venue; expected http:// or ws://")


def rest_url(venue: VenueConfig, url: str) -> str:
    """Return the REST API's base. ``url`` as in ``trading_url``. Raises ConfigError."""
    require_orders(venue)
    if url.startswith(("http://", "https://")):
        return url.rstrip("/")
    if not url and venue.kind == "binance":
        return _BINANCE_REST
    raise ConfigError(f"venue.url {url!r} is no address of a venue; expected http://")


def trading_requests(venue: VenueConfig, environ: Mapping[str, str] = os.environ) -> BinanceTrading:
    """Return the adapter that signs, with the secrets that the configuration names.

    Raises ConfigError, naming the variables and never their content.
    """
    simulated = venue.kind == "sim"
    api_key = environ.get(venue.api_key_env) or (_SIM_KEY if simulated else "")
    secret = environ.get(venue.api_secret_env) or (_SIM_SECRET if simulated else "")
    if not api_key or not secret:
        raise ConfigError(
            f"set {venue.api_key_env} and {venue.api_secret_env}, because {venue.name} tells "
            "nobody else its balances and orders; a read-only key is enough for a dry run"
        )
    try:
        if secret.startswith("/"):
            secret = key_file_text(secret, variable=venue.api_secret_env)
        return BinanceTrading(api_key=api_key, secret=secret, recv_window_ms=venue.recv_window_ms)
    except ValueError as error:
        raise ConfigError(f"{venue.api_secret_env} is no key: {type(error).__name__}") from None
    except DataKeyError as error:
        raise ConfigError(str(error)) from None


async def check_key(venue: VenueConfig, url: str, environ: Mapping[str, str] = os.environ) -> None:
    """Ask the venue what our API key may do; raises KeyRefusedError when it may withdraw.

    Asked of Binance only: the simulated venue's key opens nothing. Raises VenueUnavailableError
    when it could not be asked, and VenueRefusedError when the venue does not tell: then nobody
    knows what the key may do.
    """
    if venue.kind != "binance":
        return
    client = RestClient(rest_url(venue, url), timeout_secs=venue.request_timeout_secs)
    public, requests = BinanceRest(()), trading_requests(venue, environ)
    try:
        timestamp_ms = public.read_time(await client.get(public.time_path())) // NANOS_PER_MILLI
        request = requests.key_permissions(timestamp_ms=timestamp_ms)
        body = await client.get(request.path, request.headers)
        may_withdraw = BinanceReports(()).read_key_permissions(body)
    except ValueError as error:
        raise VenueUnavailableError(f"unreadable answer: {error}") from None
    finally:
        await client.close()
    if may_withdraw:
        raise KeyRefusedError(
            f"the key in {venue.api_key_env} may withdraw from {venue.name}: make one that may "
            "only read and trade"
        )


async def key_is_safe(
    venue: VenueConfig, url: str, *, on_connection: Callable[[bool, str], None]
) -> bool:
    """Ask as ``check_key`` does until the venue answers; False when the key may withdraw.

    ``on_connection`` hears each time why there is no connection.
    """
    while True:
        try:
            await check_key(venue, url)
        except KeyRefusedError as error:
            logger.bind(event_type="key_refused", reason=str(error)).error("the key is refused")
            on_connection(False, f"KEY_CAN_WITHDRAW: {error}")
            return False
        except VenueError as error:
            logger.bind(event_type="key_not_checked", reason=str(error)).warning(
                "the venue has not said what the key may do"
            )
            on_connection(False, f"KEY_NOT_CHECKED: {error}")
            await asyncio.sleep(venue.reconnect_max_secs)
        else:
            return True


def _rest_client(venue: VenueConfig, url: str) -> RestClient | None:
    if url.startswith(("ws://", "wss://")):
        return None  # an address of the WebSocket API alone
    return RestClient(rest_url(venue, url), timeout_secs=venue.request_timeout_secs)


def trading_client(
    venue: VenueConfig,
    url: str,
    symbols: Iterable[str],
    *,
    on_execution: Callable[[Execution], None],
    on_connection: Callable[[bool, str], None],
) -> TradingClient:
    """Return the client of this venue, not connected yet. Raises ConfigError."""
    return TradingClient(
        url=trading_url(venue, url),
        requests=trading_requests(venue),
        reports=BinanceReports(symbols),
        rest=_rest_client(venue, url),
        on_execution=on_execution,
        on_connection=on_connection,
        request_timeout_secs=venue.request_timeout_secs,
        heartbeat_secs=venue.heartbeat_secs,
        reconnect=ReconnectPolicy(
            initial_secs=venue.reconnect_initial_secs, max_secs=venue.reconnect_max_secs
        ),
    )
