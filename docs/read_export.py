"""Read and check an export file without ckptd: python read_export.py FILE [DIRECTORY]

Prints what the file says of its checkpoint, and writes its parts into DIRECTORY where one is named. Needs msgpack and
zstandard alone. FORMAT.md, "Export files", has the bytes; each check that it names is made here.
"""

import struct
import sys
import zlib
from collections.abc import Iterator
from hashlib import blake2b, sha256
from pathlib import Path
from typing import BinaryIO
from urllib.parse import quote

import msgpack
import zstandard

FRAME_BYTES = 1 << 20
whole = sha256()


def expect(holds: bool, otherwise: str) -> None:
    """End with these words unless it is so."""
    if not holds:
        sys.exit(otherwise)


def take(file: BinaryIO, size: int) -> bytes:
    """Exactly so many bytes."""
    data = file.read(size)
    expect(len(data) == size, "the file is cut off")
    whole.update(data)
    return data


def plain_bytes(file: BinaryIO, ordinal: int, size: int) -> Iterator[bytes]:
    """A part, frame by frame, and what stands behind it: its hash."""
    digest = sha256()
    for frame in range(-(-size // FRAME_BYTES)):
        plain_size = min(FRAME_BYTES, size - frame * FRAME_BYTES)
        encoding, stored_size, check = struct.unpack(">B3xI8s", take(file, 16))
        expect(encoding in (0, 1) and stored_size <= plain_size, "a frame's header is damaged")
        data = take(file, stored_size)
        found = blake2b(struct.pack(">IIB", ordinal, frame, encoding) + data, digest_size=8).digest()
        expect(found == check, "a frame is damaged")
        if encoding == 1:  # what a frame announces is judged before it is decoded
            expect(zstandard.frame_content_size(data) == plain_size, "a frame is damaged")
            data = zstandard.decompress(data)
        expect(len(data) == plain_size, "a frame is damaged")
        digest.update(data)
        yield data
    expect(take(file, 32) == digest.digest(), "a part doesn't have its hash")


with Path(sys.argv[1]).open("rb") as file:
    header = take(file, 32)
    magic, version, _, said, listed, count, check, own = struct.unpack(">8sHHIIIII", header)
    expect(magic == b"\x89CKPTEX\n" and version == 1 and own == zlib.crc32(header[:28]), "this is no export file")
    expect(max(said, listed) < 1 << 25, "no checkpoint has so much")
    head = take(file, said + listed)
    expect(zlib.crc32(head) == check, "the description is damaged")
    for key, value in msgpack.unpackb(head[:said]).items():
        print(f"{key}: {value!r}")
    at = said
    for ordinal in range(count):
        name_size, form_size, size = struct.unpack_from(">HHQ", head, at)
        name = head[at + 12 : at + 12 + name_size].decode()
        form = msgpack.unpackb(head[at + 12 + name_size : at + 12 + name_size + form_size])
        at += 12 + name_size + form_size
        print(f"part {name}: {size} bytes, form {form}")
        target = Path(sys.argv[2], quote(name, safe="")) if len(sys.argv) > 2 else Path("/dev/null")
        with target.open("wb") as out:
            out.writelines(plain_bytes(file, ordinal, size))
    expect(take(file, 16) == b"\x89CKPTXE\n" + struct.pack(">Q", file.tell() + 32), "the end is damaged")
    expect(file.read(33) == whole.digest(), "the file as a whole doesn't have its hash")
