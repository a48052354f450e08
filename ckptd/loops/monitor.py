"""Once a minute a look at how everything does. Not for: what is looked at, nor what it is worth (`service.health`)."""

from ckptd.clock import Clock
from ckptd.service.health import Monitor

LOOK_SECONDS = 60.0


async def watch(clock: Clock, monitor: Monitor) -> None:
    """Run until cancelled."""
    while True:
        await monitor.look()
        await clock.sleep(LOOK_SECONDS)
