"""What a look found that is not as it was written."""

from dataclasses import dataclass

from ckptd.core.ids import BodyKey, CheckpointKey, ChunkKey, PackKey


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is wrong, in words, with what it is of.

    Damage of a pack has its place, and the chunk that the catalog has there; damage of the catalog the body or the
    checkpoint whose rows don't agree, or none of these.
    """

    message: str
    pack: PackKey | None = None
    pack_name: str = ""
    offset: int = 0
    size_bytes: int = 0
    chunk: ChunkKey | None = None
    chunk_id: bytes = b""
    body: BodyKey | None = None
    checkpoint: CheckpointKey | None = None
