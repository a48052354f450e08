"""Once a second: leases, progress that changed, room. Not for: what these mean (`service.processes`, `service.space`)."""

from collections.abc import Callable

from ckptd.clock import Clock
from ckptd.service.processes import Processes
from ckptd.service.space import Space

TURN_SECONDS = 1.0


async def tend(clock: Clock, processes: Processes, space: Space, late: Callable[[float], None]) -> None:
    """Run until cancelled; `late` hears by how much the loop came later than it was asked to."""
    last = clock.monotonic()
    while True:
        asked = clock.monotonic() + TURN_SECONDS
        await clock.sleep(TURN_SECONDS)
        now = clock.monotonic()
        late(max(0.0, now - asked))
        await processes.tend(now - last)
        last = now
        if space.changed:
            await space.look()
