"""Anchors of the journal's hash chain: signed, and in a file outside PostgreSQL.

One line of JSON each, signed with Ed25519. The key comes from ``KRATOR_ANCHOR_KEY`` (32 bytes in
base64) or from ``keys/anchor.key`` in the data folder, which is made, for its owner only, when
there is none. Whoever verifies needs ``keys/anchor.pub`` only, best a copy that was taken in time.
"""

from __future__ import annotations

import base64
import binascii
import os
from collections.abc import Mapping
from pathlib import Path

import msgspec
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from krator_actors.core.chain import Anchor

KEY_VARIABLE = "KRATOR_ANCHOR_KEY"

_KEY_BYTES = 32
_encode = msgspec.json.Encoder().encode


class AnchorError(Exception):
    """The anchors or their key are not what they should be; the text says where, and no secret."""


class _Line(msgspec.Struct, frozen=True):
    """As an anchor is written: the signature is over the JSON of ``anchor``."""

    anchor: msgspec.Raw
    signature: str


_decode_line = msgspec.json.Decoder(_Line).decode
_decode_anchor = msgspec.json.Decoder(Anchor).decode


def anchors_file(data_dir: Path) -> Path:
    """Return where the anchors are."""
    return data_dir / "anchors" / "journal.jsonl"


def public_key_file(data_dir: Path) -> Path:
    """Return where the public key is."""
    return data_dir / "keys" / "anchor.pub"


class AnchorBook:
    """Signs anchors and appends them. One per data folder, the journal's."""

    def __init__(self, data_dir: Path, environment: Mapping[str, str] = os.environ) -> None:
        """Take the key, or make one. Raises AnchorError, OSError."""
        self.path = anchors_file(data_dir)
        self._key = _private_key(data_dir, environment)
        self._publish(public_key_file(data_dir))

    def write(self, anchor: Anchor) -> None:
        """Append ``anchor``; it is on the disk when this returns. Raises OSError."""
        content = _encode(anchor)
        signature = self._key.sign(content).hex()
        line = _encode(_Line(msgspec.Raw(content), signature)) + b"\n"
        self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor = os.open(self.path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            size = os.fstat(descriptor).st_size
            if size and os.pread(descriptor, 1, size - 1) != b"\n":
                line = b"\n" + line  # the line before was torn by a death, and stays unreadable
            written = os.write(descriptor, line)
            if written != len(line):
                os.ftruncate(descriptor, size)
                raise OSError(f"{self.path}: {written} of {len(line)} bytes could be written")
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

    def _publish(self, path: Path) -> None:
        content = base64.b64encode(self._key.public_key().public_bytes_raw()) + b"\n"
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        if not path.exists() or path.read_bytes() != content:
            path.write_bytes(content)


def read_anchors(path: Path, public_key: Path) -> list[Anchor]:
    """Return all anchors of a file; [] when there is none.

    A last line without its end was torn by a death and is left out. Raises AnchorError for any
    other line that the key has not signed, OSError.
    """
    if not path.exists():
        return []
    key = _public_key(public_key)
    anchors = []
    for number, line in enumerate(path.read_bytes().split(b"\n"), 1):
        if not line:
            continue
        try:
            anchors.append(_verified(line, key))
        except (msgspec.DecodeError, InvalidSignature, ValueError) as error:
            if _is_torn(line):
                continue
            raise AnchorError(f"{path}, line {number}: this anchor was not signed so") from error
    return anchors


def _verified(line: bytes, key: Ed25519PublicKey) -> Anchor:
    found = _decode_line(line)
    key.verify(bytes.fromhex(found.signature), bytes(found.anchor))
    return _decode_anchor(found.anchor)


def _is_torn(line: bytes) -> bool:
    # A strict beginning of a line never has the brace that closes it behind the signature.
    return not line.endswith(b'"}')


def _private_key(data_dir: Path, environment: Mapping[str, str]) -> Ed25519PrivateKey:
    text = environment.get(KEY_VARIABLE, "")
    if text:
        return Ed25519PrivateKey.from_private_bytes(_bytes_of(text, KEY_VARIABLE))
    path = data_dir / "keys" / "anchor.key"
    if path.exists():
        return Ed25519PrivateKey.from_private_bytes(_bytes_of(path.read_text(), str(path)))
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    key = Ed25519PrivateKey.generate()
    draft = path.with_name("anchor.key.new")
    draft.unlink(missing_ok=True)
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        os.write(descriptor, base64.b64encode(key.private_bytes_raw()) + b"\n")
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    draft.replace(path)
    return key


def _public_key(path: Path) -> Ed25519PublicKey:
    try:
        return Ed25519PublicKey.from_public_bytes(_bytes_of(path.read_text(), str(path)))
    except FileNotFoundError as error:
        raise AnchorError(f"there are anchors, and no public key at {path}") from error


def _bytes_of(text: str, place: str) -> bytes:
    try:
        key = base64.b64decode(text.strip(), validate=True)
    except (binascii.Error, ValueError):
        key = b""
    if len(key) != _KEY_BYTES:
        raise AnchorError(f"{place}: a key is {_KEY_BYTES} bytes in base64")
    return key
