"""A snapshot in one file: replaced whole or not at all, and never believed when damaged.

The one before it is kept beside it, because records that a snapshot covers may have been removed,
and then a single damaged file must not be the end.

The bytes are ``KRSNP`` · version u16 · blake2b-128 of what follows · payload, little-endian. With a
data key they begin with ``KRSNS``, and the digest is followed by key id 8 bytes · salt 32 bytes ·
the sealed payload, bound to the version.
"""

from __future__ import annotations

import contextlib
import mmap
import os
import struct
from hashlib import blake2b
from pathlib import Path

from krator_actors.adapters.at_rest import DataKeyError, Keys
from krator_actors.adapters.log_segments import LogKeyError

_PLAIN, _SEALED = b"KRSNP", b"KRSNS"
_DIGEST_BYTES = 16
_HEADER = struct.Struct(f"<{len(_PLAIN)}sH{_DIGEST_BYTES}s")
_SEAL = struct.Struct("<8s32s")


class SnapshotError(Exception):
    """There is a file and it cannot be believed: damaged, or of another version. Do without it."""


class SnapshotFile:
    """The snapshot at ``path``. One writer; ``version`` is that of the payload's layout.

    With a data key it is sealed, each time under a salt of its own, unless ``is_secret`` is False.
    """

    def __init__(self, path: Path, *, version: int, is_secret: bool = True) -> None:
        self.path = path
        self._is_secret = is_secret
        self._before = path.with_name(f"{path.name}.before")
        self._version = version

    def write(self, payload: bytes) -> None:
        """Replace the snapshot and wait for the disk; what it replaces is the one before it then.

        The folder must exist. Raises OSError, LogKeyError: the old one stands, or is the one before
        it.
        """
        magic, content = self._content(payload)
        header = _HEADER.pack(magic, self._version, _digest(content))
        draft = self.path.with_name(self.path.name + ".new")
        with draft.open("wb") as file:
            file.write(header)
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        with contextlib.suppress(FileNotFoundError):
            self.path.replace(self._before)
        draft.replace(self.path)

    def read(self, *, before: bool = False) -> memoryview | None:
        """Return the payload, or that of the one before it, mapped; None when there is none.

        What was read stays as it is when the file is replaced. Raises SnapshotError; LogKeyError
        when it is sealed with a key that is not configured; OSError.
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
        content = data[_HEADER.size :]
        if magic not in {_PLAIN, _SEALED} or version != self._version:
            raise SnapshotError(f"{path} is of another version of this program")
        if digest != _digest(content):
            raise SnapshotError(f"{path} is damaged")
        return content if magic == _PLAIN else self._unsealed(path, content)

    def drop_newest(self) -> None:
        """Let the one before the newest take its place. Raises OSError."""
        self.path.unlink(missing_ok=True)
        with contextlib.suppress(FileNotFoundError):
            self._before.replace(self.path)

    def delete(self) -> None:
        """Forget both. Raises OSError."""
        self._before.unlink(missing_ok=True)
        self.path.unlink(missing_ok=True)

    def _content(self, payload: bytes) -> tuple[bytes, bytes]:
        try:
            sealing = Keys.of_environment().new_sealer() if self._is_secret else None
        except DataKeyError as error:
            raise LogKeyError(f"{self.path}: {error}") from error
        if sealing is None:
            return _PLAIN, payload
        key_id, salt, sealer = sealing
        return _SEALED, _SEAL.pack(key_id, salt) + sealer.seal(payload, self._bound_to)

    def _unsealed(self, path: Path, content: memoryview) -> memoryview:
        if len(content) < _SEAL.size:
            raise SnapshotError(f"{path} is damaged")
        try:
            sealer = Keys.of_environment().sealer(*_SEAL.unpack_from(content))
        except DataKeyError as error:
            raise LogKeyError(f"{path}: {error}") from error
        payload = sealer.unseal(bytes(content[_SEAL.size :]), self._bound_to)
        if payload is None:
            raise SnapshotError(f"{path} is not what was sealed")
        return memoryview(payload)

    @property
    def _bound_to(self) -> bytes:
        return self._version.to_bytes(2, "little")


def _digest(payload: bytes | memoryview) -> bytes:
    return blake2b(payload, digest_size=_DIGEST_BYTES).digest()
