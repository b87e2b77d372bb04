"""The exchange put together: ledger, account, markets, and everybody who listens."""

from __future__ import annotations

import os
import time
from typing import Any

from krator_actors.exchange.account import Account
from krator_actors.exchange.faults import Faults
from krator_actors.exchange.ids import IdSource
from krator_actors.exchange.ledger import Ledger
from krator_actors.exchange.lifetime import Lifetime
from krator_actors.exchange.limits import RateLimits
from krator_actors.exchange.methods import Methods
from krator_actors.exchange.options import Options
from krator_actors.exchange.records import Closed, Opened
from krator_actors.exchange.rest_account import RestAccount
from krator_actors.exchange.server import Server
from krator_actors.exchange.session import Session, Surroundings
from krator_actors.exchange.signing import Credentials
from krator_actors.exchange.streams import StreamHub
from krator_actors.exchange.user_streams import UserStreams
from krator_actors.exchange.venue import Venue
from krator_actors.exchange.ws_api import WsApi

_QUOTE = "USDT"


class Exchange:
    """One running exchange. Make it inside the event loop, then start ``server``."""

    def __init__(
        self, options: Options, *, session: Session, ledger: Ledger, credentials: Credentials
    ) -> None:
        """Recover the account from the ledger and open the markets."""
        self._options = options
        self._session = session
        self._ledger = ledger
        self._account = self._recover()
        faults = Faults()
        self._hub = StreamHub(faults)
        self._markets = dict(
            session.open_markets(
                Surroundings(
                    ids=self._ids, publish=self._hub.publish, epoch_ns=self._account.epoch_ns
                )
            )
        )
        self.venue = Venue(
            account=self._account,
            ledger=ledger,
            markets=self._markets,
            fee_rate=options.fee_rate,
        )
        if not self._account.holdings:
            self.venue.deposit(_QUOTE, options.quote_balance)
        self.venue.resume()
        self._user_streams = UserStreams()
        limits = RateLimits(weight_limit=options.weight_limit, order_limit=options.order_limit)
        methods = Methods(venue=self.venue, limits=limits, faults=faults, fee_rate=options.fee_rate)
        ws_api = WsApi(
            methods=methods,
            credentials=credentials,
            limits=limits,
            faults=faults,
            user_streams=self._user_streams,
            announce=self.announce,
        )
        rest_account = RestAccount(
            methods=methods,
            credentials=credentials,
            limits=limits,
            faults=faults,
            account=self._account,
            announce=self.announce,
            withdrawals=options.withdrawals,
        )
        self._lifetime = Lifetime(linger_secs=options.linger_secs, parent_pid=options.parent_pid)
        self.server = Server(
            venue=self.venue,
            hub=self._hub,
            faults=faults,
            limits=limits,
            user_streams=self._user_streams,
            ws_api=ws_api,
            rest_account=rest_account,
            status=self._status,
            adopt=self._lifetime.adopt,
            step=session.step,
        )

    async def pace(self) -> None:
        """Let the markets go on; returns at the end of a recording."""
        await self._session.pace(self.venue, heard=self._hub.heard, announce=self.announce)

    async def unneeded(self) -> None:
        """Return when the parent process and the last client have been gone for long enough."""
        try:
            await self._lifetime.end(lambda: self.server.idle_secs)
        finally:
            self._lifetime.close()

    def announce(self) -> None:
        """Tell all who listen what the ledger already has."""
        self._user_streams.push(self.venue.take_events())
        for market in self._markets.values():
            market.flush()

    def close(self, reason: str) -> None:
        """Write down that it ends, after the server has stopped."""
        for market in self._markets.values():
            market.close()
        self._ledger.append(Closed(reason=reason))

    def _recover(self) -> Account:
        account = Account.recovered(self._ledger.recover())
        opened = Opened(
            mode=self._session.mode,
            seed=self._options.seed,
            symbols=list(self._session.symbols),
            pid=os.getpid(),
            epoch_ns=account.epoch_ns or time.time_ns(),
            torn_bytes=self._ledger.torn_bytes,
        )
        account.apply(opened)
        self._ledger.append(opened)
        return account

    def _ids(self, name: str, start: int) -> IdSource:
        return IdSource(name, self._ledger, start=self._account.next_ids.get(name, start))

    def _status(self) -> dict[str, Any]:
        return {
            "mode": self._session.mode,
            **self._session.status(),
            "ledger": str(self._ledger.path),
            "seed": self._options.seed,
            "symbols": list(self._markets),
            "open_orders": len(self._account.open_orders()),
            "user_streams": len(self._user_streams),
            "pid": os.getpid(),
        }
