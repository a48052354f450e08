"""Disks that fail and fill for real: syncs that lose data, no room, no inodes."""

import itertools
import mmap
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

import pytest

from ckptclient import calls
from ckptclient.sync import Client
from ckptclient.wire import params as p
from ckptd.ctl.selftest.killing import work
from ckptd.ctl.selftest.reading import read_store
from ckptd.ctl.selftest.replaying import SETTINGS
from ckptd.ctl.selftest.running import Daemon, wait_until
from ckptd.ctl.selftest.truth import faults, lines, read_logs
from tests.faults.broken import program
from tests.faults.media import PAGE_OPTIONS, fill, looped, make_image, mounted, run, tmpfs

pytestmark = pytest.mark.root


def daemon_on(place: Path, disk: Path, *variants: str, settings: Mapping[str, str] | None = None) -> Daemon:
    what = program(*variants) if variants else ("-m", "ckptd")
    return Daemon(place / "store", disk / "s", disk / "daemon.log", what, {**SETTINGS, **(settings or {})})


def notes(disk: Path) -> list[Path]:
    return sorted(disk.glob("*.jsonl"))


def wrong(place: Path, disk: Path) -> Sequence[str]:
    found, unreadable = read_store(place / "store", disk / "look")
    return [*unreadable, *faults(read_logs(notes(disk)), found)]


def answers(disk: Path) -> int:
    return sum(not line["what"].endswith(("?", "!")) for path in notes(disk) for line in lines(path))


def work_done(daemon: Daemon, disk: Path, seed: str, acts: int) -> list[str]:
    """Have so many acts done; the codes of those that were refused for want of room."""
    log = disk / f"{seed}.jsonl"
    assert work(daemon.socket, log, seed, acts).wait(120) == 0
    return [line["code"] for line in lines(log) if line.get("code") == "NO_SPACE"]


def test_what_the_failing_disk_says_is_written_is_there(disk: Path) -> None:
    """Else what follows would blame the daemon for what its disk does: of a lie nobody can recover."""
    size, page = 256 << 10, 4096
    with tmpfs(disk / "memory", "size=1100k") as memory:
        image = memory / "image"
        run(["truncate", "-s", "4M", image])
        with looped(image, paged=True) as device:
            fd = os.open(device, os.O_RDWR | os.O_DIRECT)
            block = mmap.mmap(-1, size)
            block[:] = b"x" * size
            told = []
            for offset in range(0, 4 << 20, size):
                try:
                    written = os.pwrite(fd, block, offset)
                    os.fdatasync(fd)
                except OSError:
                    told.append("failed")
                    continue
                with image.open("rb") as file:
                    file.seek(offset)
                    assert file.read(written) == b"x" * written, f"at {offset // page}"
                told.append("written")
            os.close(fd)
    assert {"written", "failed"} == set(told)


@pytest.mark.parametrize("kind", ["ext4", "xfs"])
def test_a_sync_that_really_fails_ends_the_daemon_and_nothing_acknowledged_is_lost(disk: Path, kind: str) -> None:
    """The file system lies on a loop device whose file lies where there is no more room: its syncs fail, and forget."""
    with tmpfs(disk / "memory", "size=420m") as memory:
        image = make_image(memory / "image", kind, "400M", *PAGE_OPTIONS[kind])
        with looped(image, paged=True) as device:
            with mounted(device, disk / "mounted") as place:
                daemon = daemon_on(place, disk)
                with daemon.serving():
                    worker = work(daemon.socket, disk / "1.jsonl", "1")
                    try:
                        wait_until(lambda: notes(disk) and answers(disk) > 20, 60, "some saves are answered")
                        filler = fill(memory)
                        wait_until(lambda: daemon.ended is not None, 120, "the daemon ends")
                    finally:
                        worker.kill()
                        worker.wait()
                    assert daemon.ended == 74
                    assert "the store failed" in daemon.said()
                filler.unlink()
            with mounted(device, disk / "mounted") as place:
                assert wrong(place, disk) == []
                daemon = daemon_on(place, disk)
                with daemon.serving():
                    assert daemon.stop() == 0
                assert wrong(place, disk) == []


def test_a_full_disk_refuses_saves_and_nothing_else(disk: Path) -> None:
    with tmpfs(disk / "small", "size=24m") as place:
        daemon = daemon_on(place, disk, settings={"store.reserve": "4 MB"})
        with daemon.serving():
            assert work_done(daemon, disk, "1", 40) == []
            filler = fill(place)
            assert "NO_SPACE" in work_done(daemon, disk, "2", 40)
            assert daemon.ended is None
            with Client(str(daemon.socket)) as client:
                listed = client.call(calls.checkpoints(p.ListCheckpoints(limit=3))).checkpoints
                assert client.call(calls.get(listed[0].checkpoint_id)).parts
            filler.unlink()
            assert work_done(daemon, disk, "3", 20) == []
            assert daemon.stop() == 0
        assert wrong(place, disk) == []


def test_a_disk_without_inodes_refuses_what_needs_a_file_and_goes_on(disk: Path) -> None:
    image = make_image(disk / "image", "ext4", "64M", "-N", "32")
    with mounted(image, disk / "mounted", "-o", "loop") as place:
        daemon = daemon_on(place, disk, "small")
        with daemon.serving():
            taken = list(take_inodes(place))
            assert run(["df", "--output=iavail", place]).split()[-1] == "0"
            assert "NO_SPACE" in work_done(daemon, disk, "1", 60)
            assert answers(disk) > 10  # what lies in the catalog needs no file
            for path in taken:
                path.unlink()
            assert work_done(daemon, disk, "2", 40) == []
            assert daemon.stop() == 0
        assert wrong(place, disk) == []


def take_inodes(place: Path) -> Iterator[Path]:
    with suppress(OSError):
        for number in itertools.count():
            path = place / f"taken-{number}"
            path.touch(exist_ok=False)
            yield path
