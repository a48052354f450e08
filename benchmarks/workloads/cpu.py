"""Processor time for one durable save of W1: of the client, of the server, and of ckptd's threads.

What a save costs when nobody waits for anything. It tells more than a rate where the disk, or others on the machine,
decide how fast a round is; with both sides of the socket on the same cores, it is also what bounds the rate.
"""

import threading
import time
from contextlib import closing
from dataclasses import dataclass

from benchmarks.clients import FORK, START_SECONDS, in_clients
from benchmarks.machine import thread_cpu_seconds, tree_cpu_seconds
from benchmarks.peers.interface import SUBJECT, Peer
from benchmarks.states import small_state
from benchmarks.workloads.interface import Column, Figures, Workload, shortened

WARM_UP = 3
CLIENTS = 64
SAVES_ALONE = 4000
SAVES_EACH = 200


@dataclass(frozen=True)
class Used:
    """Processor seconds so far: of the server with all that it started, and of its threads."""

    server: float
    threads: dict[int, float]

    def since(self, before: "Used") -> "Used":
        """What was used in between; a thread that wasn't there before began at 0."""
        threads = {thread: seconds - before.threads.get(thread, 0.0) for thread, seconds in self.threads.items()}
        return Used(self.server - before.server, threads)


def _used(peer: Peer) -> Used:
    if peer.server is None:
        return Used(0.0, {})
    pid = peer.server.pid
    return Used(tree_cpu_seconds(pid), thread_cpu_seconds(pid) if peer.name == SUBJECT else {})


def _saving(peer: Peer, clients: int, saves: int) -> Figures:
    """The first client looks at the server before anybody begins and after everybody has ended, all still connected."""
    done = FORK.Barrier(clients, timeout=START_SECONDS)

    def client(index: int, barrier: threading.Barrier) -> tuple[float, Used]:
        key = f"cpu-{clients}-{index}"
        states = [small_state(key, version) for version in range(WARM_UP + saves)]
        before = Used(0.0, {})
        with closing(peer.session()) as session:
            for version in range(WARM_UP):
                session.save(key, version, states[version])
            if index == 0:
                before = _used(peer)
            barrier.wait()
            own = time.process_time()
            for version in range(WARM_UP, WARM_UP + saves):
                session.save(key, version, states[version])
            own = time.process_time() - own
            done.wait()
            used = _used(peer).since(before) if index == 0 else before
            done.wait()
        return own, used

    outcomes = in_clients(clients, client)
    count = clients * saves
    per_save = 1e6 / count
    used = outcomes[0][1]
    return {
        "client": sum(own for own, _ in outcomes) * per_save,
        "server": used.server * per_save,
        **({name: seconds * per_save for name, seconds in _by_role(peer, used.threads).items()}),
    }


def _by_role(peer: Peer, threads: dict[int, float]) -> dict[str, float]:
    """ckptd's first thread runs the event loop; of the others only the committer has much to do with small saves."""
    if peer.server is None or not threads:
        return {}
    loop = threads[peer.server.pid]
    others = sorted((seconds for thread, seconds in threads.items() if thread != peer.server.pid), reverse=True)
    return {"loop": loop, "committer": others[0] if others else 0.0, "rest": sum(others[1:])}


def measure(peer: Peer, scale: float) -> Figures:
    """One client, then 64."""
    one = _saving(peer, 1, shortened(SAVES_ALONE, scale))
    many = _saving(peer, CLIENTS, shortened(SAVES_EACH, scale))
    return {f"one_{name}_us": value for name, value in one.items()} | {
        f"many_{name}_us": value for name, value in many.items()
    }


CPU = Workload(
    name="cpu",
    title="Processor time of a small save",
    definition=(
        f"W1's saves again ({SAVES_ALONE:,} by one client, {SAVES_EACH} by each of {CLIENTS}), measured as processor time, user and "
        "system, in microseconds a save: of the client processes, of the server with every process that it forked, and of the "
        "daemon's event loop and committer. Peers without a server do all the work in the client."
    ),
    measure=measure,
    columns=(
        Column("one_client_us", "1 client: client", ratio=True),
        Column("one_server_us", "server", ratio=True),
        Column("one_loop_us", "loop"),
        Column("one_committer_us", "committer"),
        Column("many_client_us", f"{CLIENTS} clients: client", ratio=True),
        Column("many_server_us", "server", ratio=True),
        Column("many_loop_us", "loop"),
        Column("many_committer_us", "committer"),
        Column("many_rest_us", "other threads"),
    ),
)
