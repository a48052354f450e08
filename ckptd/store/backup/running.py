"""Making a backup: hold, copy the catalog, copy what the packs have more than the destination, publish, prune.

The catalog is copied first and names what is needed: every chunk of that moment lies in a pack that is held, within
what was synced then. Reads the store's files and writes none of them.
"""

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from ckptclient.errors import Conflict, Damaged
from ckptclient.version import __version__
from ckptd.store import durable
from ckptd.store.backup import layout
from ckptd.store.backup.copying import Lying, bad_records, extend, lying, read_back
from ckptd.store.backup.destination import Destination
from ckptd.store.backup.layout import Manifest, PackCopy
from ckptd.store.catalog.interface import CatalogCopies, CatalogReader, PackRow
from ckptd.store.elsewhere import elsewhere
from ckptd.store.medium import CATALOG_NAME

Progress = Callable[[int, int], None]
"""Hears (bytes done, bytes in all) of the packs, 0 and 0 before that is known; what it raises ends the work."""


@dataclass(frozen=True, slots=True)
class Source:
    """A store that is to be copied. `live`: a daemon may be writing to it. `keeps` says whether its packs are held still."""

    path: Path
    live: bool
    keeps: Callable[[], bool] = lambda: True

    @property
    def catalog(self) -> Path:
        """The catalog's file."""
        return self.path / CATALOG_NAME

    def pack(self, name: str) -> Path:
        """A pack's file."""
        return self.path / "packs" / name


@dataclass(frozen=True, slots=True)
class Made:
    """A complete backup, and what it took: bytes that were copied, backups that went for it."""

    manifest: Manifest
    copied_bytes: int
    pruned: Sequence[str]


@dataclass(frozen=True, slots=True)
class _Wanted:
    """A pack, how much of it is to be there, its records, and what is known of the copy that is there."""

    name: str
    bytes: int
    records: Sequence[Lying]
    known: PackCopy | None

    @property
    def missing_bytes(self) -> int:
        return max(0, self.bytes - (self.known.bytes if self.known else 0))


def run(
    source: Source,
    target: Destination,
    copies: CatalogCopies,
    *,
    at: int,
    random: bytes,
    keep: int,
    told: Progress = lambda done, total: None,
) -> Made:
    """Make a backup; the caller has occupied the destination and holds the packs. `keep` backups are left at the end.

    Conflict where a pack went meanwhile: the hold was lost, and another run goes on from what this one copied. Damage in
    the store doesn't end it: it is named in the manifest. NoSpace and Unavailable name the destination.
    """
    assert keep > 0, "a backup that is removed at once is none"
    name = layout.backup_name(at, random)
    draft = target.catalog(name)
    with elsewhere(target.path):
        target.tidy()
        if source.live:
            copies.copy(source.catalog, draft, lambda done, total: told(0, 0))
        else:
            copies.copy_cold(source.catalog, draft)
        wrong = copies.check(draft)
        if wrong:
            raise Damaged(
                f"the catalog's copy is damaged: {wrong[0]}", hint="ckptctl verify looks at the catalog itself"
            )
        with copies.look(draft) as reader:
            manifest = _manifest(reader, source, name, at)
            target.claim(manifest.store)
            packs, copied = _packs(reader, source, target, told)
        size_bytes, digest = _sealed(draft)
        manifest = target.publish(replace(manifest, catalog_bytes=size_bytes, catalog_sha256=digest.hex(), packs=packs))
        pruned = target.prune(keep)
    return Made(manifest, copied + size_bytes, pruned)


def _manifest(reader: CatalogReader, source: Source, name: str, at: int) -> Manifest:
    """What is known before anything was copied."""
    key, lineage = reader.setting("chunk_key"), reader.setting("lineage")
    assert isinstance(key, bytes)
    assert isinstance(lineage, bytes)
    count = reader.totals(None).checkpoints
    store = layout.store_name(key)
    return Manifest(name, at, store, lineage.hex(), str(source.path), f"ckptd {__version__}", count, 0, "", ())


def _sealed(catalog: Path) -> tuple[int, bytes]:
    """The size and hash of the catalog's copy, on disk under its name."""
    with catalog.open("rb+") as file:
        durable.sync_data(file.fileno())
    durable.sync_directory(catalog.parent)
    size_bytes = catalog.stat().st_size
    return size_bytes, read_back(catalog, 0, size_bytes).whole


def _packs(
    reader: CatalogReader, source: Source, target: Destination, told: Progress
) -> tuple[tuple[PackCopy, ...], int]:
    """Every pack that has a chunk, at the destination; and how many bytes were copied."""
    rows = sorted(reader.pack_rows(), key=lambda row: row.key)
    wanted = [one for row in rows if (one := _wanted(reader, target, row))]
    total = sum(one.missing_bytes for one in wanted)
    done = 0

    def more(size_bytes: int) -> None:
        nonlocal done
        done += size_bytes
        told(done, total)

    return tuple(_taken(source, target, one, more) for one in wanted), total


def _wanted(reader: CatalogReader, target: Destination, row: PackRow) -> _Wanted | None:
    records = lying(reader, row.key)
    if not records:
        return None
    if not layout.is_pack_name(row.name):
        raise Damaged(f"the catalog names a pack {row.name!r}", hint="ckptctl verify looks at the catalog itself")
    # The catalog's figure, and not the file's: what stands behind it may not be on disk yet, or be cut off again.
    return _Wanted(row.name, row.bytes, records, target.note(row.name))


def _taken(source: Source, target: Destination, wanted: _Wanted, told: Callable[[int], None]) -> PackCopy:
    """The pack's copy at the destination, at least as long as is wanted."""
    told(0)
    known = wanted.known
    if known is not None and known.bytes >= wanted.bytes:
        offsets = {one.offset for one in wanted.records}
        return replace(known, damaged=tuple(at for at in known.damaged if at in offsets))
    copy = _extended(source, target, wanted, known, told)
    if copy is None and known is not None:
        # The beginning isn't what was verified once: nothing of it is believed.
        copy = _extended(source, target, wanted, None, lambda done: None)
    path = target.pack(wanted.name)
    if copy is None:
        raise Damaged(f"what is written to {path} is not what is read back", hint="don't trust that disk")
    copy = replace(copy, damaged=tuple(bad_records(path, copy, wanted.records)))
    target.write_note(copy)
    return copy


def _extended(
    source: Source, target: Destination, wanted: _Wanted, known: PackCopy | None, told: Callable[[int], None]
) -> PackCopy | None:
    """Copy what is missing behind what is known, and read all of it back; None where that isn't what it should be."""
    path, begin = target.pack(wanted.name), known.bytes if known else 0
    written = extend(_found(source, wanted), path, begin, wanted.bytes, told)
    size_bytes = path.stat().st_size
    found = read_back(path, begin, size_bytes)
    if found.behind != written or (known is not None and found.before.hex() != known.sha256):
        return None
    return PackCopy(wanted.name, size_bytes, found.whole.hex())


def _found(source: Source, wanted: _Wanted) -> Path:
    """The pack's file; what is lost in the store is empty, and its chunks are damaged."""
    path = source.pack(wanted.name)
    if path.exists():
        return path
    if not source.keeps():
        raise Conflict(
            f"pack {wanted.name} went before it was copied", hint="run the backup again: it goes on from here"
        )
    return Path(os.devnull)
