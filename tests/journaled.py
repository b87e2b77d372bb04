"""The journal of a data folder, written without the actor."""

from __future__ import annotations

import time
from pathlib import Path

from krator_actors.adapters.log_follower import LogFollower
from krator_actors.adapters.postgres import JournalStore


async def journal(data_dir: Path, dsn: str, *, generation: int = 5) -> int:
    """Write what the logs have, as the journal actor does; return the last row."""
    store = await JournalStore.connect(dsn, generation=generation, now_ns=time.time_ns())
    follower = LogFollower(data_dir, limit=1_000)
    follower.continue_behind(await store.watermarks())
    seq = 0
    while batch := follower.batch():
        seq = await store.append(batch, ts_written=time.time_ns())
        follower.committed(batch)
    follower.close()
    await store.close()
    return seq
