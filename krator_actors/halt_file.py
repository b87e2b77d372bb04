"""``halt.json`` in the data folder: a halt that waits for whichever risk actor reads it first.

Written by ``krator kill`` before it speaks to anybody. Risk reads it at its start, before anything
else, and each second, and deletes it when the halt is in its own log.
"""

from __future__ import annotations

import os
from pathlib import Path

import msgspec

_NAME = "halt.json"


class FiledHalt(msgspec.Struct, frozen=True, kw_only=True):
    """Who halts the system, why, and when (UTC ns)."""

    by: str
    reason: str
    ts_event: int


def write(data_dir: Path, halt: FiledHalt) -> None:
    """Put the file there, whole, so that it outlives the machine. Raises OSError."""
    path = data_dir / _NAME
    draft = path.with_name(f"{_NAME}.{os.getpid()}")
    with draft.open("wb") as file:
        file.write(msgspec.json.encode(halt))
        file.flush()
        os.fsync(file.fileno())
    draft.replace(path)
    folder = os.open(data_dir, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def read(data_dir: Path) -> FiledHalt | None:
    """Return what waits; None when nothing does. One that cannot be read halts all the same."""
    path = data_dir / _NAME
    try:
        return msgspec.json.decode(path.read_bytes(), type=FiledHalt)
    except FileNotFoundError:
        return None
    except (OSError, msgspec.MsgspecError) as error:
        return FiledHalt(by="unknown", reason=f"{path} cannot be read: {error}", ts_event=0)


def delete(data_dir: Path) -> None:
    """Take it away. Raises OSError."""
    (data_dir / _NAME).unlink(missing_ok=True)
