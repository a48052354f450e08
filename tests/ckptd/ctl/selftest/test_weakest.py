"""What POSIX lets a power cut take, call by call."""

import random  # noqa: TID251 - what is kept is all or nothing here: nothing is drawn
from pathlib import Path

import pytest

from ckptd.ctl.selftest.tracing import Call
from ckptd.ctl.selftest.weakest import KEEPS, Disk

ROOT = Path("/store")


class Told:
    """Calls as a test tells them, one after the other."""

    def __init__(self) -> None:
        self.disk = Disk(ROOT)
        self.at = 0.0

    def __call__(self, name: str, arguments: str, *strings: bytes, result: int = 0, took: float = 1.0) -> "Told":
        self.disk.feed(Call(name, arguments, strings, result, self.at, self.at + took))
        self.at += took
        return self

    def make(self, path: str, fd: int) -> "Told":
        return self("openat", 'AT_FDCWD, "", O_RDWR|O_CREAT, 0600', path.encode(), result=fd)

    def write(self, fd: int, data: bytes, at: int = 0) -> "Told":
        return self("pwrite64", f'{fd}, "", {len(data)}, {at}', data, result=len(data))

    def sync(self, fd: int) -> "Told":
        return self("fdatasync", str(fd))

    def sync_directory(self, path: str) -> "Told":
        self("openat", 'AT_FDCWD, "", O_RDONLY|O_DIRECTORY', path.encode(), result=99)
        return self("fsync", "99")("close", "99")

    def left(self, into: Path, keep: str = "nothing") -> dict[str, bytes]:
        state = into / f"{keep}-{self.at:g}"
        self.disk.write_state(state, keep, random.Random(1))
        return {str(path.relative_to(state)): path.read_bytes() for path in state.rglob("*") if path.is_file()}


def test_a_file_is_there_when_its_bytes_and_its_name_are_synced(tmp_path: Path) -> None:
    told = Told().make("/store/a", 5).write(5, b"bytes")
    assert told.left(tmp_path) == {}
    assert told.left(tmp_path, "names") == {"a": b""}
    told.sync(5)
    assert (told.left(tmp_path), told.left(tmp_path, "names")) == ({}, {"a": b"bytes"})
    told.sync_directory("/store")
    assert told.left(tmp_path) == {"a": b"bytes"}


def test_a_name_without_its_bytes_is_an_empty_file(tmp_path: Path) -> None:
    told = Told().make("/store/a", 5).write(5, b"bytes").sync_directory("/store")
    assert (told.left(tmp_path), told.left(tmp_path, "bytes")) == ({"a": b""}, {"a": b"bytes"})


def test_a_sync_takes_nothing_along_that_was_written_while_it_ran(tmp_path: Path) -> None:
    told = Told().make("/store/a", 5).sync_directory("/store").write(5, b"before")
    begun = told.at
    told.write(5, b"while!")
    told.disk.feed(Call("fdatasync", "5", (), 0, begun, told.at + 1))
    assert told.left(tmp_path) == {"a": b"before"}


def test_a_rename_is_one_change(tmp_path: Path) -> None:
    told = Told().make("/store/old", 4).write(4, b"1").sync(4).make("/store/new", 5).write(5, b"2").sync(5)
    told.sync_directory("/store")
    told("rename", '"", ""', b"/store/new", b"/store/old")
    assert told.left(tmp_path) == {"old": b"1", "new": b"2"}
    assert told.left(tmp_path, "names") == {"old": b"2"}
    assert told.sync_directory("/store").left(tmp_path) == {"old": b"2"}


def test_what_is_removed_may_come_back_until_its_directory_is_synced(tmp_path: Path) -> None:
    told = Told().make("/store/a", 5).sync_directory("/store")("unlink", '""', b"/store/a")
    assert (told.left(tmp_path), told.left(tmp_path, "names")) == ({"a": b""}, {})
    assert told.sync_directory("/store").left(tmp_path) == {}


def test_a_file_is_cut_and_grown(tmp_path: Path) -> None:
    told = Told().make("/store/a", 5).sync_directory("/store").write(5, b"12345")
    told("ftruncate", "5, 3")("fallocate", "5, 0, 0, 6")
    assert told.sync(5).left(tmp_path) == {"a": b"123\0\0\0"}


def test_a_directory_made_is_a_name_too(tmp_path: Path) -> None:
    told = (
        Told()("mkdir", '"", 0700', b"/store/d").make("/store/d/a", 5).write(5, b"x").sync(5).sync_directory("/store/d")
    )
    assert told.left(tmp_path) == {}
    assert told.sync_directory("/store").left(tmp_path) == {"d/a": b"x"}


@pytest.mark.parametrize("path", ["/elsewhere/a", "/storeroom/a"])
def test_what_lies_elsewhere_is_not_ours(tmp_path: Path, path: str) -> None:
    told = Told().make(path, 5).write(5, b"x").sync(5)
    assert [told.left(tmp_path, keep) for keep in KEEPS] == [{}] * len(KEEPS)


def test_a_file_without_a_name_is_never_seen(tmp_path: Path) -> None:
    told = Told()("openat", 'AT_FDCWD, "", O_RDWR|O_TMPFILE, 0600', b"/store/spool", result=5).write(5, b"x").sync(5)
    assert told.left(tmp_path, "names") == {}
