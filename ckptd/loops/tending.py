"""Once a second: leases, progress that changed, room. Not for: what these mean (`service.processes`, `service.space`)."""

from ckptd.clock import Clock
from ckptd.service.processes import Processes
from ckptd.service.space import Space

TURN_SECONDS = 1.0


async def tend(clock: Clock, processes: Processes, space: Space) -> None:
    """Run until cancelled."""
    last = clock.monotonic()
    while True:
        await clock.sleep(TURN_SECONDS)
        now = clock.monotonic()
        await processes.tend(now - last)
        last = now
        if space.changed:
            await space.look()
