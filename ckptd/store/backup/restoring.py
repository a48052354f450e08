"""A store made of a backup: on an empty node, in one go, with a lineage of its own.

A new lineage, because what came after the backup is lost: a worker that lives on still has tokens for it, and would
write as if nothing had happened; all of them are refused. The mark is there from the first file to the last, so that a
daemon doesn't begin an empty store beside half of one; whoever restores the same backup again goes on from there.
"""

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from ckptclient.errors import Conflict, Damaged
from ckptd.store import durable, medium
from ckptd.store.backup.copying import extend, read_back
from ckptd.store.backup.destination import Destination
from ckptd.store.backup.layout import Manifest, PackCopy
from ckptd.store.catalog.interface import CatalogCopies
from ckptd.store.elsewhere import elsewhere

MARK: Final = "restoring"
"""Holds the name of the backup that a store is being made of."""

_DRAFT: Final = f".{medium.CATALOG_NAME}.draft"
_BEGUN: Final = frozenset({medium.LOCK_NAME, MARK, "packs", "spool", medium.CATALOG_NAME, _DRAFT, f"{_DRAFT}-journal"})

Progress = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class Restored:
    """What came back."""

    lineage: bytes
    size_bytes: int


def restore(
    target: Destination,
    manifest: Manifest,
    store: Path,
    copies: CatalogCopies,
    *,
    lineage: bytes,
    at: int,
    told: Progress = lambda done, total: None,
) -> Restored:
    """Make the store at `store`, which must be empty or not there. Conflict where it isn't; Damaged names what is.

    `lineage` is the new one. Every byte is hashed on its way, and what was written is read back.
    """
    with elsewhere(store):
        _check(store, manifest)
    occupied = medium.occupy(store)
    try:
        with elsewhere(store):
            durable.publish(store / MARK, manifest.name.encode() + b"\n")
            durable.make_directory(store / "packs")
            done = 0

            def more(size_bytes: int) -> None:
                nonlocal done
                done += size_bytes
                told(done, manifest.size_bytes)

            for pack in manifest.packs:
                _pack(target, pack, store / "packs" / pack.name, more)
            durable.sync_directory(store / "packs")
            # The catalog makes it a store: last.
            fetch_catalog(target, manifest, store, copies, lineage, at, more)
            durable.remove(store / MARK)
    finally:
        occupied.release()
    return Restored(lineage, manifest.size_bytes)


def _check(store: Path, manifest: Manifest) -> None:
    """Nothing may be there but what an earlier attempt at the same backup left."""
    if not store.exists():
        return
    there = {entry.name for entry in os.scandir(store)} - {medium.LOCK_NAME}
    mark = store / MARK
    begun = mark.read_text(encoding="ascii", errors="replace").strip() if mark.exists() else None
    if begun not in (None, manifest.name):
        raise Conflict(
            f"{store} is half restored of {begun}", hint=f"restore that one, or empty {store} to restore another"
        )
    strange = there - _BEGUN if begun else there
    if strange:
        raise Conflict(f"{store} isn't empty: {', '.join(sorted(strange)[:3])}", hint="restore to an empty directory")


def _pack(target: Destination, pack: PackCopy, path: Path, told: Callable[[int], None]) -> None:
    if (
        path.exists()
        and path.stat().st_size == pack.bytes
        and read_back(path, 0, pack.bytes).whole.hex() == pack.sha256
    ):
        told(pack.bytes)  # of an earlier attempt
        return
    source = target.pack(pack.name)
    try:
        written = extend(source, path, 0, pack.bytes, told)
    except FileNotFoundError as error:
        raise Damaged(f"pack {source} is gone", hint="restore another backup: ckptctl backup ls") from error
    if written.hex() != pack.sha256:
        raise Damaged(
            f"pack {source} doesn't have its SHA-256",
            hint="restore another backup, or see ckptctl backup verify --deep",
        )
    if read_back(path, 0, pack.bytes).whole != written:
        raise Damaged(f"what is written to {path} is not what is read back", hint="don't trust that disk")


def fetch_catalog(
    target: Destination,
    manifest: Manifest,
    store: Path,
    copies: CatalogCopies,
    lineage: bytes,
    at: int,
    told: Callable[[int], None] = lambda done: None,
) -> None:
    """Put the backup's catalog, with its new lineage, into a store's directory, under its name at last."""
    source, draft = target.catalog(manifest.name), store / _DRAFT
    try:
        written = extend(source, draft, 0, manifest.catalog_bytes, told)
    except FileNotFoundError as error:
        raise Damaged(f"the catalog {source} is gone", hint="restore another backup: ckptctl backup ls") from error
    if written.hex() != manifest.catalog_sha256:
        raise Damaged(f"the catalog {source} doesn't have its SHA-256", hint="restore another backup")
    copies.renew(draft, lineage, at)
    durable.place(draft, store / medium.CATALOG_NAME)
