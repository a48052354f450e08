"""What is worth which encoding; owns the term *chain*: a delta, the chunk that it is the difference to, and so on.

Pure decisions on lengths and depths. The threshold of a delta is wider than that of compression, because a delta costs
more than its decoding: it holds its base, and whoever reads it reads what stands behind it too. Not for: encoding
(`store.encodings`) or finding the previous version of a part (`store.previous`).
"""

from typing import Final

GAIN_PERCENT: Final = 3
"""What compression must save: less isn't worth decoding."""

DELTA_GAIN_PERCENT: Final = 25
"""What a delta must save of what the chunk takes by itself."""

DELTA_BYTES_MIN: Final = 4 << 10
"""Plain bytes from which a delta is tried: below, its record's header is most of what it takes."""

DEPTH_MAX: Final = 200
"""The longest chain that any setting allows; a record has one byte for it, and a reader refuses what is longer."""


def shrinks(stored_bytes: int, plain_bytes: int) -> bool:
    """Whether a chunk is stored encoded and not raw."""
    return stored_bytes * 100 < plain_bytes * (100 - GAIN_PERCENT)


def delta_pays(delta_bytes: int, whole_bytes: int) -> bool:
    """Whether a chunk is stored as a delta of this length, and not by itself in that many bytes."""
    return delta_bytes * 100 < whole_bytes * (100 - DELTA_GAIN_PERCENT)


def may_follow(base_depth: int, depth_max: int) -> bool:
    """Whether a delta may stand on a chunk with so many bases behind it; `depth_max` 0 allows none."""
    return base_depth < depth_max
