"""The result journal at different lengths: what an append costs, reading back, and finding out what is done."""

import statistics
from collections.abc import Callable

import msgpack

from benchmarks.clients import in_client
from benchmarks.peers.ckptd import socket_of
from benchmarks.peers.interface import Peer
from benchmarks.timing import now, timed
from benchmarks.workloads.interface import Column, Figures, Workload
from ckptclient import calls
from ckptclient.results import Appended
from ckptclient.sync import Client
from ckptclient.wire import params

LENGTHS = (0, 100_000, 1_000_000)
BATCH = 1000
SAMPLES = 50
SMALL_BATCH = 50
PAGE = 1000
RESULT: bytes = msgpack.packb({"label": "positive", "score": 0.875})

Rows = Callable[[int, int], tuple[params.Record, ...]]


def _ordinal_rows(first: int, count: int) -> tuple[params.Record, ...]:
    """Items of a sequence with places, as `track(range(n))` records them."""
    return tuple(
        params.Record(kind=0, ordinal=place, item=msgpack.packb(place), result=RESULT)
        for place in range(first, first + count)
    )


def _keyed_rows(first: int, count: int) -> tuple[params.Record, ...]:
    """Items that are known by a key, as a file name is."""
    return tuple(
        params.Record(kind=0, ordinal=-1, item=msgpack.packb(f"shard-{number:08d}.parquet"), result=RESULT)
        for number in range(first, first + count)
    )


class _Journal:
    """One process and how far its journal is."""

    def __init__(self, client: Client, name: str, rows: Rows) -> None:
        self.client = client
        self.name = name
        self.rows = rows
        self.count = 0
        self.token = client.call(calls.register(name)).token

    def append(self, count: int) -> Appended:
        appended = self.client.call(calls.append(self.token, self.rows(self.count, count)))
        self.count += count
        return appended

    def fill(self, length: int) -> None:
        while self.count < length:
            self.append(min(BATCH, length - self.count))

    def append_us(self) -> float:
        """Microseconds an item, in batches as they come from a loop that takes a millisecond an item."""
        samples = [timed(lambda: self.append(SMALL_BATCH)) for _ in range(SAMPLES)]
        return statistics.median(samples) / SMALL_BATCH * 1e6

    def read(self) -> int:
        count, after = 0, -1
        while True:
            page = self.client.call(calls.records(self.name, after=after, limit=PAGE))
            count += len(page.records)
            if page.next is None:
                return count
            after = page.next

    def done_places(self) -> int:
        return int.from_bytes(self.client.call(calls.ordinals(self.token)).done, "little").bit_count()

    def done_keys(self) -> int:
        count, after = 0, b""
        while True:
            page = self.client.call(calls.digests(self.token, after=after))
            count += len(page.digests) // 16
            if page.next is None:
                return count
            after = page.next


def _measured(journal: _Journal, scale: float, done: Callable[[], int]) -> Figures:
    figures: Figures = {}
    begin, filled = now(), 0.0
    for length in LENGTHS:
        begin = now()
        journal.fill(int(length * scale))
        filled += now() - begin
        figures[f"append_{length}_us"] = journal.append_us()
    begin = now()
    read = journal.read()
    figures["read_rows_s"] = read / (now() - begin)
    begin = now()
    found = done()
    figures["done_ms"] = (now() - begin) * 1e3
    return figures | {"fill_rows_s": journal.count / filled, "wrong": (read, found) != (journal.count, journal.count)}


def _drive(peer: Peer, scale: float) -> Figures:
    with Client(socket_of(peer.place)) as client:
        ordinal = _Journal(client, "ordinal", _ordinal_rows)
        keyed = _Journal(client, "keyed", _keyed_rows)
        by_place = _measured(ordinal, scale, ordinal.done_places)
        by_key = _measured(keyed, scale, keyed.done_keys)
    return {f"ordinal_{name}": value for name, value in by_place.items()} | {
        f"keyed_{name}": value for name, value in by_key.items()
    }


def measure(peer: Peer, scale: float) -> Figures:
    """One client process."""
    return in_client(lambda: _drive(peer, scale))


def _columns(kind: str) -> tuple[Column, ...]:
    appends = (Column(f"{kind}_append_{length}_us", f"at {length:,}, us") for length in LENGTHS)
    return (
        Column(f"{kind}_fill_rows_s", f"{kind}: fill, items/s"),
        *appends,
        Column(f"{kind}_read_rows_s", "read, items/s"),
        Column(f"{kind}_done_ms", "what is done, ms"),
    )


JOURNAL = Workload(
    name="journal",
    title="The result journal",
    definition=(
        f"Two processes, one whose items have places and one whose items are known by a key, each filled to {LENGTHS[-1]:,} items with "
        f"a small result in batches of {BATCH:,}. At {', '.join(f'{length:,}' for length in LENGTHS)} items: the durable append of "
        f"{SMALL_BATCH} more, in microseconds an item. At the end: reading all back in pages of {PAGE:,}, and asking which are done."
    ),
    measure=measure,
    columns=(*_columns("ordinal"), *_columns("keyed")),
    subject_only=True,
    zero=("ordinal_wrong", "keyed_wrong"),
)
