"""What tasks wait for, in words."""

from __future__ import annotations

import asyncio

from supervisors.stacks import describe_tasks


async def outer() -> None:
    await inner()


async def inner() -> None:
    await asyncio.Event().wait()


async def endless(depth: int) -> None:
    if depth:
        await endless(depth - 1)
    await inner()


async def test_waiting_task_is_shown_with_its_calls_the_innermost_last() -> None:
    task = asyncio.create_task(outer(), name="patient")
    await asyncio.sleep(0)

    text = describe_tasks(asyncio.get_running_loop())

    shown = text[text.index("Task patient") :].splitlines()
    assert [line.rpartition(" in ")[2] for line in shown[1:4]] == ["outer", "inner", "wait"]
    assert f'File "{__file__}"' in shown[1]
    task.cancel()


async def test_many_tasks_and_deep_calls_are_cut() -> None:
    tasks = [asyncio.create_task(endless(200), name=f"t{number}") for number in range(60)]
    await asyncio.sleep(0)

    text = describe_tasks(asyncio.get_running_loop())

    assert text.count("Task t") <= 50
    assert text.endswith("and 11 more tasks")  # and this one
    assert text.count("in endless") <= 50 * 50
    for task in tasks:
        task.cancel()
