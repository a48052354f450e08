"""The programs that run beside the daemon in the instance: a worker that keeps saving, one that waits to die, questions.

    worker.py save PROCESS LOG      save and note what was acknowledged, synced, until standard input ends
    worker.py hold PROCESS          hold a process, say so, and wait for the end of standard input
    worker.py who                   how the daemon names us
    worker.py show PROCESS          a process, and the states in its checkpoints
    worker.py deaths PROCESS        when its workers' deaths were noticed, and how they ended

An answer is one JSON document. It imports nothing of the tests: the instance has only what is installed. The daemon is
found as any worker finds it, and no private one is started in its place.
"""

import json
import os
import select
import sys
from collections.abc import Callable

from ckptclient import CheckpointManager, Client, calls

STATE_BYTES = 6000
"""More than what is kept inside the catalog: the packs are used too."""

SOCKET = "/run/ckptd/ckptd.sock"


def say(value: object) -> None:
    print(json.dumps(value), flush=True)


def told_to_end() -> bool:
    return bool(select.select([sys.stdin], [], [], 0)[0])


def save(process_id: str, path: str) -> None:
    """Save again and again; a line of the log is written after the acknowledgement, and is on disk before the next."""
    number = 0
    with (
        CheckpointManager() as manager,
        manager.process(process_id) as process,
        open(path, "a", encoding="ascii") as log,
    ):
        while not told_to_end():
            saved = process.save({"number": number, "bulk": os.urandom(STATE_BYTES)})
            saved.wait("disk", timeout=60)
            log.write(json.dumps({"number": number, "checkpoint": saved.checkpoint_id}) + "\n")
            log.flush()
            os.fsync(log.fileno())
            if not number:
                say({"epoch": process.epoch})
            number += 1
    say({"saved": number})


def hold(process_id: str) -> None:
    with CheckpointManager() as manager, manager.process(process_id):
        say({"pid": os.getpid()})
        sys.stdin.read()


def who(client: Client) -> dict[str, object]:
    client.call(calls.ping())
    welcome = client.welcome
    assert welcome is not None
    return {"uid": welcome.uid, "role": welcome.role, "daemon": welcome.pid}


def show(client: Client, process_id: str) -> dict[str, object]:
    process = client.call(calls.show(process_id))
    states: dict[str, int] = {}
    with CheckpointManager() as manager:
        for metadata in manager.list_checkpoints(process_id):
            _, state = manager.load_checkpoint(metadata.checkpoint_id)
            if "number" in state:  # leaving the block makes one that holds progress alone
                states[metadata.checkpoint_id] = state["number"]
    return {"state": process.state, "epoch": process.epoch, "deaths": process.deaths, "checkpoints": states}


def deaths(client: Client, process_id: str) -> list[dict[str, object]]:
    events = client.call(calls.events(process_id=process_id)).events
    return [{"at": one.at, **one.data} for one in events if one.kind == "interrupted"]


QUESTIONS: dict[str, Callable[..., object]] = {"who": who, "show": show, "deaths": deaths}


def main(verb: str, *arguments: str) -> None:
    match verb:
        case "save":
            save(*arguments)
        case "hold":
            hold(*arguments)
        case _:
            with Client(SOCKET) as client:
                say(QUESTIONS[verb](client, *arguments))


if __name__ == "__main__":
    os.environ["CKPTD_AUTOSTART"] = "0"
    main(*sys.argv[1:])
