"""Small saves beside large ones: hashing and compressing 1 MB states in the daemon must not hold up who saves 1 KB."""

import random
from contextlib import closing
from dataclasses import dataclass
from threading import Barrier

from benchmarks.clients import in_clients
from benchmarks.peers.interface import Peer
from benchmarks.states import SEED, State, small_state, text
from benchmarks.timing import now, p50_ms, p99_ms
from benchmarks.workloads.interface import Column, Figures, Workload

SMALL_CLIENTS = 8
LARGE_CLIENTS = 2
LARGE_BYTES = 1_000_000
SECONDS = 10.0


@dataclass(frozen=True)
class Saver:
    """What one client did."""

    large: bool
    latencies: list[float]


def large_state(key: str) -> tuple[State, bytearray]:
    """A state of which half compresses, and its noise, to be changed in place between two saves."""
    rng = random.Random(f"{SEED}:{key}")
    noise = bytearray(rng.randbytes(LARGE_BYTES // 2))
    return {"noise": noise, "prose": text(rng, LARGE_BYTES // 2)}, noise


def _savers(peer: Peer, small: int, large: int, seconds: float) -> list[Saver]:
    def client(index: int, barrier: Barrier) -> Saver:
        is_large = index >= small
        key = f"convoy-{small}-{large}-{index}"
        state, noise = large_state(key) if is_large else (small_state(key, 0), bytearray(1))
        latencies = []
        version = 0
        with closing(peer.session()) as session:
            session.save(key, version, state)
            barrier.wait()
            end = now() + seconds
            while (begin := now()) < end:
                version += 1
                noise[version % len(noise)] ^= 0xFF
                session.save(key, version, state)
                latencies.append(now() - begin)
        return Saver(is_large, latencies)

    return in_clients(small + large, client)


def _figures(prefix: str, savers: list[Saver], seconds: float) -> Figures:
    small = [latency for saver in savers if not saver.large for latency in saver.latencies]
    large = [latency for saver in savers if saver.large for latency in saver.latencies]
    figures: Figures = {}
    if small:
        figures |= {
            f"{prefix}_small_saves_s": len(small) / seconds,
            f"{prefix}_small_p50_ms": p50_ms(small),
            f"{prefix}_small_p99_ms": p99_ms(small),
        }
    if large:
        figures |= {f"{prefix}_large_saves_s": len(large) / seconds, f"{prefix}_large_p50_ms": p50_ms(large)}
    return figures


def measure(peer: Peer, scale: float) -> Figures:
    """Each kind alone, then both."""
    seconds = max(0.3, SECONDS * scale)
    return {
        **_figures("alone", _savers(peer, SMALL_CLIENTS, 0, seconds), seconds),
        **_figures("alone", _savers(peer, 0, LARGE_CLIENTS, seconds), seconds),
        **_figures("both", _savers(peer, SMALL_CLIENTS, LARGE_CLIENTS, seconds), seconds),
    }


CONVOY = Workload(
    name="convoy",
    title="Small saves beside large ones",
    definition=(
        f"{SMALL_CLIENTS} clients save W1 states, and {LARGE_CLIENTS} save states of 1 MB, half of it noise, of which one byte changes "
        f"each time; each kind alone for {SECONDS:.0f} s, then both together. All are durable when the call returns."
    ),
    measure=measure,
    columns=(
        Column("alone_small_saves_s", "small alone, saves/s"),
        Column("alone_small_p50_ms", "p50 ms"),
        Column("alone_small_p99_ms", "p99 ms"),
        Column("alone_large_saves_s", "large alone, saves/s"),
        Column("alone_large_p50_ms", "p50 ms"),
        Column("both_small_saves_s", "both: small, saves/s"),
        Column("both_small_p50_ms", "p50 ms"),
        Column("both_small_p99_ms", "p99 ms"),
        Column("both_large_saves_s", "large, saves/s"),
        Column("both_large_p50_ms", "p50 ms"),
    ),
    subject_only=True,
)
