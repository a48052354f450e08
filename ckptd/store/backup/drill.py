"""A restore on trial: what a backup is for, tried before anybody needs it; owns the term *drill*.

The catalog is restored for real, into a scratch directory, with a lineage and all; the packs are read where they lie in
the backup, through links, so that a drill needs room for a catalog and not for a store. Then the newest checkpoint of
every process, and the newest with application state, is read down to its decoded bytes. Archived ones are left out: the
archive is no part of a backup.
"""

import os
import shutil
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from ckptclient.errors import CkptdError, Damaged
from ckptd.core.change import CheckpointRow, ManifestPart, Place
from ckptd.core.manifest import checksum, inline_hash, unpack
from ckptd.store.backup.destination import Destination
from ckptd.store.backup.layout import Manifest
from ckptd.store.backup.restoring import fetch_catalog
from ckptd.store.catalog.interface import CatalogCopies, CatalogReader
from ckptd.store.elsewhere import elsewhere
from ckptd.store.offline import Offline

Progress = Callable[[int, int], None]

_PAGE = 500


@dataclass(frozen=True, slots=True)
class Drilled:
    """How many processes and checkpoints were tried, their plain bytes, and (checkpoint id, why) of each that failed."""

    processes: int
    checkpoints: int
    plain_bytes: int
    archived: int
    failed: Sequence[tuple[str, str]]


def drill(
    target: Destination,
    manifest: Manifest,
    copies: CatalogCopies,
    open_store: Callable[[Path], Offline],
    *,
    lineage: bytes,
    at: int,
    scratch: Path | None = None,
    told: Progress = lambda done, total: None,
) -> Drilled:
    """Restore into a directory that goes again, below `scratch` (the system's place for temporary files), and read.

    `told` hears of plain bytes. Damaged where the catalog itself can't be had; what fails behind that is in the result.
    """
    with _restored(target, manifest, copies, lineage, at, scratch) as store, open_store(store) as opened:
        rows, processes, archived = _chosen(opened.reader)
        total = sum(row.logical_bytes for row in rows)
        done = 0
        failed: list[tuple[str, str]] = []
        for row in rows:
            try:
                _read(opened, row)
            except CkptdError as error:
                failed.append((row.checkpoint_id, error.message))
            done += row.logical_bytes
            told(done, total)
        return Drilled(processes, len(rows), total, archived, failed)


@contextmanager
def _restored(
    target: Destination, manifest: Manifest, copies: CatalogCopies, lineage: bytes, at: int, scratch: Path | None
) -> Iterator[Path]:
    with elsewhere(scratch or Path(tempfile.gettempdir())):
        store = Path(tempfile.mkdtemp(prefix="ckptd-drill-", dir=scratch))
    try:
        with elsewhere(store):
            (store / "packs").mkdir()
            for pack in manifest.packs:
                os.symlink(target.pack(pack.name).absolute(), store / "packs" / pack.name)
            fetch_catalog(target, manifest, store, copies, lineage, at)
        yield store
    finally:
        shutil.rmtree(store, ignore_errors=True)


def _chosen(reader: CatalogReader) -> tuple[list[CheckpointRow], int, int]:
    """What a recovery of each process would begin with; how many processes; how many of these are archived."""
    rows: list[CheckpointRow] = []
    processes, archived, after = 0, 0, None
    while page := reader.processes(None, (), None, after, _PAGE):
        for process in page:
            keys = {*reader.candidates(process.key, False)[:1], *reader.candidates(process.key, True)[:1]}
            found = [row for key in sorted(keys) if (row := reader.checkpoint(key)) is not None]
            rows += [row for row in found if row.place is not Place.ARCHIVED]
            archived += sum(row.place is Place.ARCHIVED for row in found)
        processes, after = processes + len(page), page[-1].key
    return rows, processes, archived


def _read(opened: Offline, row: CheckpointRow) -> None:
    """Every byte of a checkpoint, verified from its checksum down."""
    content = opened.reader.content(row.key)
    if checksum(content.manifest) != row.checksum:
        raise Damaged(f"the manifest of {row.checkpoint_id} does not match its checksum")
    parts = unpack(content.manifest)
    if content.small is None:
        bodies = [*content.bodies, *([()] * (len(parts) - len(content.bodies)))]
        opened.parts.verify(
            opened.reader,
            [ManifestPart(one.name, one.form, one.size_bytes, one.hash, tuple(its)) for one, its in zip(parts, bodies, strict=True)],
        )  # fmt: skip
        return
    begin = 0
    for part in parts:
        if inline_hash(content.small[begin : begin + part.size_bytes]) != part.hash:
            raise Damaged(f"part {part.name} of {row.checkpoint_id} does not match its hash")
        begin += part.size_bytes
