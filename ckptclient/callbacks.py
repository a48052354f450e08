"""The application's callbacks, on a thread of their own: never in a save, and what one raises harms nothing.

A callback may be a function or a coroutine function; coroutines run one after the other in a loop of that thread.
"""

import threading
from collections import deque
from collections.abc import Awaitable, Callable
from typing import TypeAlias

from ckptclient.config import CheckpointMetadata
from ckptclient.errors import BadRequest

Callback: TypeAlias = Callable[[str, str, CheckpointMetadata], Awaitable[object] | object]
"""`callback(checkpoint_id, event_type, metadata)`"""


class Callbacks:
    """Callbacks by event type, and the events that they have not been told of."""

    def __init__(self) -> None:
        self._by_event: dict[str, list[Callback]] = {}
        self._events: deque[tuple[str, str, CheckpointMetadata]] = deque()
        self._changed = threading.Condition()
        self._busy = False
        self._thread: threading.Thread | None = None

    def add(self, event_type: str, callback: Callback) -> None:
        """Have a callback told of each event of a type."""
        if not callable(callback):
            raise BadRequest("a callback must be callable", hint="pass a function or a coroutine function")
        self._by_event.setdefault(event_type, []).append(callback)

    def wants(self, event_type: str) -> bool:
        """Whether anybody listens."""
        return event_type in self._by_event

    def happened(self, checkpoint_id: str, event_type: str, metadata: CheckpointMetadata) -> None:
        """Tell of an event, soon and elsewhere."""
        with self._changed:
            self._events.append((checkpoint_id, event_type, metadata))
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="ckptclient-callbacks", daemon=True)
                self._thread.start()

    def join(self, timeout: float = 10.0) -> bool:
        """Wait until all that happened was told; False where that took too long."""
        if threading.current_thread() is self._thread:
            return True
        with self._changed:
            return self._changed.wait_for(lambda: not self._events and not self._busy, timeout)

    def forked(self) -> None:
        """In a forked child: the parent tells of what happened in it."""
        self._events.clear()
        self._changed, self._busy, self._thread = threading.Condition(), False, None

    def _run(self) -> None:
        while True:
            with self._changed:
                self._busy = False
                if not self._events:  # nothing keeps the thread: the next event starts another
                    self._thread = None
                    self._changed.notify_all()
                    return
                self._busy = True
                event = self._events.popleft()
            for callback in tuple(self._by_event.get(event[1], ())):
                self._call(callback, *event)

    def _call(self, callback: Callback, checkpoint_id: str, event_type: str, metadata: CheckpointMetadata) -> None:
        try:
            answer = callback(checkpoint_id, event_type, metadata)
            if isinstance(answer, Awaitable):
                import asyncio  # 20 ms that only coroutines cost

                asyncio.run(_wait(answer))
        except Exception:  # the application's own, on a thread where nobody else would hear of it
            import logging

            logging.getLogger("ckptclient").exception("a callback for %r failed", event_type)


async def _wait(answer: Awaitable[object]) -> None:
    await answer
