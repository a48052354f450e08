"""A second reader of a store, written from docs/FORMAT.md alone: it shares no line with the one that it checks.

SQLite by the standard library, packs by struct, chunks by zstandard and BLAKE3. It reads everything that the store
shows, verifies each hash on the way, and says what doesn't hold. Not for: being fast, or for a store in use.
"""

import shutil
import sqlite3
import struct
import zlib
from collections import Counter
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path
from typing import Any, Final

import zstandard
from blake3 import blake3

from ckptd.ctl.selftest.truth import Found

_TYPES: Final = ("processing_state", "batch_progress", "model_state", "queue_state", "system_state", "custom")
_TRASH: Final = 1
_ARCHIVED: Final = 2
_RAW, _ZSTD, _PLANES, _DELTA, _XOR = range(5)

_PACK_MAGIC: Final = bytes.fromhex("89434B5054504B0A")
_PACK_BYTES: Final = 152
_RECORD_MAGIC: Final = bytes.fromhex("F7436B52")
_RECORD: Final = struct.Struct(">4sBBBBQII32s32s8sI")

_RECORDS = """
SELECT j.process, j.item FROM journal j JOIN process p ON p.k=j.process
JOIN journal_item i ON i.process=j.process AND i.ordinal=j.ordinal AND i.digest=j.digest AND i.pos=j.pos
WHERE p.now=1 AND NOT EXISTS(
  SELECT 1 FROM journal_cut x WHERE x.process=j.process AND j.pos>=x.after_pos AND j.pos<x.upto_pos) ORDER BY j.pos
"""


class Wrong(Exception):
    """Something that the format forbids."""


def read_store(store: Path, scratch: Path) -> tuple[Found, list[str]]:
    """What is in a store that nobody writes to, and what is wrong with it. `scratch` gets a copy of the catalog.

    A store without a catalog holds nothing; whether that is right is for the notes to say.
    """
    nothing = Found({}, {}, {})
    if not (store / "catalog.db").exists():
        return nothing, []
    shutil.rmtree(scratch, ignore_errors=True)
    scratch.mkdir(parents=True)
    for name in ("catalog.db", "catalog.db-wal"):
        if (store / name).exists():
            shutil.copyfile(store / name, scratch / name)
    catalog = sqlite3.connect(scratch / "catalog.db")
    try:
        (verdict,) = catalog.execute("PRAGMA integrity_check(1)").fetchone()
        if verdict != "ok":
            return nothing, [f"the catalog is damaged: {verdict}"]
        if not catalog.execute("SELECT 1 FROM sqlite_schema WHERE name='store'").fetchone():
            return nothing, []
        return _Reader(catalog, store / "packs").found()
    except sqlite3.Error as error:
        return nothing, [f"the catalog can't be read: {error}"]
    finally:
        catalog.close()


class _Reader:
    def __init__(self, catalog: sqlite3.Connection, packs: Path) -> None:
        self._catalog = catalog
        self._packs = packs
        ((self._key,),) = catalog.execute("SELECT v FROM store WHERE k='chunk_key'").fetchall()
        self._plain: dict[int, bytes] = {}

    def found(self) -> tuple[Found, list[str]]:
        wrong = list(self._miscounted())
        checkpoints: dict[str, tuple[str, str | None, bool]] = {}
        rows = self._catalog.execute(
            "SELECT c.k,p.process_id,c.type,c.seq,c.alias,c.place,c.checksum,c.manifest,c.small "
            "FROM checkpoint c JOIN process p ON p.k=c.process ORDER BY c.k"
        ).fetchall()
        for key, process, kind, seq, alias, place, checksum, manifest, small in rows:
            name = alias or f"{process}_{_TYPES[kind]}_{seq}"
            digest = None
            if place != _ARCHIVED:
                try:
                    digest = sha256(self._state(key, checksum, manifest, small)).hexdigest()
                except (Wrong, OSError, struct.error, zstandard.ZstdError, UnicodeDecodeError) as error:
                    wrong.append(f"checkpoint {name} can't be read: {error}")
                    continue
            checkpoints[name] = (process, digest, place == _TRASH)
        processes = self._catalog.execute("SELECT k,process_id,incarnation FROM process WHERE now=1").fetchall()
        records: dict[str, list[str]] = {process: [] for _, process, _ in processes}
        names = {key: process for key, process, _ in processes}
        for key, item in self._catalog.execute(_RECORDS):
            records[names[key]].append(item.decode())
        return Found(checkpoints, records, {process: life.hex() for _, process, life in processes}), wrong

    def _miscounted(self) -> Iterator[str]:
        """References that are too few would free what is in use."""
        parts = Counter(body for (body,) in self._catalog.execute("SELECT body FROM part"))
        uses: Counter[int] = Counter()
        for key, refs, chunks in self._catalog.execute("SELECT k,refs,chunks FROM body"):
            if refs < parts[key]:
                yield f"body {key} counts {refs} references and has {parts[key]}"
            uses.update(_keys(chunks))
        uses.update(base for (base,) in self._catalog.execute("SELECT base FROM chunk WHERE base IS NOT NULL"))
        known = dict(self._catalog.execute("SELECT k,refs FROM chunk"))
        for key, count in uses.items():
            if key not in known:
                yield f"chunk {key} is used and has no row"
            elif known[key] < count:
                yield f"chunk {key} counts {known[key]} references and has {count}"

    def _state(self, key: int, checksum: bytes, manifest: bytes, small: bytes | None) -> bytes:
        """The plain bytes of the first part; every part is verified."""
        if sha256(manifest).digest() != checksum:
            raise Wrong("its manifest is not what its checksum says")
        at, parts = 0, []
        for ordinal, (name, size, digest) in enumerate(_parts(manifest)):
            if small is not None:
                plain = small[at : at + size]
                hashed = sha256(plain).digest()
            else:
                plain, hashed = self._bodies(key, ordinal)
            if len(plain) != size or hashed != digest:
                raise Wrong(f"part {name} is not what the manifest says")
            at += size
            parts.append(plain)
        if small is not None and at != len(small):
            raise Wrong("its inline bytes are more than its parts")
        return parts[0] if parts else b""

    def _bodies(self, checkpoint: int, ordinal: int) -> tuple[bytes, bytes]:
        """A part's plain bytes, and its hash: that of its bodies' hashes."""
        rows = self._catalog.execute(
            "SELECT b.hash,b.chunks FROM part p JOIN body b ON b.k=p.body WHERE checkpoint=? AND ordinal=? ORDER BY extent",
            (checkpoint, ordinal),
        ).fetchall()
        pieces, hashes = [], []
        for digest, packed in rows:
            ids = []
            for key in _keys(packed):
                plain, id_ = self._chunk(key)
                pieces.append(plain)
                ids.append(id_)
            if sha256(b"".join(ids)).digest() != digest:
                raise Wrong("a body is not what its hash says")
            hashes.append(digest)
        return b"".join(pieces), sha256(b"".join(hashes)).digest()

    def _chunk(self, key: int) -> tuple[bytes, bytes]:
        row = self._catalog.execute(
            "SELECT c.id,c.at,c.stored,c.bytes,c.encoding,c.base,p.name FROM chunk c JOIN pack p ON p.k=c.pack WHERE c.k=?",
            (key,),
        ).fetchone()
        if row is None:
            raise Wrong(f"chunk {key} has no row")
        id_, at, stored_bytes, plain_bytes, encoding, base, pack = row
        if key not in self._plain:
            stored = self._record(pack, at, id_, stored_bytes)
            plain = _decoded(encoding, stored, plain_bytes, self._chunk(base)[0] if base is not None else None)
            if blake3(plain, key=self._key).digest() != id_:
                raise Wrong(f"chunk {key} is not what its id says")
            self._plain[key] = plain
        return self._plain[key], id_

    def _record(self, pack: str, at: int, id_: bytes, stored_bytes: int) -> bytes:
        with (self._packs / pack).open("rb") as file:
            header = file.read(_PACK_BYTES)
            file.seek(at)
            head = file.read(_RECORD.size)
            stored = file.read(stored_bytes)
        if header[:8] != _PACK_MAGIC or zlib.crc32(header[:148]) != int.from_bytes(header[148:152], "big"):
            raise Wrong(f"{pack} has no header of a pack")
        magic, _, _, _, _, _, stored_said, _, named, _, check, crc = _RECORD.unpack(head)
        if magic != _RECORD_MAGIC or zlib.crc32(header[28:44] + head[:96]) != crc:
            raise Wrong(f"{pack} has no record at {at}")
        if (stored_said, named) != (stored_bytes, id_) or blake3(stored).digest()[:8] != check:
            raise Wrong(f"{pack} has another record at {at}")
        return stored


def _decoded(encoding: int, stored: bytes, plain_bytes: int, base: bytes | None) -> bytes:
    match encoding:
        case _ if encoding == _RAW:
            return stored
        case _ if encoding in (_ZSTD, _DELTA):
            return _frame(stored, plain_bytes, base)
        case _ if encoding == _PLANES:
            return _planes(stored, plain_bytes)
        case _ if encoding == _XOR and base is not None and len(base) == plain_bytes:
            changed = int.from_bytes(_planes(stored, plain_bytes))
            return (changed ^ int.from_bytes(base)).to_bytes(plain_bytes)
    raise Wrong(f"encoding {encoding} is not known here")


def _planes(stored: bytes, plain_bytes: int) -> bytes:
    width, at = stored[0], 1 + 4 * stored[0]
    length = plain_bytes // width
    plain = bytearray(plain_bytes)
    for plane, (size,) in enumerate(struct.iter_unpack(">I", stored[1:at])):
        piece = stored[at : at + size]
        plain[plane : length * width : width] = piece if size == length else _frame(piece, length, None)
        at += size
    plain[length * width :] = stored[at:]
    return bytes(plain)


def _frame(stored: bytes, plain_bytes: int, prefix: bytes | None) -> bytes:
    if zstandard.frame_content_size(stored) != plain_bytes:
        raise Wrong("a frame has another size than the catalog says")
    words = zstandard.ZstdCompressionDict(prefix, zstandard.DICT_TYPE_RAWCONTENT) if prefix else None
    return zstandard.ZstdDecompressor(dict_data=words, max_window_size=1 << 27).decompress(stored)


def _parts(manifest: bytes) -> Iterator[tuple[str, int, bytes]]:
    version, count = struct.unpack_from(">BI", manifest)
    if version != 1:
        raise Wrong(f"its manifest has version {version}")
    at = 5
    for _ in range(count):
        name_bytes, form_bytes, size, digest = struct.unpack_from(">HHQ32s", manifest, at)
        at += 44
        yield manifest[at : at + name_bytes].decode(), size, digest
        at += name_bytes + form_bytes


def _keys(packed: bytes) -> tuple[Any, ...]:
    return struct.unpack(f"<{len(packed) // 8}q", packed)
