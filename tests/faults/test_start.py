"""Calls that fail or kill while a daemon starts and ends: the store that it found is whole afterwards, whatever it did."""

import signal
from pathlib import Path

import pytest

from ckptd.ctl.selftest.killing import work
from ckptd.ctl.selftest.reading import read_store
from ckptd.ctl.selftest.replaying import SETTINGS
from ckptd.ctl.selftest.running import Daemon, wait_until
from ckptd.ctl.selftest.truth import faults, read_logs
from tests.faults.broken import program

pytestmark = pytest.mark.usefixtures("traced")

ENDS = (0, 74, 75, 78, -signal.SIGKILL)
"""It stopped when it was told to; its store failed; it can't begin, now or as things are; it was killed."""

POINTS = [
    ("fsync", (1, 2, 3), ("EIO", "SIGKILL")),
    ("fdatasync", (1, 2, 3), ("EIO", "ENOSPC", "SIGKILL")),
    ("pwrite64", (1, 2, 3, 5, 8, 13), ("EIO", "ENOSPC", "SIGKILL")),
    ("ftruncate", (1, 2), ("EIO", "SIGKILL")),
    ("unlink", (1, 2), ("EIO", "SIGKILL")),
]


@pytest.mark.parametrize(("call", "ks", "hows"), POINTS, ids=[call for call, _, _ in POINTS])
def test_a_start_that_meets_a_fault_leaves_the_store_whole(
    disk: Path, call: str, ks: tuple[int, ...], hows: tuple[str, ...]
) -> None:
    daemon = Daemon(disk / "store", disk / "s", disk / "log", program("small"), SETTINGS)
    with daemon.serving():
        assert work(daemon.socket, disk / "1.jsonl", "1", 20).wait(60) == 0
    fired = 0
    for how in hows:
        for k in ks:
            injection = f"signal={how}" if how.startswith("SIG") else f"error={how}"
            trace = disk / "trace"
            # -D: the daemon is the child, and the tracer its grandchild, so that its own exit status is seen.
            under = ["strace", "-D", "-f", "-qqq", "-o", str(trace), "-e", f"trace={call}"]
            daemon.begin([*under, "-e", f"inject={call}:{injection}:when={k}"])
            wait_until(lambda: daemon.ended is not None or daemon.answers(), 60, "it answers or ends")
            daemon.process.terminate()
            ended = daemon.process.wait(60)
            assert ended in ENDS, daemon.said()[-2000:]
            fired += ended == -signal.SIGKILL or "INJECTED" in trace.read_text(errors="replace")
            (disk / "s.failures").unlink(missing_ok=True)  # each start is to be one that writes
            found, unreadable = read_store(disk / "store", disk / "look")
            assert [*unreadable, *faults(read_logs([disk / "1.jsonl"]), found)] == [], (call, how, k)
    assert fired
    with daemon.serving():
        assert work(daemon.socket, disk / "2.jsonl", "2", 10).wait(60) == 0
    found, unreadable = read_store(disk / "store", disk / "look")
    assert [*unreadable, *faults(read_logs([disk / "1.jsonl", disk / "2.jsonl"]), found)] == []
