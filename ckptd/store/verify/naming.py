"""Which checkpoints can't be read for what is damaged; by a walk over all bodies, which is paid for on damage alone."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from ckptd.core.ids import BodyKey, CheckpointKey, ChunkKey
from ckptd.store.catalog.interface import CatalogReader
from ckptd.store.verify.findings import Finding

PAGE: Final = 2000
"""Bodies that are looked at in one query."""


@dataclass(frozen=True, slots=True)
class Hit:
    """What findings hit: the bodies that need each damaged chunk, and for each finding the checkpoints, by their keys."""

    bodies: Mapping[ChunkKey, Sequence[BodyKey]]
    checkpoints: Sequence[Sequence[CheckpointKey]]


def hit(catalog: CatalogReader, findings: Sequence[Finding]) -> Hit:
    """Everything that can't be read whole because of these findings."""
    chunks = {one.chunk for one in findings if one.chunk is not None}
    bodies = _bodies(catalog, {chunk: frozenset(catalog.standing_on([chunk])) for chunk in chunks})
    return Hit(bodies, [_checkpoints(catalog, one, bodies) for one in findings])


def _bodies(
    catalog: CatalogReader, needs: Mapping[ChunkKey, frozenset[ChunkKey]]
) -> Mapping[ChunkKey, Sequence[BodyKey]]:
    """The bodies that need each chunk, by what stands on it."""
    found: dict[ChunkKey, list[BodyKey]] = {chunk: [] for chunk in needs}
    wanted = frozenset().union(*needs.values())
    page = catalog.bodies(0, PAGE) if wanted else ()
    while page:
        for body in page:
            listed = wanted.intersection(body.chunks)
            for chunk in found if listed else ():
                if not needs[chunk].isdisjoint(listed):
                    found[chunk].append(body.key)
        page = catalog.bodies(page[-1].key, PAGE)
    return found


def _checkpoints(
    catalog: CatalogReader, one: Finding, bodies: Mapping[ChunkKey, Sequence[BodyKey]]
) -> Sequence[CheckpointKey]:
    if one.checkpoint is not None:
        return [one.checkpoint]
    if one.body is not None:
        return catalog.checkpoints_of([one.body])
    its = bodies[one.chunk] if one.chunk is not None else ()
    return catalog.checkpoints_of(its) if its else ()
