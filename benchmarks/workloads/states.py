"""States of a middling size: 100 KB, saved and loaded whole."""

import random
from contextlib import closing

from benchmarks.clients import in_client
from benchmarks.machine import allocated_bytes
from benchmarks.peers.interface import Peer
from benchmarks.states import SEED, State, text
from benchmarks.timing import now, p50_ms, p99_ms, repeated, timed
from benchmarks.workloads.interface import Column, Figures, Workload, shortened

STATE_BYTES = 100_000
RECORD_BYTES = 1000
SAVES = 500
LOADS = 200
KEY = "middling"


def middling_state(version: int) -> State:
    """A hundred records of prose; between two versions one of ten has changed."""
    records = {}
    for number in range(STATE_BYTES // RECORD_BYTES):
        changed_in = (version - number) // 10 * 10 + number  # each record has its turn
        records[f"record-{number:03d}"] = text(random.Random(f"{SEED}:{number}:{changed_in}"), RECORD_BYTES)
    return {"step": version, "records": records}


def _drive(peer: Peer, saves: int) -> Figures:
    states = [middling_state(version) for version in range(saves)]
    before = allocated_bytes(peer.place.store)
    with closing(peer.session()) as session:
        begin = now()
        latencies = [timed(lambda v=v, s=s: session.save(KEY, v, s)) for v, s in enumerate(states)]  # type: ignore[misc]
        seconds = now() - begin
        return {
            "saves_s": saves / seconds,
            "save_p50_ms": p50_ms(latencies),
            "save_p99_ms": p99_ms(latencies),
            "wrong": session.load(KEY) != states[-1],
            "load_p50_ms": p50_ms(repeated(lambda: session.load(KEY), LOADS)),
            "disk_mb": (allocated_bytes(peer.place.store) - before) / 1e6,
        }


def measure(peer: Peer, scale: float) -> Figures:
    """One client process."""
    return in_client(lambda: _drive(peer, shortened(SAVES, scale, least=3)))


STATES = Workload(
    name="states",
    title="States of 100 KB",
    definition=(
        f"{SAVES} versions of a state of {STATE_BYTES // 1000} KB of prose in {STATE_BYTES // RECORD_BYTES} records, of which one in ten "
        "changes from version to version, all kept; then the newest is loaded. One client process. Disk is the growth of the store."
    ),
    measure=measure,
    columns=(
        Column("saves_s", "saves/s", ratio=True),
        Column("save_p50_ms", "save p50 ms"),
        Column("save_p99_ms", "p99 ms", ratio=True),
        Column("load_p50_ms", "load p50 ms", ratio=True),
        Column("disk_mb", "disk, MB", ratio=True),
    ),
    history=True,
    zero=("wrong",),
)
