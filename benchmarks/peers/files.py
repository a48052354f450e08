"""What people write by hand: pickle to a temporary file, fsync, rename, fsync the directory. One file per version."""

import heapq
import os
import platform
from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar

import zstandard
from typing_extensions import override

from benchmarks.peers.interface import Place, SavesAtOnce
from benchmarks.states import State, pack, unpack

ZSTD_LEVEL = 3


def _sync_directory(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


class FilesSession(SavesAtOnce):
    def __init__(self, root: Path, *, history: bool) -> None:
        self.root = root
        self.history = history

    @override
    def save(self, key: str, version: int, state: State, *, brief: bool = False) -> None:
        directory = self.root / key
        if not directory.is_dir():
            directory.mkdir()
            _sync_directory(self.root)
        path = directory / f"{version if self.history else 0:08d}"
        temporary = path.with_suffix(".tmp")
        with temporary.open("wb") as file:
            file.write(self.packed(state))
            file.flush()
            os.fsync(file.fileno())
        temporary.rename(path)
        _sync_directory(directory)

    def load(self, key: str, version: int | None = None) -> State:
        return self.unpacked((self.root / key / f"{self.latest(key) if version is None else version:08d}").read_bytes())

    def packed(self, state: State) -> bytes:
        """What the file gets."""
        return pack(state)

    def unpacked(self, packed: bytes) -> State:
        """The state back from the file."""
        return unpack(packed)

    def latest(self, key: str) -> int:
        return max(int(name) for name in os.listdir(self.root / key) if name.isdigit())

    def latest_all(self) -> int:
        return len({key: self.latest(key) for key in os.listdir(self.root)})

    def newest(self, count: int) -> int:
        def ages() -> Iterator[tuple[int, str, str]]:
            for directory in os.scandir(self.root):
                for entry in os.scandir(directory.path):
                    yield entry.stat().st_mtime_ns, directory.name, entry.name

        return len(heapq.nlargest(count, ages()))

    def expire(self, below: int) -> int:
        count = 0
        for key in os.listdir(self.root):
            for name in os.listdir(self.root / key):
                if int(name) < below:
                    (self.root / key / name).unlink()
                    count += 1
            _sync_directory(self.root / key)
        return count

    def compact(self) -> None:
        pass

    def close(self) -> None:
        pass


class Files:
    name: ClassVar[str] = "files"
    terms: ClassVar[str] = "pickle, temporary file, fsync, rename, fsync of the directory"

    def __init__(self, place: Place) -> None:
        self.place = place
        self.server = None

    @classmethod
    def missing(cls) -> str | None:
        return None

    @classmethod
    def version(cls) -> str:
        return f"Python {platform.python_version()}"

    def start(self) -> None:
        pass

    def session(self) -> FilesSession:
        return FilesSession(self.place.store, history=self.place.history)


class ZstdFilesSession(FilesSession):
    @override
    def packed(self, state: State) -> bytes:
        return zstandard.ZstdCompressor(level=ZSTD_LEVEL).compress(super().packed(state))

    @override
    def unpacked(self, packed: bytes) -> State:
        return super().unpacked(zstandard.ZstdDecompressor().decompress(packed))


class ZstdFiles(Files):
    name: ClassVar[str] = "zstd-files"
    terms: ClassVar[str] = f"as files, compressed by zstd at level {ZSTD_LEVEL}"

    @classmethod
    @override
    def version(cls) -> str:
        return f"zstandard {zstandard.__version__}"

    @override
    def session(self) -> ZstdFilesSession:
        return ZstdFilesSession(self.place.store, history=self.place.history)
