"""Which checkpoint a recovery gives: the newest that is whole; owns the term *candidate*.

Candidates are tried newest first. One that is damaged, or whose restore has killed its worker too often, is walked
past and said by name; whole means that every byte of it was read and verified, not that its row looks well.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Protocol

from ckptclient.errors import BadRequest, Damaged, NotFound
from ckptclient.wire import layout
from ckptd.core.change import CheckpointRow, ManifestPart
from ckptd.core.ids import CheckpointKey, ProcessKey
from ckptd.core.manifest import checksum, inline_hash, unpack
from ckptd.service.backend import Backend
from ckptd.store.catalog.interface import CatalogReader, Content
from ckptd.store.lending import Loan

INLINE_REPLY_BYTES_MAX = 512 << 10
"""Parts come along in a reply up to this sum; larger ones are read in pieces, or lent whole."""

LOAN_SLICE_BYTES = 8 << 20
"""What a thread reads of a loan at a time: enough for it to be worth its while, little enough that all have some."""


class PartReader(Protocol):
    """Reads what lies in packs, with a catalog reader of the thread that asks; every byte it gives is verified."""

    def read(self, catalog: CatalogReader, part: ManifestPart, offset: int, size_bytes: int) -> bytes:
        """Plain bytes of a part; Damaged where they can't be had."""

    def verify(self, catalog: CatalogReader, parts: Sequence[ManifestPart]) -> None:
        """Read all of them; Damaged names what is wrong."""


@dataclass(frozen=True, slots=True)
class Opened:
    """A checkpoint with its parts; `inline` has their bytes end to end, where they lie in the catalog."""

    row: CheckpointRow
    parts: Sequence[ManifestPart]
    inline: bytes | None
    loan: Loan | None = None
    """The parts that don't come along, verified, where somebody will map them."""

    @property
    def apart(self) -> Sequence[int]:
        """The parts that are too large to come along in a reply."""
        room, found = INLINE_REPLY_BYTES_MAX, []
        for index, part in enumerate(self.parts):
            if part.size_bytes > room:
                found.append(index)
            else:
                room -= part.size_bytes
        return found

    def inline_part(self, index: int) -> bytes:
        """The bytes of one inline part."""
        assert self.inline is not None
        start = sum(part.size_bytes for part in self.parts[:index])
        return self.inline[start : start + self.parts[index].size_bytes]


@dataclass(frozen=True, slots=True)
class Choice:
    """What a recovery gives, and what it walked past: (checkpoint id, why)."""

    newest: Opened | None
    with_state: Opened | None
    skipped: Sequence[tuple[str, str]]


class Restoring:
    """Opens and verifies checkpoints."""

    def __init__(self, backend: Backend, reader: PartReader) -> None:
        self._backend = backend
        self._reader = reader

    async def open(self, row: CheckpointRow) -> Opened:
        """The parts of a checkpoint; Damaged where its manifest or inline bytes don't verify."""
        content = await self._backend.read(lambda reader: reader.content(row.key))
        return opened(row, content)

    async def read(self, found: Opened, index: int, offset: int, length: int) -> bytes:
        """A piece of a part's plain bytes, verified."""
        if found.inline is not None:
            return found.inline_part(index)[offset : offset + length]
        part = found.parts[index]
        return await self._backend.read(lambda catalog: self._reader.read(catalog, part, offset, length))

    async def piece(self, row: CheckpointRow, index: int, offset: int, length: int) -> bytes:
        """A piece of a part of a checkpoint that isn't open, in one turn of a thread."""

        def ask(catalog: CatalogReader) -> bytes:
            found = opened(row, catalog.content(row.key))
            if index >= len(found.parts):
                raise NotFound(f"{row.checkpoint_id} has {len(found.parts)} parts", details={"what": "part"})
            part = found.parts[index]
            if offset > part.size_bytes:
                raise BadRequest(
                    f"the part has {part.size_bytes} bytes", hint=f"accepted: an offset up to {part.size_bytes}"
                )
            if found.inline is not None:
                return found.inline_part(index)[offset : offset + length]
            return self._reader.read(catalog, part, offset, length)

        return await self._backend.read(ask)

    async def data(self, found: Opened) -> list[bytes | None]:
        """The bytes of each part that comes along in a reply, None for those that must be read in pieces."""
        apart = set(found.apart)
        data: list[bytes | None] = []
        for index, part in enumerate(found.parts):
            if index in apart:
                data.append(None)
            else:
                data.append(await self.read(found, index, 0, part.size_bytes) if part.size_bytes else b"")
        return data

    async def lend(self, found: Opened) -> Opened:
        """The same with its large parts in memory that a client may map, each byte verified; Damaged, Busy."""
        apart = found.apart
        if not apart or found.inline is not None:
            return found
        begins, size_bytes = layout.begins(found.parts[index].size_bytes for index in apart)
        loan = Loan(size_bytes)
        await asyncio.gather(
            *(
                self._backend.read(partial(self._fill, loan, begin, found.parts[index], offset))
                for index, begin in zip(apart, begins, strict=True)
                for offset in range(0, found.parts[index].size_bytes, LOAN_SLICE_BYTES)
            )
        )
        return replace(found, loan=loan)

    def _fill(self, loan: Loan, begin: int, part: ManifestPart, offset: int, catalog: CatalogReader) -> None:
        loan.write(begin + offset, self._reader.read(catalog, part, offset, LOAN_SLICE_BYTES))

    async def choose(self, process: ProcessKey, attempts_max: int, *, lend: bool = False) -> Choice:
        """The newest whole checkpoint and the newest whole one with application state, lent where that is asked for."""
        skipped: dict[str, str] = {}
        newest = await self._first(process, False, attempts_max, skipped, lend=lend)
        if newest is not None and newest.row.has_state:
            return Choice(newest, newest, list(skipped.items()))
        with_state = await self._first(process, True, attempts_max, skipped, lend=lend)
        return Choice(newest, with_state, list(skipped.items()))

    async def _first(
        self, process: ProcessKey, with_state: bool, attempts_max: int, skipped: dict[str, str], *, lend: bool
    ) -> Opened | None:
        keys = await self._backend.read(lambda reader: reader.candidates(process, with_state))
        for key in keys:
            row = await self._backend.read(lambda reader, key=key: reader.checkpoint(key))  # type: ignore[misc]
            if row is None:
                continue
            if row.attempts >= attempts_max:
                skipped[row.checkpoint_id] = f"its restore killed its worker {row.attempts} times"
                continue
            try:
                return await self._whole(row, lend=lend and row.has_state)
            except Damaged as damage:
                skipped[row.checkpoint_id] = damage.message
        return None

    async def _whole(self, row: CheckpointRow, *, lend: bool) -> Opened:
        found = await self.open(row)
        if lend:
            found = await self.lend(found)
        if found.inline is None:
            apart = set(found.apart) if found.loan is not None else ()
            rest = [part for index, part in enumerate(found.parts) if index not in apart]
            await self._backend.read(lambda catalog: self._reader.verify(catalog, rest))
        return found

    async def row(self, key: CheckpointKey) -> CheckpointRow | None:
        """A checkpoint's row."""
        return await self._backend.read(lambda reader: reader.checkpoint(key))


def opened(row: CheckpointRow, content: Content) -> Opened:
    """Check what the catalog has of a checkpoint against its checksum."""
    if checksum(content.manifest) != row.checksum:
        raise Damaged(f"the manifest of {row.checkpoint_id} does not match its checksum")
    parts = unpack(content.manifest)
    if content.archive is not None:
        name = content.archive
        return Opened(row, tuple(replace(part, archived=(name, index)) for index, part in enumerate(parts)), None)
    if content.small is None:
        bodies = [*content.bodies, *([()] * (len(parts) - len(content.bodies)))]
        named = (
            ManifestPart(part.name, part.form, part.size_bytes, part.hash, tuple(keys))
            for part, keys in zip(parts, bodies, strict=True)
        )
        return Opened(row, tuple(named), None)
    found = Opened(row, parts, content.small)
    if sum(part.size_bytes for part in parts) != len(content.small):
        raise Damaged(f"the inline bytes of {row.checkpoint_id} are cut off")
    for index, part in enumerate(parts):
        if inline_hash(found.inline_part(index)) != part.hash:
            raise Damaged(f"part {part.name} of {row.checkpoint_id} does not match its hash")
    return found
