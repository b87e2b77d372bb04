"""The recorded sessions of ``KRATOR_TEST_DATA``, frame by frame."""

from __future__ import annotations

import gzip
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

PROTOCOL = Path(os.environ.get("KRATOR_TEST_DATA", Path(__file__).parents[3] / "shared/data")) / (
    "protocol"
)


def records(name: str) -> Iterator[dict[str, Any]]:
    path = PROTOCOL / name
    if not path.exists():
        pytest.skip(f"no recorded session at {path}; set KRATOR_TEST_DATA")
    text = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    yield from map(json.loads, text.splitlines())


def received(name: str) -> Iterator[dict[str, Any]]:
    return (record for record in records(name) if record.get("dir") == "recv")
