"""loops.monitor and .tending: a look a minute, and how late the loop was."""

import asyncio
import contextlib
from collections.abc import Coroutine
from types import SimpleNamespace
from typing import Any

from ckptd.loops.monitor import LOOK_SECONDS, watch
from ckptd.loops.tending import tend
from tests.fakes import FakeClock, settle


async def running(work: Coroutine[Any, Any, None], clock: FakeClock, *seconds: float) -> None:
    """Run a loop while time passes in these steps: each at once, as where something held the loop up."""
    task = asyncio.get_running_loop().create_task(work)
    await settle()
    for step in seconds:
        clock.tick(step)
        await settle()
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task


async def test_it_looks_at_once_and_then_each_minute() -> None:
    clock, looks = FakeClock(), list[float]()

    async def look() -> None:
        looks.append(clock.monotonic())

    monitor: Any = SimpleNamespace(look=look)
    await running(watch(clock, monitor), clock, 59.0, 1.0, 60.0, 60.0)
    assert looks == [0.0, LOOK_SECONDS, 2 * LOOK_SECONDS, 3 * LOOK_SECONDS]


async def test_the_tending_loop_says_how_late_it_was() -> None:
    clock, late = FakeClock(), list[float]()

    async def tended(_passed: float) -> None:
        return

    processes: Any = SimpleNamespace(tend=tended)
    space: Any = SimpleNamespace(changed=False)
    await running(tend(clock, processes, space, late.append), clock, 1.0, 1.0, 3.5, 1.0)
    assert late == [0.0, 0.0, 2.5, 0.0]
