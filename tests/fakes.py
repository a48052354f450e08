"""Stand-ins that a test drives by hand."""

import asyncio
import heapq
import itertools

EPOCH = 1_750_000_000_000_000  # some moment in 2025, in microseconds


class FakeClock:
    """A `ckptd.clock.Clock` that stands still until a test moves it."""

    def __init__(self, now: int = EPOCH) -> None:
        self._wall = now
        self._passed = 0.0
        self._boot, self._booted = "boot-1", 0.0
        self._sleepers: list[tuple[float, int, asyncio.Future[None]]] = []
        self._order = itertools.count()

    def now(self) -> int:
        return self._wall + round(self._passed * 1e6)

    def monotonic(self) -> float:
        return self._passed

    def since_boot(self) -> tuple[str, float]:
        return self._boot, self._passed - self._booted

    async def sleep(self, seconds: float) -> None:
        future = asyncio.get_running_loop().create_future()
        heapq.heappush(self._sleepers, (self._passed + seconds, next(self._order), future))
        await future

    def jump(self, seconds: float) -> None:
        """Somebody sets the wall clock; the monotonic one doesn't notice."""
        self._wall += round(seconds * 1e6)

    def reboot(self, seconds: float) -> None:
        """The machine is off for so long; its wall clock goes on, what it counts begins anew."""
        self._wall += round(seconds * 1e6)
        self._boot, self._booted = self._boot + "+", self._passed

    def tick(self, seconds: float) -> None:
        """Time passes at once, for code that doesn't sleep; who is due wakes when the loop next runs."""
        self._passed += seconds
        while self._sleepers and self._sleepers[0][0] <= self._passed:
            _, _, future = heapq.heappop(self._sleepers)
            if not future.done():  # cancelled meanwhile
                future.set_result(None)

    async def advance(self, seconds: float) -> None:
        """Time passes as a loop lives it: each sleeper wakes at its own moment, and may sleep again before the end."""
        end = self._passed + seconds
        await settle()
        while self._sleepers and self._sleepers[0][0] <= end:
            self.tick(max(0.0, self._sleepers[0][0] - self._passed))
            await settle()
        self.tick(end - self._passed)
        await settle()


async def settle(turns: int = 20) -> None:
    """Let every task that can run do so; `turns` is how many steps in a row it may take."""
    loop = asyncio.get_running_loop()
    for _ in range(turns):
        turn = loop.create_future()
        loop.call_soon(turn.set_result, None)
        await turn
