"""``gateway.port`` in the runtime folder: where the gateway listens, for commands and people."""

from __future__ import annotations

import contextlib
from pathlib import Path

_NAME = "gateway.port"
_MAX_PORT = 65_535


def publish(runtime: Path, port: int) -> None:
    """Put it there; that it cannot be written is harmless."""
    draft = runtime / f"{_NAME}.new"
    with contextlib.suppress(OSError):
        draft.write_text(f"{port}\n")
        draft.replace(runtime / _NAME)


def withdraw(runtime: Path) -> None:
    """Take it away, because somebody else listens there."""
    with contextlib.suppress(OSError):
        (runtime / _NAME).unlink(missing_ok=True)


def last_port(runtime: Path) -> int:
    """Return the port where a gateway of this system listened last; 0 when none has."""
    try:
        text = (runtime / _NAME).read_text().strip()
    except (OSError, UnicodeDecodeError):
        return 0
    port = int(text) if text.isascii() and text.isdigit() else 0
    return port if port <= _MAX_PORT else 0


def url(runtime: Path) -> str | None:
    """Return the gateway's address; None when it does not listen yet."""
    port = last_port(runtime)
    return f"http://127.0.0.1:{port}" if port else None
