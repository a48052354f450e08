"""The system's clock against the system, and the fake one that other tests stand on."""

import asyncio
import time

import pytest

from ckptd.clock import Clock, SystemClock
from tests.fakes import EPOCH, FakeClock, settle


def test_wall_time_is_microseconds_since_the_epoch() -> None:
    before = time.time_ns() // 1000
    assert before <= SystemClock().now() <= time.time_ns() // 1000


async def test_the_system_sleeps_monotonic_seconds() -> None:
    clock: Clock = SystemClock()
    begun = clock.monotonic()
    await clock.sleep(0.01)
    assert clock.monotonic() - begun >= 0.009


async def test_each_sleeper_wakes_at_its_own_moment() -> None:
    clock = FakeClock()
    woken: list[tuple[str, float]] = []

    async def every(name: str, seconds: float, times: int) -> None:
        for _ in range(times):
            await clock.sleep(seconds)
            woken.append((name, clock.monotonic()))

    async with asyncio.TaskGroup() as group:
        group.create_task(every("slow", 3, 1))
        group.create_task(every("fast", 2, 3))
        await clock.advance(1)
        assert woken == []
        await clock.advance(9)
    assert woken == [("fast", 2), ("slow", 3), ("fast", 4), ("fast", 6)]


async def test_a_cancelled_sleeper_harms_nobody() -> None:
    clock = FakeClock()
    async with asyncio.TaskGroup() as group:
        task = group.create_task(clock.sleep(5))
        await settle()
        task.cancel()
    await clock.advance(10)
    assert task.cancelled()


@pytest.mark.parametrize(("act", "wall", "monotonic"), [("tick", 5, 5.0), ("jump", 5, 0.0), ("back", -5, 0.0)])
def test_a_jump_is_not_time_passing(act: str, wall: int, monotonic: float) -> None:
    clock = FakeClock()
    match act:
        case "tick":
            clock.tick(5)
        case _:
            clock.jump(5 if act == "jump" else -5)
    assert (clock.now() - EPOCH, clock.monotonic()) == (wall * 1_000_000, monotonic)
