"""Once a minute a look for processes whose proof is due. Not for: what a proof is (`service.proving`)."""

from collections.abc import Callable

from ckptd.clock import Clock
from ckptd.service.proving import Proving
from ckptd.settings.tree import Config

LOOK_SECONDS = 60.0


async def prove(clock: Clock, config: Callable[[], Config], proving: Proving) -> None:
    """Run until cancelled; the first look comes a minute after the start, which has enough to do."""
    while True:
        await clock.sleep(LOOK_SECONDS)
        if config().proof.interval_seconds:
            await proving.round()
