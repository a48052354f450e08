"""The cleanup, each `cleanup.interval` since its last run, which is persisted: a restart neither skips nor repeats it."""

from collections.abc import Callable

from ckptd.clock import Clock
from ckptd.service.backend import Backend
from ckptd.service.maintenance import Maintenance
from ckptd.settings.tree import Config

LOOK_SECONDS_MAX = 60.0
"""How often the time is looked at: the interval may have been reloaded, and the clock set."""


async def clean(clock: Clock, config: Callable[[], Config], backend: Backend, maintenance: Maintenance) -> None:
    """Run until cancelled."""
    last = await backend.read(lambda reader: reader.setting("cleaned_at"))
    while True:
        interval = config().cleanup.interval_seconds
        left = wait_seconds(last if isinstance(last, int) else None, clock.now(), interval)
        if interval and left <= 0:
            await maintenance.clean()
            last = clock.now()
        else:
            await clock.sleep(min(left, LOOK_SECONDS_MAX) if interval else LOOK_SECONDS_MAX)


def wait_seconds(last: int | None, now: int, interval: float) -> float:
    """How long until the next run; a last run in the future means that the clock was set back, and counts as now."""
    if last is None:
        return interval
    return interval - max(0, now - last) / 1_000_000
