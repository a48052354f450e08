"""Export files to test with, and where their fields lie."""

import io
from collections.abc import Iterator, Sequence

from ckptd.store.export import Description, ExportedPart, read_export, write_export

MIB = 1 << 20

DESCRIPTION = Description(
    process_id="job",
    checkpoint_id="job_model_state_7",
    seq=7,
    type="model_state",
    created_at=1_750_000_000_000_000,
    tags=("best", "nightly"),
    metadata=b"\x81\xa4loss\xcb?\xe0\0\0\0\0\0\0",
    checksum=b"\xcd" * 32,
)
FORM = b"\x81\xa4kind\xa4file"


def part(name: str, data: bytes, form: bytes = FORM) -> tuple[ExportedPart, Sequence[bytes]]:
    """A part with its bytes in pieces that don't fit the frames."""
    pieces = [data[at : at + 700_000] for at in range(0, len(data), 700_000)]
    return ExportedPart(name, form, len(data)), pieces


def written(
    *parts: tuple[ExportedPart, Sequence[bytes]], description: Description = DESCRIPTION, level: int = 3
) -> bytes:
    """An export file."""
    out = io.BytesIO()
    write_export(out, description, parts, level)
    return out.getvalue()


def contents(raw: bytes) -> dict[str, bytes]:
    """All of an export file, by the stream's reader."""
    return {part.name: b"".join(pieces) for part, pieces in read_export(io.BytesIO(raw)).contents()}


def noise(size_bytes: int) -> bytes:
    """Bytes that don't shrink, the same each time."""
    return b"".join(_noise(size_bytes))[:size_bytes]


def _noise(size_bytes: int) -> Iterator[bytes]:
    from hashlib import sha512

    for number in range(-(-size_bytes // 64)):
        yield sha512(number.to_bytes(8, "big")).digest()
