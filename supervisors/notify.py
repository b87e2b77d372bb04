"""The service manager above the heart: systemd, or whatever listens on ``NOTIFY_SOCKET``.

The protocol is sd_notify(3): one datagram a message, no answer. Nothing here can hold up the heart:
what cannot be sent at once is left out, and sent again when it is due.
"""

from __future__ import annotations

import contextlib
import math
import os
import socket
import time
from collections.abc import Callable, MutableMapping

_VARIABLES = ("NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID")
_EXTEND_EVERY_SECS = 1.0
_MAX_STATUS_CHARS = 200


class ServiceManager:
    """Says how the heart is; says nothing when nobody asked. For one thread."""

    def __init__(
        self, address: str, *, watchdog_secs: float, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """Speak to ``address`` ("@" begins an abstract one); "" is nobody, and 0 no watchdog."""
        # In the abstract name space the address begins with a zero byte.
        self._address = f"\0{address[1:]}" if address.startswith("@") else address
        self.watchdog_secs = watchdog_secs
        self._clock = clock
        self._alive_at = -math.inf
        self._extended_at = -math.inf
        self._status = ""
        self._socket: socket.socket | None = None
        if address:
            self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC)
            self._socket.setblocking(False)

    @classmethod
    def take(cls, environment: MutableMapping[str, str]) -> ServiceManager:
        """Take the manager out of the environment: what this process starts must not speak to it.

        A watchdog that is meant for another process is none.
        """
        address, usec, pid = (environment.pop(name, "") for name in _VARIABLES)
        is_meant = pid in {"", str(os.getpid())}
        secs = int(usec) / 1e6 if usec.isdecimal() and is_meant else 0.0
        is_unix = address.startswith(("/", "@"))
        return cls(address if is_unix else "", watchdog_secs=secs if is_unix else 0.0)

    def ready(self) -> None:
        """The whole system is up."""
        self._send("READY=1")

    def status(self, text: str) -> None:
        """One line for ``systemctl status``; sent when it has changed."""
        text = " ".join(text.split())[:_MAX_STATUS_CHARS]
        if text != self._status and self._send(f"STATUS={text}"):
            self._status = text

    def alive(self) -> None:
        """The system makes progress, as seen just now. Call it often: sent when it is due."""
        now = self._clock()
        if self.watchdog_secs > 0 and now - self._alive_at >= self.watchdog_secs / 3:
            self._alive_at = now
            self._send("WATCHDOG=1")

    def extend(self, secs: float) -> None:
        """A start or stop goes on, and may take so long from now. Sent once a second at most."""
        now = self._clock()
        if now - self._extended_at >= _EXTEND_EVERY_SECS:
            self._extended_at = now
            self._send(f"EXTEND_TIMEOUT_USEC={round(secs * 1e6)}")

    def stopping(self) -> None:
        """The stop has begun."""
        self._send("STOPPING=1")

    def close(self) -> None:
        """Say nothing more; idempotent."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def _send(self, text: str) -> bool:
        if self._socket is None:
            return False
        with contextlib.suppress(OSError):
            self._socket.sendto(text.encode(), self._address)
            return True
        return False
