"""What the tasks of a loop wait for, in words: no signal can have a waiting coroutine's stack."""

from __future__ import annotations

import asyncio
from typing import Any

_MAX_TASKS = 50
_MAX_FRAMES = 50


def describe_tasks(loop: asyncio.AbstractEventLoop) -> str:
    """Return each task of the loop with its stack, the innermost frame last; from any thread.

    At most 50 tasks of 50 frames: what comes back is written when something is wrong already.
    """
    tasks = sorted(asyncio.all_tasks(loop), key=lambda task: task.get_name())
    lines: list[str] = []
    for task in tasks[:_MAX_TASKS]:
        lines += [f"Task {task.get_name()} (outermost call first):", *_frames(task.get_coro())]
    if len(tasks) > _MAX_TASKS:
        lines.append(f"and {len(tasks) - _MAX_TASKS} more tasks")
    return "\n".join(lines)


def _frames(awaited: Any) -> list[str]:
    """Follow what each coroutine, or generator, awaits."""
    lines: list[str] = []
    while awaited is not None and len(lines) < _MAX_FRAMES:
        frame = getattr(awaited, "cr_frame", None) or getattr(awaited, "gi_frame", None)
        if frame is None:
            break
        code = frame.f_code
        lines.append(f'  File "{code.co_filename}", line {frame.f_lineno} in {code.co_name}')
        awaited = getattr(awaited, "cr_await", None) or getattr(awaited, "gi_yieldfrom", None)
    return lines
