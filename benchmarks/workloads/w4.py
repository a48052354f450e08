"""W4, many tiny checkpoints: 100,000 states kept, found, listed and expired, and a saver who must not notice the last."""

import random
import time
from contextlib import closing
from dataclasses import dataclass, field
from multiprocessing.synchronize import Event
from threading import Barrier

from benchmarks.clients import FORK, in_clients
from benchmarks.machine import allocated_bytes
from benchmarks.peers.interface import Peer, Session
from benchmarks.states import SEED, small_state, tiny_key, tiny_states
from benchmarks.timing import now, p50_ms, p99_ms, repeated, timed
from benchmarks.workloads.interface import Column, Figures, Workload, shortened

KEYS = 1000
VERSIONS = 100
NEWEST = 100
BESIDE = "beside"
BESIDE_VERSION = 1_000_000  # above all that is expired
PAUSE_SECONDS = 0.005
CALM_SECONDS = 2.0


@dataclass(frozen=True)
class Signals:
    """What the driver tells the saver beside it: when to begin, and when the expiry begins and is over."""

    calm: Event = field(default_factory=FORK.Event)
    expiring: Event = field(default_factory=FORK.Event)
    over: Event = field(default_factory=FORK.Event)

    def end(self) -> None:
        """Let the saver go, however far the driver came."""
        self.over.set()
        self.calm.set()


def _fill(session: Session, versions: int) -> float:
    begin = now()
    for key, version, state in tiny_states(KEYS, versions):
        session.save(key, version, state, brief=version < versions // 2)
    return now() - begin


def _drive(peer: Peer, versions: int, signals: Signals) -> Figures:
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
            "latest_one_p50_ms": p50_ms(one),
            "latest_all_p50_ms": p50_ms(repeated(session.latest_all, 15)),
            "newest_100_p50_ms": p50_ms(newest),
            "newest_100_p99_ms": p99_ms(newest),
            "disk_full_mb": disk_mb(),
        }
        signals.calm.set()
        time.sleep(CALM_SECONDS)
        signals.expiring.set()
        begin = now()
        expired = session.expire(versions // 2)
        figures["expire_half_s"] = now() - begin
        signals.end()
        wrong = (*found, expired) != (versions - 1, KEYS, NEWEST, KEYS * (versions // 2))
        return figures | {
            "wrong": wrong,
            "disk_expired_mb": disk_mb(),
            "compact_s": timed(session.compact),
            "disk_compacted_mb": disk_mb(),
        }


def _save_beside(peer: Peer, signals: Signals) -> Figures:
    """Small states at a steady pace, before and during the expiry; a save counts for the time in which it ended."""
    calm: list[float] = []
    during: list[float] = []
    version = BESIDE_VERSION
    signals.calm.wait()
    with closing(peer.session()) as session:
        while not signals.over.is_set():
            state = small_state(BESIDE, version)
            begin = now()
            session.save(BESIDE, version, state)
            (during if signals.expiring.is_set() else calm).append(now() - begin)
            version += 1
            time.sleep(PAUSE_SECONDS)
    before, then = p99_ms(calm or [0.0]), p99_ms(during or calm or [0.0])
    return {"beside_calm_p99_ms": before, "beside_p99_ms": then, "beside_delay_ms": then - before}


def measure(peer: Peer, scale: float) -> Figures:
    """One client process does it all, another saves beside it at the end."""
    signals = Signals()

    def client(index: int, barrier: Barrier) -> Figures:
        barrier.wait()
        if index:
            return _save_beside(peer, signals)
        try:
            return _drive(peer, shortened(VERSIONS, scale, least=2), signals)
        finally:
            signals.end()

    driven, beside = in_clients(2, client)
    return driven | beside


W4 = Workload(
    name="w4",
    title="W4: 100,000 tiny checkpoints",
    definition=(
        f"{VERSIONS} versions of {KEYS:,} keys, a state of about 50 bytes each, every one saved durably by one process, one after the "
        f"other. Then: the newest version of one key, of every key, the {NEWEST} newest of all keys; half of them are expired "
        "(versions 0 to 49 of every key, in one call); disk before, after, and after the peer's own compaction. *Beside* is a "
        "second process that saves a W1 state every 5 ms, for two seconds before the expiry and for as long as it lasts."
    ),
    measure=measure,
    columns=(
        Column("fill_saves_s", "fill, saves/s", ratio=True),
        Column("latest_one_p50_ms", "latest of one, p50 ms", ratio=True),
        Column("latest_all_p50_ms", "latest of all, p50 ms", ratio=True),
        Column("newest_100_p50_ms", "newest 100, p50 ms", ratio=True),
        Column("newest_100_p99_ms", "p99 ms"),
        Column("expire_half_s", "expire half, s", ratio=True),
        Column("beside_calm_p99_ms", "beside before, p99 ms"),
        Column("beside_p99_ms", "meanwhile, p99 ms"),
        Column("disk_full_mb", "disk full, MB", ratio=True),
        Column("disk_expired_mb", "expired, MB"),
        Column("disk_compacted_mb", "compacted, MB"),
    ),
    history=True,
    zero=("wrong",),
)
