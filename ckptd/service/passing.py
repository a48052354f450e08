"""A result that descriptors ride with; owns the term *passing*.

A descriptor in it belongs to whoever has the result: the session, which closes it once it has left or can't.
"""

import os
from collections.abc import Sequence


class Passing(dict[str, object]):
    """What a handler answers where descriptors go along; `descriptors` in the result says how many."""

    def __init__(self, result: dict[str, object], descriptors: Sequence[int]) -> None:
        super().__init__({**result, "descriptors": len(descriptors)})
        self.descriptors = tuple(descriptors)

    def close(self) -> None:
        """Give them back: nobody is there to take them."""
        for descriptor in self.descriptors:
            os.close(descriptor)
