"""Ids that never repeat, also over restarts that were not orderly."""

from __future__ import annotations

from krator_actors.exchange.ledger import Ledger
from krator_actors.exchange.records import IdsReserved

BLOCK = 10_000
"""ids reserved in the ledger at a time: a crash skips at most so many"""


class IdSource:
    """Gives out ids from a block that the ledger has reserved before the first of it is used."""

    def __init__(self, name: str, ledger: Ledger, *, start: int) -> None:
        self._name = name
        self._ledger = ledger
        self._next = start
        self._below = start

    @property
    def last(self) -> int:
        """The id given out last; the one before ``start`` when none was."""
        return self._next - 1

    def take(self) -> int:
        """Return the next id."""
        if self._next == self._below:
            self._below += BLOCK
            self._ledger.append(IdsReserved(name=self._name, below=self._below))
        taken = self._next
        self._next += 1
        return taken

    def close(self) -> None:
        """Give back what was not used, so that an orderly restart leaves no gap."""
        if self._next != self._below:
            self._below = self._next
            self._ledger.append(IdsReserved(name=self._name, below=self._below))
