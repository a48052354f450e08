"""Files become durable in the right order, and every failure means what `durable` says."""

import errno
import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from ckptclient.errors import Busy, NoSpace, ReadOnly
from ckptd.errors import StoreFailed
from ckptd.store import durable


@pytest.fixture
def steps(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What reaches the kernel, in order."""
    seen: list[str] = []

    def record(name: str, function: str) -> None:
        call = getattr(os, function)

        def recorded(*args: Any) -> Any:
            seen.append(name)
            return call(*args)

        monkeypatch.setattr(os, function, recorded)

    record("write", "pwrite")
    record("sync file", "fdatasync")
    record("sync directory", "fsync")
    record("rename", "replace")
    return seen


def fail(monkeypatch: pytest.MonkeyPatch, call: str, number: int) -> list[int]:
    """Let a system call fail; the list counts how often it was tried."""
    tried: list[int] = []

    def failing(*_: object) -> None:
        tried.append(number)
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, call, failing)
    return tried


@pytest.fixture
def tiny_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 1 MiB."""
    if os.geteuid():
        pytest.skip("mounting needs root")
    place = tmp_path / "disk"
    place.mkdir()
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=1M,nr_inodes=20", "tmpfs", place], check=False, capture_output=True
    )
    if done.returncode:
        pytest.skip(f"can't mount: {done.stderr.decode().strip()}")
    yield place
    subprocess.run(["umount", place], check=True)


def test_publish_syncs_the_bytes_before_the_name_and_then_the_name(tmp_path: Path, steps: list[str]) -> None:
    durable.publish(tmp_path / "file", b"new")
    assert steps == ["write", "sync file", "rename", "sync directory"]
    assert (tmp_path / "file").read_bytes() == b"new"


def test_publish_replaces_and_clears_the_draft_of_a_crash(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"old")
    (tmp_path / ".file.draft").write_bytes(b"half")
    durable.publish(tmp_path / "file", b"new")
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == {"file": b"new"}


def test_a_name_is_used_once(tmp_path: Path) -> None:
    os.close(durable.create_exclusive(tmp_path / "file"))
    with pytest.raises(StoreFailed, match="File exists"):
        durable.create_exclusive(tmp_path / "file")


def test_files_are_for_the_daemon_alone(tmp_path: Path) -> None:
    os.close(durable.create_exclusive(tmp_path / "file"))
    durable.make_directory(tmp_path / "directory")
    modes = {path.name: path.stat().st_mode & 0o777 for path in tmp_path.iterdir()}
    assert modes == {"file": 0o600, "directory": 0o700}


def test_short_writes_go_on_where_they_stopped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = os.pwrite
    monkeypatch.setattr(os, "pwrite", lambda fd, data, offset: whole(fd, data[:3], offset))
    fd = durable.create_exclusive(tmp_path / "file")
    durable.write_all(fd, b"0123456789", 2)
    assert os.pread(fd, 20, 0) == b"\0\x000123456789"
    os.close(fd)


@pytest.mark.parametrize(
    ("number", "expected"),
    [
        (errno.ENOSPC, NoSpace),
        (errno.EDQUOT, NoSpace),
        (errno.EROFS, ReadOnly),
        (errno.EMFILE, Busy),
        (errno.EIO, StoreFailed),
        (errno.EBADF, StoreFailed),
    ],
)
@pytest.mark.parametrize("call", ["open", "pwrite", "posix_fallocate", "ftruncate"])
def test_what_a_failure_before_the_sync_means(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str, number: int, expected: type[Exception]
) -> None:
    fd = os.open(tmp_path, os.O_RDONLY)
    fail(monkeypatch, call, number)
    acts: dict[str, Callable[[], object]] = {
        "open": lambda: durable.create_exclusive(tmp_path / "file"),
        "pwrite": lambda: durable.write_all(fd, b"x", 0),
        "posix_fallocate": lambda: durable.allocate(fd, 1),
        "ftruncate": lambda: durable.truncate(fd, 1),
    }
    with pytest.raises(expected) as caught:
        acts[call]()
    assert str(tmp_path) in str(caught.value) + str(getattr(caught.value, "details", ""))
    os.close(fd)


@pytest.mark.parametrize("number", [errno.EIO, errno.ENOSPC, errno.EDQUOT, errno.EROFS])
def test_a_failed_sync_is_final_whatever_it_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    fd = durable.create_exclusive(tmp_path / "file")
    files, directories = fail(monkeypatch, "fdatasync", number), fail(monkeypatch, "fsync", number)
    with pytest.raises(StoreFailed):
        durable.sync_data(fd)
    with pytest.raises(StoreFailed):
        durable.sync_directory(tmp_path)
    assert (files, directories) == ([number], [number]), "tried once"
    os.close(fd)


def test_a_failed_sync_keeps_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_bytes(b"old")
    fail(monkeypatch, "fdatasync", errno.EIO)
    with pytest.raises(StoreFailed):
        durable.publish(tmp_path / "file", b"new")
    assert (tmp_path / "file").read_bytes() == b"old"


def test_remove_is_durable_and_may_be_repeated(tmp_path: Path, steps: list[str]) -> None:
    (tmp_path / "file").write_bytes(b"old")
    durable.remove(tmp_path / "file")
    durable.remove(tmp_path / "file")
    assert not (tmp_path / "file").exists()
    assert steps == ["sync directory", "sync directory"]


@pytest.mark.root
def test_a_full_disk_refuses_and_the_reserve_makes_room(tiny_disk: Path) -> None:
    durable.reserve(tiny_disk / "reserve", 256 << 10)
    durable.reserve(tiny_disk / "reserve", 256 << 10)
    fd = durable.create_exclusive(tiny_disk / "file")
    with pytest.raises(NoSpace) as caught:
        durable.write_all(fd, bytes(2 << 20), 0)
    assert caught.value.details["path"] == str(tiny_disk / "file")
    durable.remove(tiny_disk / "reserve")
    durable.write_all(fd, bytes(128 << 10), 512 << 10)
    os.close(fd)


@pytest.mark.root
def test_publish_on_a_full_disk_leaves_the_old_file_and_no_draft(tiny_disk: Path) -> None:
    durable.publish(tiny_disk / "file", b"old")
    with pytest.raises(NoSpace):
        durable.publish(tiny_disk / "file", bytes(2 << 20))
    assert {path.name: path.read_bytes() for path in tiny_disk.iterdir()} == {"file": b"old"}


@pytest.mark.root
def test_a_reserve_that_does_not_fit_takes_nothing(tiny_disk: Path) -> None:
    with pytest.raises(NoSpace):
        durable.reserve(tiny_disk / "reserve", 2 << 20)
    assert not list(tiny_disk.iterdir())


def test_publishing_syncs_the_bytes_before_the_name_and_then_the_name(tmp_path: Path, steps: list[str]) -> None:
    (tmp_path / "file").write_bytes(b"old")
    (tmp_path / ".file.draft").write_bytes(b"what a crash left")
    with durable.publishing(tmp_path / "file") as file:
        file.write(b"new")
        assert (tmp_path / "file").read_bytes() == b"old"
    assert steps == ["sync file", "rename", "sync directory"]
    assert [path.read_bytes() for path in tmp_path.iterdir()] == [b"new"]


def test_publishing_leaves_the_old_file_where_the_block_or_a_sync_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_bytes(b"old")
    with pytest.raises(TypeError), durable.publishing(tmp_path / "file") as file:
        file.write("no bytes")  # type: ignore[call-overload]
    fail(monkeypatch, "fdatasync", errno.EIO)
    with pytest.raises(OSError, match="Input/output"), durable.publishing(tmp_path / "file") as file:
        file.write(b"new")
    assert [path.read_bytes() for path in tmp_path.iterdir()] == [b"old"]


def test_publishing_on_a_full_disk_is_an_oserror(tiny_disk: Path) -> None:
    with pytest.raises(OSError, match="No space"), durable.publishing(tiny_disk / "file") as file:
        file.write(bytes(2 << 20))
    assert list(tiny_disk.iterdir()) == []


def test_a_file_gets_a_second_name_or_is_copied_where_it_cannot(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = tmp_path / "source"
    source.write_bytes(b"x" * (3 << 20))
    durable.adopt(source, tmp_path / "linked")
    assert source.samefile(tmp_path / "linked")

    def refuse(*_: object) -> None:
        raise OSError(errno.EXDEV, "another file system")

    monkeypatch.setattr(os, "link", refuse)
    durable.adopt(source, tmp_path / "copied")
    assert not source.samefile(tmp_path / "copied")
    assert (tmp_path / "copied").read_bytes() == source.read_bytes()
