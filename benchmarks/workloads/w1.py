"""W1, small durable states: one client that saves one after the other, then 64 clients at once."""

from contextlib import closing
from dataclasses import dataclass
from threading import Barrier

from benchmarks.clients import in_client, in_clients
from benchmarks.peers.interface import Peer
from benchmarks.states import small_state
from benchmarks.timing import max_ms, now, p50_ms, p99_ms, repeated
from benchmarks.workloads.interface import Column, Figures, Workload, shortened

WARM_UP = 3
CLIENTS = 64
SAVES_ALONE = 2000
SAVES_EACH = 200
LOADS = 300


@dataclass(frozen=True)
class Saved:
    """What one client did, on the clock that all processes share."""

    begin: float
    end: float
    latencies: list[float]


def save_all(peer: Peer, clients: int, saves: int) -> list[Saved]:
    """`clients` processes that make `saves` each at the same time; also what is profiled."""

    def client(index: int, barrier: Barrier) -> Saved:
        key = _key(clients, index)
        states = [small_state(key, version) for version in range(WARM_UP + saves)]
        latencies = []
        with closing(peer.session()) as session:
            for version in range(WARM_UP):
                session.save(key, version, states[version])
            barrier.wait()
            begin = previous = now()
            for version in range(WARM_UP, WARM_UP + saves):
                session.save(key, version, states[version])
                end = now()
                latencies.append(end - previous)
                previous = end
        return Saved(begin, previous, latencies)

    return in_clients(clients, client)


def _key(clients: int, index: int) -> str:
    return f"of-{clients}-{index:02d}"


def _figures(prefix: str, clients: list[Saved]) -> Figures:
    latencies = [latency for client in clients for latency in client.latencies]
    seconds = max(client.end for client in clients) - min(client.begin for client in clients)
    return {
        f"{prefix}_saves_s": len(latencies) / seconds,
        f"{prefix}_p50_ms": p50_ms(latencies),
        f"{prefix}_p99_ms": p99_ms(latencies),
        f"{prefix}_max_ms": max_ms(latencies),
    }


def _load(peer: Peer, key: str, newest: int) -> Figures:
    with closing(peer.session()) as session:
        wrong = session.load(key) != small_state(key, newest)
        latencies = repeated(lambda: session.load(key), LOADS)
    return {"load_p50_ms": p50_ms(latencies), "wrong": wrong}


def measure(peer: Peer, scale: float) -> Figures:
    """One client alone, 64 at once, and the load of the newest state in a process that saved nothing."""
    alone = shortened(SAVES_ALONE, scale)
    return {
        **_figures("one", save_all(peer, 1, alone)),
        **_figures("many", save_all(peer, CLIENTS, shortened(SAVES_EACH, scale))),
        **in_client(lambda: _load(peer, _key(1, 0), WARM_UP + alone - 1)),
    }


W1 = Workload(
    name="w1",
    title="W1: a small state, durable when the call returns",
    definition=(
        f"A dict of about 1.3 KB. One client process makes {SAVES_ALONE:,} saves one after the other; then {CLIENTS} client "
        f"processes make {SAVES_EACH} each at the same time, each under its own key; then a fresh process loads the newest state."
    ),
    measure=measure,
    columns=(
        Column("one_saves_s", "1 client, saves/s", ratio=True),
        Column("one_p50_ms", "p50 ms"),
        Column("one_p99_ms", "p99 ms", ratio=True),
        Column("one_max_ms", "max ms"),
        Column("many_saves_s", f"{CLIENTS} clients, saves/s", ratio=True),
        Column("many_p50_ms", "p50 ms"),
        Column("many_p99_ms", "p99 ms", ratio=True),
        Column("many_max_ms", "max ms"),
        Column("load_p50_ms", "load p50 ms", ratio=True),
    ),
    zero=("wrong",),
)
