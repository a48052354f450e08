"""A few bytes that stand for many."""

from typing import Final

_PLACE_BYTES: Final = 4 << 10
_PLACES_COUNT: Final = 4
_ALIGNED: Final = 16
"""Places begin with an element of an array, whatever its size."""


def sample(plain: bytes) -> bytes:
    """A few places spread over the bytes; all of few bytes."""
    if len(plain) <= _PLACES_COUNT * _PLACE_BYTES * 2:
        return plain
    step = (len(plain) - _PLACE_BYTES) // (_PLACES_COUNT - 1) // _ALIGNED * _ALIGNED
    return b"".join(plain[at : at + _PLACE_BYTES] for at in range(0, _PLACES_COUNT * step, step))
