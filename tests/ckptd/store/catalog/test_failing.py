"""A disk that is full, fails or lies, a page that is damaged, a lock that isn't ours, a file that isn't a catalog."""

import itertools
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import apsw
import pytest
from typing_extensions import Buffer, override

from ckptclient.errors import Busy, CkptdError, Damaged, NoSpace
from ckptd.core.change import Change
from ckptd.core.ids import CheckpointKey, ProcessKey
from ckptd.errors import StartRefused, StoreFailed
from ckptd.store.catalog.interface import Filter
from ckptd.store.catalog.sqlite import SqliteCatalog, open_catalog
from tests.ckptd.store.catalog.changes import CHUNK_KEY, LINEAGE, NOW, UID, save, take

JOB = 1


def opened(path: Path, vfs: str | None = None) -> SqliteCatalog:
    return open_catalog(path, LINEAGE, CHUNK_KEY, NOW, vfs)


def seqs(path: Path) -> list[int]:
    """What a new daemon finds."""
    catalog = opened(path)
    reader = catalog.reader()
    try:
        assert catalog.quick_check() == []
        return [row.seq for row in reader.checkpoints(Filter())]
    finally:
        reader.close()
        catalog.close()


# --- a disk whose writes or syncs fail ---


class FailingDisk(apsw.VFS):
    """SQLite's way to the disk, on which the n-th write or sync from `arm` on fails, and all after it."""

    _numbers = itertools.count()

    def __init__(self) -> None:
        self.left: dict[str, int] = {}
        self.code = apsw.SQLITE_IOERR
        self.name = f"failing{next(self._numbers)}"
        super().__init__(self.name, base="")

    def arm(self, step: str, after: int, code: int) -> None:
        self.left, self.code = {step: after}, code

    def met(self, step: str) -> None:
        if step in self.left:
            self.left[step] -= 1
            if self.left[step] < 0:
                error = apsw.exception_for(self.code)
                raise error

    @override
    def xOpen(self, name: str | apsw.URIFilename | None, flags: list[int]) -> apsw.VFSFile:
        return _File(self, name, flags)


class _File(apsw.VFSFile):
    def __init__(self, disk: FailingDisk, name: str | apsw.URIFilename | None, flags: list[int]) -> None:
        self._disk = disk
        super().__init__("", name, flags)

    @override
    def xWrite(self, data: Buffer, offset: int) -> None:
        self._disk.met("write")
        super().xWrite(data, offset)

    @override
    def xSync(self, flags: int) -> None:
        self._disk.met("sync")
        super().xSync(flags)


@pytest.fixture
def disk() -> Iterator[FailingDisk]:
    one = FailingDisk()
    yield one
    one.unregister()


@pytest.mark.parametrize("step", ["write", "sync"])
@pytest.mark.parametrize("after", [0, 1, 3])
def test_a_failed_write_or_sync_ends_the_store_and_a_new_daemon_finds_all_that_was_answered(
    tmp_path: Path, disk: FailingDisk, step: str, after: int
) -> None:
    catalog = opened(tmp_path / "catalog.db", disk.name)
    catalog.apply([take(), save(JOB, 1)])
    disk.arm(step, after, apsw.SQLITE_IOERR_FSYNC if step == "sync" else apsw.SQLITE_IOERR_WRITE)
    answered, failed = [1], None
    for seq in range(2, 9):
        try:
            catalog.apply([save(JOB, seq)])
        except StoreFailed:
            failed = seq
            break
        answered.append(seq)
    assert failed is not None
    for name in ("catalog.db", "catalog.db-wal"):
        (tmp_path / "copy").mkdir(exist_ok=True)
        shutil.copy(tmp_path / name, tmp_path / "copy" / name)
    found = sorted(seqs(tmp_path / "copy" / "catalog.db"))
    # Whether the one that failed is there can't be known: that is why nobody is told anything.
    assert found in (answered, [*answered, failed])
    disk.left = {}
    catalog.close()


def test_a_sync_that_fails_while_the_log_is_moved_ends_the_store(
    tmp_path: Path, disk: FailingDisk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ckptd.store.catalog.sqlite.writer.WAL_PAGES_IDLE", 1)
    catalog = opened(tmp_path / "catalog.db", disk.name)
    catalog.apply([take()])
    disk.arm("sync", 0, apsw.SQLITE_IOERR_FSYNC)
    with pytest.raises(StoreFailed):
        catalog.checkpoint_wal(idle=True)
    disk.left = {}
    catalog.close()


@pytest.mark.parametrize("after", range(6))
def test_a_disk_that_is_full_refuses_the_batch_whole_and_the_catalog_goes_on(
    tmp_path: Path, disk: FailingDisk, after: int
) -> None:
    catalog = opened(tmp_path / "catalog.db", disk.name)
    reader = catalog.reader()
    catalog.apply([take(), save(JOB, 1)])
    disk.arm("write", after, apsw.SQLITE_FULL)
    with pytest.raises(NoSpace):
        catalog.apply([save(JOB, seq, small=bytes(4000)) for seq in range(2, 12)])
    assert [row.seq for row in reader.checkpoints(Filter())] == [1]
    disk.left = {}
    assert list(catalog.apply([save(JOB, 2)])) == [(2, NOW)]
    reader.close()
    catalog.close()
    assert seqs(tmp_path / "catalog.db") == [2, 1]


# --- a disk that is really full ---


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    if os.geteuid():
        pytest.skip("mounting needs root")
    place = tmp_path / "disk"
    place.mkdir()
    done = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=2M", "tmpfs", place], check=False, capture_output=True)
    if done.returncode:
        pytest.skip(f"can't mount: {done.stderr.decode().strip()}")
    yield place
    subprocess.run(["umount", place], check=True)


def fill(catalog: SqliteCatalog) -> int:
    """Save until there is no room; the number of the last that was answered."""
    seq = 0
    try:
        while True:
            catalog.apply([save(JOB, seq + 1, small=bytes(4000))])
            seq += 1
    except NoSpace:
        return seq


@pytest.mark.root
def test_on_a_full_disk_reads_work_and_deletes_do_once_there_is_room(small_disk: Path) -> None:
    reserve = small_disk / "reserve"
    reserve.write_bytes(bytes(256 << 10))
    catalog = opened(small_disk / "catalog.db")
    catalog.apply([take()])
    saved = fill(catalog)
    catalog.checkpoint_wal(idle=True)  # harmless
    reader = catalog.reader()
    assert [row.seq for row in reader.checkpoints(Filter(limit=2))] == [saved, saved - 1]
    gone = Change(NOW, UID, to_trash=(CheckpointKey(1),))
    with pytest.raises(NoSpace):
        catalog.apply([gone])
    reserve.unlink()
    assert list(catalog.apply([gone])) == [(1,)]
    assert catalog.empty_trash(NOW, 10) == (1, False)
    assert len(reader.checkpoints(Filter(limit=1000))) == saved - 1
    assert catalog.quick_check() == []
    reader.close()
    catalog.close()


# --- a file that isn't what it was ---


def damaged(path: Path) -> Path:
    """A catalog of which every page but the first two is overwritten with noise."""
    catalog = opened(path)
    catalog.apply([take(), *(save(JOB, seq, small=bytes(2000)) for seq in range(1, 50))])
    catalog.close()
    pages = path.stat().st_size // 4096
    with path.open("r+b") as file:
        file.seek(2 * 4096)
        file.write(bytes(range(256)) * 16 * (pages - 2))
    return path


def test_a_damaged_page_is_never_served_and_never_written_to(tmp_path: Path) -> None:
    path = damaged(tmp_path / "catalog.db")
    try:
        catalog = opened(path)
    except StartRefused:
        return  # seen at once
    reader = catalog.reader()
    with pytest.raises(Damaged):
        reader.checkpoints(Filter())
    with pytest.raises(Damaged):
        reader.process_by_key(ProcessKey(1))
    with pytest.raises(StoreFailed):
        catalog.apply([take("another")])
    assert catalog.quick_check() != []
    reader.close()
    catalog.close()


def test_a_page_that_is_damaged_under_a_running_daemon_is_seen(tmp_path: Path) -> None:
    path = tmp_path / "catalog.db"
    catalog = opened(path)
    catalog.apply([take(), *(save(JOB, seq, small=bytes(2000)) for seq in range(1, 50))])
    catalog.close()
    catalog = opened(path)
    (root,) = (apsw.Connection(str(path)).execute("SELECT rootpage FROM sqlite_schema WHERE name='checkpoint'").get,)
    with path.open("r+b") as file:
        file.seek((root - 1) * 4096)
        file.write(b"\xff" * 4096)
    reader = catalog.reader()
    with pytest.raises(Damaged):
        reader.checkpoint(CheckpointKey(3))
    with pytest.raises(StoreFailed):
        catalog.apply([save(JOB, 50)])
    assert catalog.quick_check() != []
    reader.close()
    catalog.close()


def foreign(path: Path) -> None:
    connection = apsw.Connection(str(path))
    connection.execute("CREATE TABLE photos(name TEXT)")
    connection.close()


def newer(path: Path) -> None:
    opened(path).close()
    connection = apsw.Connection(str(path))
    connection.execute("UPDATE store SET v=99 WHERE k='format'")
    connection.close()


@pytest.mark.parametrize(
    ("make", "says"),
    [
        pytest.param(lambda path: path.write_bytes(b"no catalog at all" * 1000), "is not a catalog", id="another file"),
        pytest.param(lambda path: path.mkdir(), "can't be used", id="a directory"),
        pytest.param(lambda path: path.symlink_to("/proc/catalog.db"), "can't be used", id="nowhere to write"),
        pytest.param(foreign, "has format none", id="another program's"),
        pytest.param(newer, "has format 99", id="a newer release's"),
    ],
)
def test_what_is_no_catalog_of_ours_is_refused_at_the_start_and_left_alone(
    tmp_path: Path, make: object, says: str
) -> None:
    path = tmp_path / "catalog.db"
    make(path)  # type: ignore[operator]
    before = path.read_bytes() if path.is_file() else None
    with pytest.raises(StartRefused, match=says) as refusal:
        opened(path)
    assert refusal.value.hint
    assert before is None or path.read_bytes() == before


@pytest.mark.root
def test_a_read_only_directory_is_refused_at_the_start(small_disk: Path) -> None:
    opened(small_disk / "catalog.db").close()
    subprocess.run(["mount", "-o", "remount,ro", small_disk], check=True)
    with pytest.raises(StartRefused, match="can't be used"):
        opened(small_disk / "catalog.db")


def test_a_lock_of_another_program_is_told_and_harms_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ckptd.store.catalog.sqlite.opening.LOCK_WAIT_MS", 1)
    catalog = opened(tmp_path / "catalog.db")
    catalog.apply([take()])
    other = apsw.Connection(str(tmp_path / "catalog.db"))
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(Busy) as refusal:
        catalog.apply([save(JOB, 1)])
    assert isinstance(refusal.value, CkptdError)
    assert refusal.value.retryable
    other.execute("ROLLBACK")
    other.close()
    assert list(catalog.apply([save(JOB, 1)])) == [(1, NOW)]
    catalog.close()
