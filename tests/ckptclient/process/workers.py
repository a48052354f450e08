"""Programs that a test starts, kills and starts again: each is a worker of the daemon that `CKPTD_SOCKET` names.

Run as `python -m tests.ckptclient.process.workers NAME ARGUMENT...`; what a test is to see of a run goes to a file,
because its process may not outlive the next line.
"""

import os
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ckptclient.manager import CheckpointManager


def say(path: str, words: object) -> None:
    """Append a line that is there whatever happens next."""
    with Path(path).open("a") as file:
        file.write(f"{words}\n")


def die() -> None:
    """As the kernel's out-of-memory killer does."""
    os.kill(os.getpid(), signal.SIGKILL)


def hang() -> None:
    """Be there, and do nothing, until somebody kills it."""
    signal.pause()


def items(process_id: str, seen: str, count: str, dies_at: str) -> None:
    """A loop without a state, which dies with an item in hand."""
    with CheckpointManager().process(process_id) as process:
        for item in process.track(range(int(count)), flush="item"):
            say(seen, item)
            if item == int(dies_at):
                die()
            process.record(item, item * item)


def keyed(process_id: str, seen: str, count: str, dies_at: str) -> None:
    """The same over a generator."""
    with CheckpointManager().process(process_id) as process:
        for item in process.track((f"name-{n}" for n in range(int(count))), flush="item"):
            say(seen, item)
            if item == f"name-{dies_at}":
                die()
            process.record(item, item.upper())


def stateful(process_id: str, seen: str, count: str, dies_after: str, save_every: str) -> None:
    """A running sum and a running product modulo a prime as state, results from the state; dies after so many turns."""
    state: dict[str, Any] = {}
    turns = 0
    with CheckpointManager().process(process_id, checkpoint_interval=3600.0, checkpoint_progress=0.0) as process:
        loop = process.track(range(int(count)), state=state)
        say(seen, f"resumed {process.state.completed_steps} {sorted(state.items())}")
        for item in loop:
            state["sum"] = state.get("sum", 0) + item
            state["product"] = state.get("product", 1) * (item + 2) % 1_000_003
            process.record(item, [state["sum"], state["product"]])
            turns += 1
            if turns % int(save_every) == 0:
                process.save(state).wait()
            if turns == int(dies_after):
                process.flush()
                die()
        say(seen, f"finished {sorted(state.items())}")


def holds(process_id: str, seen: str) -> None:
    """Hold a process and wait to be killed."""
    process = CheckpointManager().process(process_id, total_steps=10)
    process.advance(3, step="holding")
    process.flush()
    say(seen, f"epoch {process.epoch}")
    hang()


def slow(process_id: str, seen: str, count: str) -> None:
    """A loop that takes its time, for a SIGTERM or a restart of the daemon in the middle."""
    with CheckpointManager().process(process_id) as process:
        for item in process.track(range(int(count))):
            process.record(item, item)
            say(seen, item)
            time.sleep(0.01)  # noqa: TID251 - the work
    say(seen, f"ended {process.ended_as}")


def poison(process_id: str, seen: str, count: str, bad: str) -> None:
    """An item that kills its worker from inside."""
    with CheckpointManager().process(process_id) as process:
        for item in process.track(range(int(count))):
            say(seen, item)
            if item == int(bad):
                os.abort()


WORKERS: dict[str, Callable[..., None]] = {one.__name__: one for one in (items, keyed, stateful, holds, slow, poison)}

if __name__ == "__main__":
    WORKERS[sys.argv[1]](*sys.argv[2:])
