"""From the parts of a save to what the committer needs of them: cut, hash, hold, look up, encode.

A document, and where it is set a piece of an array too, is encoded as the difference to what its process saved last in
its place under the name of its part, where that is there and its chain isn't at its longest.

The work is done by a small pool of threads in units of a MiB. A chunk that the store has costs its hash and a look-up.
The other chunks of a small payload are kept in memory for the committer, which writes them into the shared pack
with its batch; a payload of 32 MiB and more is written and synced here, into packs of its own, in constant memory.
Not for: what happens on the committer's thread (`prepared`), or inline payloads, which never come here.
"""

import os
import threading
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from typing import Final, Protocol

from ckptclient.errors import BadRequest, Damaged
from ckptd.core.change import ManifestPart
from ckptd.core.encoding import DELTA_BYTES_MIN, may_follow
from ckptd.core.ids import ChunkKey, ProcessKey
from ckptd.core.manifest import bodies_hash
from ckptd.store import encodings
from ckptd.store.catalog.interface import Catalog, CatalogReader, ChunkRow
from ckptd.store.chains import Chains
from ckptd.store.chunking import ARRAY, DOCUMENT, DOCUMENT_BYTES_MAX, PIECE_BYTES, Cut, cut, units
from ckptd.store.chunks.interface import ChunkStore, PrivatePacks
from ckptd.store.forms import Form, parse
from ckptd.store.holds import Holds
from ckptd.store.prepared import Content, Prepared, Shelf, bodies_of, new_chunk
from ckptd.store.previous import Previous
from ckptd.store.records import NO_BASE, Record, RecordKind

PRIVATE_BYTES_MIN: Final = 32 << 20
"""The payload that gets packs of its own: the committer never waits for so many bytes."""

assert max(DOCUMENT_BYTES_MAX, PIECE_BYTES) <= encodings.CHUNK_BYTES_MAX, "what is cut can be decoded"


class Source(Protocol):
    """Where a part's bytes come from. Ranges are read from any thread, into memory of the daemon's own.

    One that is cut by content is read twice; were the bytes others the second time, they would be stored as they are then.
    """

    @property
    def size_bytes(self) -> int:
        """How many there are."""
        ...

    def read(self, offset: int, size_bytes: int) -> bytes:
        """A range; fewer bytes where the source ends early."""
        ...


@dataclass(frozen=True, slots=True)
class Memory:
    """Bytes that came in a frame."""

    data: bytes

    @property
    def size_bytes(self) -> int:
        """How many there are."""
        return len(self.data)

    def read(self, offset: int, size_bytes: int) -> bytes:
        """A range."""
        return self.data[offset : offset + size_bytes]


@dataclass(frozen=True, slots=True)
class Spool:
    """A range of a file in which an upload was collected; its owner keeps the descriptor open until `prepare` ends."""

    fd: int
    size_bytes: int
    begin: int = 0

    def read(self, offset: int, size_bytes: int) -> bytes:
        """A range."""
        return os.pread(self.fd, size_bytes, self.begin + offset)


@dataclass(frozen=True, slots=True)
class Part:
    """One part of a save as it came. `form` is the client's MessagePack map; only its `kind` matters here."""

    name: str
    form: bytes
    source: Source


@dataclass(frozen=True, slots=True)
class _Piece:
    """What became of one cut: a chunk that is there, one to be written, or neither, where the save has it twice."""

    id: bytes
    cut: Cut
    known: ChunkKey | None = None
    fresh: Record | None = None


@dataclass(frozen=True, slots=True)
class _Save:
    """One save at work. `claims` has the chunks that it brings; the lock makes one thread the first to meet a chunk."""

    namespace: int
    parts: Sequence[Part]
    forms: Sequence[Form]
    previous: Previous
    holds: Holds
    held: list[bytes]
    claims: set[bytes] = field(default_factory=set)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def claim(self, chunk_id: bytes) -> bool:
        with self.lock:
            if chunk_id in self.claims:
                return False
            self.claims.add(chunk_id)
            return True

    def hold(self, chunk_id: bytes) -> None:
        self.holds.hold(self.namespace, chunk_id)
        self.held.append(chunk_id)


class Ingest:
    """Prepares payloads for one store. Any thread may call it."""

    def __init__(
        self,
        catalog: Catalog,
        chunks: ChunkStore,
        holds: Holds,
        chains: Chains,
        choice: encodings.Choice,
        threads: int = 0,
    ) -> None:
        self._chunks = chunks
        self._holds = holds
        self._chains = chains
        self._choice = choice
        self._catalog = catalog
        self._shelf = Shelf(catalog, chunks, holds)
        self._threads = threads or os.cpu_count() or 1
        self._local = threading.local()
        self._readers: list[CatalogReader] = []
        self._pool = ThreadPoolExecutor(self._threads, "ingest", initializer=self._open_reader)

    def _open_reader(self) -> None:
        self._local.reader = self._catalog.reader()
        self._readers.append(self._local.reader)

    def prepare(
        self, uid: int, parts: Sequence[Part], at: int, process: ProcessKey | None = None, lifetime: int = 0
    ) -> Prepared:
        """Do all that needs no committer; blocks for as long as it takes. `at` is now, microseconds.

        `process` is whose save it is: deltas are made to what it saved before. `lifetime` is its lifetime class.
        Whoever gets the outcome owes it a `release`. BadRequest where a source ends early; NoSpace where a large
        payload doesn't fit; StoreFailed ends the daemon. After an error nothing is held and nothing is left.
        """
        total = sum(part.source.size_bytes for part in parts)
        private = self._chunks.private(total, lifetime) if total >= PRIVATE_BYTES_MIN else None
        content = Content()
        forms = [parse(part.form) for part in parts]
        save = _Save(uid, parts, forms, Previous(process), self._holds, content.held)
        chunks: list[list[tuple[bytes, int]]] = [[] for _ in parts]
        try:
            for piece in self._pieces(save):
                chunks[piece.cut.part].append((piece.id, piece.cut.size_bytes))
                _sort(piece, content, private)
            if private is not None:
                private.close()
        except BaseException:
            self._holds.release(uid, content.held)
            if private is not None:
                private.abandon()
            raise
        bodies = [bodies_of(ids) for ids in chunks]
        manifest = [
            ManifestPart(part.name, part.form, part.source.size_bytes, bodies_hash(body.hash for body in its))
            for part, its in zip(parts, bodies, strict=True)
        ]
        return Prepared(self._shelf, uid, at, manifest, bodies, content, private, lifetime)

    def _pieces(self, save: _Save) -> Iterator[_Piece]:
        """Every cut of every part in order, worked on by the pool; a few units ahead, so that memory is bounded."""
        cuts = (one for n, form in enumerate(save.forms) for one in _cuts(n, form, save.parts[n].source))
        ahead: deque[Future[list[_Piece]]] = deque()
        try:
            for unit in units(cuts):
                ahead.append(self._pool.submit(self._work, save, unit))
                if len(ahead) > 2 * self._threads:
                    yield from ahead.popleft().result()
            while ahead:
                yield from ahead.popleft().result()
        finally:
            # After an error: holds may be let go only once nobody takes new ones.
            wait([future for future in ahead if not future.cancel()])

    def _work(self, save: _Save, unit: Sequence[Cut]) -> list[_Piece]:
        return [self._piece(save, one) for one in unit]

    def _piece(self, save: _Save, one: Cut) -> _Piece:
        part = save.parts[one.part]
        plain = part.source.read(one.offset, one.size_bytes)
        if len(plain) != one.size_bytes:
            raise BadRequest(
                f"part {part.name!r} has {part.source.size_bytes} bytes by its own word, and ends at"
                f" {one.offset + len(plain)}",
                hint="write every byte of a part before the save",
            )
        chunk_id = self._chains.id_of(plain)
        if not save.claim(chunk_id):
            return _Piece(chunk_id, one)
        # The hold comes before the look: what is found stays.
        save.hold(chunk_id)
        reader: CatalogReader = self._local.reader
        row = reader.find_chunk(save.namespace, chunk_id)
        if row is not None:
            return _Piece(chunk_id, one, known=row.key)
        element_bytes = save.forms[one.part].element_bytes
        found = encodings.encode(plain, self._choice, element_bytes, self._base(reader, save, one, chunk_id))
        if _is_whole_document(save, one):
            self._chains.keep(chunk_id, plain)
        base = found.base.id if found.base is not None else NO_BASE
        record = Record(
            RecordKind.CHUNK, save.namespace, chunk_id, found.number, len(plain), found.stored, base, found.depth
        )
        return _Piece(chunk_id, one, fresh=record)

    def _base(self, reader: CatalogReader, save: _Save, one: Cut, chunk_id: bytes) -> encodings.Base | None:
        """What this chunk may be a difference to; held from here on."""
        depth_max = self._depth_max(save, one)
        if not depth_max or one.size_bytes < DELTA_BYTES_MIN:
            return None
        if reader.is_quarantined(save.namespace, chunk_id):
            # What would be its base may stand on it: two differences to each other would be neither.
            return None
        last = _in_its_place(save.previous.chunks(reader, save.parts[one.part].name), save, one)
        if last is None:
            return None
        # As with any chunk: it may have been condemned since, or encoded anew.
        save.hold(last.id)
        row = reader.find_chunk(save.namespace, last.id)
        if row is None or not may_follow(row.depth, depth_max):
            return None
        try:
            plain = self._chains.kept(row.id) or self._chains.read(reader, row, reader.packs())
        except Damaged:
            # It is found by whoever reads that checkpoint; this one stands by itself.
            return None
        return encodings.Base(row.id, plain, row.depth)

    def _depth_max(self, save: _Save, one: Cut) -> int:
        if _is_whole_document(save, one):
            return self._choice.depth_max
        form = save.forms[one.part]
        return self._choice.array_depth_max if form.kind == ARRAY or form.element_bytes > 1 else 0

    def close(self) -> None:
        """End the pool; nothing may be in work."""
        self._pool.shutdown()
        for reader in (*self._readers, self._shelf.reader):
            reader.close()


def _sort(piece: _Piece, content: Content, private: PrivatePacks | None) -> None:
    if piece.known is not None:
        content.known[piece.id] = piece.known
    if piece.fresh is None:
        return
    if private is None:
        content.fresh[piece.id] = piece.fresh
        return
    record, location = piece.fresh, private.add(piece.fresh)
    content.written.setdefault(location.pack, []).append(new_chunk(record, location))


def _cuts(part: int, form: Form, source: Source) -> Iterator[Cut]:
    return cut(part, form.kind, form.element_bytes, source.size_bytes, source.read)


def _in_its_place(last: Sequence[ChunkRow], save: _Save, one: Cut) -> ChunkRow | None:
    """The chunk of the last version that this one follows."""
    if _is_whole_document(save, one):
        return last[0] if len(last) == 1 else None
    index = one.offset // PIECE_BYTES
    return last[index] if index < len(last) and last[index].plain_bytes == one.size_bytes else None


def _is_whole_document(save: _Save, one: Cut) -> bool:
    return save.forms[one.part].kind == DOCUMENT and one.size_bytes == save.parts[one.part].source.size_bytes
