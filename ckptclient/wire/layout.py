"""Where each part lies in a staging buffer; both ends compute it from the sizes, in the order of the parts."""

from collections.abc import Iterable
from typing import Final

ALIGNMENT: Final = 4096
"""A part begins at a page, so that it can be mapped, and that pages of two parts are never the same."""


def begins(sizes: Iterable[int]) -> tuple[list[int], int]:
    """Where each part begins, in bytes; and the bytes that all of them take."""
    found, at = [], 0
    for size in sizes:
        found.append(at)
        at += -(-size // ALIGNMENT) * ALIGNMENT
    return found, at
