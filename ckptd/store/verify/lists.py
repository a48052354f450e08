"""What the catalog lists, against itself: bodies against their chunks, checkpoints against their manifests and bodies."""

from collections.abc import Iterator, Sequence
from typing import Final

from ckptclient.errors import Damaged, UnknownCheckpoint
from ckptd.core.change import ManifestPart
from ckptd.core.ids import BodyKey, CheckpointKey
from ckptd.core.manifest import bodies_hash, body_hash, checksum, inline_hash, unpack
from ckptd.store.catalog.interface import BodyRow, CatalogReader, Content
from ckptd.store.verify.findings import Finding

PAGE: Final = 256
"""Bodies or checkpoints of one slice."""


def bodies(catalog: CatalogReader, after: int) -> tuple[Sequence[Finding], int | None]:
    """A slice of bodies behind a key: what is wrong with them, and the key to go on from."""
    page = catalog.bodies(after, PAGE)
    found = [Finding(problem, body=body.key) for body in page if (problem := _body(catalog, body)) is not None]
    return found, page[-1].key if len(page) == PAGE else None


def _body(catalog: CatalogReader, body: BodyRow) -> str | None:
    rows = catalog.body_chunks(body.key)
    if len(rows) != len(body.chunks):
        # A body that the cleanup took meanwhile has no rows, and isn't there.
        return None if _gone(catalog, body.key) else f"body {body.key} lists chunks that aren't in the catalog"
    if body_hash(row.id for row in rows) != body.hash:
        return f"the chunks of body {body.key} aren't those that its hash is of"
    if sum(row.plain_bytes for row in rows) != body.plain_bytes:
        return f"the chunks of body {body.key} have other lengths than it says"
    return None


def _gone(catalog: CatalogReader, key: BodyKey) -> bool:
    page = catalog.bodies(key - 1, 1)
    return not page or page[0].key != key


def checkpoints(catalog: CatalogReader, after: int) -> tuple[Sequence[Finding], int | None]:
    """A slice of checkpoints behind a key, as `bodies`."""
    page = catalog.checkpoint_keys(after, PAGE)
    found = [
        Finding(problem, checkpoint=key)
        for key in page
        # Again, because it may have been dropped while it was looked at.
        if _checkpoint(catalog, key) is not None and (problem := _checkpoint(catalog, key)) is not None
    ]
    return found, page[-1] if len(page) == PAGE else None


def _checkpoint(catalog: CatalogReader, key: CheckpointKey) -> str | None:
    try:
        row, content = catalog.checkpoint(key), catalog.content(key)
    except UnknownCheckpoint:
        return None
    except Damaged as damage:
        return damage.message
    if row is None:
        return "no process is there for it" if catalog.checkpoint_keys(key - 1, 1) == [key] else None
    if checksum(content.manifest) != row.checksum:
        return "its manifest doesn't match its checksum"
    try:
        parts = unpack(content.manifest)
    except Damaged as damage:
        return damage.message
    if content.archive is not None:  # its bytes lie elsewhere
        return None
    return next(_inline(parts, content.small) if content.small is not None else _packed(catalog, parts, content), None)


def _inline(parts: Sequence[ManifestPart], small: bytes) -> Iterator[str]:
    if sum(part.size_bytes for part in parts) != len(small):
        yield "its inline bytes are cut off"
        return
    at = 0
    for part in parts:
        if inline_hash(small[at : at + part.size_bytes]) != part.hash:
            yield f"part {part.name} doesn't match its hash"
        at += part.size_bytes


def _packed(catalog: CatalogReader, parts: Sequence[ManifestPart], content: Content) -> Iterator[str]:
    for index, part in enumerate(parts):
        its = content.bodies[index] if index < len(content.bodies) else ()
        rows = [row for key in its for row in catalog.bodies(key - 1, 1) if row.key == key]
        if sum(row.plain_bytes for row in rows) != part.size_bytes or bodies_hash(r.hash for r in rows) != part.hash:
            yield f"the bodies of part {part.name} aren't those that its manifest names"
