"""A process that saves version after version under a whole catalog, up to the service."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

from ckptd.core.change import Change, ManifestPart
from ckptd.core.ids import CheckpointKey, Epoch, ProcessKey
from ckptd.core.manifest import checksum, pack
from ckptd.store.catalog.interface import Catalog, ChunkRow
from ckptd.store.chains import Chains
from ckptd.store.chunks.memory import MemoryPacks
from ckptd.store.encodings import Choice
from ckptd.store.holds import Holds
from ckptd.store.ingest import Ingest, Part
from ckptd.store.prepared import Prepared
from ckptd.store.reader import PartReader
from tests.ckptd.store.catalog.changes import LINEAGE, NOW, UID, save, take
from tests.ckptd.store.chunks.conformance import numbered
from tests.ckptd.store.saving import CHECKPOINT, noise_source

PROCESS = ProcessKey(1)
DEPTH = 3


def documents(count: int, size_bytes: int = 40_000) -> list[bytes]:
    """Versions of one document that doesn't compress by itself, each a little different from the one before."""
    noise = noise_source()
    data = bytearray(noise(size_bytes))
    found = []
    for number in range(count):
        data[number * 97 : number * 97 + 50] = noise(50)
        found.append(bytes(data))
    return found


@dataclass
class Versions:
    """One process, and what becomes of its checkpoints."""

    catalog: Catalog
    choice: Choice = field(default_factory=lambda: Choice(3, depth_max=DEPTH))
    names: Callable[[int], bytes] = field(default_factory=numbered)
    holds: Holds = field(default_factory=Holds)
    saved: list[Sequence[ManifestPart]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.chunks = MemoryPacks(LINEAGE, self.names)
        self.reader = self.catalog.reader()
        self.catalog.apply([take()])
        self.restart()

    def restart(self) -> None:
        """Everything that is in memory only is gone, and a new pack is begun."""
        images = self.chunks.images
        self.chunks = MemoryPacks(LINEAGE, self.names)
        self.chunks.images.update(images)
        self.chains = Chains(self.chunks, self.catalog.chunk_key)
        self.ingest = Ingest(self.catalog, self.chunks, self.holds, self.chains, self.choice, threads=2)
        self.parts = PartReader(self.chains)

    def prepare(self, *parts: Part) -> Prepared:
        prepared = self.ingest.prepare(UID, parts, NOW, PROCESS)
        manifest = pack(prepared.parts)
        prepared.describe("job", Epoch(1), replace(CHECKPOINT, manifest=manifest, checksum=checksum(manifest)))
        return prepared

    def commit(self, *batch: Prepared, epoch: int = 1, has_state: bool = True) -> None:
        """What the committer does with a batch."""
        for prepared in batch:
            prepared.place()
        self.chunks.sync()
        with self.catalog.transaction():
            for prepared in batch:
                self.saved.append(prepared.record())
                manifest = pack(prepared.parts)
                seq = len(self.saved)
                parts = tuple(self.saved[-1])
                self.catalog.apply(
                    [save(1, seq, epoch, small=None, parts=parts, manifest=manifest, has_state=has_state)]
                )
        for prepared in batch:
            prepared.release()

    def save(self, *parts: Part) -> None:
        self.commit(self.prepare(*parts))

    def load(self, number: int, part: int = 0) -> bytes:
        return b"".join(self.parts.pieces(self.reader, self.saved[number][part]))

    def rows(self, number: int, part: int = 0) -> Sequence[ChunkRow]:
        return [row for body in self.saved[number][part].bodies for row in self.reader.body_chunks(body)]

    def row(self, number: int, part: int = 0) -> ChunkRow:
        """The one chunk of a document."""
        (row,) = self.rows(number, part)
        return row

    def drop(self, *numbers: int) -> None:
        """Checkpoints go, trash and all; their chunks wait for the sweep."""
        keys = tuple(CheckpointKey(number + 1) for number in numbers)
        self.catalog.apply([Change(NOW, UID, to_trash=keys)])
        while self.catalog.empty_trash(NOW, 9)[1]:
            pass

    def clean(self, stop: Callable[[], bool] = lambda: False) -> None:
        """Sweep to the end, or until a moment."""
        left = True
        while left and not stop():
            with self.holds.settled() as held:
                left = self.catalog.sweep(held, NOW, 2)

    def held(self) -> frozenset[bytes]:
        with self.holds.settled() as held:
            return held

    def close(self) -> None:
        self.ingest.close()
        self.reader.close()
        self.catalog.close()
