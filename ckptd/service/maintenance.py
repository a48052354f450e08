"""What keeps the store in order, and what it says of itself.

Everything that deletes works in slices on the committer's thread, between the batches of those who save, and stops
short where its view of what is alive could be incomplete.
"""

import os
from collections.abc import Callable
from pathlib import Path

from ckptclient.errors import BadRequest, Denied
from ckptclient.wire import params
from ckptd.core.change import Change, EventRow
from ckptd.core.process_table import State
from ckptd.observe import log
from ckptd.service import views
from ckptd.service.caller import Caller
from ckptd.service.compacting import Compacting
from ckptd.service.context import Context
from ckptd.service.expiring import SLICE_ROWS, Expiring
from ckptd.service.space import Space
from ckptd.service.users import user_name
from ckptd.service.views import Map
from ckptd.store.catalog.interface import Catalog
from ckptd.store.holds import Holds

LOG = log.get(__name__)

DAMAGE_COUNTED = 10_000
"""Damaged places, beyond which nobody needs to know how many."""

EVENTS_KEPT = 100_000
WARNING_MICROS = 3 * 24 * 3600 * 1_000_000
"""How long before a process counts as abandoned its user is told."""
ANSWERS_KEPT_MICROS = 24 * 3600 * 1_000_000


class Maintenance:
    """Methods under `store.` and `config.`. `reload` reads the configuration again: (changed, needs a restart)."""

    def __init__(
        self,
        context: Context,
        holds: Holds,
        space: Space,
        expiring: Expiring,
        compacting: Compacting,
        path: Path,
        version: str,
        reload: Callable[[], tuple[list[str], list[str]]],
    ) -> None:
        self._context = context
        self._holds = holds
        self._space = space
        self._expiring = expiring
        self._compacting = compacting
        self._path = path
        self._version = version
        self._reload = reload
        self._started = context.clock.monotonic()
        self.connections: Callable[[], int] = lambda: 0

    async def cleanup(self, caller: Caller, p: params.Cleanup) -> Map:
        """Run the cleanup now, harmless when repeated; or say what it would end."""
        if p.dry_run and (p.confirm_clock or p.confirm_policy):
            raise BadRequest("a dry run confirms nothing", hint="look first, and confirm without dry_run then")
        if (p.confirm_clock or p.confirm_policy) and not caller.sees_all:
            raise Denied("an operator confirms", hint="ask somebody of roles.operators, or root")
        if p.confirm_clock:
            await self._expiring.time.confirm()
        if p.confirm_policy:
            await self._expiring.confirm_settings()
        return await self._would_end(caller) if p.dry_run else await self.clean()

    async def _would_end(self, caller: Caller) -> Map:
        found = [one for one in await self._expiring.plan() if caller.sees_all or one.row.uid == caller.uid]
        shown = found[: views.fitting(len(one.row.checkpoint_id) for one in found)]
        return {
            "expired": len(found),
            "purged": 0,
            "freed_bytes": sum(one.row.own_bytes for one in found),
            "waits": list(self._expiring.waits),
            "endings": [
                [one.row.checkpoint_id, user_name(one.row.uid), one.why, one.row.logical_bytes, one.row.own_bytes]
                for one in shown
            ],
        }

    async def clean(self) -> Map:
        """Expire what is due, empty the trash, give unreferenced chunks and whole packs back."""
        return await self._space.freeing(self._clean)

    async def _clean(self) -> Map:
        context = self._context
        await self._space.look()  # what was admitted is an estimate until then
        before = self._space.used_bytes
        ended = await self._expiring.run()
        await self._sweep()
        await self._compacting.unlink()
        await self._compacting.run()
        while await context.backend.tend(lambda catalog: catalog.drop_journal(SLICE_ROWS)):
            pass
        now = context.clock.now()
        await self._warn_of_abandonment(now)
        await context.backend.tend(lambda catalog: catalog.trim(EVENTS_KEPT, now - ANSWERS_KEPT_MICROS))
        await context.backend.tend(lambda catalog: catalog.set("cleaned_at", now))
        await self.remember()
        await self._space.look()
        freed = max(0, before - self._space.used_bytes)
        LOG.info("cleaned up", expired=ended.expired, purged=ended.purged, freed_bytes=freed)
        return {
            "expired": ended.expired,
            "purged": ended.purged,
            "freed_bytes": freed,
            "waits": list(ended.waits),
            "endings": [],
        }

    async def _sweep(self) -> None:
        now = self._context.clock.now()

        def sweep(catalog: Catalog) -> bool:
            with self._holds.settled() as held:
                return catalog.sweep(held, now, SLICE_ROWS)

        while await self._context.backend.tend(sweep):
            pass

    async def _warn_of_abandonment(self, now: int) -> None:
        """Tell of processes that will stop protecting their newest state, once each: those that came near since the last run."""
        context = self._context
        after = round(context.config().retention.abandon_after_seconds * 1_000_000)
        last = await context.backend.read(lambda reader: reader.setting("cleaned_at"))
        since = last if isinstance(last, int) else now
        ahead = min(WARNING_MICROS, after // 2)
        rows = await context.backend.read(lambda reader: reader.nearly_abandoned(since, now, after, ahead))
        events = tuple(
            EventRow("abandoned_soon", row.uid, row.key, row.process_id, (("in_seconds", ahead // 1_000_000),))
            for row in rows
        )
        if events:
            await context.backend.commit(Change(now, 0, events=events))
            context.events.happened()

    async def remember(self) -> None:
        """Keep what was learnt of interruptions over a restart."""
        seen = self._context.interruptions
        told = f"{seen.count} {seen.seconds}"
        await self._context.backend.tend(lambda catalog: catalog.set("interruptions", told))

    async def recall(self) -> None:
        """Take up what an earlier daemon learnt."""
        told = await self._context.backend.read(lambda reader: reader.setting("interruptions"))
        if isinstance(told, str):
            count, seconds = told.split()
            self._context.interruptions.count, self._context.interruptions.seconds = int(count), float(seconds)

    # What the store says of itself

    async def status(self, caller: Caller, p: params.Nothing) -> Map:
        """One screen's worth."""
        context = self._context
        uid = None if caller.sees_all else caller.uid
        totals = await context.backend.read(lambda reader: reader.totals(uid))
        cleaned_at = await context.backend.read(lambda reader: reader.setting("cleaned_at"))
        damage = await context.backend.read(lambda reader: reader.damage(DAMAGE_COUNTED))
        states = {state.word: 0 for state in (State.RUNNING, State.INTERRUPTED)}
        for entry in context.table:
            if caller.sees_all or entry.uid == caller.uid:
                word = context.word(entry.key, entry.epoch, entry.state)
                states[word] = states.get(word, 0) + 1
        return {
            "version": self._version,
            "pid": os.getpid(),
            "uptime_seconds": context.clock.monotonic() - self._started,
            "store_path": str(self._path),
            "lineage": context.backend.lineage,
            "read_only": context.read_only,
            "connections": self.connections(),
            "processes": states,
            "checkpoints": totals.checkpoints,
            "limit_bytes": self._space.limit_bytes,
            "used_bytes": self._space.used_bytes,
            "free_bytes": self._space.free_bytes,
            "commits": dict(context.metrics.snapshot()),
            "last_cleanup": cleaned_at,
            "damaged": len(damage),
        }

    async def stats(self, caller: Caller, p: params.Nothing) -> Map:
        """Counts and bytes of the caller's checkpoints, or of all."""
        uid = None if caller.sees_all else caller.uid
        totals = await self._context.backend.read(lambda reader: reader.totals(uid))
        return {
            "status_counts": dict(totals.by_status),
            "type_counts": dict(totals.by_type),
            "total_size_bytes": totals.logical_bytes,
            "storage_path": str(self._path),
        }

    # Configuration

    def show_config(self, caller: Caller, p: params.Nothing) -> Map:
        """Every setting with its origin."""
        origins = self._context.config().origins
        return {"settings": [[key, origin.text, origin.source] for key, origin in origins.items()]}

    def reload_config(self, caller: Caller, p: params.Mutate) -> Map:
        """As SIGHUP."""
        changed, restart = self._reload()
        return {"changed": changed, "restart": restart}
