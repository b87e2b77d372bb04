"""The venue's own ledger: what it did, written down before anybody is told."""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Iterator
from pathlib import Path

import msgspec

from krator_actors.exchange.errors import ExchangeStartError
from krator_actors.exchange.records import AnyRecord

FILE_NAME = "ledger.jsonl"


class LedgerFailedError(Exception):
    """The ledger cannot be written. Nothing may be answered any more: the process must end."""


def read_ledger(path: Path) -> Iterator[AnyRecord]:
    """Yield the records of a ledger; a line that was not finished ends it.

    Raises ExchangeStartError for a line that is not a record, with the file and the line number.
    """
    decoder = msgspec.json.Decoder(AnyRecord)
    with path.open("rb") as lines:
        for number, line in enumerate(lines, start=1):
            if not line.endswith(b"\n"):
                return
            try:
                record = decoder.decode(line)
            except msgspec.MsgspecError as error:
                raise ExchangeStartError(f"{path}:{number}: not a ledger record: {error}") from None
            if record.seq != number:
                raise ExchangeStartError(f"{path}:{number}: seq was {record.seq}, not {number}")
            yield record


class Ledger:
    """Appends records. One process at a time has a ledger open: the file is locked."""

    def __init__(self, path: Path) -> None:
        """Open or create ``path``; ExchangeStartError when another process has it.

        A torn last line is cut off; ``torn_bytes`` says how much that was.
        """
        self.path = path
        self.torn_bytes = 0
        self.last_seq = 0
        path.parent.mkdir(parents=True, exist_ok=True)
        self._file = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(self._file)
            raise ExchangeStartError(f"{path} is in use by another exchange") from None
        self._encoder = msgspec.json.Encoder()

    def recover(self) -> list[AnyRecord]:
        """Read what is there and cut off a torn line; call once, before the first append."""
        records = list(read_ledger(self.path))
        self.last_seq = len(records)
        self._cut_torn_line()
        return records

    def _cut_torn_line(self) -> None:
        size = os.fstat(self._file).st_size
        whole = size
        chunk = 4096
        while whole:
            start = max(0, whole - chunk)
            newline = os.pread(self._file, whole - start, start).rfind(b"\n")
            if newline >= 0:
                whole = start + newline + 1
                break
            whole = start
        self.torn_bytes = size - whole
        if self.torn_bytes:
            os.ftruncate(self._file, whole)

    def append(self, *records: AnyRecord) -> None:
        """Write the records, in order, with one ``os.write``; it sets ``seq`` and ``ts_ns``.

        Raises LedgerFailedError when the disk did not take all of it.
        """
        ts_ns = time.time_ns()
        for record in records:
            self.last_seq += 1
            record.seq = self.last_seq
            record.ts_ns = record.ts_ns or ts_ns
        lines = self._encoder.encode_lines(records)
        try:
            written = os.write(self._file, lines)
        except OSError as error:
            raise LedgerFailedError(f"{self.path}: {error}") from error
        if written != len(lines):
            raise LedgerFailedError(f"{self.path}: {written} of {len(lines)} bytes were written")

    def close(self) -> None:
        """Give the file, and its lock, back."""
        os.close(self._file)
