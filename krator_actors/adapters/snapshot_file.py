"""A snapshot in one file: replaced whole or not at all, and never believed when damaged.

The one before it is kept beside it, because records that a snapshot covers may have been removed,
and then a single damaged file must not be the end.

The bytes are ``KRSNP`` · version u16 · blake2b-128 of the payload · payload, little-endian.
"""

from __future__ import annotations

import contextlib
import mmap
import os
import struct
from hashlib import blake2b
from pathlib import Path

_MAGIC = b"KRSNP"
_DIGEST_BYTES = 16
_HEADER = struct.Struct(f"<{len(_MAGIC)}sH{_DIGEST_BYTES}s")


class SnapshotError(Exception):
    """There is a file and it cannot be believed: damaged, or of another version. Do without it."""


class SnapshotFile:
    """The snapshot at ``path``. One writer; ``version`` is that of the payload's layout."""

    def __init__(self, path: Path, *, version: int) -> None:
        self.path = path
        self._before = path.with_name(f"{path.name}.before")
        self._version = version

    def write(self, payload: bytes) -> None:
        """Replace the snapshot and wait for the disk; what it replaces is the one before it then.

        The folder must exist. Raises OSError: the old one stands, or is the one before it.
        """
        header = _HEADER.pack(_MAGIC, self._version, _digest(payload))
        draft = self.path.with_name(self.path.name + ".new")
        with draft.open("wb") as file:
            file.write(header)
            file.write(payload)
            file.flush()
            os.fsync(file.fileno())
        with contextlib.suppress(FileNotFoundError):
            self.path.replace(self._before)
        draft.replace(self.path)

    def read(self, *, before: bool = False) -> memoryview | None:
        """Return the payload, or that of the one before it, mapped; None when there is none.

        What was read stays as it is when the file is replaced. Raises SnapshotError, OSError.
        """
        path = self._before if before else self.path
        try:
            with path.open("rb") as file:
                if os.fstat(file.fileno()).st_size < _HEADER.size:
                    raise SnapshotError(f"{path} is too short")
                data = memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))
        except FileNotFoundError:
            return None
        magic, version, digest = _HEADER.unpack_from(data)
        payload = data[_HEADER.size :]
        if (magic, version) != (_MAGIC, self._version):
            raise SnapshotError(f"{path} is of another version of this program")
        if digest != _digest(payload):
            raise SnapshotError(f"{path} is damaged")
        return payload

    def drop_newest(self) -> None:
        """Let the one before the newest take its place. Raises OSError."""
        self.path.unlink(missing_ok=True)
        with contextlib.suppress(FileNotFoundError):
            self._before.replace(self.path)

    def delete(self) -> None:
        """Forget both. Raises OSError."""
        self._before.unlink(missing_ok=True)
        self.path.unlink(missing_ok=True)


def _digest(payload: bytes | memoryview) -> bytes:
    return blake2b(payload, digest_size=_DIGEST_BYTES).digest()
