"""Reading the result journal back; owns the term *result*.

Pages of it are read as they are asked for, so that a million results take the memory of a page. Not for: writing it
(`loop`, `outbox`).
"""

from collections.abc import Iterator, Sequence
from datetime import datetime
from itertools import islice
from typing import NamedTuple, overload

from ckptclient import calls
from ckptclient.config import moment
from ckptclient.errors import NotFound
from ckptclient.payload import decode_value
from ckptclient.results import RecordInfo

from .daemon import Daemon

DONE, FAILED = 0, 1


class Result(NamedTuple):
    """One item's end: its value where it was done, its error where it failed.

    `item` is the item where it is known by its place, else its key; None where it was too long to be kept (64 KiB).
    """

    item: object
    value: object
    error: str | None
    at: datetime


def results(daemon: Daemon, process_id: str) -> Iterator[Result]:
    """All results in journal order, without what was set aside; raises `UnknownProcess`."""
    for record in records(daemon, process_id):
        value = decode_value(record.result) if record.result is not None else None
        item = decode_value(record.item) if record.item else None
        if record.kind == FAILED:
            yield Result(item, None, value if isinstance(value, str) else repr(value), moment(record.at))
        else:
            yield Result(item, value, None, moment(record.at))


def records(daemon: Daemon, process_id: str, *, failed_only: bool = False) -> Iterator[RecordInfo]:
    """The journal's records, page by page."""
    after: int | None = -1
    while after is not None:
        page = daemon.call(calls.records(process_id, after=after, failed_only=failed_only))
        yield from page.records
        after = page.next


class JournalItems(Sequence[object]):
    """The done, or the failed, items of a process as a sequence that is read when it is looked at."""

    def __init__(self, daemon: Daemon, process_id: str, kind: int) -> None:
        self._daemon = daemon
        self._process_id = process_id
        self._kind = kind

    def __len__(self) -> int:
        try:
            journal = self._daemon.call(calls.show(self._process_id)).journal
        except NotFound:
            return 0
        return journal.failed if self._kind == FAILED else journal.done

    def __iter__(self) -> Iterator[object]:
        for record in records(self._daemon, self._process_id, failed_only=self._kind == FAILED):
            if record.kind == self._kind:
                yield decode_value(record.item) if record.item else None

    @overload
    def __getitem__(self, index: int) -> object: ...
    @overload
    def __getitem__(self, index: slice) -> list[object]: ...
    def __getitem__(self, index: int | slice) -> object:
        if isinstance(index, slice):
            return list(self)[index]
        if index < 0:
            return list(self)[index]
        for item in islice(self, index, None):
            return item
        raise IndexError("the journal has no such item")

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Sequence) and list(self) == list(other)

    __hash__ = None  # type: ignore[assignment]  # it changes, as a list does

    def __deepcopy__(self, _memo: object) -> list[object]:
        return list(self)

    def __repr__(self) -> str:
        return f"<{'failed' if self._kind == FAILED else 'done'} items of {self._process_id}>"
