"""What a workload is: a function that drives one peer, and the columns in which its figures are shown."""

from collections.abc import Callable
from dataclasses import dataclass

from benchmarks.peers.interface import Peer

Figures = dict[str, float]


def shortened(count: int, scale: float, least: int = 1) -> int:
    """A count of the definition, made shorter by `scale`, but never so short that nothing is left to measure."""
    return max(least, int(count * scale))


@dataclass(frozen=True)
class Column:
    """One figure of a result line. `ratio`: also shown as a multiple of each peer's figure of the same round."""

    field: str
    heading: str
    ratio: bool = False


@dataclass(frozen=True)
class Workload:
    """`measure(peer, scale)` drives a peer that was started; `scale` (1.0 is the definition) makes it shorter.

    `history` says whether every version must stay, `keepers` whether peers take part that are made for that alone.
    `subject_only` workloads measure ckptd alone. A figure named in
    `zero` must be 0: anything else means that the peer failed the workload, whatever its speed.
    """

    name: str
    title: str
    definition: str
    measure: Callable[[Peer, float], Figures]
    columns: tuple[Column, ...]
    history: bool = False
    keepers: bool = False
    subject_only: bool = False
    zero: tuple[str, ...] = ()
