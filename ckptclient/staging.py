"""The worker's end of the staging buffers: large parts are copied into shared memory once; owns the term *laid*.

The daemon makes a buffer and hands it over; it stays mapped here for the next save, because memory that was touched
before takes a copy at a tenth of the time. Parts that are laid stay readable until the save is on disk, so that it can
be repeated to a daemon that lost it. Not for: which parts there are (`payload`), or the order of saves (`process`).
"""

import mmap
import os
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, TypeVar

import msgpack

from ckptclient import calls, clock
from ckptclient.calls import Call
from ckptclient.errors import Unreachable
from ckptclient.results import Staged
from ckptclient.wire import layout, params

if TYPE_CHECKING:
    from ckptclient.payload import Part

T = TypeVar("T")

IDLE_SECONDS = 60.0
"""A buffer that no save has used for so long goes back to the daemon."""
TRIES_MAX = 5
"""So often a buffer is asked for anew because its connection was lost."""


class Caller(Protocol):
    """The part of `sync.Client` that is used here."""

    @property
    def connection(self) -> int:
        """Names the connection that is there."""

    def call(self, call: Call[T]) -> T:
        """Make a call and wait for its answer."""

    def submit(self, call: Call[T]) -> object:
        """Make a call without waiting."""


@dataclass(frozen=True, slots=True)
class Laid:
    """Parts in a staging buffer, as an upload of one connection."""

    upload: int
    connection: int
    plans: tuple[params.PartPlan, ...]
    memory: memoryview
    size_bytes: int

    def views(self) -> list[memoryview]:
        """The bytes of each part."""
        begins, _ = layout.begins(plan.size_bytes for plan in self.plans)
        return [self.memory[at : at + plan.size_bytes] for at, plan in zip(begins, self.plans, strict=True)]


class Staging:
    """The mapped buffers of one client; from any thread."""

    def __init__(self, daemon: Caller) -> None:
        self._daemon = daemon
        self._lock = threading.Lock()
        self._connection = -1
        self._mapped: dict[int, mmap.mmap] = {}
        self._used_at: dict[int, float] = {}

    def lay(self, parts: "Sequence[Part]") -> Laid | None:
        """Copy parts into a staging buffer, one after the other; None where the daemon has none to give."""
        plans = tuple(
            params.PartPlan(
                name=part.name, form=msgpack.packb(dict(part.form)), size_bytes=memoryview(part.data).nbytes
            )
            for part in parts
        )
        return self._lay(plans, [memoryview(part.data).cast("B") for part in parts])

    def again(self, laid: Laid) -> Laid | None:
        """The same parts on the connection that is there now."""
        return self._lay(laid.plans, laid.views())

    def _lay(self, plans: tuple[params.PartPlan, ...], views: Sequence[memoryview]) -> Laid | None:
        begins, size_bytes = layout.begins(plan.size_bytes for plan in plans)
        opened, connection = self._open(plans)
        memory = self._memory(opened, connection)
        if memory is None:
            self._daemon.submit(calls.close_upload(opened.upload, connection))
            return None
        for at, view in zip(begins, views, strict=True):
            memory[at : at + len(view)] = view
        return Laid(opened.upload, connection, plans, memory, size_bytes)

    def _open(self, plans: tuple[params.PartPlan, ...]) -> tuple[Staged, int]:
        for tries in range(TRIES_MAX):
            connection = self._daemon.connection
            try:
                return self._daemon.call(calls.stage_parts(plans, connection)), connection
            except Unreachable as error:
                if "connection" not in error.details or tries == TRIES_MAX - 1:
                    raise
        raise AssertionError("the last try returns or raises")

    def _memory(self, opened: Staged, connection: int) -> memoryview | None:
        with self._lock:
            if connection != self._connection:
                # Buffers end with their connection; what is laid in them stays mapped for as long as it is looked at.
                self._mapped.clear()
                self._used_at.clear()
                self._connection = connection
            for number in opened.dropped:
                self._mapped.pop(number, None)
                self._used_at.pop(number, None)
            if opened.buffer is None:
                return None
            self._used_at[opened.buffer] = clock.monotonic()
            for descriptor in opened.descriptors or ():
                self._mapped[opened.buffer] = _map(descriptor)
            return memoryview(self._mapped[opened.buffer])

    def forget(self) -> None:
        """The connection is closed: unmap what nothing is laid in."""
        self._connection = -1
        self._mapped.clear()
        self._used_at.clear()

    def tidy(self) -> None:
        """Give back what no save has used for a while; doesn't wait for the daemon."""
        with self._lock:
            before = clock.monotonic() - IDLE_SECONDS
            idle = [number for number in self._mapped if self._used_at[number] < before]
            for number in idle:
                del self._mapped[number], self._used_at[number]
            connection = self._connection
        for number in idle:
            self._daemon.submit(calls.release_buffer(number, connection))


def _map(descriptor: int) -> mmap.mmap:
    """Map a buffer whose descriptor is ours, with its pages in place: one by one they would cost five times as much."""
    try:
        os.posix_fallocate(descriptor, 0, os.fstat(descriptor).st_size)
        return mmap.mmap(descriptor, 0, mmap.MAP_SHARED | mmap.MAP_POPULATE)
    finally:
        os.close(descriptor)
