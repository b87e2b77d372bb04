"""The simulated venue that ``krator run`` starts beside the system when none answers.

It is somebody else's computer: not in the tree, not restarted, not killed with the tree. It ends
when ``krator run`` stops it, or by itself some seconds after ``krator run`` has gone.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

from krator_actors.config import ConfigError, ExchangeConfig
from supervisors.output import Drain

_START_TIMEOUT_SECS = 30.0
_STOP_TIMEOUT_SECS = 5.0
_PROBE_TIMEOUT_SECS = 1.0
_USAGE_EXIT = 2


class CompanionError(Exception):
    """The venue did not start; the text is its own last words."""

    def __init__(self, text: str, *, is_input_error: bool) -> None:
        super().__init__(text)
        self.is_input_error = is_input_error


class Companion:
    """One simulated venue on ``data_dir``, running or adopted."""

    def __init__(
        self,
        url: str,
        process: subprocess.Popen[bytes] | None,
        *,
        pidfd: int = -1,
        drain: Drain | None = None,
    ) -> None:
        self.url = url
        # None when it was started by an earlier ``krator run`` and still answered.
        self._process = process
        # What reads its standard error; None as above.
        self._drain = drain
        # Of an adopted one; -1 when it does not say who it is.
        self._pidfd = pidfd

    def has_ended(self) -> bool:
        """Return whether a replay has come to its end. Blocks for a second at most."""
        status = _status(self.url)
        return status is not None and bool(status.get("ended"))

    def is_gone(self) -> bool:
        """Return whether it ended by itself, e.g. because its ledger could not be written.

        Call it now and then: it also sees that the venue's standard error is read.
        """
        if self._drain is not None:
            self._drain.look()
        return self._process is not None and self._process.poll() is not None

    def stop(self) -> None:
        """End it, politely first."""
        if self._process is None:
            self._stop_adopted()
            return
        self._process.terminate()
        try:
            self._process.wait(_STOP_TIMEOUT_SECS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        if self._drain is not None:
            self._drain.close()
            self._drain = None

    def _stop_adopted(self) -> None:
        if self._pidfd < 0:
            return  # it ends by itself, soon after this process
        pidfd, self._pidfd = self._pidfd, -1
        try:
            for number in (signal.SIGTERM, signal.SIGKILL):
                signal.pidfd_send_signal(pidfd, number)
                if select.select([pidfd], [], [], _STOP_TIMEOUT_SECS)[0]:
                    break
        except ProcessLookupError:
            pass
        finally:
            os.close(pidfd)


def ensure(
    config: ExchangeConfig,
    *,
    data_dir: Path,
    symbols: tuple[str, ...],
    replay: Path | None,
    speed: float,
    lockstep: bool = False,
    seed: int | None,
) -> Companion:
    """Return the venue that answers on ``data_dir``, or start one.

    ``symbols`` are the venue's (``BTCUSDT``). Raises CompanionError when it ends before it is
    ready or takes longer than 30 s.
    """
    folder = data_dir / "exchange"
    folder.mkdir(exist_ok=True, mode=0o700)
    found = _answering(folder)
    if found is not None and replay is None:
        return _adopt(found)
    command = [sys.executable, "-m", "krator_actors.exchange", "--data-dir", str(folder)]
    command += ["--port", str(config.port), "--symbols", ",".join(symbols)]
    command += ["--seed", str(config.seed if seed is None else seed)]
    command += ["--ticks-per-sec", str(config.ticks_per_sec)]
    command += ["--quote-balance", str(config.quote_balance), "--fee-rate", str(config.fee_rate)]
    command += ["--parent-pid", str(os.getpid()), "--linger", str(config.linger_secs)]
    if replay is not None:
        command += ["--replay", str(replay), "--speed", str(speed)]
        command += ["--lockstep"] if lockstep else []
    said = folder / "stderr.log"
    said.write_bytes(b"")
    drain = Drain(said)
    try:
        process = subprocess.Popen(  # noqa: S603 - our own module, no shell
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=drain.fd,
            start_new_session=True,  # a Ctrl-C at the terminal is for krator run
        )
    except BaseException:
        drain.close()
        raise
    assert process.stdout is not None
    try:
        url = _ready_url(process)
    except BaseException:
        process.kill()
        process.wait()
        drain.close()
        raise
    finally:
        process.stdout.close()
    if url is None:
        code = _reap(process)
        drain.close()
        raise _not_started(code, said)
    return Companion(url, process, drain=drain)


def recorded_symbols(replay: Path) -> frozenset[str]:
    """Return the venue's symbols of a recorded session, e.g. ``BTCUSDT``.

    Raises ConfigError when the folder has no ``spot_<symbol>.jsonl.gz``; behind the symbol may
    follow ``_`` and anything.
    """
    names = [path.name for path in replay.glob("spot_*.jsonl.gz")]
    if not names:
        what = "has no spot_*.jsonl.gz file" if replay.is_dir() else "is not a folder"
        raise ConfigError(f"--replay {replay}: {what}")
    return frozenset(n.removesuffix(".jsonl.gz").split("_")[1].upper() for n in names)


def _adopt(url: str) -> Companion:
    """Have a venue of an earlier ``krator run`` follow this one."""
    try:
        pidfd = os.pidfd_open(int((_status(url) or {})["pid"]))
    except (KeyError, TypeError, ValueError, OSError):
        pidfd = -1
    body = json.dumps({"pid": os.getpid()}).encode()
    request = urllib.request.Request(f"{url}/sim/parent", body)  # noqa: S310 - http only, _status checked it
    with contextlib.suppress(OSError):
        urllib.request.urlopen(request, timeout=_PROBE_TIMEOUT_SECS).close()  # noqa: S310 - as above
    return Companion(url, None, pidfd=pidfd)


def _ready_url(process: subprocess.Popen[bytes]) -> str | None:
    """Return what the venue says when it is ready; None when it says nothing of the kind."""
    assert process.stdout is not None
    deadline = time.monotonic() + _START_TIMEOUT_SECS
    line = b""
    while not line.endswith(b"\n"):
        readable, _, _ = select.select([process.stdout], [], [], deadline - time.monotonic())
        chunk = os.read(process.stdout.fileno(), 4096) if readable else b""
        if not chunk:
            break
        line += chunk
    try:
        return str(json.loads(line)["url"])
    except (ValueError, KeyError):
        return None


def _not_started(code: int, said: Path) -> CompanionError:
    words = said.read_text(errors="replace").strip().splitlines()
    text = words[-1] if words else f"the simulated venue ended with exit code {code}"
    return CompanionError(text, is_input_error=code == _USAGE_EXIT)


def _reap(process: subprocess.Popen[bytes]) -> int:
    try:
        return process.wait(_STOP_TIMEOUT_SECS)
    except subprocess.TimeoutExpired:
        process.send_signal(signal.SIGKILL)
        return process.wait()


def _answering(folder: Path) -> str | None:
    try:
        url = str(json.loads((folder / "endpoint.json").read_text())["url"])
    except (OSError, ValueError, KeyError):
        return None
    return url if _status(url) is not None else None


def _status(url: str) -> dict[str, Any] | None:
    """Ask a simulated venue how it is; None when nobody answers."""
    if not url.startswith("http://"):
        return None
    try:
        with urllib.request.urlopen(f"{url}/sim/status", timeout=_PROBE_TIMEOUT_SECS) as answer:  # noqa: S310 - http only, checked above
            status = json.load(answer)
    except (OSError, ValueError):
        return None
    return status if isinstance(status, dict) else None
