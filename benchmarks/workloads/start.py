"""How long the daemon takes to begin: on an empty store, on one with 100,000 checkpoints, and after it was killed."""

from collections import deque

from benchmarks.clients import in_client
from benchmarks.machine import resident_bytes
from benchmarks.peers.ckptd import socket_of
from benchmarks.peers.interface import Peer
from benchmarks.states import tiny_states
from benchmarks.timing import p50_ms
from benchmarks.workloads.interface import Column, Figures, Workload, shortened
from ckptclient import calls
from ckptclient.payload import encode
from ckptclient.process import stored
from ckptclient.results import SavedInfo
from ckptclient.sync import Client, Pending
from ckptclient.wire import params

CHECKPOINTS = 100_000
KEYS = 1000
IN_FLIGHT = 60
STARTS = 5


def _save(client: Client, key: str, state: object) -> Pending[SavedInfo]:
    parts = tuple(params.PartData(name=p.name, form=p.form, data=p.data) for p in stored(encode(state)))
    request = params.Save(request=calls.UNNUMBERED, process_id=key, task_id="bench", type="custom", parts=parts)
    return client.submit(calls.save(request))


def _fill(peer: Peer, versions: int) -> None:
    """As W4 fills it, but with many saves in flight, because nothing is measured here."""
    flying: deque[Pending[SavedInfo]] = deque()
    with Client(socket_of(peer.place)) as client:
        for key, _, state in tiny_states(KEYS, versions):
            flying.append(_save(client, key, state))
            if len(flying) == IN_FLIGHT:
                flying.popleft().result()
        for one in flying:
            one.result()


def measure(peer: Peer, scale: float) -> Figures:
    """Stops and kills the daemon of the peer several times, and leaves it running."""
    server = peer.server
    if server is None:
        raise RuntimeError("the daemon was not started")

    def starts(end: str) -> list[float]:
        seconds = []
        for _ in range(STARTS):
            (server.kill if end == "kill" else server.stop)()
            seconds.append(server.start())
        return seconds

    empty = starts("stop")
    versions = shortened(CHECKPOINTS // KEYS, scale)
    in_client(lambda: _fill(peer, versions))
    full, killed = starts("stop"), starts("kill")
    return {
        "empty_p50_ms": p50_ms(empty),
        "full_p50_ms": p50_ms(full),
        "full_best_ms": min(full) * 1e3,
        "killed_p50_ms": p50_ms(killed),
        "rss_mb": resident_bytes(server.pid) / 1e6,
    }


START = Workload(
    name="start",
    title="Starting the daemon",
    definition=(
        f"From the start of the program until it answers a client: on an empty store, on one with {CHECKPOINTS:,} tiny checkpoints "
        f"of {KEYS:,} processes after an orderly stop, and on the same after kill -9; the median of {STARTS} each. Interpreter and "
        "imports are part of it."
    ),
    measure=measure,
    columns=(
        Column("empty_p50_ms", "empty, ms"),
        Column("full_p50_ms", f"{CHECKPOINTS:,} checkpoints, ms"),
        Column("full_best_ms", "best ms"),
        Column("killed_p50_ms", "after a kill, ms"),
        Column("rss_mb", "then resident, MB"),
    ),
    subject_only=True,
)
