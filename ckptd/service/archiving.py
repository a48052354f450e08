"""Old checkpoints of completed processes move to the archive, and come back on request.

At each moment one good copy counts. Out: the file's row, the file, which is read back from its medium, and then one
transaction that makes it the checkpoint's and lets go of its bytes here. Back: its bytes here, and one transaction
that makes these count; the file is left over then. Deletion is the same: a checkpoint's row goes first and leaves its
file over, because a file that went first would leave a checkpoint that is listed and can't be read. What is left over
has a row of its own until the file is gone, so no crash and no unmounted disk loses sight of it.
Not for: when (`loops.archiving`), nor what lies where (`store.archive`).
"""

import asyncio
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

from ckptclient.errors import BadRequest, CkptdError, Conflict, Unavailable
from ckptclient.version import __version__
from ckptclient.wire import params
from ckptd.core.change import Change, CheckpointRow, EventRow, ManifestPart, NewCheckpoint, Place
from ckptd.core.ids import CheckpointKey
from ckptd.core.manifest import checksum, inline_hash, pack
from ckptd.core.process_table import State
from ckptd.observe import log
from ckptd.service.browsing import Browsing
from ckptd.service.caller import Caller
from ckptd.service.context import Context
from ckptd.service.restoring import Opened, opened
from ckptd.service.space import Space
from ckptd.service.users import user_name
from ckptd.service.views import Map
from ckptd.store.archive import PIECE_BYTES, ArchiveFiles, Reading
from ckptd.store.catalog.interface import Catalog, CatalogReader
from ckptd.store.export import Description, ExportedPart
from ckptd.store.ingest import Ingest, Part
from ckptd.store.prepared import Prepared

LOG = log.get(__name__)

SLICE_ROWS = 100
NAME_BYTES = 16


class Archiving:
    """`checkpoint.archive` and `checkpoint.unarchive`, and what moves by its age; used on the loop's thread."""

    def __init__(
        self,
        context: Context,
        browsing: Browsing,
        space: Space,
        reader: Reading,
        ingest: Ingest,
        sync_chunks: Callable[[], None],
        random_bytes: Callable[[int], bytes],
    ) -> None:
        self._context = context
        self._browsing = browsing
        self._space = space
        self._reader = reader
        self._ingest = ingest
        self._sync_chunks = sync_chunks
        self._files = reader.files
        self._random_bytes = random_bytes
        self._writing: set[int] = set()
        self._moving = asyncio.Lock()

    # On request

    async def archive(self, caller: Caller, p: params.MutateCheckpoint) -> Map:
        """Move one now, whatever its age."""
        row = await self._found(caller, p.checkpoint_id)
        if row.place is Place.ARCHIVED:
            return {"archived": True, "checkpoint_id": row.checkpoint_id}
        if row.process_state is not State.COMPLETED:
            raise Conflict(
                f"process {row.process_id} is {row.process_state.word}: its checkpoints stay at hand",
                hint="checkpoints of completed processes are archived",
            )
        files = await self._ready()
        async with self._moving:
            moved = await self._move(files, row)
        return {"archived": moved, "checkpoint_id": row.checkpoint_id}

    async def unarchive(self, caller: Caller, p: params.MutateCheckpoint) -> Map:
        """Bring one back into the store; its age alone doesn't move it again."""
        row = await self._found(caller, p.checkpoint_id)
        if row.place is not Place.ARCHIVED:
            return {"archived": False, "checkpoint_id": row.checkpoint_id}
        files = await self._ready()
        async with self._moving:
            await self._bring_back(files, row)
            await self._tidy(files)
        return {"archived": False, "checkpoint_id": row.checkpoint_id}

    async def _found(self, caller: Caller, named: str) -> CheckpointRow:
        row = await self._browsing.find(caller, named)
        caller.require(row.uid)
        if row.place is Place.TRASH:
            raise Conflict(f"{row.checkpoint_id} is in the trash", hint="revive it first")
        return row

    # By age

    async def run(self) -> None:
        """Move what is old enough, end what is over, and remove what is left over; Unavailable where the archive isn't there."""
        if self._files is None:
            return
        files = await self._ready()
        async with self._moving:
            await self._tidy(files)
            await self._end_due()
            moved = await self._move_due(files)
        if moved:
            LOG.info("archived", checkpoints=moved, path=files.path)

    async def _move_due(self, files: ArchiveFiles) -> int:
        context, moved, after = self._context, 0, 0
        before = context.clock.now() - round(context.config().archive.after_seconds * 1_000_000)
        while True:
            rows = await context.backend.read(
                lambda reader, after=after: reader.archivable(before, after, SLICE_ROWS)  # type: ignore[misc]
            )
            for row in rows:
                try:
                    moved += await self._move(files, row)
                except Unavailable:
                    raise
                except CkptdError as error:  # damaged, or gone meanwhile: the others go on
                    LOG.warning("a checkpoint wasn't archived", checkpoint=row.checkpoint_id, why=error.message)
            if len(rows) < SLICE_ROWS:
                return moved
            after = rows[-1].key

    async def _end_due(self) -> None:
        context, now = self._context, self._context.clock.now()
        while keys := await context.backend.read(lambda reader: reader.archived_due(now, SLICE_ROWS)):
            await context.backend.commit(Change(now, 0, to_trash=tuple(keys)))

    # The moves

    async def _ready(self) -> ArchiveFiles:
        """The archive, which is there. Only a store that has nothing in it begins one."""
        files, backend = self._files, self._context.backend
        if files is None:
            raise BadRequest("no archive is configured", hint="set archive.path to a directory, and restart the daemon")
        known = await backend.read(
            lambda reader: [*reader.archive_files(True, 0, 1), *reader.archive_files(False, 0, 1)]
        )
        await asyncio.to_thread(files.require if known else files.begin)
        return files

    async def _move(self, files: ArchiveFiles, row: CheckpointRow) -> bool:
        name, backend = self._random_bytes(NAME_BYTES).hex(), self._context.backend
        number = await backend.tend(lambda catalog: catalog.begin_archive(name, row.key))
        self._writing.add(number)
        try:
            size_bytes, digest = await backend.read(lambda reader: self._write(files, name, row, reader))
            moved = await backend.tend(lambda catalog: catalog.archived(number, size_bytes, digest))
        finally:
            self._writing.discard(number)
        if moved:
            await self._happened("archived", row)
        return moved

    def _write(self, files: ArchiveFiles, name: str, row: CheckpointRow, reader: CatalogReader) -> tuple[int, bytes]:
        """In a thread: the checkpoint as a file; every byte of it was verified on its way."""
        found = opened(row, reader.content(row.key))
        needs = reader.dependencies([row.key]).get(row.key, ())
        rows = [one for key in needs if (one := reader.checkpoint(key)) is not None]
        tags = tuple(reader.tags([row.key]).get(row.key, ()))
        said = _description(row, tags, [one.checkpoint_id for one in rows], self._context)
        parts = [
            (ExportedPart(part.name, part.form, part.size_bytes), self._pieces(found, index, reader))
            for index, part in enumerate(found.parts)
        ]
        return files.write(name, said, parts)

    def _pieces(self, found: Opened, index: int, reader: CatalogReader) -> Iterator[bytes]:
        if found.inline is not None:
            yield found.inline_part(index)
            return
        part = found.parts[index]
        for offset in range(0, part.size_bytes, PIECE_BYTES):
            yield self._reader.read(reader, part, offset, PIECE_BYTES)

    async def _bring_back(self, files: ArchiveFiles, row: CheckpointRow) -> None:
        backend, now = self._context.backend, self._context.clock.now()
        found = opened(row, await backend.read(lambda reader: reader.content(row.key)))
        if row.logical_bytes <= self._context.config().store.inline_bytes_max:
            await self._bring_back_small(files, found)
        else:
            self._space.admit(row.logical_bytes)
            parts = [Part(part.name, part.form, _Source(files, part)) for part in found.parts]
            payload = await asyncio.to_thread(self._ingest.prepare, row.uid, parts, now, row.process)
            manifest = pack(payload.parts)
            payload.describe(row.process_id, row.epoch, _as_new(row, manifest))
            await backend.tend(lambda catalog: self._adopt(catalog, row.key, payload, manifest))
        await self._happened("unarchived", row)

    async def _bring_back_small(self, files: ArchiveFiles, found: Opened) -> None:
        key = found.row.key
        data = await self._context.backend.read(
            lambda _: [_Source(files, part).read(0, part.size_bytes) for part in found.parts]
        )
        parts = tuple(
            replace(part, hash=inline_hash(plain), archived=None) for part, plain in zip(found.parts, data, strict=True)
        )
        manifest, small = pack(parts), b"".join(data)
        await self._context.backend.tend(
            lambda catalog: catalog.unarchived(key, manifest, checksum(manifest), parts, small, None)
        )

    def _adopt(self, catalog: Catalog, key: CheckpointKey, payload: Prepared, manifest: bytes) -> None:
        """On the committer's thread: as a batch of one save."""
        try:
            payload.place()
            self._sync_chunks()
            with catalog.transaction():
                parts = payload.record()
                catalog.unarchived(key, manifest, checksum(manifest), parts, None, payload.noted)
        finally:
            payload.release()

    async def _tidy(self, files: ArchiveFiles) -> None:
        """Remove files that no checkpoint needs; the file first, so that its row names it until then."""
        backend, after = self._context.backend, 0
        while left := await backend.read(
            lambda reader, after=after: reader.archive_files(False, after, SLICE_ROWS)  # type: ignore[misc]
        ):
            for number, name in left:
                if number not in self._writing:
                    await asyncio.to_thread(files.remove, name)
                    await backend.tend(lambda catalog, number=number: catalog.drop_archive(number))  # type: ignore[misc]
            after = left[-1][0]

    async def _happened(self, kind: str, row: CheckpointRow) -> None:
        context = self._context
        event = EventRow(kind, row.uid, row.process, row.process_id, (("checkpoint_id", row.checkpoint_id),))
        await context.backend.commit(Change(context.clock.now(), 0, events=(event,)))
        context.events.happened()


@dataclass(frozen=True, slots=True)
class _Source:
    """A part in the archive, for `ingest`."""

    files: ArchiveFiles
    part: ManifestPart

    @property
    def size_bytes(self) -> int:
        """How many there are."""
        return self.part.size_bytes

    def read(self, offset: int, size_bytes: int) -> bytes:
        """A range."""
        assert self.part.archived is not None, "it is archived"
        name, ordinal = self.part.archived
        return self.files.read(name, self.part, ordinal, offset, size_bytes)


def _description(row: CheckpointRow, tags: tuple[str, ...], depends: list[str], context: Context) -> Description:
    return Description(
        process_id=row.process_id,
        checkpoint_id=row.checkpoint_id,
        seq=row.seq,
        type=row.type.word,
        created_at=row.created_at,
        has_state=row.has_state,
        epoch=row.epoch,
        user=user_name(row.uid),
        task_id=row.task_id,
        description=row.description,
        tags=tags,
        depends=tuple(depends),
        metadata=row.metadata,
        schema_version=row.schema_version,
        journal_position=row.journal_position,
        checksum=row.checksum,
        lineage=context.backend.lineage,
        exported_at=context.clock.now(),
        writer=f"ckptd {__version__}",
    )


def _as_new(row: CheckpointRow, manifest: bytes) -> NewCheckpoint:
    """What stands in its record in a pack."""
    return NewCheckpoint(
        row.seq, row.type, row.created_at, row.expires_at, row.task_id, row.description, row.metadata, (), (), manifest,
        checksum(manifest), (), None, row.logical_bytes, row.own_bytes, row.journal_position, row.has_state,
        row.schema_version, row.alias,
    )  # fmt: skip
