"""Packs in memory, byte for byte what the files would hold: for tests, and the first to run the conformance suite."""

from collections.abc import Callable, Sequence

from ckptclient.errors import NoSpace
from ckptd.store.chunks.interface import PACK_BYTES_TARGET, Location
from ckptd.store.records import (
    NAME_BYTES,
    RECORD_HEADER_BYTES,
    PackHeader,
    PackKind,
    Record,
    pack_header,
    record_header,
)


class MemoryPacks:
    """Packs that end with the process. `space_bytes` is the size of its disk; `images` is what lies on it."""

    def __init__(
        self,
        lineage: bytes,
        random_bytes: Callable[[int], bytes],
        pack_bytes_target: int = PACK_BYTES_TARGET,
        space_bytes: int = 1 << 40,
    ) -> None:
        self.images: dict[str, bytearray] = {}
        self.synced_count = 0
        self._lineage = lineage
        self._random_bytes = random_bytes
        self._target = pack_bytes_target
        self.space_bytes = space_bytes
        self._current: dict[int, str] = {}
        self._dirty = False

    def append(self, records: Sequence[Record], lifetime: int = 0) -> Sequence[Location]:
        before = {name: len(image) for name, image in self.images.items()}
        locations: list[Location] = []
        try:
            for record in records:
                if lifetime not in self._current or not self.room(self._current[lifetime]):
                    self._current.pop(lifetime, None)
                    self._current[lifetime] = self.begin(PackKind.SHARED, lifetime)
                locations.append(self.put(self._current[lifetime], record))
        except NoSpace:
            for name, image in self.images.items():
                if name in before:
                    del image[before[name] :]
            raise
        self._dirty = self._dirty or bool(records)
        return locations

    def begin(self, kind: PackKind, lifetime: int) -> str:
        """A new pack with its header."""
        name = self._random_bytes(NAME_BYTES)
        header = pack_header(PackHeader(self._lineage, name, kind, lifetime))
        self._take(len(header))
        self.images[name.hex()] = bytearray(header)
        return name.hex()

    def put(self, pack: str, record: Record) -> Location:
        """Add a record to a pack."""
        self._take(record.size_bytes)
        image = self.images[pack]
        location = Location(pack, len(image))
        image += record_header(record, bytes.fromhex(pack)) + record.stored
        return location

    def room(self, pack: str) -> bool:
        """Whether a pack takes another record."""
        return len(self.images[pack]) < self._target

    def _take(self, size_bytes: int) -> None:
        if sum(map(len, self.images.values())) + size_bytes > self.space_bytes:
            raise NoSpace("the memory that stands for a disk is full")

    def sync(self) -> None:
        self.synced_count += self._dirty
        self._dirty = False

    def seal(self, pack: str) -> None:
        self._current = {lifetime: name for lifetime, name in self._current.items() if name != pack}

    def private(self, expected_bytes: int, lifetime: int = 0) -> "_Private":
        return _Private(self, lifetime)

    def read(self, location: Location, stored_bytes: int, *, fresh: bool = False) -> bytes:
        begin = location.offset + RECORD_HEADER_BYTES
        return self.image(location.pack, begin, stored_bytes)

    def image(self, pack: str, offset: int, size_bytes: int) -> bytes:
        return bytes(self.images.get(pack, b"")[offset : offset + size_bytes])

    def size_bytes(self, pack: str) -> int:
        return len(self.images.get(pack, b""))

    def names(self) -> Sequence[str]:
        return list(self.images)

    def unlink(self, pack: str) -> None:
        self.seal(pack)
        self.images.pop(pack, None)

    def close(self) -> None:
        self._current = {}


class _Private:
    """See `PrivatePacks`."""

    def __init__(self, packs: MemoryPacks, lifetime: int) -> None:
        self._packs = packs
        self._lifetime = lifetime
        self._made: list[str] = []

    def add(self, record: Record) -> Location:
        if not self._made or not self._packs.room(self._made[-1]):
            self._made.append(self._packs.begin(PackKind.PRIVATE, self._lifetime))
        return self._packs.put(self._made[-1], record)

    def close(self) -> None:
        pass

    def abandon(self) -> None:
        for pack in self._made:
            self._packs.unlink(pack)
        self._made = []
