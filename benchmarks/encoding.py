"""What each kind of data takes in the store and how quickly it is encoded, beside zstd, restic and borg.

`python -m benchmarks encodings`: the store's own functions, as a save and as the time after it use them, in this
process; the archivers as programs. Not a workload: there is no client and no round, and nothing waits for a disk. Times
are of the processor, so that whoever else uses the machine leaves them alone.
"""

import shutil
import statistics
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from time import thread_time
from typing import Any

import msgpack
import zstandard
from blake3 import blake3

from benchmarks.machine import allocated_bytes
from benchmarks.peers.archivers import FILE, Archiver, Borg, Restic
from benchmarks.peers.interface import Place
from benchmarks.samples import RECORDS, Sample, samples
from benchmarks.states import evolving_states
from ckptd.store import chunking, encodings, forms
from ckptd.store.records import RECORD_HEADER_BYTES

Line = dict[str, Any]

DEPTH = 16
ARRAY_DEPTH = 32
DEPTHS = (0, 1, 2, 4, 8, 16, 32, 64, 128)
W2_VERSIONS = 50
ZSTD_LEVEL = 3
_LABELS = {row.number: row.name for row in encodings.ENCODINGS.values()}


@dataclass
class Store:
    """Chunks by their bytes: what a store has of the versions that it was given, and how long that took."""

    choice: encodings.Choice
    tight: bool = False

    def __post_init__(self) -> None:
        self.chunks: dict[bytes, encodings.Encoded] = {}
        self.encode_seconds = self.decode_seconds = 0.0
        self.fresh_bytes = 0

    @property
    def stored_bytes(self) -> int:
        """With the header of each record."""
        return sum(len(one.stored) + RECORD_HEADER_BYTES for one in self.chunks.values())

    def save(self, sample: Sample, version: bytes, before: bytes | None) -> None:
        """One version, after the one before."""
        form = forms.parse(msgpack.packb({"kind": sample.kind, "dtype": sample.dtype}))
        begin = thread_time()
        cuts = list(chunking.cut(0, form.kind, form.element_bytes, len(version), _reader(version)))
        self.encode_seconds += thread_time() - begin
        for cut in cuts:
            plain = version[cut.offset : cut.offset + cut.size_bytes]
            if plain not in self.chunks:
                self.chunks[plain] = self._encoded(plain, form, self._base(form, cut, before))
                self.fresh_bytes += len(plain)

    def _base(self, form: forms.Form, cut: chunking.Cut, before: bytes | None) -> encodings.Base | None:
        if before is None or form.kind not in ("document", "array"):
            return None
        plain = before if form.kind == "document" else before[cut.offset : cut.offset + cut.size_bytes]
        depth_max = self.choice.depth_max if form.kind == "document" else self.choice.array_depth_max
        found = self.chunks.get(plain)
        return encodings.Base(b"", plain, found.depth) if found is not None and found.depth < depth_max else None

    def _encoded(self, plain: bytes, form: forms.Form, base: encodings.Base | None) -> encodings.Encoded:
        begin = thread_time()
        if self.tight:
            found = encodings.encode_tight(plain, self.choice, form.element_bytes, [base] if base else [])
        else:
            found = encodings.encode(plain, self.choice, form.element_bytes, base)
        self.encode_seconds += thread_time() - begin
        begin = thread_time()
        back = encodings.decode(found.number, found.stored, len(plain), found.base.plain if found.base else None)
        self.decode_seconds += thread_time() - begin
        if back != plain:
            raise RuntimeError("what was decoded isn't what was encoded")
        return found


def _reader(data: bytes) -> Callable[[int, int], bytes]:
    return lambda offset, size_bytes: data[offset : offset + size_bytes]


def _ways() -> dict[str, Store]:
    level = ZSTD_LEVEL
    return {
        "save": Store(encodings.Choice(level, DEPTH)),
        "xor": Store(encodings.Choice(level, DEPTH, ARRAY_DEPTH)),
        "tight": Store(encodings.Choice(level, DEPTH, ARRAY_DEPTH), tight=True),
    }


def _archived(archiver: type[Archiver], sample: Sample, data: Path) -> float:
    """Bytes of the repository after a backup of each version."""
    home = Path(tempfile.mkdtemp(dir=data))
    place = Place(home / "store", home / "scratch", history=True)
    place.store.mkdir()
    place.scratch.mkdir()
    try:
        archive = archiver(place)
        archive.start()
        empty = allocated_bytes(place.store)
        for number, version in enumerate(sample.versions):
            (archive.source / FILE).write_bytes(version)
            archive.tool(*archive.backup(f"v{number}"))
        return allocated_bytes(place.store) - empty
    finally:
        shutil.rmtree(home)


def _measured(sample: Sample, archivers: Sequence[type[Archiver]], data: Path) -> Line:
    plain_bytes = sum(map(len, sample.versions))
    line: Line = {"kind": "encoding", "data": sample.name, "plain_mb": plain_bytes / 1e6}
    begin = thread_time()
    compressor = zstandard.ZstdCompressor(level=ZSTD_LEVEL)
    line["zstd_percent"] = 100 * sum(len(compressor.compress(one)) for one in sample.versions) / plain_bytes
    line["zstd_mb_s"] = plain_bytes / (thread_time() - begin) / 1e6
    for archiver in archivers:
        line[f"{archiver.name}_percent"] = 100 * _archived(archiver, sample, data) / plain_bytes
    for name, store in _ways().items():
        before = None
        for version in sample.versions:
            store.save(sample, version, before)
            before = version
        line[f"{name}_percent"] = 100 * store.stored_bytes / plain_bytes
        line[f"{name}_mb_s"] = store.fresh_bytes / store.encode_seconds / 1e6
        line[f"{name}_decode_mb_s"] = store.fresh_bytes / store.decode_seconds / 1e6
        numbers = dict.fromkeys(_LABELS[one.number] for one in store.chunks.values())
        line[f"{name}_by"] = ", ".join(numbers)
    return line


def encoding_lines(data: Path) -> Iterator[Line]:
    """A line for each kind of data."""
    archivers = [archiver for archiver in (Restic, Borg) if archiver.missing() is None]
    for sample in samples():
        yield _measured(sample, archivers, data)


def depth_lines() -> Iterator[Line]:
    """W2's versions with chains of each length: what they take, and what reading back costs."""
    versions = [msgpack.packb(state) for state in evolving_states(W2_VERSIONS, RECORDS)]
    for depth in DEPTHS:
        store, before = Store(encodings.Choice(ZSTD_LEVEL, depth)), None
        sample = Sample("", "document", versions)
        for version in versions:
            store.save(sample, version, before)
            before = version
        seconds = [_restored(store, version) for version in versions]
        yield {
            "kind": "depth",
            "depth": depth,
            "stored_mb": store.stored_bytes / 1e6,
            "read_p50_ms": statistics.median(seconds) * 1e3,
            "read_max_ms": max(seconds) * 1e3,
        }


def _restored(store: Store, version: bytes) -> float:
    """Seconds to decode a version with all that it stands on, when nothing is remembered."""
    links = [version]
    while (base := store.chunks[links[-1]].base) is not None:
        links.append(base.plain)
    begin, plain = thread_time(), None
    for link in reversed(links):
        found = store.chunks[link]
        plain = encodings.decode(found.number, found.stored, len(link), plain)
    blake3(plain or b"").digest()
    return thread_time() - begin
