"""The composition root: names the backends and assembles a daemon's inside once.

Not for: sockets, signals and the life of the process (`daemon`).
"""

import asyncio
import os
from collections import deque
from collections.abc import Callable, Coroutine, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ckptclient.errors import Conflict, Damaged, NoSpace, VersionMismatch
from ckptclient.version import __version__
from ckptd.clock import Clock
from ckptd.errors import StartRefused, StoreFailed
from ckptd.loops.archiving import archive
from ckptd.loops.backups import back_up
from ckptd.loops.checking import check
from ckptd.loops.cleanup import clean
from ckptd.loops.monitor import watch
from ckptd.loops.proving import prove
from ckptd.loops.scrub import scrub
from ckptd.loops.tending import tend
from ckptd.observe import log
from ckptd.observe.metrics import Metrics
from ckptd.observe.series import Series
from ckptd.service.archiving import Archiving
from ckptd.service.backend import Backend
from ckptd.service.backing_up import BackingUp, Backs, Drills, Told
from ckptd.service.browsing import Browsing
from ckptd.service.compacting import Compacting
from ckptd.service.context import Context, Interruptions, cadence_of
from ckptd.service.events import Events
from ckptd.service.expiring import Expiring
from ckptd.service.health import Monitor
from ckptd.service.journal import Journal
from ckptd.service.maintenance import Maintenance
from ckptd.service.processes import Processes
from ckptd.service.proving import Proving
from ckptd.service.registration import Registration
from ckptd.service.restoring import Restoring
from ckptd.service.saving import Saving
from ckptd.service.scrubbing import Scrubbing
from ckptd.service.services import Services
from ckptd.service.space import Space
from ckptd.service.table import Table
from ckptd.service.uploads import Uploads
from ckptd.service.workers import Workers
from ckptd.settings.tree import Config, Store
from ckptd.store import backup, chunk_key, durable
from ckptd.store.archive import ArchiveFiles, Reading
from ckptd.store.catalog.interface import Catalog, CatalogCopies
from ckptd.store.catalog.sqlite import SqliteCatalog, SqliteCopies, look_at_catalog, open_catalog
from ckptd.store.chains import Chains
from ckptd.store.chunks.packs import Packs
from ckptd.store.committer import Committer
from ckptd.store.durable import make_directory
from ckptd.store.encodings import Choice
from ckptd.store.holds import Holds
from ckptd.store.ingest import Ingest
from ckptd.store.medium import CATALOG_NAME, EX_TEMPFAIL
from ckptd.store.offline import PACKS_NAME, Offline, visit
from ckptd.store.reader import PartReader
from ckptd.store.rebuild import Rebuild, Rebuilt
from ckptd.store.staging import Pool
from ckptd.store.verify import Mending, PackCheck

LOG = log.get(__name__)

RANDOM_BYTES = 16
"""Of a lineage, an incarnation, a member."""

CHUNK_KEY_BYTES = 32

LOOKING_BYTES = 8 << 20
"""Plain bytes that the scrub keeps of chunks that the next ones may be differences to."""


NOTICED_MAX = 1000
"""Damaged places that readers met and the scrub hasn't looked at yet."""


@dataclass(slots=True)
class Assembled:
    """A daemon's inside. `loops` are to be run until the end; `close` after they have ended."""

    services: Services
    context: Context
    committer: Committer
    metrics: Metrics
    lineage: bytes
    space: Space
    expiring: Expiring
    loops: Sequence[Callable[[], Coroutine[Any, Any, None]]]
    _catalog: Catalog
    _closing: Sequence[Callable[[], None]]

    async def begin(self) -> None:
        """What must be done before the first request: the process table is rebuilt."""
        await self.space.look()
        await self.services.maintenance.recall()
        await self.services.scrubbing.recall()
        await self.expiring.time.recall()
        await self.services.processes.restore_table()

    async def end(self) -> None:
        """Write what is only in memory; nothing is admitted any more."""
        if self.context.read_only is None:
            await self.services.processes.write_progress()
            with suppress(NoSpace):  # what was learnt of interruptions is learnt again
                await self.services.maintenance.remember()

    def close(self) -> None:
        """Commit what is queued, and give everything back; blocks."""
        self.committer.stop()
        for close in self._closing:
            close()
        self._catalog.close()


def compose(
    config: Callable[[], Config],
    clock: Clock,
    loop: asyncio.AbstractEventLoop,
    *,
    workers: Workers,
    fatal: Callable[[StoreFailed], None],
    reload: Callable[[], tuple[list[str], list[str]]],
    random_bytes: Callable[[int], bytes] = os.urandom,
    read_only: str | None = None,
) -> Assembled:
    """Open the store and assemble what serves it. The caller holds the store's lock; `config` is asked at each use.

    With `read_only` nothing is written, and whoever wants to is told so, with that reason. Raises StartRefused where the store can't be
    used.
    """
    store = config().store
    packs_directory, spool = store.path / "packs", store.path / "spool"
    if read_only is None:
        for directory in (packs_directory, spool):
            make_directory(directory)
    catalog = _catalog(store.path / CATALOG_NAME, clock.now(), random_bytes, read_only)
    if read_only is None:
        _keep_key(store.path, catalog)
    metrics = Metrics()
    chunks = Packs(packs_directory, catalog.lineage, random_bytes)
    committer = _committer(catalog, chunks, clock, loop, metrics, fatal)
    backend = Backend(catalog, committer, loop)
    holds = Holds()
    chains = Chains(chunks, catalog.chunk_key)
    ingest = Ingest(
        catalog,
        chunks,
        holds,
        chains,
        _choice(store),
    )
    table = Table(lambda policy: cadence_of(policy, config()))
    context = Context(backend, table, Events(backend), workers, clock, config, metrics, Interruptions(), read_only)
    noticed: deque[tuple[str, int]] = deque(maxlen=NOTICED_MAX)
    reader = PartReader(chains, lambda pack, offset: noticed.append((pack, offset)))
    anywhere = Reading(reader, _archive(config().archive.path, catalog.chunk_key))
    restoring = Restoring(backend, anywhere)
    space = Space(backend, store.path, config, keeps_reserve=read_only is None)
    uploads = Uploads(spool, _staging(config))
    processes = Processes(context, lambda: random_bytes(RANDOM_BYTES))
    browsing = Browsing(context, restoring, space)
    expiring = Expiring(context, space)
    maintenance = Maintenance(
        context, holds, space, expiring, Compacting(context, chunks, fatal), store.path, __version__, reload
    )
    backing_up = BackingUp(context, _backs(store.path, random_bytes), _drills(random_bytes))
    monitor = Monitor(
        context,
        space,
        _series(store.path / "series") if read_only is None else None,
        [store.path / name for name in (CATALOG_NAME, f"{CATALOG_NAME}-wal")],
    )
    # With a memory of its own: what it reads must not push out what saves and restores need next.
    looking = Chains(chunks, catalog.chunk_key, LOOKING_BYTES)
    scrubbing = Scrubbing(
        context,
        chunks,
        lambda thorough: catalog.quick_check(thorough=thorough),
        lambda decode: PackCheck(chunks, looking, decode=decode),
        noticed,
        lambda directory: Mending(chunks, Packs(directory, catalog.lineage, random_bytes), looking),
    )
    proving = Proving(context, restoring, reader, scrubbing.report)
    monitor.sources += (scrubbing.figures, proving.figures, backing_up.figures)
    services = Services(
        registration=Registration(context, restoring, lambda: random_bytes(RANDOM_BYTES)),
        processes=processes,
        saving=Saving(context, processes, browsing, uploads, ingest, space, fatal),
        browsing=browsing,
        journal=Journal(context),
        events=context.events,
        maintenance=maintenance,
        archiving=Archiving(context, browsing, space, anywhere, ingest, chunks.sync, random_bytes),
        backing_up=backing_up,
        monitor=monitor,
        proving=proving,
        scrubbing=scrubbing,
    )
    loops: list[Callable[[], Coroutine[Any, Any, None]]] = [
        lambda: tend(clock, processes, space, monitor.late),
        lambda: watch(clock, monitor),
        # What is damaged is served as far as it can be read, where nothing is written on top of it.
        lambda: check(backend, catalog.quick_check, fatal if read_only is None else lambda failed: None),
    ]
    if read_only is None:
        _clear_up(catalog, chunks)
        loops += [
            lambda: clean(clock, config, backend, maintenance),
            lambda: back_up(clock, config, backing_up),
            lambda: archive(clock, config, services.archiving),
            lambda: prove(clock, config, proving),
            lambda: scrub(clock, scrubbing),
        ]
    closing = (
        backing_up.close,
        anywhere.close,
        ingest.close,
        backend.close,
        uploads.close,
        chunks.close,
        monitor.close,
    )
    # Last: what fails before it leaves no thread behind that keeps the process from ending.
    committer.start()
    return Assembled(services, context, committer, metrics, catalog.lineage, space, expiring, loops, catalog, closing)


def open_offline(path: Path) -> Offline:
    """Open a store to read it while no daemon has it; nothing is written, so a read-only file system will do.

    Raises NoStore, Denied, Busy where a daemon has it, and Damaged where its catalog can't be opened.
    """
    lock_fd = visit(path)
    try:
        catalog = look_at_catalog(path / CATALOG_NAME, "no daemon has it, and it is only looked at")
    except StartRefused as refused:
        os.close(lock_fd)
        if refused.exit_status != EX_TEMPFAIL:
            raise VersionMismatch(refused.message, hint=refused.hint) from refused
        raise Damaged(
            f"the catalog of {path} can't be read: {refused.message}",
            hint="restore the store from its backup, or make a new catalog: ckptctl rebuild-catalog",
        ) from refused
    chunks = Packs(path / PACKS_NAME, catalog.lineage, os.urandom)
    chains = Chains(chunks, catalog.chunk_key)
    return Offline(path, catalog, catalog.reader(), chunks, chains, PartReader(chains), lock_fd)


def backup_copies() -> CatalogCopies:
    """What backups need of the catalog's backend."""
    return SqliteCopies()


def _backs(store: Path, random_bytes: Callable[[int], bytes]) -> Backs:
    """Backups of the store that a daemon of this process serves."""

    def backs(path: Path, at: int, keep: int, told: Told) -> backup.Made:
        target, source = backup.Destination(path), backup.Source(store, live=True)
        with target.occupied():
            return backup.run(source, target, SqliteCopies(), at=at, random=random_bytes(4), keep=keep, told=told)

    return backs


def _drills(random_bytes: Callable[[int], bytes]) -> Drills:
    """Drills of the newest backup at a path."""

    def drills(path: Path, at: int, told: Told) -> tuple[backup.Manifest, backup.Drilled]:
        target = backup.Destination(path)
        manifest = target.backup(None)
        lineage = random_bytes(RANDOM_BYTES)
        return manifest, backup.drill(target, manifest, SqliteCopies(), open_offline, lineage=lineage, at=at, told=told)

    return drills


def _catalog(path: Path, now: int, random_bytes: Callable[[int], bytes], read_only: str | None) -> SqliteCatalog:
    if (path.parent / backup.MARK).exists():
        raise StartRefused(
            f"the store {path.parent} is half restored from a backup",
            hint="restore it again by the same command: it goes on; or empty the directory to begin a new store",
        )
    if read_only is not None:
        return look_at_catalog(path, read_only)
    return open_catalog(path, random_bytes(RANDOM_BYTES), random_bytes(CHUNK_KEY_BYTES), now)


def _archive(path: Path | None, chunk_key: bytes) -> ArchiveFiles | None:
    """The archive, where one is configured."""
    return None if path is None else ArchiveFiles(path, chunk_key)


def _staging(config: Callable[[], Config]) -> Pool:
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return Pool(lambda: int(config().staging.share * memory), lambda: int(config().staging.user_share * memory))


def rebuild_catalog(path: Path, into: Path, now: int, progress: Callable[[int], None]) -> Rebuilt:
    """Make a new store at `into` from the packs of the one at `path`, which no daemon has; `progress` hears of bytes read.

    Packs are linked where the file system can, else copied. Raises as `open_offline`; Conflict where something is at
    `into`, Damaged where the key of chunk ids is lost.
    """
    lock_fd = visit(path)
    try:
        key = chunk_key.read(path) or _key_of_catalog(path)
        source = Packs(path / PACKS_NAME, b"", os.urandom)
        _adopt(path / PACKS_NAME, into, source.names())
        catalog = open_catalog(into / CATALOG_NAME, os.urandom(RANDOM_BYTES), key, now)
        try:
            chunk_key.keep(into, key)
            work = Rebuild(source, catalog, Chains(source, key), now)
            for size_bytes in work.scan():
                progress(size_bytes)
            return work.record()
        finally:
            catalog.close()
    finally:
        os.close(lock_fd)


def _key_of_catalog(path: Path) -> bytes:
    try:
        catalog = look_at_catalog(path / CATALOG_NAME, "a new one is made of it")
    except StartRefused as refused:
        raise Damaged(
            f"the key of chunk ids is lost: there is no file {chunk_key.NAME}, and {refused.message}",
            hint="restore the store from its backup",
        ) from refused
    key = catalog.chunk_key
    catalog.close()
    return key


def _adopt(packs: Path, into: Path, names: Sequence[str]) -> None:
    """The packs of a store in a new one."""
    if into.exists() and any(into.iterdir()):
        raise Conflict(f"there is something at {into}", hint="name a directory that is empty or isn't there")
    for directory in (into, into / PACKS_NAME):
        make_directory(directory)
    for name in names:
        durable.adopt(packs / name, into / PACKS_NAME / name)
    durable.sync_directory(into / PACKS_NAME)


def _keep_key(path: Path, catalog: Catalog) -> None:
    """A daemon does without the copy where there is no room for it."""
    try:
        chunk_key.keep(path, catalog.chunk_key)
    except NoSpace as error:
        LOG.warning("the copy of the key of chunk ids can't be written", why=error.message)


def _series(path: Path) -> Series | None:
    """The figures over time; a daemon does without where they can't be kept."""
    try:
        return Series(path)
    except OSError as error:
        LOG.warning("figures over time can't be kept", path=path, why=error.strerror)
        return None


def _clear_up(catalog: Catalog, chunks: Packs) -> None:
    """Remove packs of this store that no row names, as a daemon was killed before it; and let go of its backups' packs."""
    reader = catalog.reader()
    with suppress(NoSpace):  # a full disk keeps nobody down: these packs are held until the next start
        catalog.abandon_backups()
    orphans = chunks.orphans(set(reader.packs().values()))
    reader.close()
    for name in orphans:
        LOG.info("a pack that nothing refers to is removed", pack=name)
        chunks.unlink(name)


def _choice(store: Store) -> Choice:
    return Choice(
        store.compression_level, store.delta_depth_max, store.array_delta_depth_max, store.tight_compression_level
    )


def _committer(
    catalog: Catalog,
    chunks: Packs,
    clock: Clock,
    loop: asyncio.AbstractEventLoop,
    metrics: Metrics,
    fatal: Callable[[StoreFailed], None],
) -> Committer:
    def committed(count: int, seconds: float) -> None:
        metrics.observe("commit_seconds", seconds)
        metrics.count("changes_total", count)
        metrics.count("batches_total")

    return Committer(
        catalog,
        chunks.sync,
        soon=loop.call_soon,
        post=loop.call_soon_threadsafe,
        fatal=fatal,
        report=lambda bug: LOG.error("a change met a bug", exc_info=bug),
        monotonic=clock.monotonic,
        committed=committed,
    )
