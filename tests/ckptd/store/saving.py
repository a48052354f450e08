"""A store without a daemon around it: saves go the way that the committer takes them, one batch at a time."""

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

import msgpack
from blake3 import blake3

from ckptclient.errors import NoSpace
from ckptd.core.change import CheckpointType, ManifestPart, NewCheckpoint
from ckptd.core.ids import Epoch
from ckptd.core.manifest import checksum, pack
from ckptd.store.chains import Chains
from ckptd.store.chunks.interface import ChunkStore
from ckptd.store.chunks.memory import MemoryPacks
from ckptd.store.encodings import Choice
from ckptd.store.holds import Holds
from ckptd.store.ingest import Ingest, Memory, Part
from ckptd.store.prepared import Prepared
from ckptd.store.reader import PartReader
from tests.ckptd.store.catalog_in_memory import CatalogInMemory
from tests.ckptd.store.chunks.conformance import LINEAGE, numbered

ARRAY = msgpack.packb({"kind": "array"})
DOCUMENT = msgpack.packb({"kind": "document", "encoding": "msgpack"})
UID = 1000
NOW = 1_750_000_000_000_000

CHECKPOINT = NewCheckpoint(
    seq=3,
    type=CheckpointType.MODEL_STATE,
    created_at=NOW,
    expires_at=None,
    task_id="",
    description="",
    metadata=b"",
    tags=(),
    depends=(),
    manifest=b"",
    checksum=b"",
    parts=(),
    small=None,
    logical_bytes=0,
    own_bytes=0,
    journal_position=7,
    has_state=True,
    schema_version=1,
)


def noise_source() -> Callable[[int], bytes]:
    """Bytes that don't compress, others with each call, the same with each run."""
    drawn = itertools.count()
    return lambda size: blake3(next(drawn).to_bytes(8, "big")).digest(size) if size else b""


def part(data: bytes, form: bytes = ARRAY, name: str = "weights") -> Part:
    return Part(name, form, Memory(data))


def memory_packs(space_bytes: int = 1 << 40) -> MemoryPacks:
    return MemoryPacks(LINEAGE, numbered(), space_bytes=space_bytes)


@dataclass
class Store:
    """Everything that a save meets, and what came of it."""

    chunks: ChunkStore = field(default_factory=memory_packs)
    choice: Choice = field(default_factory=lambda: Choice(3, depth_max=4))
    catalog: CatalogInMemory = field(default_factory=CatalogInMemory)
    holds: Holds = field(default_factory=Holds)

    def __post_init__(self) -> None:
        self.chains = Chains(self.chunks, self.catalog.chunk_key)
        self.ingest = Ingest(self.catalog.as_catalog(), self.chunks, self.holds, self.chains, self.choice, threads=2)
        self.reader = PartReader(self.chains)

    def prepare(self, *parts: Part, uid: int = UID) -> Prepared:
        prepared = self.ingest.prepare(uid, parts, NOW)
        manifest = pack(prepared.parts)
        prepared.describe("job", Epoch(1), replace(CHECKPOINT, manifest=manifest, checksum=checksum(manifest)))
        return prepared

    def commit(self, *batch: Prepared) -> list[Sequence[ManifestPart]]:
        """What the committer does with a batch; no parts for a save that was refused for want of space."""
        refused = set()
        for prepared in batch:
            try:
                prepared.place()
            except NoSpace:
                refused.add(prepared)
        self.chunks.sync()
        with self.catalog.transaction():
            outcomes = [() if prepared in refused else prepared.record() for prepared in batch]
        for prepared in batch:
            prepared.release()
        return outcomes

    def save(self, *parts: Part, uid: int = UID) -> Sequence[ManifestPart]:
        (outcome,) = self.commit(self.prepare(*parts, uid=uid))
        assert len(outcome) == len(parts), "refused"
        return outcome

    def load(self, saved: ManifestPart) -> bytes:
        return b"".join(self.reader.pieces(self.catalog.as_reader(), saved))

    def held(self) -> frozenset[bytes]:
        with self.holds.settled() as held:
            return held
