"""W2, a state that evolves: 50 versions of 1 MB, all of them kept; what they take, and what a save and a load cost."""

import copy
import time
from contextlib import closing

from benchmarks.clients import in_client
from benchmarks.machine import allocated_bytes
from benchmarks.peers.interface import Peer
from benchmarks.states import evolving_states
from benchmarks.timing import now, p50_ms, p99_ms, repeated, timed
from benchmarks.workloads.interface import Column, Figures, Workload, shortened

RECORDS = 5000
VERSIONS = 50
LOADS = 20
KEY = "batch"
SETTLE_SECONDS = 5.0
"""How long after the last save the disk is looked at: what a store does in the background by then, counts."""


def _drive(peer: Peer, versions: int, settle_seconds: float) -> Figures:
    empty = allocated_bytes(peer.place.store)
    blocked, durable, kept = [], [], {}
    looked_at = {0, versions // 2, versions - 1}
    with closing(peer.session()) as session:
        for version, state in enumerate(evolving_states(versions, RECORDS)):
            begin = now()
            wait = session.begin(KEY, version, state)
            blocked.append(now() - begin)
            wait()
            durable.append(now() - begin)
            if version in looked_at:
                kept[version] = copy.deepcopy(state)
        time.sleep(settle_seconds)
        disk_bytes = allocated_bytes(peer.place.store) - empty
        wrong = sum(session.load(KEY, version) != state for version, state in kept.items())
        newest = repeated(lambda: session.load(KEY), LOADS, within_seconds=10.0)
        each = [timed(lambda v=version: session.load(KEY, v)) for version in range(versions)]  # type: ignore[misc]
    return {
        "blocked_p50_ms": p50_ms(blocked[1:]),
        "save_p50_ms": p50_ms(durable[1:]),
        "save_p99_ms": p99_ms(durable[1:]),
        "first_save_ms": durable[0] * 1e3,
        "load_p50_ms": p50_ms(newest),
        "load_any_p50_ms": p50_ms(each),
        "load_any_max_ms": max(each) * 1e3,
        "disk_mb": disk_bytes / 1e6,
        "wrong": wrong,
    }


def measure(peer: Peer, scale: float) -> Figures:
    """One client process."""
    return in_client(lambda: _drive(peer, shortened(VERSIONS, scale, least=3), SETTLE_SECONDS * scale))


W2 = Workload(
    name="w2",
    title="W2: a state that evolves",
    definition=(
        f"{RECORDS:,} records, about 1 MB; in each of {VERSIONS - 1} further versions 2 % of the records were changed in place and 1 % "
        "appended. All versions stay restorable. *Blocked* is the time until the caller may go on and change its state, *save* the "
        "time until the version is durable (the first one left out). Disk is the growth of the store in allocated blocks, logs "
        f"included, {SETTLE_SECONDS:.0f} s after the last save. Then the newest is loaded {LOADS} times, and every version once, oldest first."
    ),
    measure=measure,
    columns=(
        Column("blocked_p50_ms", "blocked, p50 ms", ratio=True),
        Column("save_p50_ms", "save, p50 ms", ratio=True),
        Column("save_p99_ms", "p99 ms"),
        Column("first_save_ms", "first, ms"),
        Column("load_p50_ms", "load newest, p50 ms", ratio=True),
        Column("load_any_p50_ms", "load any, p50 ms", ratio=True),
        Column("load_any_max_ms", "max ms", ratio=True),
        Column("disk_mb", "disk, MB", ratio=True),
    ),
    history=True,
    keepers=True,
    zero=("wrong",),
)
