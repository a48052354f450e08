"""The bytes of a pack; owns the terms *record* and *pack header*. `docs/FORMAT.md` has the tables with their reasons.

A pack is a header and then records end to end. Each record describes itself, so that a scan finds every chunk and
checkpoint of a pack without the catalog, goes on behind damage, and knows a torn end from a good one. Pure: bytes in,
bytes out. Not for: what stored bytes decode to (`encodings`) or where packs lie (`chunks`).

A record's header is bound to its pack by the pack's random name: a payload that has the bytes of a record in it (a copy
of another pack, or a forgery) is not taken for one when the scan looks for its way behind damage.

Numbers are big-endian. A reader refuses a format version that it doesn't know; fields reserved for what is to come
(keys) are zero until then.
"""

import struct
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import IntEnum
from typing import Final

from blake3 import blake3

from ckptclient.errors import Damaged, VersionMismatch

FORMAT_VERSION: Final = 1
ID_BYTES: Final = 32
NAME_BYTES: Final = 16
CHECK_BYTES: Final = 8
NO_BASE: Final = bytes(ID_BYTES)

_PACK_MAGIC: Final = b"\x89CKPTPK\n"
_RECORD_MAGIC: Final = b"\xf7CkR"

# magic, format version, header bytes, lineage, name, lifetime class, kind, cipher, key version, wrapped key, commitment
_PACK: Final = struct.Struct(">8sHH16s16sBBHI64s32s")
# magic, kind, encoding, depth, reserved, namespace, stored bytes, plain bytes, id, base, check of the stored bytes
_RECORD: Final = struct.Struct(f">4sBBBBQII{ID_BYTES}s{ID_BYTES}s{CHECK_BYTES}s")
_CRC: Final = struct.Struct(">I")

# type, has state, process id bytes, seq, epoch, created at, journal position, schema version, manifest bytes, parts
_NOTE: Final = struct.Struct(">BBHQQqQqII")
_COUNT: Final = struct.Struct(">I")

_WINDOW_BYTES: Final = 1 << 20

PACK_HEADER_BYTES: Final = _PACK.size + _CRC.size
RECORD_HEADER_BYTES: Final = _RECORD.size + _CRC.size

assert (PACK_HEADER_BYTES, RECORD_HEADER_BYTES) == (152, 100), "these are the format's: FORMAT.md has the tables"


class PackKind(IntEnum):
    """Who wrote a pack: the committer for many saves, or one large save for itself."""

    SHARED = 0
    PRIVATE = 1


class RecordKind(IntEnum):
    """What a record holds."""

    CHUNK = 1
    CHECKPOINT = 2


@dataclass(frozen=True, slots=True)
class PackHeader:
    """What a pack says of itself. `lineage` is the store's when the pack was made; `name` is random and its file's."""

    lineage: bytes
    name: bytes
    kind: PackKind
    lifetime: int = 0


@dataclass(frozen=True, slots=True)
class Record:
    """One record: `stored` is `plain_bytes` of a chunk in `encoding`, or a checkpoint's own bytes.

    `id` names the content: a chunk's id, or a checkpoint's checksum. `namespace` is the user id within which chunks
    are shared. `base` is the id of the chunk that this one is the difference to, and `depth` how many stood behind it
    when this was written.
    """

    kind: RecordKind
    namespace: int
    id: bytes
    encoding: int
    plain_bytes: int
    stored: bytes
    base: bytes = NO_BASE
    depth: int = 0

    @property
    def size_bytes(self) -> int:
        """What it takes of a pack."""
        return RECORD_HEADER_BYTES + len(self.stored)


@dataclass(frozen=True, slots=True)
class Found:
    """A record that a scan met. `intact` is whether its stored bytes are all there and as they were written.

    `stored_bytes` is how many there should be, which its header says.
    """

    offset: int
    record: Record
    intact: bool
    stored_bytes: int

    @property
    def end(self) -> int:
        """Where the next record begins."""
        return self.offset + RECORD_HEADER_BYTES + self.stored_bytes


@dataclass(frozen=True, slots=True)
class Gap:
    """Bytes of a pack that are no record. `torn` where nothing good follows: a write that a crash cut short."""

    offset: int
    size_bytes: int
    torn: bool

    @property
    def end(self) -> int:
        """Where the next record begins, or the file ends."""
        return self.offset + self.size_bytes


@dataclass(frozen=True, slots=True)
class Note:
    """What a CHECKPOINT record says, so that a checkpoint in packs can be found again without the catalog.

    `type` is the number of the checkpoint's type, `created_at` microseconds since 1970 in UTC, `manifest` the canonical
    bytes (`core.manifest`), and `chunks` the chunk ids of each of its parts in order, end to end.
    """

    process_id: str
    seq: int
    epoch: int
    type: int
    has_state: bool
    created_at: int
    journal_position: int
    schema_version: int
    manifest: bytes
    chunks: tuple[bytes, ...]


def pack_header(header: PackHeader) -> bytes:
    """The first bytes of a pack."""
    assert (len(header.lineage), len(header.name)) == (16, NAME_BYTES), "struct would pad or cut it in silence"
    fixed = _PACK.pack(
        _PACK_MAGIC,
        FORMAT_VERSION,
        PACK_HEADER_BYTES,
        header.lineage,
        header.name,
        header.lifetime,
        header.kind,
        0,
        0,
        b"",
        b"",
    )
    return fixed + _CRC.pack(zlib.crc32(fixed))


def parse_pack_header(raw: bytes) -> tuple[PackHeader, int]:
    """What a pack says of itself, and where its records begin.

    VersionMismatch for a format of a later release, Damaged where it isn't a pack's header.
    """
    if len(raw) < PACK_HEADER_BYTES or not raw.startswith(_PACK_MAGIC):
        raise Damaged("the file doesn't begin as a pack does")
    _, version, size, lineage, name, lifetime, kind, cipher, *_ = _PACK.unpack_from(raw)
    # Before the checksum, which a later version may have elsewhere.
    if version != FORMAT_VERSION:
        raise VersionMismatch(
            f"the pack has format version {version}, and this release reads {FORMAT_VERSION}",
            hint="open the store with the release that wrote it, or a newer one",
        )
    if _CRC.unpack_from(raw, _PACK.size) != (zlib.crc32(raw[: _PACK.size]),) or size != PACK_HEADER_BYTES:
        raise Damaged("the pack's header doesn't match its checksum")
    if cipher:
        raise VersionMismatch(f"the pack is encrypted by cipher {cipher}, which this release doesn't know")
    return PackHeader(lineage, name, PackKind(kind), lifetime), size


def name_of(file: str) -> bytes:
    """The random name of a pack, from its file's."""
    return bytes.fromhex(file.partition(".")[0])


def record_header(record: Record, pack: bytes) -> bytes:
    """What stands before the stored bytes of a record in the pack of that name."""
    assert len(record.id) == len(record.base) == ID_BYTES, "struct would pad or cut it in silence"
    fixed = _RECORD.pack(
        _RECORD_MAGIC,
        record.kind,
        record.encoding,
        record.depth,
        0,
        record.namespace,
        len(record.stored),
        record.plain_bytes,
        record.id,
        record.base,
        check(record.stored),
    )
    return fixed + _record_crc(fixed, pack)


def _record_crc(fixed: bytes, pack: bytes) -> bytes:
    return _CRC.pack(zlib.crc32(fixed, zlib.crc32(pack)))


def pack_note(note: Note) -> bytes:
    """The stored bytes of a CHECKPOINT record."""
    process_id = note.process_id.encode()
    head = _NOTE.pack(
        note.type,
        note.has_state,
        len(process_id),
        note.seq,
        note.epoch,
        note.created_at,
        note.journal_position,
        note.schema_version,
        len(note.manifest),
        len(note.chunks),
    )
    lists = (piece for ids in note.chunks for piece in (_COUNT.pack(len(ids) // ID_BYTES), ids))
    return b"".join((head, process_id, note.manifest, *lists))


def parse_note(raw: bytes) -> Note:
    """What a CHECKPOINT record says; Damaged unless `raw` is exactly such bytes."""
    try:
        kind, has_state, id_bytes, seq, epoch, created_at, position, schema, manifest_bytes, count = _NOTE.unpack_from(
            raw
        )
        begin = _NOTE.size + id_bytes
        at = begin + manifest_bytes
        process_id, manifest = raw[_NOTE.size : begin].decode(), raw[begin:at]
        chunks = []
        for _ in range(count):
            (length,) = _COUNT.unpack_from(raw, at)
            begin, at = at + _COUNT.size, at + _COUNT.size + length * ID_BYTES
            chunks.append(raw[begin:at])
    except (struct.error, UnicodeDecodeError) as error:
        raise Damaged("the checkpoint's record is cut off or garbled") from error
    if at != len(raw):
        raise Damaged(f"the checkpoint's record has {len(raw)} bytes, and what it lists takes {at}")
    return Note(process_id, seq, epoch, kind, bool(has_state), created_at, position, schema, manifest, tuple(chunks))


def check(stored: bytes | memoryview) -> bytes:
    """The check of stored bytes, which needs neither key nor decoding: the first 8 of their BLAKE3 hash."""
    return blake3(stored).digest(CHECK_BYTES)


def scan(image: bytes | memoryview) -> Iterator[Found | Gap]:
    """Every record of a pack's bytes after its header, and the gaps between; as `walk`.

    VersionMismatch and Damaged as `parse_pack_header`.
    """
    view = memoryview(image)
    header, begin = parse_pack_header(bytes(view[:PACK_HEADER_BYTES]))
    yield from walk(lambda offset, size_bytes: bytes(view[offset : offset + size_bytes]), begin, len(view), header.name)


def walk(read: Callable[[int, int], bytes], begin: int, end: int, pack: bytes) -> Iterator[Found | Gap]:
    """Every record of the pack of that name between two offsets, in order, and the gaps between.

    `read` gives a range of the file, and fewer bytes where it can't. A record whose header is damaged can't say how long
    it is: the next header that is whole is looked for. Space that was allocated and never written is zeros, and a torn
    gap like any other. `begin` is where a record begins; the last one may reach beyond `end`.
    """
    window, offset = _Window(read), begin
    while offset < end:
        found = _record_at(window, offset, pack)
        if found is None:
            following = _next_record(window, offset + 1, end, pack)
            upto = end if following is None else following
            yield Gap(offset, upto - offset, torn=following is None)
            offset = upto
        else:
            yield found
            offset = found.end


class _Window:
    """Reads a little more than it is asked for, so that small records don't cost a call each."""

    def __init__(self, read: Callable[[int, int], bytes]) -> None:
        self._read = read
        self._begin = 0
        self._bytes = b""

    def __call__(self, offset: int, size_bytes: int) -> bytes:
        begin = offset - self._begin
        if begin < 0 or begin + size_bytes > len(self._bytes):
            found = self._read(offset, max(size_bytes, _WINDOW_BYTES))
            # Of a range that can't be read the part that is wanted may be readable.
            self._bytes = found if len(found) >= size_bytes else self._read(offset, size_bytes)
            self._begin, begin = offset, 0
        return self._bytes[begin : begin + size_bytes]


def record_in(raw: bytes, offset: int, pack: bytes) -> Found | None:
    """The record that these bytes are, read at an offset of the pack of that name; None where they begin with none."""
    return _record_at(lambda at, size_bytes: raw[at - offset : at - offset + size_bytes], offset, pack)


def _record_at(read: Callable[[int, int], bytes], offset: int, pack: bytes) -> Found | None:
    header = read(offset, RECORD_HEADER_BYTES)
    if len(header) < RECORD_HEADER_BYTES or not header.startswith(_RECORD_MAGIC):
        return None
    if header[_RECORD.size :] != _record_crc(header[: _RECORD.size], pack):
        return None
    _, kind, encoding, depth, _, namespace, stored_bytes, plain_bytes, name, base, expected = _RECORD.unpack_from(
        header
    )
    stored = read(offset + RECORD_HEADER_BYTES, stored_bytes)
    intact = len(stored) == stored_bytes and check(stored) == expected
    record = Record(RecordKind(kind), namespace, name, encoding, plain_bytes, stored, base, depth)
    return Found(offset, record, intact, stored_bytes)


def _next_record(read: Callable[[int, int], bytes], start: int, end: int, pack: bytes) -> int | None:
    """Where the next whole record header stands before `end`."""
    # Windows overlap, for a magic that lies across two.
    for begin in range(start, end, _WINDOW_BYTES):
        window = read(begin, min(_WINDOW_BYTES + len(_RECORD_MAGIC) - 1, end - begin))
        place = window.find(_RECORD_MAGIC)
        while place >= 0:
            if _record_at(read, begin + place, pack) is not None:
                return begin + place
            place = window.find(_RECORD_MAGIC, place + 1)
    return None
