"""A snapshot in one file: replaced whole or not at all, and never believed when damaged.

The bytes are ``KRSNP`` · version u16 · blake2b-128 of the payload · payload, little-endian.
"""

from __future__ import annotations

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

    def __init__(self, path: Path, *, version: int, sync: bool) -> None:
        self.path = path
        self._version = version
        # True when a snapshot shall survive the machine and not only the process.
        self._sync = sync

    def write(self, payload: bytes) -> None:
        """Replace the snapshot. The folder must exist. Raises OSError: the old one stands."""
        header = _HEADER.pack(_MAGIC, self._version, _digest(payload))
        draft = self.path.with_name(self.path.name + ".new")
        with draft.open("wb") as file:
            file.write(header)
            file.write(payload)
            if self._sync:
                file.flush()
                os.fsync(file.fileno())
        draft.replace(self.path)

    def read(self) -> memoryview | None:
        """Return the payload, mapped from the file; None when there is none.

        What was read stays as it is when the file is replaced. Raises SnapshotError, OSError.
        """
        try:
            with self.path.open("rb") as file:
                if os.fstat(file.fileno()).st_size < _HEADER.size:
                    raise SnapshotError(f"{self.path} is too short")
                data = memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))
        except FileNotFoundError:
            return None
        magic, version, digest = _HEADER.unpack_from(data)
        payload = data[_HEADER.size :]
        if (magic, version) != (_MAGIC, self._version):
            raise SnapshotError(f"{self.path} is of another version of this program")
        if digest != _digest(payload):
            raise SnapshotError(f"{self.path} is damaged")
        return payload

    def delete(self) -> None:
        """Forget it. Raises OSError."""
        self.path.unlink(missing_ok=True)


def _digest(payload: bytes | memoryview) -> bytes:
    return blake2b(payload, digest_size=_DIGEST_BYTES).digest()
