"""Giving packs back: dead ones are unlinked, half-dead ones rewritten, at a bounded rate that gives way to saves.

Copies are made in readers' threads, a few MiB at a time; the committer moves rows in slices and unlinks what no row
names any more. A pack in which something doesn't verify is left as it is, and told. Not for: which packs
(`core.compaction`), or how a copy is made and checked (`store.compaction`).
"""

import asyncio
from collections.abc import Callable, Sequence
from typing import Final

from ckptclient.errors import Damaged, NoSpace
from ckptd.core.compaction import Use, choose
from ckptd.core.lifetimes import is_full_of_age
from ckptd.errors import StoreFailed
from ckptd.observe import log
from ckptd.service.context import Context
from ckptd.store.catalog.interface import Catalog, PackRow
from ckptd.store.chunks.interface import PACK_BYTES_TARGET, ChunkStore
from ckptd.store.compaction import Copy, Figures
from ckptd.store.records import PACK_HEADER_BYTES

LOG = log.get(__name__)

GIVE_WAY: Final = 4
"""While others save, a copy takes this share of its rate."""


class Compacting:
    """One store's packs. `fatal` ends the daemon after a failed sync."""

    def __init__(self, context: Context, chunks: ChunkStore, fatal: Callable[[StoreFailed], None]) -> None:
        self._context = context
        self._chunks = chunks
        self._fatal = fatal
        self._one_at_a_time = asyncio.Lock()
        self._commits = 0.0
        self.damaged: set[str] = set()
        """Packs that can't be rewritten, because something in them can't be read."""

    async def unlink(self) -> int:
        """Remove the packs that nothing refers to; how many. The file goes first: a row without one is found again."""

        def drop(catalog: Catalog) -> int:
            # Asked and done in one slice: a save may append to a pack that was dead a moment ago.
            dead = catalog.dead_packs(1)
            for key, name in dead:
                self._chunks.unlink(name)
                catalog.drop_pack(key)
            return len(dead)

        count = 0
        while await self._context.backend.tend(drop):
            count += 1
        return count

    async def run(self) -> int:
        """Rewrite what is worth it, and remove what that leaves dead; how many packs went. NoSpace ends it early."""
        async with self._one_at_a_time:
            rows = {row.key: row for row in await self.packs()}
            now = self._context.clock.now()
            await self.seal([row for row in rows.values() if is_full_of_age(row.lifetime, row.begun_at, now)])
            uses = [_use(row) for _, row in sorted(rows.items()) if row.live_bytes and row.name not in self.damaged]
            gone = 0
            for group in choose(uses, PACK_BYTES_TARGET):
                sources = [rows[key] for key in group]
                await self.seal(sources)
                try:
                    await self.rewrite(Copy(self._chunks, sources), self._context.config().cleanup.rate_bytes)
                except NoSpace:
                    LOG.warning("packs can't be compacted: the disk is full", packs=len(sources))
                    break
                gone += await self.unlink()
            return gone

    async def packs(self) -> Sequence[PackRow]:
        """Every pack as it is used now."""
        return await self._context.backend.read(lambda reader: reader.pack_rows())

    async def seal(self, packs: Sequence[PackRow]) -> None:
        """Nothing is appended to these any more."""

        def work(_: Catalog) -> None:
            for pack in packs:
                self._chunks.seal(pack.name)

        if packs:
            await self._context.backend.tend(work)

    async def rewrite(self, copy: Copy, rate: int | None) -> Figures | None:
        """See a copy through, `rate` bytes a second at most; None where a source is damaged, and nothing was moved."""
        backend = self._context.backend
        try:
            while size := await backend.read(lambda reader: self._guarded(lambda: copy.copy(reader))):
                await self._pace(size, rate)
            while size := await backend.read(lambda _: self._guarded(copy.verify)):
                await self._pace(size, rate)
        except Damaged as damage:
            copy.abandon()
            pack = damage.details.get("pack")
            self.damaged |= {pack} if isinstance(pack, str) else set()
            LOG.warning("a pack can't be rewritten", why=damage.message)
            return None
        except BaseException:
            copy.abandon()
            raise
        for move in copy.moves(self._context.clock.now()):
            await backend.tend(move)
        return copy.figures

    def _guarded(self, step: Callable[[], int]) -> int:
        try:
            return step()
        except StoreFailed as failed:
            self._fatal(failed)
            raise

    async def _pace(self, size_bytes: int, rate: int | None) -> None:
        if rate:
            await self._context.clock.sleep(size_bytes / rate * (GIVE_WAY if self._others_save() else 1))

    def _others_save(self) -> bool:
        found = self._context.metrics.snapshot().get("changes_total", 0)
        now, before = found if isinstance(found, int) else 0, self._commits
        self._commits = now
        return now > before


def _use(row: PackRow) -> Use:
    dead = row.bytes - row.live_bytes - PACK_HEADER_BYTES
    return Use(row.key, row.lifetime, row.tight, row.bytes, max(0, dead))
