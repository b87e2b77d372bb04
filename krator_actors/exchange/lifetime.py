"""Whom the exchange belongs to, and when it is not needed any more."""

from __future__ import annotations

import asyncio
import os
import select
from collections.abc import Callable

_CHECK_SECS = 0.1


class Lifetime:
    """Follows the parent process, which another may become later: a restarted ``krator run``.

    The exchange outlives its parent on purpose; it ends when the parent has gone *and* no client
    has been here for ``linger_secs``. Without ``linger_secs`` it never ends by itself.
    """

    def __init__(self, *, linger_secs: float | None, parent_pid: int | None) -> None:
        self._linger_secs = linger_secs
        # the pidfd of the parent; None when it has gone, or when there is none to follow
        self._parent: int | None = None
        if parent_pid is not None:
            self.adopt(parent_pid)

    def adopt(self, pid: int) -> bool:
        """Follow this process from now on; return False when it is gone already."""
        self.close()
        try:
            self._parent = os.pidfd_open(pid)
        except (OSError, OverflowError):
            return False
        return True

    async def end(self, idle_secs: Callable[[], float]) -> None:
        """Return when nobody needs the exchange; ``idle_secs``: how long no client was here."""
        loop = asyncio.get_running_loop()
        last_needed = loop.time()
        while True:
            if self._linger_secs is None or self._parent_lives():
                last_needed = loop.time()
            elif min(idle_secs(), loop.time() - last_needed) >= self._linger_secs:
                return
            await asyncio.sleep(_CHECK_SECS)

    def close(self) -> None:
        """Stop following."""
        if self._parent is not None:
            os.close(self._parent)
            self._parent = None

    def _parent_lives(self) -> bool:
        if self._parent is None:
            return False
        poll = select.poll()
        poll.register(self._parent, select.POLLIN)  # a pidfd is readable when its process is dead
        return not poll.poll(0)
