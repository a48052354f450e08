"""Packs as files keep the obligations, and survive what disks do."""

import errno
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from typing_extensions import override

from ckptd.errors import StoreFailed
from ckptd.store import durable
from ckptd.store.chunks.interface import ChunkStore
from ckptd.store.chunks.packs import Packs
from tests.ckptd.store.chunks.conformance import LINEAGE, TARGET, Conformance, World, chunk, in_packs, numbered


class _Files:
    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self._names = numbered()

    def open(self) -> ChunkStore:
        return Packs(self.directory, LINEAGE, self._names, TARGET)

    def image(self, pack: str) -> bytes:
        return (self.directory / pack).read_bytes()

    def fill(self, free_bytes: int) -> None:
        pytest.skip("only on a disk of its own")

    def empty(self) -> None:
        pass


class _Disk(_Files):
    """A file system of 1 MiB."""

    @override
    def fill(self, free_bytes: int) -> None:
        found = os.statvfs(self.directory)
        (self.directory / "ballast").write_bytes(bytes(found.f_bavail * found.f_frsize - free_bytes))

    @override
    def empty(self) -> None:
        (self.directory / "ballast").unlink()


class TestPacks(Conformance):
    @pytest.fixture
    def world(self, tmp_path: Path) -> World:
        return _Files(tmp_path)


@pytest.mark.root
class TestPacksOnATinyDisk(Conformance):
    @pytest.fixture
    def world(self, tmp_path: Path) -> Iterator[World]:
        if os.geteuid():
            pytest.skip("mounting needs root")
        done = subprocess.run(
            ["mount", "-t", "tmpfs", "-o", "size=1M", "tmpfs", tmp_path], check=False, capture_output=True
        )
        if done.returncode:
            pytest.skip(f"can't mount: {done.stderr.decode().strip()}")
        yield _Disk(tmp_path)
        subprocess.run(["umount", "--lazy", tmp_path], check=True)


@pytest.fixture
def syncs(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What was synced, in order: a pack's name, or "names" for the directory."""
    seen: list[str] = []
    file, directory = durable.sync_data, durable.sync_directory

    def sync_data(fd: int) -> None:
        seen.append(Path(os.readlink(f"/proc/self/fd/{fd}")).name)
        file(fd)

    def sync_directory(path: Path) -> None:
        seen.append("names")
        directory(path)

    monkeypatch.setattr(durable, "sync_data", sync_data)
    monkeypatch.setattr(durable, "sync_directory", sync_directory)
    return seen


def test_a_batch_costs_one_sync_and_a_new_pack_one_more(tmp_path: Path, syncs: list[str]) -> None:
    store = _Files(tmp_path).open()
    (first,) = store.append([chunk(1)])
    store.append([chunk(2)])
    assert syncs == []
    store.sync()
    assert syncs == [first.pack, "names"]
    store.append([chunk(3)])
    store.sync()
    store.sync()
    assert syncs == [first.pack, "names", first.pack]


def test_every_pack_of_a_batch_is_synced(tmp_path: Path, syncs: list[str]) -> None:
    store = _Files(tmp_path).open()
    packs = list(dict.fromkeys(at.pack for at in store.append([chunk(n, 1000) for n in range(10)])))
    store.sync()
    assert syncs == [*packs, "names"]


def test_a_private_pack_is_on_disk_when_it_is_closed(tmp_path: Path, syncs: list[str]) -> None:
    private = _Files(tmp_path).open().private(10_000)
    packs = list(dict.fromkeys(private.add(chunk(n, 1000)).pack for n in range(10)))
    private.close()
    assert syncs == [*packs, "names"]


@pytest.mark.parametrize("large", [False, True])
def test_a_failed_sync_ends_the_store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, large: bool) -> None:
    def failing(fd: int) -> None:
        raise OSError(errno.EIO, "injected")

    store = _Files(tmp_path).open()
    monkeypatch.setattr(os, "fdatasync", failing)
    private = store.private(0)
    private.add(chunk(1))
    store.append([chunk(2)])
    with pytest.raises(StoreFailed, match="injected"):
        private.close() if large else store.sync()


def test_a_private_pack_that_was_only_allocated_is_an_orphan(tmp_path: Path) -> None:
    store = Packs(tmp_path, LINEAGE, numbered(), TARGET)
    store.private(10_000).add(chunk(1, 1000))  # killed before anything of it is written
    (name,) = store.names()
    assert (tmp_path / name).stat().st_size >= TARGET
    assert store.orphans([]) == [name]


def test_a_large_payload_crosses_the_write_buffer_unharmed(tmp_path: Path) -> None:
    world = _Files(tmp_path)
    wanted = [chunk(n, (3 << 20) + 4 * n) for n in range(1, 8)]
    private = Packs(tmp_path, LINEAGE, numbered()).private(sum(record.size_bytes for record in wanted))
    packs = {private.add(record).pack for record in wanted}
    private.close()
    assert in_packs(world, list(packs)) == wanted
    assert len(packs) == 1


def test_without_direct_writes_the_bytes_are_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*_: object) -> int:
        raise OSError(errno.EINVAL, "no O_DIRECT here")

    monkeypatch.setattr("fcntl.fcntl", refused)
    private = _Files(tmp_path).open().private(0)
    location = private.add(chunk(1, 400))
    private.close()
    assert in_packs(_Files(tmp_path), [location.pack]) == [chunk(1, 400)]


def test_no_descriptor_is_left_open(tmp_path: Path) -> None:
    before = len(os.listdir("/proc/self/fd"))
    store = _Files(tmp_path).open()
    locations = store.append([chunk(n, 1000) for n in range(10)])
    store.sync()
    kept = store.private(0)
    kept.add(chunk(1))
    kept.close()
    dropped = store.private(0)
    dropped.add(chunk(1))
    dropped.abandon()
    store.read(locations[0], 1000)
    store.unlink(locations[-1].pack)
    store.append([chunk(1)])
    store.close()
    assert len(os.listdir("/proc/self/fd")) == before
