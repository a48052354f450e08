"""Which packs are written anew, so that what is dead in them comes back; owns the term *compaction*.

Most packs die whole, because what ends together lies together, and cost nothing. Of the others those are rewritten
that are less than half alive: that gives back more than it copies. Where more than `DEAD_SHARE_MAX` of all is dead after that,
those follow that are dead to the largest part. And packs that have stayed small (each start of the daemon leaves some)
are put together once there are many of one class. Not for: copying, or what is alive (the catalog says so).
"""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import Final

from ckptd.core.ids import PackKey
from ckptd.core.values import value

DEAD_SHARE_MAX: Final = 0.04
"""Of the bytes of all packs; a cleanup promises 5 %, and what saves waste until the next one comes on top."""

SMALL_SHARE: Final = 16
SMALL_COUNT_MAX: Final = 8
"""More packs of a class that are smaller than a sixteenth of what a pack may be are put together."""


@value
class Use:
    """How a pack is used: its bytes, and which of them are dead."""

    key: PackKey
    lifetime: int
    tight: bool
    bytes: int
    dead_bytes: int

    @property
    def live_bytes(self) -> int:
        """What would be copied."""
        return self.bytes - self.dead_bytes

    @property
    def dead_share(self) -> float:
        """Of its bytes."""
        return self.dead_bytes / self.bytes


def choose(packs: Sequence[Use], target_bytes: int) -> list[list[PackKey]]:
    """Packs to rewrite, in groups whose live bytes fill one new pack; `target_bytes` is what that holds.

    `packs` are in the order of their making, and none of them is dead whole. Packs of a group have one class.
    """
    chosen = {pack.key for pack in packs if pack.dead_share > 0.5}
    chosen |= _most_dead([pack for pack in packs if pack.key not in chosen])
    chosen |= _small(packs, chosen, target_bytes // SMALL_SHARE)
    return [[pack.key for pack in group] for group in _groups([p for p in packs if p.key in chosen], target_bytes)]


def _most_dead(packs: Sequence[Use]) -> set[PackKey]:
    dead, total, found = sum(pack.dead_bytes for pack in packs), sum(pack.bytes for pack in packs), set[PackKey]()
    for pack in sorted(packs, key=lambda pack: (-pack.dead_share, pack.key)):
        if dead <= DEAD_SHARE_MAX * total:
            break
        found.add(pack.key)
        dead, total = dead - pack.dead_bytes, total - pack.dead_bytes
    return found


def _small(packs: Sequence[Use], chosen: set[PackKey], bytes_max: int) -> set[PackKey]:
    small = defaultdict[tuple[int, bool], set[PackKey]](set)
    for pack in packs:
        if pack.key not in chosen and pack.bytes < bytes_max:
            small[pack.lifetime, pack.tight].add(pack.key)
    return {key for keys in small.values() if len(keys) > SMALL_COUNT_MAX for key in keys}


def _groups(packs: Sequence[Use], target_bytes: int) -> Iterator[list[Use]]:
    by_class = defaultdict[tuple[int, bool], list[Use]](list)
    for pack in packs:
        by_class[pack.lifetime, pack.tight].append(pack)
    for some in by_class.values():
        group: list[Use] = []
        for pack in some:
            if group and sum(one.live_bytes for one in group) + pack.live_bytes > target_bytes:
                yield group
                group = []
            group.append(pack)
        yield group
