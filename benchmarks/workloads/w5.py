"""W5, sudden death: kill -9 of the server, or of the writer where there is no server, in the middle of saving.

The page cache survives the death of a process, so this can't see a missing fsync; it sees what was acknowledged too early
by the program itself, and what can't be read afterwards.
"""

import os
import random
import struct
import time
from contextlib import closing

from benchmarks.clients import FORK, in_client
from benchmarks.peers.interface import Peer
from benchmarks.states import SEED, State, small_state
from benchmarks.timing import max_ms, now, p50_ms
from benchmarks.workloads.interface import Column, Figures, Workload, shortened

KILLS = 50
KEY = "crash"
SAVING_SECONDS = (0.005, 0.15)  # between the first acknowledgement and the kill
FAREWELL_SECONDS = 0.05  # for a writer to report the last answer that it got before its server died
ACKNOWLEDGED = struct.Struct("<q")


def _write(peer: Peer, first: int, pipe: int) -> None:
    with closing(peer.session()) as session:
        version = first
        while True:
            session.save(KEY, version, small_state(KEY, version))
            os.write(pipe, ACKNOWLEDGED.pack(version))
            version += 1


def _kill_while_saving(peer: Peer, first: int, saving_seconds: float) -> int:
    """The last version that was acknowledged, counting from `first`, before the kill."""
    readable, writable = os.pipe()
    writer = FORK.Process(target=_write, args=(peer, first, writable), daemon=True)
    writer.start()
    os.close(writable)
    acknowledged = os.read(readable, ACKNOWLEDGED.size)
    time.sleep(saving_seconds)
    if peer.server is not None:
        peer.server.kill()
        writer.join(FAREWELL_SECONDS)
    writer.kill()
    while more := os.read(readable, 1 << 16):
        acknowledged += more
    os.close(readable)
    writer.join()
    if not acknowledged:
        raise RuntimeError("the writer ended before its first save was acknowledged")
    return int(ACKNOWLEDGED.unpack(acknowledged[-ACKNOWLEDGED.size :])[0])


def _newest(peer: Peer) -> State:
    with closing(peer.session()) as session:
        return session.load(KEY)


def _loaded_version(peer: Peer) -> int | None:
    """The version that a load gives, or None where it gives nothing that was ever saved."""
    try:
        state = in_client(lambda: _newest(peer))
    except Exception as error:  # noqa: BLE001 - whatever a peer raises, its state could not be read
        print(f"{peer.name}: unreadable: {error!r}", flush=True)
        return None
    version = int(state["step"])
    return version if state == small_state(KEY, version) else None


def measure(peer: Peer, scale: float) -> Figures:
    """Kill, restart, load, and compare with what was acknowledged; the times are from the kill's end to readiness."""
    rng = random.Random(SEED)
    kills = shortened(KILLS, scale)
    acknowledged = lost = unreadable = first = 0
    ready = []
    for _ in range(kills):
        last = _kill_while_saving(peer, first, rng.uniform(*SAVING_SECONDS))
        acknowledged += last - first + 1
        begin = now()
        if peer.server is not None:
            peer.server.start()
        ready.append(now() - begin)
        loaded = _loaded_version(peer)
        if loaded is None:
            unreadable += 1
        else:
            lost += max(0, last - loaded)
        first = last + 2  # version last + 1 may be there: saved, and not acknowledged
    return {
        "kills": kills,
        "acked": acknowledged,
        "acked_lost": lost,
        "unreadable": unreadable,
        "ready_p50_ms": p50_ms(ready),
        "ready_max_ms": max_ms(ready),
    }


W5 = Workload(
    name="w5",
    title="W5: kill -9 while saving",
    definition=(
        f"{KILLS} times, SIGKILL at a random moment while one process saves W1's states: of the server where there is one, else of "
        "the writer. Then the server is started again and the newest state is loaded in a fresh process. *Lost* are acknowledged "
        "saves newer than the state that was loaded; *unreadable* are loads that failed or gave a state that was never saved."
    ),
    measure=measure,
    columns=(
        Column("kills", "kills"),
        Column("acked", "acknowledged saves"),
        Column("acked_lost", "lost"),
        Column("unreadable", "unreadable"),
        Column("ready_p50_ms", "serves again, p50 ms"),
        Column("ready_max_ms", "max ms"),
    ),
    zero=("acked_lost", "unreadable"),
)
