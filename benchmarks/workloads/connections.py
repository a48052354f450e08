"""Many connections: 1,000 that are idle, and 200 that save beside them."""

import asyncio
import resource
from contextlib import ExitStack
from dataclasses import dataclass
from threading import Barrier

from benchmarks.clients import FORK, START_SECONDS, in_clients
from benchmarks.machine import resident_bytes
from benchmarks.peers.ckptd import socket_of
from benchmarks.peers.interface import Peer
from benchmarks.states import small_state
from benchmarks.timing import now, p50_ms, p99_ms
from benchmarks.workloads.interface import Column, Figures, Workload, shortened
from ckptclient import calls
from ckptclient.aio import AsyncClient
from ckptclient.payload import encode
from ckptclient.process import stored
from ckptclient.sync import Client
from ckptclient.wire import params

IDLE = 1000
ACTIVE = 200
PROGRAMS = 4  # that the active ones are spread over: not 200 processes, which would measure the scheduler of two cores
SAVES_EACH = 50


class _Meeting:
    """Where the programs meet at the end, and the daemon's memory at two moments."""

    def __init__(self, programs: int) -> None:
        self.over = FORK.Barrier(programs, timeout=START_SECONDS)
        self.idle_rss = FORK.Value("d", 0.0)
        self.active_rss = FORK.Value("d", 0.0)

    def note_idle(self, peer: Peer) -> None:
        self.idle_rss.value = _resident(peer)

    def note_active(self, peer: Peer) -> None:
        self.active_rss.value = max(self.active_rss.value, _resident(peer))


def _hold_idle(peer: Peer, count: int, meeting: _Meeting, barrier: Barrier) -> None:
    """Connections that said hello and nothing since."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    with ExitStack() as held:
        for _ in range(count):
            held.enter_context(Client(socket_of(peer.place))).call(calls.ping())
        meeting.note_idle(peer)
        barrier.wait()
        meeting.over.wait()


def _resident(peer: Peer) -> float:
    return resident_bytes(peer.server.pid) / 1e6 if peer.server is not None else 0.0


async def _saver(client: AsyncClient, key: str, saves: int, begin: asyncio.Event) -> list[float]:
    registered = await client.call(calls.register(key))
    latencies = []
    await begin.wait()
    for version in range(saves):
        started = now()
        parts = tuple(
            params.PartData(name=part.name, form=part.form, data=part.data)
            for part in stored(encode(small_state(key, version)))
        )
        await client.call(calls.save(params.Save(request=calls.UNNUMBERED, token=registered.token, parts=parts)))
        latencies.append(now() - started)
    return latencies


async def _program(peer: Peer, index: int, connections: int, saves: int, barrier: Barrier) -> "_Saved":
    begin = asyncio.Event()
    clients = [AsyncClient(socket_of(peer.place)) for _ in range(connections)]
    try:
        async with asyncio.TaskGroup() as tasks:
            for client in clients:  # connected one after the other: nothing of this is measured
                await client.call(calls.ping())
            savers = [
                tasks.create_task(_saver(client, f"active-{index}-{number}", saves, begin))
                for number, client in enumerate(clients)
            ]
            await asyncio.to_thread(barrier.wait)
            began = now()
            begin.set()
        return _Saved(began, now(), [latency for saver in savers for latency in saver.result()])
    finally:
        for client in clients:
            await client.close()


@dataclass(frozen=True)
class _Saved:
    """What one program did."""

    begin: float
    end: float
    latencies: list[float]


def measure(peer: Peer, scale: float) -> Figures:
    """One program holds the idle connections, four save."""
    idle, active = shortened(IDLE, scale, least=10), shortened(ACTIVE, max(scale, 0.1), least=PROGRAMS)
    saves = shortened(SAVES_EACH, scale, least=2)
    before = _resident(peer)
    meeting = _Meeting(1 + PROGRAMS)

    def client(index: int, barrier: Barrier) -> _Saved | None:
        if index == 0:
            _hold_idle(peer, idle, meeting, barrier)
            return None
        saved = asyncio.run(_program(peer, index, active // PROGRAMS, saves, barrier))
        meeting.note_active(peer)
        meeting.over.wait()
        return saved

    programs = [saved for saved in in_clients(1 + PROGRAMS, client) if saved is not None]
    latencies = [latency for saved in programs for latency in saved.latencies]
    seconds = max(saved.end for saved in programs) - min(saved.begin for saved in programs)
    return {
        "saves_s": len(latencies) / seconds,
        "p50_ms": p50_ms(latencies),
        "p99_ms": p99_ms(latencies),
        "rss_before_mb": before,
        "rss_idle_mb": meeting.idle_rss.value,
        "rss_active_mb": meeting.active_rss.value,
        "idle_kb_each": (meeting.idle_rss.value - before) * 1e3 / idle,
    }


CONNECTIONS = Workload(
    name="connections",
    title="Many connections",
    definition=(
        f"{IDLE:,} connections that are idle, and {ACTIVE} (in {PROGRAMS} asyncio programs) that make {SAVES_EACH} durable saves of "
        "W1's state each, all at once; the daemon's resident memory before, with the idle ones, and at the end."
    ),
    measure=measure,
    columns=(
        Column("saves_s", "saves/s"),
        Column("p50_ms", "p50 ms"),
        Column("p99_ms", "p99 ms"),
        Column("rss_before_mb", "daemon before, MB"),
        Column("rss_idle_mb", "with the idle, MB"),
        Column("idle_kb_each", "KB each"),
        Column("rss_active_mb", "at the end, MB"),
    ),
    subject_only=True,
)
