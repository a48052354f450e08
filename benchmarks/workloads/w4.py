"""W4, many tiny checkpoints: 100,000 states kept, found, listed and expired."""

import random
from contextlib import closing

from benchmarks.clients import in_client
from benchmarks.machine import allocated_bytes
from benchmarks.peers.interface import Peer, Session
from benchmarks.states import SEED, tiny_key, tiny_states
from benchmarks.timing import now, p50_ms, p99_ms, repeated, timed
from benchmarks.workloads.interface import Column, Figures, Workload

KEYS = 1000
VERSIONS = 100
NEWEST = 100


def _fill(session: Session, versions: int) -> float:
    begin = now()
    for key, version, state in tiny_states(KEYS, versions):
        session.save(key, version, state, brief=version < versions // 2)
    return now() - begin


def _drive(peer: Peer, versions: int) -> Figures:
    rng = random.Random(SEED)
    empty = allocated_bytes(peer.place.store)

    def disk_mb() -> float:
        return (allocated_bytes(peer.place.store) - empty) / 1e6

    with closing(peer.session()) as session:
        figures = {"fill_saves_s": KEYS * versions / _fill(session, versions)}
        found = session.latest(tiny_key(KEYS // 2)), session.latest_all(), session.newest(NEWEST)
        one = repeated(lambda: session.latest(tiny_key(rng.randrange(KEYS))), 300)
        newest = repeated(lambda: session.newest(NEWEST), 50)
        figures |= {
            "wrong": found != (versions - 1, KEYS, NEWEST),
            "latest_one_p50_ms": p50_ms(one),
            "latest_all_p50_ms": p50_ms(repeated(session.latest_all, 15)),
            "newest_100_p50_ms": p50_ms(newest),
            "newest_100_p99_ms": p99_ms(newest),
            "disk_full_mb": disk_mb(),
            "expire_half_s": timed(lambda: session.expire(versions // 2)),
            "disk_expired_mb": disk_mb(),
            "compact_s": timed(session.compact),
            "disk_compacted_mb": disk_mb(),
        }
    return figures


def measure(peer: Peer, scale: float) -> Figures:
    """One client process does it all."""
    return in_client(lambda: _drive(peer, int(VERSIONS * scale)))


W4 = Workload(
    name="w4",
    title="W4: 100,000 tiny checkpoints",
    definition=(
        f"{VERSIONS} versions of {KEYS:,} keys, a state of about 50 bytes each, every one saved durably by one process, one after the "
        f"other. Then: the newest version of one key, of every key, the {NEWEST} newest of all keys; half of them are expired "
        "(versions 0 to 49 of every key, in one call); disk before, after, and after the peer's own compaction."
    ),
    measure=measure,
    columns=(
        Column("fill_saves_s", "fill, saves/s", ratio=True),
        Column("latest_one_p50_ms", "latest of one, p50 ms", ratio=True),
        Column("latest_all_p50_ms", "latest of all, p50 ms", ratio=True),
        Column("newest_100_p50_ms", "newest 100, p50 ms", ratio=True),
        Column("newest_100_p99_ms", "p99 ms"),
        Column("expire_half_s", "expire half, s", ratio=True),
        Column("disk_full_mb", "disk full, MB", ratio=True),
        Column("disk_expired_mb", "expired, MB"),
        Column("disk_compacted_mb", "compacted, MB"),
    ),
    history=True,
    zero=("wrong",),
)
