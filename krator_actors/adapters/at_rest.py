"""Encryption of what lies on a disk: AES-256-GCM under a key of the operator's.

The keys come from the environment: ``KRATOR_DATA_KEY`` holds them, or ``KRATOR_DATA_KEY_FILE``
names a file that does, one to a line, each 32 bytes in base64. The first one seals, all of them
unseal: so keys can be changed. Neither is set: nothing is sealed. Why a nonce never comes twice
under one key is in docs/adr/0011.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import os
import secrets
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import Self

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

KEY_VARIABLE = "KRATOR_DATA_KEY"
KEY_FILE_VARIABLE = "KRATOR_DATA_KEY_FILE"
SALT_BYTES = 32

_KEY_BYTES = 32
_COUNTER_BYTES = 8
_NONCE_PREFIX = bytes(4)
_TAG_BYTES = 16


class DataKeyError(Exception):
    """A key is missing or is none; the text never has it."""


def key_file_text(path: str, *, variable: str) -> str:
    """Return what the key file that ``variable`` names holds; DataKeyError: it cannot be read."""
    try:
        return Path(path).read_text(encoding="ascii")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it holds no text"
        raise DataKeyError(f"the file that {variable} names cannot be read: {reason}") from error


def require_private(path: str, *, variable: str) -> None:
    """Raise DataKeyError when others than its owner and group may use a key file.

    Only for a start: what runs must start again, and cancel orders, whatever the mode is by then.
    """
    try:
        mode = stat.S_IMODE(Path(path).stat().st_mode)
    except OSError:
        return  # who reads it says so
    if mode & stat.S_IRWXO:
        raise DataKeyError(
            f"the file that {variable} names is open to every user (mode {mode:o}): chmod 600 it"
        )


class Keys:
    """The operator's keys by their ids. Made by ``of_environment``."""

    def __init__(self, keys: tuple[bytes, ...]) -> None:
        self._keys = {_id_of(key): key for key in keys}
        # None when nothing is to be sealed.
        self.id: bytes | None = next(iter(self._keys), None)

    @classmethod
    def of_environment(cls, environment: Mapping[str, str] = os.environ) -> Self:
        """Read the keys; raises DataKeyError when they cannot be used."""
        text, path = environment.get(KEY_VARIABLE, ""), environment.get(KEY_FILE_VARIABLE, "")
        if path and not text:
            text = key_file_text(path, variable=KEY_FILE_VARIABLE)
        return cls(tuple(_key_of(line) for line in text.split()))

    def new_sealer(self) -> tuple[bytes, bytes, Sealer] | None:
        """Return key id, a new salt and what seals under both; None when nothing is sealed."""
        if self.id is None:
            return None
        salt = secrets.token_bytes(SALT_BYTES)
        return self.id, salt, Sealer(self._keys[self.id], salt)

    def sealer(self, key_id: bytes, salt: bytes) -> Sealer:
        """Return what unseals; DataKeyError when that key is not configured."""
        key = self._keys.get(key_id)
        if key is None:
            raise DataKeyError(
                f"it is sealed with the key {key_id.hex()}, which is not in {KEY_VARIABLE}"
                f" or {KEY_FILE_VARIABLE}"
            )
        return Sealer(key, salt)


class Sealer:
    """Seals and unseals under a key that one salt has made. To seal, it must be of a new salt."""

    def __init__(self, key: bytes, salt: bytes) -> None:
        derived = HKDF(SHA256(), _KEY_BYTES, salt, b"krator data at rest").derive(key)
        self._gcm = AESGCM(derived)
        # How often it has tried to seal, which makes every nonce; raised before each try.
        self._count = 0

    def seal(self, plain: bytes, bound_to: bytes | None = None) -> bytes:
        """Return counter, ciphertext and tag. ``bound_to`` must be given again to unseal."""
        self._count += 1
        counter = self._count.to_bytes(_COUNTER_BYTES, "little")
        return counter + self._gcm.encrypt(_NONCE_PREFIX + counter, plain, bound_to)

    def unseal(self, sealed: bytes, bound_to: bytes | None = None) -> bytes | None:
        """Return what was sealed; None when this is not what ``seal`` returned."""
        if len(sealed) < _COUNTER_BYTES + _TAG_BYTES:
            return None
        nonce = _NONCE_PREFIX + sealed[:_COUNTER_BYTES]
        try:
            return self._gcm.decrypt(nonce, sealed[_COUNTER_BYTES:], bound_to)
        except InvalidTag:
            return None


def _key_of(text: str) -> bytes:
    try:
        key = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        key = b""
    if len(key) != _KEY_BYTES:
        raise DataKeyError(f"a data key is {_KEY_BYTES} bytes in base64; one of them is not")
    return key


def _id_of(key: bytes) -> bytes:
    return hashlib.sha256(b"krator key id" + key).digest()[:8]
