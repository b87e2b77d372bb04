"""A snapshot in one file: replaced whole or not at all, and never believed when damaged.

The bytes are ``KRSNP`` · version u16 · blake2b-128 of the payload · payload, little-endian.
"""

from __future__ import annotations

import os
import struct
from hashlib import blake2b
from pathlib import Path

_MAGIC = b"KRSNP"
_DIGEST_BYTES = 16
_HEADER = struct.Struct(f"<{len(_MAGIC)}sH{_DIGEST_BYTES}s")


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

    def read(self) -> bytes | None:
        """Return the payload; None when there is none, it is damaged, or of another version."""
        try:
            data = self.path.read_bytes()
        except FileNotFoundError:
            return None
        if len(data) < _HEADER.size:
            return None
        magic, version, digest = _HEADER.unpack_from(data)
        payload = data[_HEADER.size :]
        if (magic, version, digest) != (_MAGIC, self._version, _digest(payload)):
            return None
        return payload

    def delete(self) -> None:
        """Forget it. Raises OSError."""
        self.path.unlink(missing_ok=True)


def _digest(payload: bytes) -> bytes:
    return blake2b(payload, digest_size=_DIGEST_BYTES).digest()
