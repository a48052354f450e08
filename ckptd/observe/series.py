"""Figures over time in one file of a fixed size: each minute of a day, each quarter of an hour of 90 days.

Two rings of slots. A slot has its own number in time, so that nothing else says which ones count: an old turn of the
ring, a gap, a clock that was set back read as what they are. A checksum makes a slot that was torn by a crash absent.
A minute costs one unsynced write of 72 bytes, and nothing is in memory; what a power cut takes is a minute's figure.
Never a reason not to start: a file of another form is begun anew. Not for: what the figures mean (`core.trends`).
"""

import contextlib
import math
import os
import struct
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import Final

MINUTE_SECONDS = 60
COARSE_MINUTES = 15

COLUMNS: Final = (
    "used_bytes",
    "left_bytes",
    "checkpoints",
    "commit_seconds",
    "loop_lag_seconds",
    "catalog_bytes",
    "score",
)


@dataclass(frozen=True, slots=True)
class Ring:
    """So many slots from `offset` on, each of `minutes`."""

    offset: int
    slots: int
    minutes: int


_HEADER: Final = b"ckptd series 1\n" + ",".join(COLUMNS).encode()
_HEADER_BYTES: Final = 512
_SLOT: Final = struct.Struct(f"<q{len(COLUMNS)}dI4x")
"""Number in time, a value for each column (NaN: not known), CRC-32 of what stands before it."""

FINE: Final = Ring(_HEADER_BYTES, 24 * 60, 1)
COARSE: Final = Ring(FINE.offset + FINE.slots * _SLOT.size, 90 * 24 * 60 // COARSE_MINUTES, COARSE_MINUTES)
FILE_BYTES: Final = COARSE.offset + COARSE.slots * _SLOT.size

assert len(_HEADER) <= _HEADER_BYTES
assert FINE.slots % COARSE_MINUTES == 0

Row = tuple[int, Sequence[float]]
"""Number in time, and the values as they are stored."""


class Series:
    """The file. Blocks on it, so that it is used from a thread that may wait; one at a time."""

    def __init__(self, path: Path) -> None:
        """Open, or begin anew. Raises OSError where neither can be done."""
        self._fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        if os.fstat(self._fd).st_size != FILE_BYTES or os.pread(self._fd, len(_HEADER), 0) != _HEADER:
            os.ftruncate(self._fd, 0)
            os.ftruncate(self._fd, FILE_BYTES)
            # With its room taken now it can be written while the disk is full, when it is most wanted.
            with contextlib.suppress(OSError):
                os.posix_fallocate(self._fd, 0, FILE_BYTES)
            os.pwrite(self._fd, _HEADER, 0)
        self._newest = max((number for number, _ in self._rows(FINE)), default=None)

    def put(self, at_seconds: int, figures: Mapping[str, float]) -> None:
        """The figures of the minute that has this time (seconds UTC); what isn't among them is not known."""
        minute = at_seconds // MINUTE_SECONDS
        before, self._newest = self._newest, minute
        if before is not None and before // COARSE_MINUTES != minute // COARSE_MINUTES:
            self._sum_up(before // COARSE_MINUTES)
        self._write(FINE, minute, [figures.get(name, math.nan) for name in COLUMNS])

    def points(self, now_seconds: int, ring: Ring = FINE) -> Mapping[str, Sequence[tuple[float, float]]]:
        """By column (seconds UTC, value) of each minute of the last day in which it was known, oldest first.

        Of `COARSE` each quarter of an hour of the last 90 days: its mean, at its beginning.
        """
        seconds = ring.minutes * MINUTE_SECONDS
        now = now_seconds // seconds
        rows = sorted(row for row in self._rows(ring) if now - ring.slots < row[0] <= now)
        return {
            name: [
                (float(number * seconds), values[column]) for number, values in rows if not math.isnan(values[column])
            ]
            for column, name in enumerate(COLUMNS)
        }

    def close(self) -> None:
        """Give the file back."""
        os.close(self._fd)

    def _sum_up(self, quarter: int) -> None:
        first = quarter * COARSE_MINUTES
        rows = [
            values
            for number, values in self._rows(FINE, first, COARSE_MINUTES)
            if first <= number < first + COARSE_MINUTES
        ]
        if rows:
            known = ([value for value in column if not math.isnan(value)] for column in zip(*rows, strict=True))
            self._write(COARSE, quarter, [fmean(column) if column else math.nan for column in known])

    def _write(self, ring: Ring, number: int, values: Sequence[float]) -> None:
        packed = _SLOT.pack(number, *values, 0)[:-8]
        slot = packed + struct.pack("<I4x", zlib.crc32(packed))
        os.pwrite(self._fd, slot, ring.offset + number % ring.slots * _SLOT.size)

    def _rows(self, ring: Ring, first: int = 0, count: int | None = None) -> Iterator[Row]:
        """What the slots from that of `first` on hold; they don't run over the ring's end."""
        size = (count or ring.slots) * _SLOT.size
        raw = os.pread(self._fd, size, ring.offset + first % ring.slots * _SLOT.size)
        raw = raw[: len(raw) - len(raw) % _SLOT.size]
        for index, (number, *values, checksum) in enumerate(_SLOT.iter_unpack(raw)):
            begin = index * _SLOT.size
            if number and checksum == zlib.crc32(raw[begin : begin + _SLOT.size - 8]):
                yield number, values
