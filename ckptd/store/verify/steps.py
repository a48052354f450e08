"""A whole store in slices, for who asks now: the catalog's file, what it counts, what it lists, and then every pack.

A slice says where the next one begins, and nothing else is remembered between them: whoever asks keeps the place, may
stop, and may go on after a restart of the daemon.
"""

import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from ckptclient.errors import Damaged
from ckptd.store.catalog.interface import CatalogReader
from ckptd.store.verify import lists
from ckptd.store.verify.findings import Finding
from ckptd.store.verify.packs import PackCheck

Cursor = tuple[int, int, int]
"""Where a slice begins: the stage, a key in it, an offset."""

FROM_START: Final[Cursor] = (0, 0, 0)

_NO_ROWS: Final = (TypeError, ValueError, LookupError, struct.error)

STAGES: Final = ("catalog", "references", "bodies", "checkpoints", "packs")


@dataclass(frozen=True, slots=True)
class Step:
    """One slice: which stage it was of, what is wrong, what it read of packs, and where to go on (None: nowhere)."""

    stage: str
    findings: Sequence[Finding]
    read_bytes: int
    next: Cursor | None


class Verifier:
    """Steps through a store. `check_file` looks over the catalog's file, `packs` at one slice of a pack."""

    def __init__(self, check_file: Callable[[], Sequence[str]], packs: PackCheck) -> None:
        self._check_file = check_file
        self._packs = packs

    def step(self, catalog: CatalogReader, cursor: Cursor) -> Step:
        """One slice. What of the catalog can't be read is a finding too, and the look goes on behind it."""
        stage = STAGES[cursor[0]]
        following = (cursor[0] + 1, 0, 0) if cursor[0] + 1 < len(STAGES) else None
        try:
            findings, read_bytes, key, offset = self._stage(catalog, stage, cursor[1], cursor[2])
        except Damaged as damage:
            return Step(stage, [Finding(damage.message)], 0, following)
        except _NO_ROWS as error:
            # A page that was replaced by another may give rows, and what stands in them is anything.
            return Step(stage, [Finding(f"the catalog has rows that aren't rows of it: {error}")], 0, following)
        go_on = (cursor[0], key, offset) if key is not None else following
        return Step(stage, findings, read_bytes, go_on)

    def _stage(
        self, catalog: CatalogReader, stage: str, key: int, offset: int
    ) -> tuple[Sequence[Finding], int, int | None, int]:
        """(findings, bytes of packs that were read, where to go on in this stage: key and offset)."""
        if stage == "catalog":
            return [Finding(f"the catalog's file: {line}") for line in self._check_file()], 0, None, 0
        if stage == "references":
            return [Finding(line) for line in catalog.audit().faults], 0, None, 0
        if stage == "packs":
            return self._pack(catalog, key, offset)
        found, after = (lists.bodies if stage == "bodies" else lists.checkpoints)(catalog, key)
        return found, 0, after, 0

    def _pack(self, catalog: CatalogReader, key: int, offset: int) -> tuple[Sequence[Finding], int, int | None, int]:
        """A slice of the pack `key`, or the first one of the next pack where the offset is 0."""
        rows = sorted(catalog.pack_rows(), key=lambda row: row.key)
        left = [row for row in rows if row.key > key or (offset and row.key == key)]
        if not left:
            return [], 0, None, 0
        pack = left[0]
        found = self._packs.slice(catalog, pack, offset if pack.key == key else 0)
        return found.findings, found.read_bytes, pack.key, found.next or 0
