"""`python -m benchmarks profile`: where the time of W1 goes, in the client, the daemon's event loop and its committer.

First processor time by thread without a profiler, which is what counts; then functions under cProfile, which makes every
call dearer by about a microsecond: its figures tell where to look, and not how long it takes.
"""

import cProfile
import pstats
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from benchmarks.clients import in_client
from benchmarks.isolated import measure
from benchmarks.peers.ckptd import Ckptd, daemon
from benchmarks.peers.interface import SUBJECT, Place
from benchmarks.profiled import COMMITTER, LOOP
from benchmarks.states import small_state
from benchmarks.workloads.interface import shortened
from benchmarks.workloads.w1 import CLIENTS, SAVES_EACH, WARM_UP, save_all

SAVES_ALONE = 2000
LINES = 22
IDLE = ("runners.py", "'poll' of 'select.poll'", "'get' of '_queue.SimpleQueue'", "'acquire' of '_thread.lock'")
"""What a thread waits in (uvloop's own work cannot be told from it): shown at the end, because little is done there."""


@contextmanager
def _place(data: Path) -> Iterator[Place]:
    home = Path(tempfile.mkdtemp(prefix="profile-", dir=data))
    try:
        (home / "store").mkdir()
        (home / "scratch").mkdir()
        yield Place(home / "store", home / "scratch", history=False)
    finally:
        shutil.rmtree(home)


def profile(data: Path, scale: float) -> Iterator[str]:
    """The report, line by line."""
    yield "processor time, us a save:"
    for name, value in measure("cpu", SUBJECT, data, scale).items():
        yield f"  {name.removesuffix('_us').replace('_', ' '):<16}{value:8.1f}"
    yield from _client(data, shortened(SAVES_ALONE, scale))
    for thread in (LOOP, COMMITTER):
        yield from _daemon(data, thread, shortened(SAVES_EACH, scale))


def _client(data: Path, saves: int) -> Iterator[str]:
    with _place(data) as place:
        peer = Ckptd(place)
        file = place.scratch / "client.prof"

        def drive() -> None:
            states = [small_state("profile", version) for version in range(WARM_UP + saves)]
            profiler = cProfile.Profile()
            with closing(peer.session()) as session:
                for version in range(WARM_UP):
                    session.save("profile", version, states[version])
                with profiler:
                    for version in range(WARM_UP, WARM_UP + saves):
                        session.save("profile", version, states[version])
            profiler.dump_stats(file)

        peer.start()
        try:
            in_client(drive)
        finally:
            if peer.server is not None:
                peer.server.stop()
        yield from shown(f"one client's main thread, {saves:,} saves", file, saves)


def _daemon(data: Path, thread: str, saves: int) -> Iterator[str]:
    with _place(data) as place:
        peer = Ckptd(place)
        file = place.scratch / "daemon.prof"
        peer.server = daemon(place, ("benchmarks.profiled", thread, str(file)))
        peer.server.start()
        try:
            save_all(peer, CLIENTS, saves)
        finally:
            peer.server.stop()
        count = CLIENTS * (saves + WARM_UP)
        yield from shown(f"the daemon's {thread} thread, {count:,} saves by {CLIENTS} clients", file, count)


def shown(title: str, file: Path, count: int) -> Iterator[str]:
    """The functions that take most time by themselves, each divided by the number of saves."""
    rows = []
    for (path, line, name), (_, calls, own, with_called, _) in pstats.Stats(str(file)).stats.items():  # type: ignore[attr-defined]
        where = name if path == "~" else f"{'/'.join(Path(path).parts[-2:])}:{line} {name}"
        rows.append((any(word in where for word in IDLE), -own, with_called, calls, where))
    rows.sort()
    work = -sum(row[1] for row in rows if not row[0])
    yield ""
    yield f"{title}: {work / count * 1e6:.1f} us a save under cProfile, without waiting"
    yield f"{'own us':>8}{'with called':>13}{'calls':>8}  function"
    waits = [row for row in rows if row[0]][:3]
    for _, own, with_called, calls, where in [*(row for row in rows if not row[0])][:LINES] + waits:
        yield f"{-own / count * 1e6:8.2f}{with_called / count * 1e6:13.2f}{calls / count:8.2f}  {where}"
