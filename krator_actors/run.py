"""``krator run``: build the system, keep it alive, say how it went.

This process is the outer watchdog. It stays single-threaded, because it forks the admin; it trades
nothing, prints little and does its own work in ``Heart.poll``.
"""

from __future__ import annotations

import argparse
import datetime as dt
import os
import signal
import subprocess
import sys
import time
from types import FrameType

from loguru import logger

from krator_actors import companion, gateway_address, journal_commands, place, telemetry, tree
from krator_actors.adapters.at_rest import (
    KEY_FILE_VARIABLE,
    DataKeyError,
    Keys,
    require_private,
)
from krator_actors.adapters.embedded_redis import embedded_redis_url
from krator_actors.config import Config, ConfigError, RiskConfig, VenueConfig, require_code
from krator_actors.external import external_dsn, external_redis
from krator_actors.model import venue_symbol_of
from krator_actors.terminal import (
    EXIT_ALREADY_RUNNING,
    EXIT_FAILED,
    EXIT_GAVE_UP,
    EXIT_OK,
    EXIT_USAGE,
    fail,
    say,
)
from krator_actors.venue_clock import CLOCK_TOLERANCE_SECS, VenueClockError, offset_secs
from krator_actors.venue_login import require_orders, trading_requests
from supervisors.ground import GroundTakenError
from supervisors.heart import Heart, HeartGaveUpError, StartError
from supervisors.notify import ServiceManager
from supervisors.spec import Backoff, Budget
from supervisors.status import NodeStatus

_POLL_SECS = 0.2
_CLOCK_TIMEOUT_SECS = 2.0
_ASK_VENUE_EVERY_SECS = 1.0
_WAITING_SECS = 15.0
"""So much longer a start or stop may take, as the service manager is told once a second."""
_BACKOFF = Backoff(max_secs=5.0, reset_secs=10.0)
"""Shorter than a child's, because nothing trades meanwhile: a system that has run for ten seconds
has failed for another reason than the one before it."""
_SETTLE_SECS = 2.0
"""After the end of a recording: so long for the last answers to arrive and be journaled."""


def main(options: argparse.Namespace) -> int:
    """Run until Ctrl-C, SIGTERM, ``--for`` or the end of a recording; returns the exit code."""
    try:
        config = _configured(options)
        data_dir = config.system.data_dir
        place.prepare(data_dir)
        lock = place.DataDirLock(data_dir)
        lock.acquire()
        place.require_rebuilt(data_dir)
    except ConfigError as error:
        return fail(str(error), EXIT_USAGE)
    except place.AlreadyRunningError as error:
        return fail(
            f"a system (pid {error}) is already running on that data folder; "
            "see krator status, end it with krator stop, or choose another --data-dir",
            EXIT_ALREADY_RUNNING,
        )
    try:
        return _Run(config, options).run()
    finally:
        lock.release()


def _configured(options: argparse.Namespace) -> Config:
    """Return the configuration with the command line's changes; raises ConfigError."""
    config = place.load_config(options.config)
    require_orders(config.venue)
    configured = config.system.data_dir
    data_dir = options.data_dir or configured
    if options.lockstep and options.replay is None:
        raise ConfigError("--lockstep needs --replay")
    if options.speed is not None and options.replay is None:
        raise ConfigError("--speed needs --replay")
    if options.replay is not None:
        if config.venue.kind != "sim":
            raise ConfigError('--replay needs venue.kind = "sim"; a real venue has no recording')
        if options.data_dir is None:
            # A recording is a world of its own: its orders would be duplicates of an earlier run's.
            now = dt.datetime.now(dt.UTC)
            data_dir = configured.parent / f"replay-{now:%Y%m%dT%H%M%S%f}"
        symbols = companion.recorded_symbols(options.replay)
        strategies = tuple(s for s in config.strategies if venue_symbol_of(s.symbol) in symbols)
        if not strategies:
            raise ConfigError(
                f"the recording has {', '.join(sorted(symbols))}; no strategy is for one of them"
            )
        config = config.model_copy(update={"strategies": strategies})
        if options.lockstep:
            changes = {"risk": _by_no_clock(config.risk), "venue": _never_stale(config.venue)}
            config = config.model_copy(update=changes)
    if config.venue.kind != "sim":
        if options.live and config.system.dry_run:
            raise ConfigError("--live needs system.dry_run = false in the configuration as well")
        if not options.live:
            system = config.system.model_copy(update={"dry_run": True})
            config = config.model_copy(update={"system": system})
    external_redis(config)
    _require_keys(config.venue)
    require_code(config)
    system = config.system.model_copy(update={"data_dir": data_dir})
    if options.data_dir is None:
        place.remember_last_run(configured, data_dir)
    return config.model_copy(update={"system": system})


def _require_keys(venue: VenueConfig) -> None:
    """Find out here, before anything is started, what the actors would stumble over."""
    trading_requests(venue)
    try:
        for variable in (venue.api_secret_env, KEY_FILE_VARIABLE):
            if os.environ.get(variable, "").startswith("/"):
                require_private(os.environ[variable], variable=variable)
        Keys.of_environment()
    except DataKeyError as error:
        raise ConfigError(str(error)) from error


_MANY = 1_000_000
_DAY_SECS = 86_400.0


def _by_no_clock(risk: RiskConfig) -> RiskConfig:
    """Return the limits without those that this machine's clock judges.

    In lockstep no two runs take equally long, and orders of a day come within seconds.
    """
    rates = (
        "max_orders_per_sec",
        "max_strategy_orders_per_sec",
        "max_symbol_orders_per_sec",
        "max_messages_per_sec",
        "max_strategy_messages_per_sec",
        "max_symbol_messages_per_sec",
        "max_executions",
    )
    windows = ("price_window_secs", "volume_window_secs", "quote_stale_secs")
    changes = {
        **dict.fromkeys(rates, _MANY),
        **dict.fromkeys(windows, _DAY_SECS),
        "duplicate_secs": 1e-6,
    }
    own = {
        symbol: limits.model_copy(
            update={k: v for k, v in changes.items() if k in type(limits).model_fields}
        )
        for symbol, limits in risk.symbols.items()
    }
    return risk.model_copy(update={**changes, "symbols": own})


def _never_stale(venue: VenueConfig) -> VenueConfig:
    """Return it without limits on the age of data, because a step may take as long as it takes."""
    ages = ("quote_stale_secs", "trade_stale_secs", "stale_max_secs")
    return venue.model_copy(update=dict.fromkeys(ages, _DAY_SECS))


class _Run:
    """One run, from the first line it prints to the last."""

    def __init__(self, config: Config, options: argparse.Namespace) -> None:
        self._config = config
        self._options = options
        self._data_dir = config.system.data_dir
        self._runtime = place.runtime_dir(self._data_dir)
        self._log = self._data_dir / "logs" / "krator.jsonl"
        self._venue: companion.Companion | None = None
        self._console: subprocess.Popen[bytes] | None = None
        # True once that has been told.
        self._is_venue_gone = False
        # Why the run ends; empty while it goes on.
        self._ending = ""
        self._manager = ServiceManager.take(os.environ)

    def run(self) -> int:
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, self._on_signal)
        config = self._config
        telemetry.configure(
            self._log,
            level=config.log.level,
            max_bytes=config.log.max_bytes,
            max_files=config.log.max_files,
            redactor=telemetry.protect(config),
            component="krator",
        )
        code = EXIT_FAILED
        try:
            code = self._start_and_watch()
        except companion.CompanionError as error:
            code = EXIT_USAGE if error.is_input_error else EXIT_FAILED
            fail(f"the simulated venue did not start: {error}", code)
        except GroundTakenError as error:
            code = fail(str(error), EXIT_ALREADY_RUNNING)
        except OSError as error:
            # A full disk, for example; what could not be written is in the text.
            fail(f"the system cannot run here: {error}", code)
        finally:
            self._stop_console()
            if self._venue is not None:
                self._venue.stop()
        if code != EXIT_OK:
            return code
        say(f"\nStopped ({self._ending}). Summary, from the journal:")
        journal_commands.print_summary(self._data_dir, config)
        return EXIT_OK

    def _start_and_watch(self) -> int:
        config = self._config
        url = config.venue.url
        if config.venue.kind == "sim" and not url:
            self._venue = companion.ensure(
                config.exchange,
                data_dir=self._data_dir,
                symbols=tuple(venue_symbol_of(symbol) for symbol in config.symbols),
                replay=self._options.replay,
                speed=self._options.speed or 1.0,
                lockstep=self._options.lockstep,
                seed=self._options.seed,
            )
            url = self._venue.url
        heart = Heart(
            tree.build(
                config,
                venue_url=url,
                replay=self._options.replay is not None,
                lockstep=self._options.lockstep,
            ),
            runtime=self._runtime,
            state_dir=self._data_dir,
            crash_dir=self._data_dir / "crash",
            budget=Budget(
                max_restarts=config.supervision.heart_restarts,
                period_secs=config.supervision.heart_period_secs,
                backoff=_BACKOFF,
            ),
            admin_port=config.system.admin_port,
            waiting=lambda: self._manager.extend(_WAITING_SECS),
        )
        try:
            heart.start()
        except StartError as error:
            return fail(
                f"the system did not start: {error}\ndetails: {self._data_dir / 'crash'}",
                EXIT_FAILED,
            )
        try:
            self._introduce(url)
            self._compare_clocks(url)
            self._start_console()
            self._manager.ready()
            self._watch(heart)
        except HeartGaveUpError as error:
            logger.bind(event_type="heart_gave_up").critical("heart gave up")
            return fail(f"gave up: {error}\ndetails: {self._data_dir / 'crash'}", EXIT_GAVE_UP)
        finally:
            self._manager.stopping()
            self._stop_console()
            heart.stop()
        return EXIT_OK

    def _watch(self, heart: Heart) -> None:
        started = time.monotonic()
        ask_venue_at = started
        while not self._ending:
            for event in heart.poll():
                logger.bind(event_type="heart", detail=event).warning("system rebuilt")
                self._manager.status(event)
            if heart.is_progressing:
                self._manager.alive()
                self._manager.status(_summary(heart.status()))
            self._tell_if_venue_is_gone()
            now = time.monotonic()
            run_secs = self._options.run_secs
            if run_secs is not None and now - started >= run_secs:
                self._ending = f"after {run_secs:g} s"
            if self._options.replay is not None and now >= ask_venue_at and self._venue:
                ask_venue_at = now + _ASK_VENUE_EVERY_SECS
                if self._venue.has_ended():
                    self._settle(heart)
                    self._ending = self._ending or "end of the recording"
            heart.wait(_POLL_SECS)

    def _tell_if_venue_is_gone(self) -> None:
        if self._venue is None or self._is_venue_gone or not self._venue.is_gone():
            return
        self._is_venue_gone = True
        logger.bind(
            event_type="venue_ended", details=str(self._data_dir / "exchange" / "stderr.log")
        ).error("the simulated venue has ended; krator stop and krator run bring it back")

    def _settle(self, heart: Heart) -> None:
        deadline = time.monotonic() + _SETTLE_SECS
        while time.monotonic() < deadline and not self._ending:
            heart.poll()
            heart.wait(_POLL_SECS)

    def _introduce(self, url: str) -> None:
        config = self._config
        source = f"replay of {self._options.replay}" if self._options.replay else "synthetic"
        kind = f"simulated, {source}" if config.venue.kind == "sim" else config.venue.kind
        database = "external" if external_dsn(config) else "embedded PostgreSQL"
        embedded_redis = f"embedded Redis at {embedded_redis_url(self._runtime)}"
        redis = "external Redis" if external_redis(config) else embedded_redis
        mode = "dry run" if config.system.dry_run else "LIVE"
        say(
            f"Krator is running (pid {os.getpid()}, {mode}).\n"
            f"  venue       {config.venue.name} ({kind}) at {url}\n"
            f"  config      {place.config_fact(self._options.config)}\n"
            f"  strategies  {', '.join(s.actor_name for s in config.strategies)}\n"
            f"  journal     {database}\n"
            f"  publisher   {redis}\n"
            f"  gateway     {gateway_address.url(self._runtime) or 'no port yet'}/metrics\n"
            f"  data        {self._data_dir}\n"
            f"  log         {self._log}\n"
            "In a second terminal: krator status · krator report · krator halt --by NAME "
            "--reason TEXT · krator stop\nCtrl-C stops it."
        )

    def _compare_clocks(self, url: str) -> None:
        try:
            offset = offset_secs(self._config.venue, url, timeout_secs=_CLOCK_TIMEOUT_SECS)
        except VenueClockError:
            return  # the feed says what is wrong with the venue
        if abs(offset) > CLOCK_TOLERANCE_SECS:
            logger.bind(event_type="clock_off", offset_secs=round(offset, 1)).warning("clock off")
            say(
                f"WARNING: this machine's clock is {-offset:+,.0f} s off the venue's. Orders carry "
                "the venue's time; days, logs and reports have this machine's. Set the clock."
            )

    def _start_console(self) -> None:
        self._console = subprocess.Popen(  # noqa: S603 - our own module, no shell
            [sys.executable, "-m", "krator_actors.console", str(self._runtime), str(self._log)],
            stdin=subprocess.PIPE,
            start_new_session=True,  # a Ctrl-C at the terminal is for krator run
        )

    def _stop_console(self) -> None:
        console, self._console = self._console, None
        if console is None:
            return
        assert console.stdin is not None
        console.stdin.close()
        try:
            console.wait(5)
        except subprocess.TimeoutExpired:
            console.kill()
            console.wait()

    def _on_signal(self, number: int, _frame: FrameType | None) -> None:
        self._ending = signal.Signals(number).name


def _summary(root: NodeStatus) -> str:
    workers = root.workers()
    running = sum(worker.state == "running" for worker in workers)
    alarms = sum(len(node.alarms) for node in root.all_nodes())
    return f"{running} of {len(workers)} actors run; {alarms} alarms"
