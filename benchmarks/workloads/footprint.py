"""What ckptd takes when it does nothing: memory, processor, and the time that a worker's program begins later.

Workers are programs that are started often, so theirs is measured in fresh interpreters, each beside a bare one.
"""

import json
import statistics
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

from benchmarks.clients import in_client
from benchmarks.machine import cpu_seconds, resident_bytes
from benchmarks.peers.ckptd import ROOT, socket_of
from benchmarks.peers.interface import Peer
from benchmarks.states import small_state
from benchmarks.workloads.interface import Column, Figures, Workload, shortened

INTERPRETERS = 15
IDLE_SECONDS = 20.0
SETTLE_SECONDS = 1.0

# A program's own words: nothing of the harness is loaded in it.
WATCH = """
import json, sys, time
clock = time.perf_counter
def resident():
    with open("/proc/self/status") as file:
        return next(int(line.split()[1]) * 1024 for line in file if line.startswith("VmRSS:"))
"""
BARE = WATCH + "print(json.dumps({'rss': resident()}))"
WORKER = (
    WATCH
    + """
begin = clock()
import ckptclient
imported = clock()
from ckptclient import CheckpointManager, calls
loaded = clock()
manager = CheckpointManager(socket_path=sys.argv[1])
manager.client.call(calls.ping())
answered = clock()
with manager.process(sys.argv[2]) as process:
    for item in process.track(range(10)):
        pass
with manager.process(sys.argv[2] + "-state") as process:
    process.save({"step": 1, "note": "x" * 1000}).wait()
    print(json.dumps({
        "rss": resident(),
        "import": imported - begin,
        "first_name": loaded - begin,
        "first_call": answered - imported,
        "first_save": clock() - begin,
    }))
manager.close()
"""
)


def _program(text: str, *arguments: object) -> dict[str, float]:
    done = subprocess.run(
        [sys.executable, "-c", text, *map(str, arguments)], cwd=ROOT, capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise RuntimeError(f"a worker's program failed: {done.stderr[-800:]}")
    figures: dict[str, float] = json.loads(done.stdout)
    return figures


def _workers(socket: Path, count: int) -> Figures:
    bare = [_program(BARE) for _ in range(count)]
    workers = [_program(WORKER, socket, f"worker-{number}") for number in range(count)]
    extra = [worker["rss"] - alone["rss"] for worker, alone in zip(workers, bare, strict=True)]
    return {
        "client_extra_mb": statistics.median(extra) / 1e6,
        **_best_and_median("import_ms", [worker["import"] for worker in workers]),
        **_best_and_median("first_call_ms", [worker["first_call"] for worker in workers]),
        **_best_and_median("first_save_ms", [worker["first_save"] for worker in workers]),
    }


def _best_and_median(name: str, seconds: Sequence[float]) -> Figures:
    return {f"{name}_best": min(seconds) * 1e3, f"{name}_median": statistics.median(seconds) * 1e3}


def _idle(peer: Peer, seconds: float) -> Figures:
    """After it has served somebody, who is gone."""
    if peer.server is None:
        raise RuntimeError("the daemon was not started")
    in_client(lambda: _serve_once(peer))
    time.sleep(SETTLE_SECONDS)
    pid = peer.server.pid
    used = cpu_seconds(pid)
    time.sleep(seconds)
    return {
        "idle_cpu_percent": (cpu_seconds(pid) - used) / seconds * 100,
        "idle_rss_mb": resident_bytes(pid) / 1e6,
    }


def _serve_once(peer: Peer) -> None:
    with closing(peer.session()) as session:
        session.save("once", 0, small_state("once", 0))
        session.load("once")


def measure(peer: Peer, scale: float) -> Figures:
    """The idle daemon first, then its clients."""
    return _idle(peer, max(1.0, IDLE_SECONDS * scale)) | _workers(
        socket_of(peer.place), shortened(INTERPRETERS, scale, least=3)
    )


FOOTPRINT = Workload(
    name="footprint",
    title="What it takes to be there",
    definition=(
        f"The daemon {IDLE_SECONDS:.0f} s after it served one client: resident memory, share of a core. Then {INTERPRETERS} fresh "
        "interpreters beside as many bare ones: resident memory beyond the bare one's when a process was held, tracked and saved; "
        "the time of `import ckptclient`; from there to the first answer of the daemon; from the start to the first durable save "
        "(with a loop before it). MB are 10^6 bytes."
    ),
    measure=measure,
    columns=(
        Column("idle_rss_mb", "idle daemon, MB"),
        Column("idle_cpu_percent", "% of a core"),
        Column("client_extra_mb", "client, MB"),
        Column("import_ms_best", "import, best ms"),
        Column("import_ms_median", "median ms"),
        Column("first_call_ms_best", "first answer, best ms"),
        Column("first_call_ms_median", "median ms"),
        Column("first_save_ms_best", "first save, best ms"),
        Column("first_save_ms_median", "median ms"),
    ),
    subject_only=True,
)
