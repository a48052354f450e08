"""Expiry's clock of one store: read, kept over restarts, told about; the verdict is `core.expiry`'s.

Looked at before each cleanup, which writes anyway: an idle node syncs nothing for it.
"""

from ckptd.core.change import Change, EventRow
from ckptd.core.expiry import ExpiryClock, Reading
from ckptd.core.health import span
from ckptd.observe import log
from ckptd.service.context import Context

LOG = log.get(__name__)

_ROW = "expiry_clock"


class ExpiryTime:
    """`now` is what expiry goes by; None while it is halted, and `wait` says why."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._clock: ExpiryClock | None = None

    @property
    def now(self) -> int | None:
        """As of the last look."""
        clock = self._clock
        return None if clock is None or clock.halted_at is not None else clock.at

    @property
    def wait(self) -> str | None:
        """What has to happen before expiry goes on, for people."""
        clock = self._clock
        if clock is None or clock.halted_at is None:
            return None
        ahead = span((clock.halted_at - clock.at) / 1e6)
        return f"nothing expires: the clock ran ahead by {ahead}; if it is right: ckptctl cleanup --confirm-clock"

    async def recall(self) -> None:
        """Take up what an earlier daemon knew."""
        kept = await self._context.backend.read(lambda reader: reader.setting(_ROW))
        if isinstance(kept, str):
            self._clock = ExpiryClock.unpack(kept)
            self._context.floor = self._clock.at

    async def look(self) -> None:
        """Read the clocks; halt or go on."""
        reading = self._reading()
        before = self._clock if self._clock is not None else ExpiryClock.begin(reading)
        await self._keep(before, before.look(reading, self._context.config().retention.clock_jump_seconds), reading)

    async def confirm(self) -> None:
        """Somebody who may says that the wall clock is right."""
        reading = self._reading()
        before = self._clock if self._clock is not None else ExpiryClock.begin(reading)
        await self._keep(before, before.confirm(reading), reading)

    async def _keep(self, before: ExpiryClock, after: ExpiryClock, reading: Reading) -> None:
        context = self._context
        packed = after.pack()
        await context.backend.tend(lambda catalog: catalog.set(_ROW, packed))
        self._clock, context.floor = after, after.at
        if (before.halted_at is None) == (after.halted_at is None):
            return
        ahead = round(before.ahead_seconds(reading))
        if after.halted_at is not None:
            LOG.warning("expiry halts: the clock ran ahead", seconds=ahead, hint="ckptctl cleanup --confirm-clock")
        else:
            LOG.info("expiry goes on", ahead_seconds=ahead)
        kind = "expiry_halted" if after.halted_at is not None else "expiry_resumed"
        event = EventRow(kind, 0, None, "", (("why", "clock"), ("ahead_seconds", ahead)))
        await context.backend.commit(Change(context.clock.now(), 0, events=(event,)))
        context.events.happened()

    def _reading(self) -> Reading:
        clock = self._context.clock
        boot, seconds = clock.since_boot()
        return Reading(clock.now(), seconds, boot)
