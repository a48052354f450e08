"""The scrub's turns, one after the other, each as long after the last as that one says. Not for: what is due (`service.scrubbing`)."""

from typing import Final

from ckptd.clock import Clock
from ckptd.service.scrubbing import Scrubbing

BEGIN_SECONDS: Final = 120.0
"""After the start, which has enough to do."""


async def scrub(clock: Clock, scrubbing: Scrubbing) -> None:
    """Run until cancelled."""
    await clock.sleep(BEGIN_SECONDS)
    while True:
        await clock.sleep(await scrubbing.turn())
