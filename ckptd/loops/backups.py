"""Backups and their drills, each by the last one that the catalog knows of: a restart neither skips nor repeats one."""

from collections.abc import Callable

from ckptd.clock import Clock
from ckptd.loops.cleanup import LOOK_SECONDS_MAX, wait_seconds
from ckptd.service.backing_up import BackingUp
from ckptd.settings.tree import Config

AGAIN_SECONDS = 600.0
"""After one that failed: its disk may be back."""


async def back_up(clock: Clock, config: Callable[[], Config], backups: BackingUp) -> None:
    """Run until cancelled; does nothing where no path is set."""
    while True:
        setting = config().backup
        if setting.path is None:
            await clock.sleep(LOOK_SECONDS_MAX)
            continue
        newest, now = await backups.newest(), clock.now()
        if setting.interval_seconds and (newest is None or wait_seconds(newest.at, now, setting.interval_seconds) <= 0):
            await backups.back_up()
            made = await backups.newest()
            await clock.sleep(0 if made != newest else AGAIN_SECONDS)
        elif setting.drill_seconds and newest is not None and await _drill_due(backups, now, setting.drill_seconds):
            await backups.drill()
        else:
            await clock.sleep(LOOK_SECONDS_MAX)


async def _drill_due(backups: BackingUp, now: int, interval: float) -> bool:
    tried_at = await backups.tried_at()
    return tried_at is None or wait_seconds(tried_at, now, interval) <= 0
