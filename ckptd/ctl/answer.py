"""What a verb answers: a document for programs, and blocks for people that say the same; owns the term *answer*.

Verbs build answers and know nothing of terminals; `printing` and `layout` write them and know nothing of verbs.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

from ckptd.ctl.shown import View

Row = TypeVar("Row")

Mark = str
"""How a cell is meant: `good`, `warn`, `bad`, `dim`, or nothing. Never the only carrier of the meaning."""


@dataclass(frozen=True, slots=True)
class Column(Generic[Row]):
    """One column of a table: its name (as in `--columns` and `--sort`), what a row has in it, what rows are sorted by.

    `rank` says what goes first where the terminal is too narrow: the highest; 0 stays. `wide` ones are shown with
    `--wide` or when they are named.
    """

    name: str
    text: Callable[[Row, View], str]
    key: Callable[[Row], Any]
    rank: int = 0
    right: bool = False
    wide: bool = False
    width_min: int = 4
    mark: Callable[[Row], Mark] | None = None


@dataclass(frozen=True, slots=True)
class Table(Generic[Row]):
    """Rows in the order that the verb chose; `empty` is said where there are none."""

    columns: Sequence[Column[Row]]
    rows: Sequence[Row]
    empty: str = "nothing"


@dataclass(frozen=True, slots=True)
class Facts:
    """Names with their values, one a line; `title` above them."""

    pairs: Sequence[tuple[str, str]]
    title: str = ""


@dataclass(frozen=True, slots=True)
class Lines:
    """Text as it is: our own words, or the answer itself."""

    text: str


@dataclass(frozen=True, slots=True)
class Raw:
    """Bytes as they are, piece by piece."""

    pieces: Iterable[bytes]


Block = Table[Any] | Facts | Lines | Raw


@dataclass(frozen=True, slots=True)
class Answer:
    """`document` is what `--json` prints (its `schema` is added there), `blocks` are for people.

    `notes` are said on stderr to people: what the answer leaves out, and where to find it. An `exit_code` other than 0
    is part of the answer too: the verb worked, and what it found is not as it should be.
    """

    document: Mapping[str, object]
    blocks: Sequence[Block] = ()
    notes: Sequence[str] = field(default=())
    exit_code: int = 0


def done(line: str, **document: object) -> Answer:
    """The answer of an act: one line that names what was done."""
    return Answer(document, (Lines(line),))
