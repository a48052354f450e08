"""Waiting for what another process or thread does: on the condition itself, with an end, never for a length of time."""

import asyncio
import time
from collections.abc import Callable

POLL_SECONDS = 0.005


def wait_until(condition: Callable[[], object], seconds: float = 20.0) -> None:
    """Return once `condition()` is true; fail the test when it still isn't after `seconds`."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, f"not so after {seconds:g} s: {condition}"
        time.sleep(POLL_SECONDS)


async def wait_until_async(condition: Callable[[], object], seconds: float = 20.0) -> None:
    """The same in a coroutine: the loop goes on meanwhile."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, f"not so after {seconds:g} s: {condition}"
        await asyncio.sleep(POLL_SECONDS)
