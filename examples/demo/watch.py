"""What an operator would see meanwhile: the daemon's process table, asked for again and again on a thread."""

import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Self

from ckptclient import CkptdError, Client, calls
from ckptclient.results import ProcessInfo

EVERY_SECONDS = 0.1
AGAIN_SECONDS = 0.02


@dataclass(frozen=True, slots=True)
class Seen:
    """The table at one moment, by process id; times are those of the monotonic clock."""

    asked_at: float = 0.0
    answered_at: float = 0.0
    answers: bool = False
    processes: Mapping[str, ProcessInfo] = field(default_factory=dict)


class Watch:
    """Asks until it is left; `seen` is always the last answer."""

    def __init__(self, socket: str) -> None:
        self.seen = Seen()
        self._socket = socket
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, name="watch")

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def _run(self) -> None:
        with Client(self._socket, on_unavailable="raise", timeout=5.0) as client:
            while not self._over.is_set():
                asked_at = time.monotonic()
                try:
                    page = client.call(calls.processes(task_id="demo"))
                except CkptdError:
                    old = self.seen
                    self.seen = Seen(old.asked_at, old.answered_at, False, old.processes)
                    self._over.wait(AGAIN_SECONDS)
                else:
                    table = {one.process_id: one for one in page.processes}
                    self.seen = Seen(asked_at, time.monotonic(), True, table)
                    self._over.wait(EVERY_SECONDS)
