"""``python tests/fuzz/codecs.py SECONDS``: every codec under atheris, led by coverage.

The corpus is the payloads of the acceptance matrix; the first byte of an input says which venue
reads the rest. Ends with 0 after SECONDS, or with another number at the first exception or
wrong tick; the input is then in the file that is printed.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

import atheris

ROOT = Path(__file__).parents[2]
FOLDER = Path(os.environ.get("KRATOR_FUZZ_DIR", ROOT / ".fuzz"))
"""the corpus, which later runs go on with, and the inputs of findings"""
sys.path.insert(0, str(ROOT))

with atheris.instrument_imports(include=["krator_actors.adapters", "krator_actors.core.books"]):
    from tests.adapters.venue_payloads import VENUES
    from tests.adapters.wire_mutations import begun, check

_MAX_BYTES = 4_096


def read_one(data: bytes) -> None:
    """Give one input to one codec, as bytes and, where it is text, as text."""
    if not data:
        return
    venue = VENUES[data[0] % len(VENUES)]
    frame = data[1:]
    check(begun(venue), frame, venue.symbol)
    try:
        text = frame.decode()
    except UnicodeDecodeError:
        return
    check(begun(venue), text, venue.symbol)


def main() -> None:
    """Write the corpus and fuzz; atheris ends the process itself."""
    seconds = int(sys.argv[1])
    corpus = FOLDER / "corpus"
    corpus.mkdir(parents=True, exist_ok=True)
    for n, venue in enumerate(VENUES):
        for k, frame in enumerate(venue.seeds()):
            (corpus / f"{venue.name}-{k}").write_bytes(bytes([n]) + frame)
    options = [
        f"-max_total_time={seconds}",
        f"-max_len={_MAX_BYTES}",
        f"-artifact_prefix={FOLDER}/",
        "-timeout=10",
        "-rss_limit_mb=1024",
        "-print_final_stats=1",
    ]
    atheris.Setup([sys.argv[0], *options, str(corpus)], read_one)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
