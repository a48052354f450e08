"""The tier that kills: SIGKILL of the daemon, a worker or both at random moments, over and over. Needs no right.

SIGKILL leaves the page cache as it is, so that this says nothing of power cuts; it says that nothing is answered before
it is committed, nothing is applied twice, and that what a start finds is put in order.
"""

import random
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from time import sleep

from ckptd.ctl.selftest.reading import read_store
from ckptd.ctl.selftest.running import Daemon, wait_until
from ckptd.ctl.selftest.truth import faults, read_logs

WORKERS = 3
PROCESSES = ("alpha", "beta", "gamma")
VICTIMS = ("daemon", "worker", "both")

POINTS_OF_A_STORE = 25
"""After so many a new store begins: each look reads the whole of it."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a tier found. `what` is what it counted, in words; `wrong` a sentence for each thing that does not hold."""

    tier: str
    points: int
    acknowledged: int
    what: str
    wrong: Sequence[str] = ()
    skipped: str | None = None


def work(socket: Path, log: Path, seed: str, acts: int = 0) -> "subprocess.Popen[bytes]":
    """Start a worker; see `work`."""
    arguments = [str(socket), str(log), seed, str(acts), *PROCESSES]
    command = [sys.executable, "-m", "ckptd.ctl.selftest.work", *arguments]
    return subprocess.Popen(command, stdin=subprocess.DEVNULL)


@contextmanager
def working(socket: Path, logs: Path, seed: str) -> Iterator[Sequence["subprocess.Popen[bytes]"]]:
    """Workers that have begun; at the end of the block they are told to stop, and waited for."""
    logs.mkdir(exist_ok=True)
    paths = [logs / f"{seed}-{number}.jsonl" for number in range(WORKERS)]
    workers = [work(socket, path, f"{seed}-{number}") for number, path in enumerate(paths)]
    try:
        wait_until(lambda: all(path.exists() and path.stat().st_size for path in paths), 30, "the workers begin")
        yield workers
    finally:
        for worker in workers:
            worker.terminate()
        for worker in workers:
            worker.wait(60)


def kill_tier(
    directory: Path,
    points: int,
    seed: int,
    told: Callable[[int], object],
    program: Sequence[str] = ("-m", "ckptd"),
) -> Verdict:
    """So many kills over stores in `directory`; `told` hears how many are done. Ends at the first that finds a fault."""
    drawn, earlier, acknowledged = random.Random(seed), 0, 0
    for number in range(points):
        place = directory / f"kill-{number // POINTS_OF_A_STORE}"
        if number % POINTS_OF_A_STORE == 0:
            place.mkdir()
            earlier += acknowledged
        daemon = Daemon(place / "store", _socket(directory), place / "daemon.log", program)
        victim = drawn.choice(VICTIMS)
        _point(daemon, place / "logs", f"{seed}-{number}", victim, drawn.uniform(0.02, 0.4))
        asked = read_logs(sorted((place / "logs").iterdir()))
        acknowledged = len(asked.acknowledged)
        found, unreadable = read_store(place / "store", place / "look")
        wrong = [*unreadable, *faults(asked, found)]
        told(number + 1)
        if wrong:
            return Verdict("kill", number + 1, earlier + acknowledged, _WHAT, wrong)
    return Verdict("kill", points, earlier + acknowledged, _WHAT)


_WHAT = "kills"


def _point(daemon: Daemon, logs: Path, seed: str, victim: str, after_seconds: float) -> None:
    daemon.start()
    with working(daemon.socket, logs, seed) as workers:
        sleep(after_seconds)
        if victim in ("worker", "both"):
            workers[0].kill()
        if victim in ("daemon", "both"):
            daemon.kill()
            daemon.start()
        sleep(0.1)
    daemon.kill()  # what was acknowledged a moment ago has had no other chance to reach the disk


def _socket(directory: Path) -> Path:
    """A short name: a socket's path has 108 bytes."""
    return directory / "s"
