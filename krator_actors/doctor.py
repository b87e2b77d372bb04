"""``krator doctor``: what on this machine would keep a system from starting or trading.

It changes nothing. Each check is a function of what is to be run; its findings are one line each.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import platform
import shutil
import socket
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator
from importlib import metadata
from pathlib import Path
from typing import Literal

import msgspec

from krator_actors import place
from krator_actors.adapters.embedded_postgres import (
    Account,
    EmbeddedPostgresError,
    embedded_dsn,
)
from krator_actors.adapters.embedded_postgres_cluster import cluster_major, server_binaries
from krator_actors.adapters.postgres import JournalStore, JournalUnavailableError
from krator_actors.config import Config, ConfigError
from krator_actors.external import external_dsn
from krator_actors.services import ask_services
from krator_actors.terminal import EXIT_FAILED, EXIT_OK, print_json, print_table, say
from krator_actors.venue_clock import CLOCK_TOLERANCE_SECS, VenueClockError, offset_secs
from krator_actors.venue_login import trading_requests
from supervisors.process import forked_processes
from supervisors.redaction import redacted

_MIN_PYTHON = (3, 11)
_MIN_FREE_BYTES, _LOW_FREE_BYTES = 200_000_000, 2_000_000_000
_MIN_FILES = 1_024
_BINARY_SECS = 10.0
_VENUE_SECS = 3.0
_DATABASE_SECS = 5.0

Verdict = Literal["ok", "warn", "fail"]


class Finding(msgspec.Struct, frozen=True):
    """One line of the answer."""

    check: str
    verdict: Verdict
    fact: str
    remedy: str = ""
    """what to do; empty when it is ok"""

    def __post_init__(self) -> None:
        """Redact the fact, because it may quote an error that quotes a DSN."""
        msgspec.structs.force_setattr(self, "fact", redacted(self.fact))


class Patient(msgspec.Struct, frozen=True):
    """What is to be run, and where."""

    config: Config
    data_dir: Path
    runtime: Path
    is_running: bool


Check = Callable[[Patient], Iterator[Finding]]


def main(options: argparse.Namespace) -> int:
    """Check everything and print the findings; 5 when one of them is a failure."""
    try:
        config = place.load_config(options.config)
        findings = [Finding("configuration", "ok", place.config_fact(options.config))]
    except ConfigError as error:
        config = Config()
        remedy = "correct it; the checks below are of the built-in defaults"
        findings = [Finding("configuration", "fail", str(error), remedy)]
    data_dir = (options.data_dir or config.system.data_dir).absolute()
    patient = Patient(
        config, data_dir, place.runtime_dir(data_dir), place.DataDirLock(data_dir).is_held()
    )
    findings += examine(patient)
    if options.json:
        print_json({"findings": findings})
    else:
        _print(findings)
    return EXIT_FAILED if any(f.verdict == "fail" for f in findings) else EXIT_OK


def examine(patient: Patient) -> list[Finding]:
    """Return the findings of all checks, in their order."""
    return [finding for check in _CHECKS for finding in check(patient)]


def _print(findings: list[Finding]) -> None:
    rows = [(f.verdict, f.check, f.fact.replace("\n", " ")) for f in findings]
    print_table(("", "CHECK", "FACT"), rows)
    for finding in findings:
        if finding.remedy:
            say(f"{finding.verdict}: {finding.check}: {finding.remedy}")


def _python(_: Patient) -> Iterator[Finding]:
    fact = f"{platform.python_implementation()} {platform.python_version()} on {sys.platform}"
    if sys.version_info >= _MIN_PYTHON and sys.platform == "linux":
        yield Finding("python", "ok", fact)
    else:
        yield Finding("python", "fail", fact, "Python 3.11 or newer on Linux is needed")


def _packages(_: Patient) -> Iterator[Finding]:
    try:
        wanted = metadata.requires("krator") or []
    except metadata.PackageNotFoundError:
        yield Finding("packages", "warn", "krator is not installed as a package", "make setup")
        return
    names = [_distribution(text) for text in wanted if "extra ==" not in text]
    missing = [name for name in names if not _is_installed(name)]
    if missing:
        yield Finding("packages", "fail", f"missing: {', '.join(missing)}", "make setup")
    else:
        yield Finding("packages", "ok", f"all {len(names)} are installed")


def _distribution(requirement: str) -> str:
    end = next((n for n, c in enumerate(requirement) if not (c.isalnum() or c in "-_.")), None)
    return requirement[:end]


def _is_installed(name: str) -> bool:
    try:
        metadata.distribution(name)
    except metadata.PackageNotFoundError:
        return False
    return True


def _data_folder(patient: Patient) -> Iterator[Finding]:
    data_dir = patient.data_dir
    remedy = "choose another with --data-dir or system.data_dir, or change its rights"
    try:
        existing = next(path for path in (data_dir, *data_dir.parents) if path.exists())
        if not existing.is_dir() or not os.access(existing, os.W_OK | os.X_OK):
            yield Finding("data folder", "fail", f"{existing} cannot be written", remedy)
            return
        version = place.data_version(data_dir)
        free = shutil.disk_usage(existing).free
    except (OSError, ConfigError) as error:
        yield Finding("data folder", "fail", str(error), remedy)
        return
    if version > place.DATA_VERSION:
        remedy = "run the krator that wrote it, or choose another folder"
        yield Finding("data folder", "fail", f"{data_dir} is of version {version}", remedy)
    else:
        there = f"version {version}" if data_dir.exists() else "will be made"
        yield Finding("data folder", "ok", f"{data_dir} ({there})")
    verdict: Verdict = "ok" if free >= _LOW_FREE_BYTES else "warn"
    verdict = "fail" if free < _MIN_FREE_BYTES else verdict
    remedy = "" if verdict == "ok" else "free space: without it nothing can be logged or traded"
    yield Finding("disk", verdict, f"{free / 1e9:,.1f} GB free", remedy)


def _runtime_folder(patient: Patient) -> Iterator[Finding]:
    runtime = patient.runtime
    if runtime.is_dir():
        info = runtime.stat()
        if info.st_uid != os.geteuid() or stat.S_IMODE(info.st_mode) & 0o077:
            remedy = f"remove {runtime} or have its owner do it"
            yield Finding("runtime folder", "fail", f"{runtime} is not private", remedy)
            return
    elif not os.access(runtime.parent, os.W_OK | os.X_OK):
        remedy = "set XDG_RUNTIME_DIR to a folder of this user; in a container: --tmpfs /tmp"
        yield Finding("runtime folder", "fail", f"{runtime.parent} cannot be written", remedy)
        return
    yield Finding("runtime folder", "ok", str(runtime))


def _ports(patient: Patient) -> Iterator[Finding]:
    ports = {"loopback": 0}
    if not patient.is_running:
        ports["admin port"] = patient.config.system.admin_port
        if patient.config.venue.kind == "sim" and not patient.config.venue.url:
            ports["venue port"] = patient.config.exchange.port
    for name, port in ports.items():
        if port == 0 and name != "loopback":
            continue
        try:
            with socket.create_server(("127.0.0.1", port)):
                yield Finding(name, "ok", f"127.0.0.1:{port}" if port else "127.0.0.1")
        except OSError as error:
            remedy = (
                "end the program that has it, or configure another"
                if port
                else "give the loopback interface 127.0.0.1: supervision listens there"
            )
            fact = f"127.0.0.1:{port}: {error.strerror}"
            yield Finding(name, "fail", fact, remedy)


def _limits(_: Patient) -> Iterator[Finding]:
    import resource  # noqa: PLC0415 - Linux only, and _python says so first

    files = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    few = files < _MIN_FILES
    remedy = f"ulimit -n {_MIN_FILES}" if few else ""
    yield Finding("open files", "warn" if few else "ok", f"{files} allowed", remedy)


def _binaries(patient: Patient) -> Iterator[Finding]:
    if external_dsn(patient.config) is not None:
        return
    try:
        program = server_binaries(cluster_major(patient.data_dir / "postgres")) / "postgres"
        done = subprocess.run(  # noqa: S603 - the program of a wheel
            [str(program), "--version"],
            capture_output=True,
            text=True,
            timeout=_BINARY_SECS,
            check=True,
        )
    except (EmbeddedPostgresError, OSError, subprocess.SubprocessError) as error:
        remedy = "make setup, or set KRATOR_POSTGRES_DSN to a PostgreSQL of your own"
        yield Finding("postgresql", "fail", str(error), remedy)
        return
    yield Finding("postgresql", "ok", done.stdout.strip())
    account = Account.choose()
    if account is Account.NOBODY:
        remedy = (
            "the cluster will belong to nobody; run krator as an ordinary user, or allow user "
            "namespaces"
        )
        yield Finding("user", "warn", "root without user namespaces", remedy)
    else:
        fact = "root, PostgreSQL in a user namespace" if account is Account.NAMESPACE else ""
        yield Finding("user", "ok", fact or f"uid {os.geteuid()}")


def _venue(patient: Patient) -> Iterator[Finding]:
    config = patient.config
    try:
        trading_requests(config.venue)
    except ConfigError as error:
        yield Finding("venue keys", "fail", str(error), "set them in the environment")
    url = place.venue_url(config, patient.data_dir)
    if config.venue.kind == "sim" and not url:
        yield Finding("venue", "ok", "none runs; krator run starts one")
        return
    try:
        offset = offset_secs(config.venue, url, timeout_secs=_VENUE_SECS)
    except VenueClockError as error:
        remedy = "check venue.url and the network; krator run keeps trying"
        yield Finding("venue", "fail", f"{url or config.venue.name}: {error}", remedy)
        return
    yield Finding("venue", "ok", url or config.venue.name)
    is_off = abs(offset) > CLOCK_TOLERANCE_SECS
    remedy = "set this machine's clock (chrony, systemd-timesyncd)" if is_off else ""
    fact = f"{-offset:+,.3f} s off the venue's"
    yield Finding("clock", "warn" if is_off else "ok", fact, remedy)


def _database(patient: Patient) -> Iterator[Finding]:
    dsn = external_dsn(patient.config)
    if dsn is None and not patient.is_running:
        yield Finding("database", "ok", "embedded; not running now")
        return
    try:
        asyncio.run(_connect(dsn or embedded_dsn(patient.runtime)))
    except (JournalUnavailableError, TimeoutError, OSError) as error:
        variable = patient.config.postgres.dsn_env
        remedy = f"check {variable} and the server" if dsn else "see logs/postgres.log"
        yield Finding("database", "fail", str(error) or "no answer", remedy)
    else:
        yield Finding("database", "ok", "external" if dsn else "embedded, and it answers")


async def _connect(dsn: str) -> None:
    async with asyncio.timeout(_DATABASE_SECS):
        store = await JournalStore.connect_reader(dsn)
        await store.close()


def _services(patient: Patient) -> Iterator[Finding]:
    if not patient.is_running:
        return
    for name, verdict, fact in ask_services(patient.runtime).lines():
        if verdict == "ok":
            yield Finding(name, "ok", fact)
        else:
            remedy = f"see krator status and krator admin state {name}"
            yield Finding(name, "warn", fact, remedy)


def _leftovers(patient: Patient) -> Iterator[Finding]:
    if patient.is_running:
        yield Finding("earlier runs", "ok", "a system runs on this data folder")
        return
    left = [f"process {pid}" for pid in forked_processes(patient.runtime / "alive")]
    if patient.runtime.exists():
        left.append(str(patient.runtime))
    if left:
        remedy = "krator run clears it away when it starts"
        yield Finding("earlier runs", "warn", f"left: {', '.join(left)}", remedy)
    else:
        yield Finding("earlier runs", "ok", "nothing is left of one")


_CHECKS: tuple[Check, ...] = (
    _python,
    _packages,
    _limits,
    _data_folder,
    _runtime_folder,
    _ports,
    _binaries,
    _database,
    _services,
    _venue,
    _leftovers,
)
