"""The canonical bytes of a checkpoint's manifest; owns the terms *manifest* and *checksum*.

One manifest has one form, so that its SHA-256 can be the checkpoint's checksum. A part's entry ends in the hash of
its content: of the plain bytes where they lie inline, else of its bodies' hashes, which are themselves over chunk
ids, so that a save with few changed chunks hashes few bytes. Row numbers (`ManifestPart.bodies`) are local to one
catalog and stay out: a rebuilt or exported checkpoint keeps its checksum. Not for: finding the bytes (the catalog's
part table) or judging names and sizes (the edge).

All numbers are big-endian:

    version  u8    1: a reader refuses what it doesn't know
    count    u32   parts
    each part, in the order of the save:
      name   u16   its length in bytes of UTF-8
      form   u16   its length
      size   u64   plain bytes of the part
      hash   32    SHA-256, see above
      name and form, as long as they said
"""

import struct
from collections.abc import Iterable, Sequence
from hashlib import sha256

from ckptclient.errors import Damaged
from ckptd.core.change import ManifestPart

VERSION = 1
HASH_BYTES = 32

_HEAD = struct.Struct(">BI")
_PART = struct.Struct(f">HHQ{HASH_BYTES}s")


def pack(parts: Sequence[ManifestPart]) -> bytes:
    """The canonical bytes of these parts. Their lengths were bounded at the edge; one that doesn't fit is our bug."""
    pieces = [_HEAD.pack(VERSION, len(parts))]
    for part in parts:
        assert len(part.hash) == HASH_BYTES, "struct would pad or cut it in silence"
        name = part.name.encode()
        pieces += _PART.pack(len(name), len(part.form), part.size_bytes, part.hash), name, part.form
    return b"".join(pieces)


def unpack(raw: bytes) -> tuple[ManifestPart, ...]:
    """The parts, without their bodies. Damaged unless `raw` is exactly what `pack` gives for them."""
    try:
        version, count = _HEAD.unpack_from(raw)
        if version != VERSION:
            raise Damaged(f"the manifest has version {version}, and this release reads {VERSION}")
        at = _HEAD.size
        parts = []
        for _ in range(count):
            name_bytes, form_bytes, size_bytes, digest = _PART.unpack_from(raw, at)
            name_at = at + _PART.size
            form_at = name_at + name_bytes
            at = form_at + form_bytes
            parts.append(ManifestPart(raw[name_at:form_at].decode(), raw[form_at:at], size_bytes, digest))
    except (struct.error, UnicodeDecodeError) as error:
        raise Damaged("the manifest's bytes are cut off or garbled") from error
    if at != len(raw):
        raise Damaged(f"the manifest has {len(raw)} bytes, and its parts take {at}")
    return tuple(parts)


def checksum(manifest: bytes) -> bytes:
    """The checkpoint's checksum: SHA-256 of its manifest's canonical bytes."""
    return sha256(manifest).digest()


def inline_hash(plain: bytes) -> bytes:
    """The hash of a part whose bytes lie in the catalog: SHA-256 of them."""
    return sha256(plain).digest()


def bodies_hash(hashes: Iterable[bytes]) -> bytes:
    """The hash of a part that lies in packs: SHA-256 over the hashes of its bodies, in order."""
    return sha256(b"".join(hashes)).digest()


def body_hash(chunk_ids: Iterable[bytes]) -> bytes:
    """The hash of a body: SHA-256 over the ids of its chunks, in order."""
    return sha256(b"".join(chunk_ids)).digest()
