"""The exchange's process: started, kept going, ended."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from pathlib import Path
from typing import Any

from krator_actors.exchange.assembly import Exchange
from krator_actors.exchange.ledger import FILE_NAME, Ledger, LedgerFailedError
from krator_actors.exchange.options import Options
from krator_actors.exchange.replay_session import ReplaySession
from krator_actors.exchange.session import Session
from krator_actors.exchange.signing import Credentials
from krator_actors.exchange.synthetic_session import SyntheticSession

ENDPOINT_FILE = "endpoint.json"


async def serve(options: Options) -> int:
    """Run the exchange until it is told to end; return the exit code.

    Raises ExchangeStartError when it cannot start; nothing is left listening then.
    """
    credentials = Credentials.load(os.environ, options.public_key)
    session = session_of(options)
    ledger = Ledger(options.data_dir / FILE_NAME)
    try:
        exchange = Exchange(options, session=session, ledger=ledger, credentials=credentials)
        return await _serve(exchange, options)
    except LedgerFailedError as error:
        print(f"krator exchange: {error}", file=sys.stderr)  # noqa: T201 - it has no other log
        return 1
    finally:
        ledger.close()


def session_of(options: Options) -> Session:
    """Return the session that the options ask for; ExchangeStartError when it cannot be had."""
    if options.replay is not None:
        return ReplaySession(
            options.replay,
            speed=options.speed,
            start_at_once=options.start_at_once,
            lockstep=options.lockstep,
        )
    return SyntheticSession(options.symbols, seed=options.seed, ticks_per_sec=options.ticks_per_sec)


async def _serve(exchange: Exchange, options: Options) -> int:
    told = _signals()
    url = await exchange.server.start(options.port, options.host)
    endpoint = options.data_dir / ENDPOINT_FILE
    try:
        text = json.dumps({"url": url})
        _write_atomically(endpoint, text + "\n")
        print(text, flush=True)  # noqa: T201 - the ready line is the interface
        reason = await _until_the_end(exchange, told)
    finally:
        await exchange.server.stop()
        endpoint.unlink(missing_ok=True)
    exchange.close(reason)
    return 0


def _signals() -> asyncio.Future[str]:
    """Return what resolves with the name of the signal that ends the process."""
    loop = asyncio.get_running_loop()
    told: asyncio.Future[str] = loop.create_future()

    def hear(name: str) -> None:
        if not told.done():
            told.set_result(name)

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, hear, number.name)
    return told


async def _until_the_end(exchange: Exchange, told: asyncio.Future[str]) -> str:
    """Return why the exchange ends. An error of the pacing, or of the ledger, is raised."""
    pacing = asyncio.create_task(_pace_then_wait(exchange))
    lonely = asyncio.create_task(exchange.unneeded())
    failed = exchange.server.failed
    ends: list[asyncio.Future[Any]] = [told, failed, pacing, lonely]
    try:
        await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
        if failed.done():
            raise failed.result()
        if pacing.done():
            pacing.result()
        return told.result() if told.done() else "PARENT_GONE"
    finally:
        pacing.cancel()
        lonely.cancel()
        await asyncio.gather(pacing, lonely, return_exceptions=True)


async def _pace_then_wait(exchange: Exchange) -> None:
    """At the end of a recording the venue keeps serving its state."""
    await exchange.pace()
    await asyncio.Event().wait()


def _write_atomically(path: Path, text: str) -> None:
    draft = path.with_suffix(f".{os.getpid()}")
    draft.write_text(text, encoding="utf-8")
    draft.replace(path)
