"""Backups as the daemon sees them: what holds packs meanwhile, those that it makes itself, and what is known of them.

An operator's tool makes a backup by itself, from the store's files: it asks for a hold, copies, and tells the end. The
hold is its connection's, and ends with it: a tool that was killed keeps no pack for ever. Where `backup.path` is set the
daemon makes them too, in a thread of its own, and tries the newest by a drill.
Not for: what a backup is made of (`store.backup`), or when (`loops.backups`).
"""

import asyncio
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

from ckptclient.errors import CkptdError, Draining
from ckptclient.wire import params
from ckptd.core.change import Change, EventRow
from ckptd.core.health import Figure
from ckptd.observe import log
from ckptd.service.caller import Caller
from ckptd.service.context import Context
from ckptd.service.views import Map
from ckptd.store.backup import Drilled, Made, Manifest
from ckptd.store.catalog.interface import BackupRow, Catalog

LOG = log.get(__name__)

T = TypeVar("T")

Told = Callable[[int, int], None]

Backs = Callable[[Path, int, int, Told], Made]
"""Makes a backup at a path; at a time, keeping so many, telling how far it is."""

Drills = Callable[[Path, int, Told], tuple[Manifest, Drilled]]
"""Tries the newest backup at a path."""

TRIED_AT, FAILED = "backup_drilled_at", "backup_drill_failed"
"""Rows of the store's own table: when the newest backup was last tried, and what was wrong with it."""

_LOOKED_AT = 20
"""Newest backups among which the newest complete one is looked for."""


class BackingUp:
    """Methods under `backup.`, and the daemon's own backups; used on the loop's thread."""

    def __init__(self, context: Context, backs: Backs, drills: Drills) -> None:
        self._context = context
        self._backs = backs
        self._drills = drills
        self._held: dict[int, int] = {}
        self._beginning: set[int] = set()
        self._pool: ThreadPoolExecutor | None = None
        self._stopping = False

    async def begin(self, caller: Caller, p: params.Mutate) -> Map:
        """Hold every pack until `end`, or until the caller's connection ends."""
        self._beginning.add(caller.connection)
        key = await self._hold()
        self._held[key] = caller.connection
        if caller.connection not in self._beginning:  # it ended while this was on its way
            self.dropped(caller.connection)
        self._beginning.discard(caller.connection)
        return {"backup": key}

    async def end(self, caller: Caller, p: params.EndBackup) -> Map:
        """Let the packs go; with a manifest's checksum the backup is complete."""
        self._held.pop(p.backup, None)
        held = await self._context.backend.tend(lambda catalog: catalog.end_backup(p.backup, p.checksum))
        if held and p.checksum is not None:
            await self._happened("backed_up", name=p.name, path=p.path)
        return {"held": held}

    def dropped(self, connection: int) -> None:
        """A connection ended: what it holds is let go."""
        self._beginning.discard(connection)
        for key in [key for key, holder in self._held.items() if holder == connection]:
            del self._held[key]
            self._context.backend.slice(lambda catalog, key=key: catalog.end_backup(key, None))  # type: ignore[misc]

    async def _hold(self) -> int:
        now = self._context.clock.now()
        return await self._context.backend.tend(lambda catalog: catalog.begin_backup(now))

    # The daemon's own

    async def back_up(self) -> None:
        """Make a backup where the configuration says; what goes wrong is told, and tried again in time."""
        setting = self._context.config().backup
        assert setting.path is not None, "the loop asks only where there is one"
        key = await self._hold()
        made: Made | None = None
        try:
            made = await self._made(setting.path, setting.keep)
        except asyncio.CancelledError:
            self._stopping = True
            raise
        finally:
            checksum = bytes.fromhex(made.manifest.checksum) if made is not None else None
            await self._context.backend.tend(lambda catalog: catalog.end_backup(key, checksum))

    async def _made(self, path: Path, keep: int) -> Made | None:
        at = self._context.clock.now()
        try:
            made = await self._aside(lambda: self._backs(path, at, keep, self._go_on))
        except CkptdError as error:
            LOG.error("the backup failed", path=path, why=error.message, hint=error.hint)
            await self._happened("backup_failed", path=str(path), why=error.message)
            return None
        name, damaged = made.manifest.name, len(made.manifest.damaged)
        LOG.info("backed up", path=path, name=name, copied_bytes=made.copied_bytes, damaged_records=damaged)
        await self._happened("backed_up", name=name, path=str(path), damaged_records=damaged)
        return made

    async def drill(self) -> None:
        """Try the newest backup; what fails is told, and lowers the health until a drill goes well."""
        path = self._context.config().backup.path
        assert path is not None, "the loop asks only where there is one"
        now = self._context.clock.now()
        try:
            manifest, found = await self._aside(lambda: self._drills(path, now, self._go_on))
        except CkptdError as error:
            failed = error.message
        else:
            failed = f"{found.failed[0][0]}: {found.failed[0][1]}" if found.failed else ""
            if not failed:
                checksum = bytes.fromhex(manifest.checksum)
                await self._context.backend.tend(lambda catalog: catalog.drilled(checksum, now))
                LOG.info("the drill of the backup went well", name=manifest.name, checkpoints=found.checkpoints)
                await self._happened("drilled", name=manifest.name, path=str(path), checkpoints=found.checkpoints)
        if failed:
            LOG.error("the drill of the backup failed", path=path, why=failed)
            await self._happened("drill_failed", path=str(path), why=failed)

        def remember(catalog: Catalog) -> None:
            catalog.set(TRIED_AT, now)
            catalog.set(FAILED, failed)

        await self._context.backend.tend(remember)

    async def newest(self) -> BackupRow | None:
        """The newest complete backup that the store knows of."""
        rows = await self._context.backend.read(lambda reader: reader.backups(_LOOKED_AT))
        return next((row for row in rows if row.checksum is not None), None)

    async def tried_at(self) -> int | None:
        """When the newest backup was last tried."""
        at = await self._context.backend.read(lambda reader: reader.setting(TRIED_AT))
        return at if isinstance(at, int) else None

    async def figures(self) -> Mapping[str, Figure]:
        """What health has of it: nothing where no backups are configured."""
        setting = self._context.config().backup
        if setting.path is None or not setting.interval_seconds:
            return {}
        row, now = await self.newest(), self._context.clock.now()
        since = row.at if row is not None else await self._begun()
        age = max(0, now - since) / 1e6
        detail = "" if row is not None else "there is none yet"
        found = {"backup_age": Figure(age / setting.interval_seconds, detail)}
        if setting.drill_seconds:
            why = await self._context.backend.read(lambda reader: reader.setting(FAILED))
            found["backup_drill"] = Figure(1.0 if why else 0.0, str(why or ""))
        return found

    async def _begun(self) -> int:
        """Since when there could be a backup."""
        created = await self._context.backend.read(lambda reader: reader.setting("created_at"))
        return created if isinstance(created, int) else self._context.clock.now()

    async def _aside(self, work: Callable[[], T]) -> T:
        """Run in the one thread that is kept for this: readers and ingest have other things to do."""
        if self._pool is None:
            self._pool = ThreadPoolExecutor(1, "backup")
        return await asyncio.get_running_loop().run_in_executor(self._pool, work)

    def _go_on(self, _done: int, _total: int) -> None:
        """Called in the thread with each piece: a daemon that stops doesn't wait for a terabyte."""
        if self._stopping:
            raise Draining("the daemon is stopping: the next backup goes on from here")

    async def _happened(self, kind: str, **data: int | str) -> None:
        context = self._context
        event = EventRow(kind, 0, None, "", tuple(data.items()))
        await context.backend.commit(Change(context.clock.now(), 0, events=(event,)))
        context.events.happened()

    def close(self) -> None:
        """End the thread, with what it does."""
        self._stopping = True
        if self._pool is not None:
            self._pool.shutdown(cancel_futures=True)
