"""The programs that run beside the daemon in the instance: a worker that keeps saving, one that waits to die, questions.

    worker.py save PROCESS LOG      save and note what was acknowledged, synced, until standard input ends
    worker.py hold PROCESS          become the holder of a process, say so, and wait for the end of standard input
    worker.py who                   how the daemon names us
    worker.py show PROCESS          a process and its checkpoints
    worker.py deaths PROCESS        when its workers' deaths were noticed

An answer is one JSON document. It imports nothing of the tests: the instance has only what is installed.
"""

import json
import os
import select
import sys
import time
from collections.abc import Callable
from typing import Any

from ckptclient import calls
from ckptclient.calls import Call
from ckptclient.results import Registered
from ckptclient.sync import Client
from ckptclient.wire.params import ListCheckpoints, PartData, Save

SOCKET = "/run/ckptd/ckptd.sock"
STATE_BYTES = 6000
"""More than what is kept inside the catalog: the packs are used too."""


def say(value: object) -> None:
    print(json.dumps(value), flush=True)


def hold(client: Client, process_id: str) -> Registered:
    """Register, and attach again after each loss of the connection."""
    registered = client.call(calls.register(process_id))

    def attach(call: Callable[[Call[Any]], Any]) -> None:
        call(calls.attach(registered.token))

    client.on_reconnect(attach)
    return registered


def told_to_end() -> bool:
    return bool(select.select([sys.stdin], [], [], 0)[0])


def save(client: Client, process_id: str, path: str) -> None:
    """Save again and again; a line of the log is written after the acknowledgement, and is on disk before the next."""
    registered = hold(client, process_id)
    number = 0
    with open(path, "a", encoding="ascii") as log:
        while not told_to_end():
            state = PartData(name="state", form=b"\x80", data=number.to_bytes(8, "big") + os.urandom(STATE_BYTES))
            began = time.monotonic()
            saved = client.call(calls.save(Save(request=calls.UNNUMBERED, token=registered.token, parts=(state,))))
            entry = {"number": number, "checkpoint": saved.checkpoint_id, "seconds": time.monotonic() - began}
            log.write(json.dumps(entry) + "\n")
            log.flush()
            os.fsync(log.fileno())
            if not number:
                say({"epoch": registered.epoch, "pid": os.getpid()})
            number += 1
    say({"saved": number, "state": client.call(calls.end(registered.token, "paused"))})


def main(verb: str, *arguments: str) -> None:
    with Client(SOCKET) as client:
        match verb, arguments:
            case "save", (process_id, path):
                save(client, process_id, path)
            case "hold", (process_id,):
                say({"epoch": hold(client, process_id).epoch, "pid": os.getpid()})
                sys.stdin.read()
            case "who", ():
                client.call(calls.ping())
                assert client.welcome is not None
                say({"uid": client.welcome.uid, "role": client.welcome.role, "daemon": client.welcome.pid})
            case "show", (process_id,):
                say(shown(client, process_id))
            case "deaths", (process_id,):
                events = client.call(calls.events(process_id=process_id)).events
                say([{"at": one.at} for one in events if one.kind == "interrupted"])
            case _:
                raise SystemExit(f"worker: not known: {verb} {arguments}")


def shown(client: Client, process_id: str) -> dict[str, object]:
    process = client.call(calls.show(process_id))
    found: dict[str, int] = {}
    after: int | None = None
    while True:
        page = client.call(calls.checkpoints(ListCheckpoints(process_id=process_id, after=after)))
        for one in page.checkpoints:
            head = client.call(calls.read_part(one.checkpoint_id, 0, 0, 8))
            found[one.checkpoint_id] = int.from_bytes(head, "big")
        after = page.next
        if after is None:
            break
    return {"state": process.state, "epoch": process.epoch, "deaths": process.deaths, "checkpoints": found}


if __name__ == "__main__":
    main(*sys.argv[1:])
