"""The bytes of an export file around its frames: header, description, list of parts, trailer. Pure: bytes in, bytes out.

Every length is bounded before room is made for what it announces. Numbers are big-endian. Not for: frames, which
`writing` and `reading` carry.
"""

import struct
import zlib
from dataclasses import dataclass, fields
from hashlib import blake2b
from typing import Final

import msgpack

from ckptclient.errors import BadRequest, Damaged, VersionMismatch

FORMAT_VERSION: Final = 1
FRAME_BYTES: Final = 1 << 20
"""Plain bytes of a frame; the last of a part may have fewer. So a piece at any place is one frame away."""

HASH_BYTES: Final = 32

_MAGIC: Final = b"\x89CKPTEX\n"
_END_MAGIC: Final = b"\x89CKPTXE\n"
# magic, format version, header bytes, description bytes, list bytes, parts, CRC-32 of description and list
_HEADER: Final = struct.Struct(">8sHHIIII")
_CRC: Final = struct.Struct(">I")
# name bytes, form bytes, plain bytes
_PART: Final = struct.Struct(">HHQ")
# encoding, reserved, stored bytes, check
_FRAME: Final = struct.Struct(">B3sI8s")
_PLACE: Final = struct.Struct(">II")
# magic, bytes of the whole file
_TRAILER: Final = struct.Struct(">8sQ")

HEADER_BYTES: Final = _HEADER.size + _CRC.size
FRAME_HEADER_BYTES: Final = _FRAME.size
TRAILER_BYTES: Final = _TRAILER.size + HASH_BYTES

assert (HEADER_BYTES, FRAME_HEADER_BYTES, TRAILER_BYTES) == (32, 16, 48), "the format's: FORMAT.md has the tables"

# What the daemon takes of a save, with room: a description or a list beyond it was written by nobody.
DESCRIPTION_BYTES_MAX: Final = 512 << 10
PARTS_COUNT_MAX: Final = 4096
_NAME_BYTES_MAX: Final = 255
_FORM_BYTES_MAX: Final = 4096
LIST_BYTES_MAX: Final = PARTS_COUNT_MAX * (_PART.size + _NAME_BYTES_MAX + _FORM_BYTES_MAX)
_ELEMENTS_COUNT_MAX: Final = 1024


@dataclass(frozen=True, slots=True)
class ExportedPart:
    """A part's name, its form (MessagePack, the client's own), and how many plain bytes it has."""

    name: str
    form: bytes
    size_bytes: int


@dataclass(frozen=True, slots=True)
class Description:
    """What the file says of its checkpoint. Times are microseconds since 1970 in UTC; `metadata` is the client's, packed.

    `lineage` and `checksum` are those of the store that it comes from, and mean nothing in another. `depends` are ids.
    """

    process_id: str
    checkpoint_id: str
    seq: int
    type: str
    created_at: int
    has_state: bool = True
    epoch: int = 0
    user: str = ""
    task_id: str = ""
    description: str = ""
    tags: tuple[str, ...] = ()
    depends: tuple[str, ...] = ()
    metadata: bytes = b""
    progress: bytes = b""
    """The progress as of this checkpoint, MessagePack; empty where it has none."""
    schema_version: int = 0
    journal_position: int = 0
    checksum: bytes = b""
    lineage: bytes = b""
    exported_at: int = 0
    writer: str = ""

    def pack(self) -> bytes:
        """A MessagePack map, in the order of the fields."""
        packed: bytes = msgpack.packb({one.name: _plain(getattr(self, one.name)) for one in fields(self)})
        return packed


def _plain(value: object) -> object:
    return list(value) if isinstance(value, tuple) else value


def _texts(value: object) -> bool:
    return type(value) is list and all(type(one) is str for one in value)


_REQUIRED: Final = ("process_id", "checkpoint_id", "seq", "type", "created_at")


def _unpack_description(raw: bytes) -> Description:
    """Keys that this release doesn't know are left out: a later one may say more. Damaged where it is something else."""
    try:
        found = msgpack.unpackb(raw, max_array_len=_ELEMENTS_COUNT_MAX, max_map_len=_ELEMENTS_COUNT_MAX, max_ext_len=0)
    except (ValueError, TypeError, msgpack.UnpackException) as error:  # TypeError: a key that can't be one
        raise Damaged("the export's description isn't MessagePack") from error
    if type(found) is not dict:
        raise Damaged("the export's description isn't a map")
    known = {one.name: one.type for one in fields(Description)}
    values: dict[str, object] = {}
    for name, kind in known.items():
        if name not in found:
            if name in _REQUIRED:
                raise Damaged(f"the export's description has no {name}")
            continue
        value = found[name]
        if not (_texts(value) if kind == tuple[str, ...] else type(value) is kind):
            raise Damaged(f"the export's description has a wrong {name}")
        values[name] = tuple(value) if type(value) is list else value
    return Description(**values)  # type: ignore[arg-type]


@dataclass(frozen=True, slots=True)
class Head:
    """The header's own figures: how long description and list are, how many parts, and what their CRC-32 should be."""

    description_bytes: int
    list_bytes: int
    parts_count: int
    check: int


def pack_head(description: Description, parts: tuple[ExportedPart, ...]) -> bytes:
    """Everything before the first frame. BadRequest where a checkpoint has more than an export file holds."""
    said = description.pack()
    pieces: list[bytes] = []
    for part in parts:
        name = part.name.encode()
        if len(name) > _NAME_BYTES_MAX or len(part.form) > _FORM_BYTES_MAX:
            raise BadRequest(f"part {part.name!r} has a name or form that is too long for an export file")
        pieces += _PART.pack(len(name), len(part.form), part.size_bytes), name, part.form
    listed = b"".join(pieces)
    if len(said) > DESCRIPTION_BYTES_MAX or len(parts) > PARTS_COUNT_MAX:
        raise BadRequest(
            f"the checkpoint has {len(parts)} parts and {len(said)} bytes of description, too much for an export file",
            hint=f"accepted: {PARTS_COUNT_MAX} parts and {DESCRIPTION_BYTES_MAX} bytes",
        )
    check = zlib.crc32(listed, zlib.crc32(said))
    header = _HEADER.pack(_MAGIC, FORMAT_VERSION, HEADER_BYTES, len(said), len(listed), len(parts), check)
    return b"".join([header, _CRC.pack(zlib.crc32(header)), said, listed])


def parse_header(raw: bytes) -> Head:
    """Read the first bytes of a file. BadRequest where it is no export file, VersionMismatch for a later format."""
    if len(raw) < len(_MAGIC) or not raw.startswith(_MAGIC):
        raise BadRequest("the file is no export file", hint="ckptctl export writes them")
    if len(raw) < HEADER_BYTES:
        raise Damaged("the export is cut off in its header")
    _, version, header_bytes, description_bytes, list_bytes, parts_count, check = _HEADER.unpack_from(raw)
    if version != FORMAT_VERSION:
        raise VersionMismatch(
            f"the export has format version {version}, and this release reads {FORMAT_VERSION}",
            hint="import it with the release that wrote it, or a later one",
        )
    if _CRC.unpack_from(raw, _HEADER.size)[0] != zlib.crc32(raw[: _HEADER.size]) or header_bytes != HEADER_BYTES:
        raise Damaged("the export's header is damaged")
    if description_bytes > DESCRIPTION_BYTES_MAX or list_bytes > LIST_BYTES_MAX or parts_count > PARTS_COUNT_MAX:
        raise Damaged("the export's header announces more than a checkpoint has")
    return Head(description_bytes, list_bytes, parts_count, check)


def parse_head(head: Head, raw: bytes) -> tuple[Description, tuple[ExportedPart, ...]]:
    """The description and the parts, from the bytes behind the header. Damaged unless they are exactly that."""
    if zlib.crc32(raw) != head.check:
        raise Damaged("the export's description is damaged")
    description = _unpack_description(raw[: head.description_bytes])
    parts, at = [], head.description_bytes
    try:
        for _ in range(head.parts_count):
            name_bytes, form_bytes, size_bytes = _PART.unpack_from(raw, at)
            form_at = at + _PART.size + name_bytes
            parts.append(
                ExportedPart(raw[at + _PART.size : form_at].decode(), raw[form_at : form_at + form_bytes], size_bytes)
            )
            at = form_at + form_bytes
    except (struct.error, UnicodeDecodeError) as error:
        raise Damaged("the export's list of parts is garbled") from error
    if at != len(raw) or len({part.name for part in parts}) != len(parts):
        raise Damaged("the export's list of parts isn't what its header says")
    return description, tuple(parts)


def frames_count(size_bytes: int) -> int:
    """How many frames a part of so many plain bytes has."""
    return -(-size_bytes // FRAME_BYTES)


def frame_bytes(size_bytes: int, frame: int) -> int:
    """How many plain bytes a frame of such a part has."""
    return min(FRAME_BYTES, size_bytes - frame * FRAME_BYTES)


def pack_frame(part: int, frame: int, encoding: int, stored: bytes) -> bytes:
    """A frame's header. Its check covers its place too, so that frames which changed places are seen."""
    return _FRAME.pack(encoding, bytes(3), len(stored), _check(part, frame, encoding, stored))


def parse_frame(raw: bytes) -> tuple[int, int, bytes]:
    """A frame's encoding, stored bytes and check; Damaged where its reserved bytes are used."""
    encoding, reserved, stored_bytes, check = _FRAME.unpack(raw)
    if any(reserved):
        raise Damaged("a frame of the export has a damaged header")
    return encoding, stored_bytes, check


def is_intact(part: int, frame: int, encoding: int, stored: bytes, check: bytes) -> bool:
    """Whether a frame's bytes are those that were written at this place."""
    return _check(part, frame, encoding, stored) == check


def _check(part: int, frame: int, encoding: int, stored: bytes) -> bytes:
    digest = blake2b(_PLACE.pack(part, frame), digest_size=8)
    digest.update(encoding.to_bytes(1, "big"))
    digest.update(stored)
    return digest.digest()


def pack_trailer(file_bytes: int) -> bytes:
    """What stands before the file's own hash; `file_bytes` counts the whole file."""
    return _TRAILER.pack(_END_MAGIC, file_bytes)


def check_trailer(raw: bytes, file_bytes: int) -> None:
    """Damaged unless it is the trailer of a file of so many bytes."""
    if raw != pack_trailer(file_bytes):
        raise Damaged("the export has no end where its end should be")
