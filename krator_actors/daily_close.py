"""Closing a day: its report, from the journal and the venue, into ``<data_dir>/reports``."""

from __future__ import annotations

import asyncio
import datetime as dt
from collections.abc import Awaitable, Callable
from pathlib import Path

import msgspec

from krator_actors import clock
from krator_actors.adapters.postgres import JournalReader
from krator_actors.config import Config, ConfigError
from krator_actors.core.daily_page import day_page
from krator_actors.core.daily_report import DayFold, DayReport
from krator_actors.core.daily_tables import day_text
from krator_actors.core.positions import quote_of
from krator_actors.core.venue_look import (
    DayDifference,
    RiskLook,
    VenueLook,
    alike,
    open_at_venue,
    risk_look,
)
from krator_actors.messages.risk import PortfolioReport
from krator_actors.venue_desk import VenueDesk, VenueSilentError
from krator_actors.venue_errors import VenueError
from supervisors.messages import ActorError
from supervisors.redaction import redacted

_LOOKS = 4
"""An order may be on its way: only what looks in a row show alike is a difference."""
_SETTLE_SECS = 0.5
_ASK_SECS = 15.0

_encode = msgspec.json.Encoder(decimal_format="string").encode


AskRisk = Callable[[], Awaitable[PortfolioReport]]
"""Asks a running risk actor; raises ActorError, OSError."""


async def close_day(
    config: Config,
    data_dir: Path,
    dsn: str,
    day: dt.date,
    *,
    venue_url: str,
    ask_risk: AskRisk | None,
) -> tuple[DayReport, Path]:
    """Write ``reports/<day>.txt``, ``.html`` and ``.json``; return the report and the last path.

    Older ones are replaced; the ``.json`` last, so that it stands for all three. The venue is asked
    at ``venue_url`` (empty: a real one's own address), nothing is changed there; ``ask_risk`` is
    None when the system does not run. Raises JournalUnavailableError, OSError.
    """
    fold = DayFold(day)
    reader = await JournalReader.connect_reader(dsn)
    try:
        look, risk, shown = await _compared(config, venue_url, ask_risk, fold, reader)
    finally:
        # Not close, because a server that hangs would not answer the goodbye.
        reader.terminate()
    report = fold.report(look, risk, shown)
    return report, await asyncio.to_thread(_write, data_dir / "reports", report)


async def _compared(
    config: Config, url: str, ask_risk: AskRisk | None, fold: DayFold, reader: JournalReader
) -> tuple[VenueLook, RiskLook, list[DayDifference]]:
    """Ask venue and risk, and read the journal, until two looks in a row agree on what differs."""
    seq = looks = 0
    found: list[DayDifference] = []
    while True:
        looks += 1
        look, risk = await look_at_venue(config, url), await _look_at_risk(config, ask_risk)
        # What they knew is in the journal by then, when all is well.
        await asyncio.sleep(0.0 if look.silent and risk.silent else _SETTLE_SECS)
        async for entry in reader.events(seq):
            fold.take(entry.event, entry.ts_logged, writer=entry.writer, number=entry.number)
            seq = entry.seq
        before, found = found, fold.look_differences(look, risk, config.venue.name)
        shown = alike(found, before)
        if shown == found or looks == _LOOKS:
            return look, risk, shown


async def look_at_venue(config: Config, url: str) -> VenueLook:
    """Ask the venue for balances and open orders; what keeps it from answering is in the look."""
    if config.venue.kind == "sim" and not url:
        return VenueLook(ts=clock.utc_ns(), silent="the simulated venue does not run")
    if config.venue.kind != "sim" and config.system.dry_run:
        return VenueLook(ts=clock.utc_ns(), silent="a dry run has no account there")
    try:
        async with asyncio.timeout(_ASK_SECS), VenueDesk(config, url) as desk:
            balances, orders = await desk.balances(), await desk.open_orders()
    except (VenueSilentError, VenueError, ConfigError) as error:
        return VenueLook(ts=clock.utc_ns(), silent=redacted(str(error)))
    except TimeoutError:
        return VenueLook(ts=clock.utc_ns(), silent=f"no answer within {_ASK_SECS:g} s")
    return VenueLook(
        ts=clock.utc_ns(), balances=balances, open_orders=tuple(map(open_at_venue, orders))
    )


async def _look_at_risk(config: Config, ask_risk: AskRisk | None) -> RiskLook:
    if ask_risk is None:
        return RiskLook(silent="krator does not run")
    try:
        return risk_look(await ask_risk(), quote_of(config.symbols))
    except (ActorError, OSError) as error:
        return RiskLook(silent=redacted(str(error)))


def _write(folder: Path, report: DayReport) -> Path:
    folder.mkdir(mode=0o700, exist_ok=True)
    path = folder / f"{report.day:%Y-%m-%d}.json"
    _replace(path.with_suffix(".txt"), day_text(report).encode())
    _replace(path.with_suffix(".html"), day_page(report).encode())
    _replace(path, _encode(report) + b"\n")
    return path


def _replace(path: Path, content: bytes) -> None:
    draft = path.with_name(f"{path.name}.new")
    draft.write_bytes(content)
    draft.replace(path)
