"""Where the lanes of one system meet: a private folder with one Unix socket per actor name."""

from __future__ import annotations

import hashlib
import os
import socket
from pathlib import Path
from types import TracebackType
from typing import Self
from urllib.parse import quote

from supervisors.messages import PeerUnreachableError

BACKLOG = 256
"""Connections that may wait to be accepted, e.g. while an actor is in ``on_start``."""

_MAX_FILE_NAME = 64


def socket_name(name: str) -> str:
    """Return the file name of an actor's socket: escaped, and hashed where it would be long."""
    escaped = quote(name, safe="")
    if len(escaped) > _MAX_FILE_NAME:
        escaped = f"{escaped[:40]}-{hashlib.sha256(name.encode()).hexdigest()[:16]}"
    return f"{escaped}.lane"


class RuntimeFolder:
    """The runtime folder, held open.

    Sockets are reached through the descriptor (``/proc/self/fd/N/name``) because a socket's path
    may have no more than 107 bytes and a folder's path may be longer. Raises
    ``PeerUnreachableError`` when there is no such folder or it belongs to another user. Use it
    in the process that made it.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            self._descriptor = os.open(path, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        except (FileNotFoundError, NotADirectoryError):
            text = f"no runtime folder {path}: the system is not running"
            raise PeerUnreachableError(text) from None
        if not os.access(path, os.X_OK):
            self.close()
            raise PeerUnreachableError(f"the runtime folder {path} belongs to another user")

    def listen(self, name: str) -> socket.socket:
        """Return a listening socket that has taken ``name`` from whoever had it, atomically.

        The file stays when the socket is closed, because a replacement may own it by then; to a
        closed socket's file connections are refused.
        """
        final = self._reach(socket_name(name))
        temporary = self._reach(f"{os.getpid()}.{socket_name(name)}")
        listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            Path(temporary).unlink(missing_ok=True)
            listening.bind(temporary)
            listening.listen(BACKLOG)
            listening.setblocking(False)
            Path(temporary).rename(final)
        except BaseException:
            listening.close()
            raise
        return listening

    def connect(self, name: str) -> socket.socket:
        """Return a connected socket; raises the kernel's error when nobody listens there."""
        connecting = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            connecting.setblocking(False)
            connecting.connect(self._reach(socket_name(name)))
        except BaseException:
            connecting.close()
            raise
        return connecting

    def close(self) -> None:
        """Let go of the folder; idempotent. Open sockets stay open."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def _reach(self, file_name: str) -> str:
        return f"/proc/self/fd/{self._descriptor}/{file_name}"
