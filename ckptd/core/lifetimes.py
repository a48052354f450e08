"""Which checkpoints end together; owns the term *lifetime class*.

Checkpoints of one class share packs, so that a pack's records die at about the same time and its file goes without
anything being copied. The class is the time that a save still has when it is made; and a pack is begun anew after a
share of that, so that what lies in it ends within a quarter of its life. What is kept for ever lies by itself: among
others it would be what is left of every pack. Not for: when anything ends (`retention`).
"""

from typing import Final

_HOUR: Final = 3600 * 1_000_000
_DAY: Final = 24 * _HOUR

UNKNOWN: Final = 0
FOR_EVER: Final = 255

HORIZONS: Final[tuple[tuple[int, int], ...]] = ((1, 2 * _HOUR), (2, 2 * _DAY), (3, 14 * _DAY), (4, 90 * _DAY))
"""Class and the longest life (microseconds) of what is in it; what lives longer is counted as for ever."""

_SHARE: Final = 4


def lifetime_class(created_at: int, expires_at: int | None) -> int:
    """The class of a checkpoint by its ends of life, microseconds."""
    if expires_at is None:
        return FOR_EVER
    life = expires_at - created_at
    return next((number for number, longest in HORIZONS if life <= longest), FOR_EVER)


def is_full_of_age(lifetime: int, begun_at: int, now: int) -> bool:
    """Whether what is saved now would end too long after the first of a pack that was begun then."""
    longest = dict(HORIZONS).get(lifetime)
    return longest is not None and now - begun_at > longest // _SHARE
