"""The fault sweep: the k-th call of a kind that the committer makes fails, or kills, for every k.

strace is attached to the one thread that commits, because it counts by thread. The worker goes on over the daemon's
death and restart under its old request numbers, as real ones do, until all its acts are done; then everything must be
there, once. A run whose fault did not happen is said to be one.
"""

import shutil
import signal
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from ckptd.ctl.selftest.killing import work
from ckptd.ctl.selftest.reading import read_store
from ckptd.ctl.selftest.replaying import SETTINGS
from ckptd.ctl.selftest.running import Daemon, wait_until
from ckptd.ctl.selftest.truth import faults, read_logs
from tests.faults.broken import COMMITTER, program

CALLS = ("pwrite64", "fdatasync", "fsync", "openat", "unlink", "ftruncate", "fallocate", "mkdir", "rename")
HOWS = ("EIO", "ENOSPC", "SIGKILL")

ACTS = 24
ENDS = {"EIO": (74,), "ENOSPC": (74,), "SIGKILL": (-signal.SIGKILL,)}
"""How a daemon may end by a fault; or it refuses and lives."""


@dataclass(frozen=True, slots=True)
class Fault:
    """What happens at which call."""

    call: str
    k: int
    how: str

    @property
    def injection(self) -> str:
        what = f"signal={self.how}" if self.how.startswith("SIG") else f"error={self.how}"
        return f"inject={self.call}:{what}:when={self.k}"


@dataclass(frozen=True, slots=True)
class Run:
    """One run: whether its fault happened, how the daemon ended by it (None: it lived), what is wrong after it."""

    fault: Fault
    fired: bool
    ended: int | None
    wrong: Sequence[str]


class Sweep:
    """Runs below a directory; `variants` are those of `broken`."""

    def __init__(self, directory: Path, seed: int, *variants: str, by: str = "by_thread") -> None:
        """`by` says which thread commits, and is traced: `by_thread` or `by_loop`."""
        self._directory = directory
        self._seed = seed
        self._by = by
        self._program = program(by, "small", *variants)

    def counts(self) -> dict[str, int]:
        """How often the committer makes each call in a run without a fault."""
        log = self._directory / "count"
        run = self._run(["-e", f"trace={','.join(CALLS)}", "-o", str(log)], None)
        assert not run.wrong, run.wrong
        lines = [line.split("(")[0].split()[-1] for line in log.read_text(errors="replace").splitlines() if "(" in line]
        # The loop opens other files too, to know a peer or to read: what fails there is told to who asked.
        calls = CALLS if self._by == "by_thread" else tuple(call for call in CALLS if call != "openat")
        return {call: lines.count(call) for call in calls if call in lines}

    def faults(self, every: int = 1) -> Iterator[Fault]:
        """Each k of each call, each way; or every so-many-th, another one for each call and way."""
        counts = self.counts()
        index = 0
        for how in HOWS:
            for call, count in counts.items():
                for k in range(1, count + 1):
                    index += 1
                    if index % every == 0:
                        yield Fault(call, k, how)

    def run(self, fault: Fault) -> Run:
        """One run with one fault."""
        log = self._directory / "strace"
        log.unlink(missing_ok=True)
        return self._run(["-e", f"trace={fault.call}", "-e", fault.injection, "-o", str(log)], fault)

    def _run(self, options: Sequence[str], fault: Fault | None) -> Run:
        place = self._directory / "run"
        shutil.rmtree(place, ignore_errors=True)
        place.mkdir()
        daemon = Daemon(place / "store", place / "s", place / "log", self._program, SETTINGS)
        daemon.start()
        tracer = self._attach(daemon, options)
        worker = work(daemon.socket, place / "notes.jsonl", str(self._seed), ACTS)
        ended = None
        try:
            wait_until(
                lambda: worker.poll() is not None or daemon.ended is not None, 60, "the worker or the daemon ends"
            )
            if daemon.ended is not None:
                ended = daemon.ended
                tracer.wait(30)
                daemon.start()
            unexpected = ["the worker met something that it didn't expect"] if worker.wait(60) else []
        finally:
            worker.kill()
            worker.wait()
            daemon.kill()
            tracer.terminate()
            tracer.wait(30)
        found, unreadable = read_store(place / "store", place / "look")
        wrong = [*unexpected, *unreadable, *faults(read_logs([place / "notes.jsonl"]), found)]
        return Run(fault or Fault("", 0, ""), self._fired(fault, ended), ended, wrong)

    def _fired(self, fault: Fault | None, ended: int | None) -> bool:
        if fault is None:
            return False
        if fault.how == "SIGKILL":
            return ended == -signal.SIGKILL
        return "INJECTED" in (self._directory / "strace").read_text(errors="replace")

    def _attach(self, daemon: Daemon, options: Sequence[str]) -> "subprocess.Popen[bytes]":
        thread = str(daemon.process.pid)
        if self._by == "by_thread":
            names = Path(f"/proc/{thread}/task").glob("*/comm")
            thread = next(path.parent.name for path in names if path.read_text().strip() == COMMITTER)
        tracer = subprocess.Popen(["strace", "-p", thread, "-e", "signal=none", *options], stderr=subprocess.DEVNULL)
        status = Path(f"/proc/{daemon.process.pid}/task/{thread}/status")
        wait_until(lambda: "TracerPid:\t0\n" not in status.read_text(), 30, "strace is attached")
        return tracer
