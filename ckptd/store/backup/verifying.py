"""Reading a backup where it lies, and saying what is wrong with it. Nothing is written, and nothing repaired."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from ckptclient.errors import Damaged
from ckptd.store.backup.copying import bad_records, lying, read_back
from ckptd.store.backup.destination import Destination
from ckptd.store.backup.layout import Manifest, PackCopy
from ckptd.store.catalog.interface import CatalogCopies, CatalogReader
from ckptd.store.elsewhere import elsewhere

Progress = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class Verified:
    """What was read, and each thing that is wrong, in a sentence; `known` was wrong in the store already."""

    read_bytes: int
    wrong: Sequence[str]
    known: int


def verify(
    target: Destination,
    manifest: Manifest,
    copies: CatalogCopies,
    *,
    deep: bool,
    told: Progress = lambda done, total: None,
) -> Verified:
    """Read the catalog whole, and of the packs their lengths; `deep` reads every byte and checks each chunk's record."""
    total = manifest.catalog_bytes + (sum(pack.bytes for pack in manifest.packs) if deep else 0)
    done = 0

    def more(size_bytes: int) -> None:
        nonlocal done
        done += size_bytes
        told(done, total)

    with elsewhere(target.path):
        wrong = list(_catalog(target, manifest, copies, more))
        if not wrong:
            with copies.look(target.catalog(manifest.name)) as reader:
                wrong += _chunks(target, manifest, reader, deep)
        wrong += _packs(target, manifest, deep, more)
    return Verified(done, wrong, len(manifest.damaged))


def _catalog(
    target: Destination, manifest: Manifest, copies: CatalogCopies, told: Callable[[int], None]
) -> Iterator[str]:
    path = target.catalog(manifest.name)
    try:
        found = read_back(path, 0, manifest.catalog_bytes, told)
    except FileNotFoundError:
        yield f"its catalog {path} is gone"
        return
    except Damaged as damage:
        yield damage.message
        return
    if found.whole.hex() != manifest.catalog_sha256:
        yield f"its catalog {path} doesn't have its SHA-256"
        return
    for line in copies.check(path):
        yield f"its catalog {path} is damaged: {line}"


def _chunks(target: Destination, manifest: Manifest, reader: CatalogReader, deep: bool) -> Iterator[str]:
    """What the catalog names must lie in what the manifest has; what was bad before is known."""
    packs = {pack.name: pack for pack in manifest.packs}
    for key, name in reader.packs().items():
        records = lying(reader, key)
        if not records:
            continue
        copy = packs.get(name)
        if copy is None:
            yield f"the catalog needs pack {name}, which the backup doesn't have"
            continue
        new = [one for one in records if one.offset not in copy.damaged]
        if any(one.end > copy.bytes for one in new):
            yield f"the catalog needs more of pack {name} than the backup has"
        elif deep and target.pack(name).exists():
            bad = bad_records(target.pack(name), copy, new)
            if bad:
                yield f"{len(bad)} records in pack {target.pack(name)} are damaged, the first at {bad[0]}"


def _packs(target: Destination, manifest: Manifest, deep: bool, told: Callable[[int], None]) -> Iterator[str]:
    for copy in manifest.packs:
        found = _pack(target, copy, deep, told)
        if found:
            yield found


def _pack(target: Destination, copy: PackCopy, deep: bool, told: Callable[[int], None]) -> str | None:
    path = target.pack(copy.name)
    try:
        size_bytes = path.stat().st_size
        if size_bytes < copy.bytes:
            return f"pack {path} has {size_bytes} of {copy.bytes} bytes"
        if deep and read_back(path, 0, copy.bytes, told).whole.hex() != copy.sha256:
            return f"pack {path} doesn't have its SHA-256"
    except FileNotFoundError:
        return f"pack {path} is gone"
    except OSError as error:
        return f"pack {path} can't be read: {error.strerror}"
    return None
