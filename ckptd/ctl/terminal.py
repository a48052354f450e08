"""Lays blocks out for a terminal: narrowed to its width, in colour where that is wanted. Loaded on a terminal only.

What doesn't fit is dropped by whole columns, in the order of their ranks, before a cell is cut.
"""

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rich.cells import cell_len
from rich.console import Console
from rich.table import Table as RichTable
from rich.text import Text

from ckptd.ctl.answer import Block, Facts, Lines, Table
from ckptd.ctl.layout import GAP, Grid, Look, grid, plain
from ckptd.ctl.shown import clean

STYLES: Mapping[str, str] = {"good": "green", "warn": "yellow", "bad": "bold red", "dim": "dim", "": ""}
ERROR_STYLE = "bold red"
_UNBOUNDED = 10_000


def rich(blocks: Sequence[Block], look: Look) -> str:
    """All blocks but raw ones, a blank line between them."""
    console = _console(None if look.wide else look.width, look.colour)
    first = True
    for block in blocks:
        if not isinstance(block, Table | Facts | Lines):
            continue
        if not first:
            console.print()
        first = False
        _draw(console, block, look)
    return _text(console)


def first_in_red(lines: Sequence[str], colour: bool) -> str:
    """Lines of which the first is an error."""
    console = _console(None, colour)
    console.print(Text(lines[0], style=ERROR_STYLE))
    for line in lines[1:]:
        console.print(Text(line))
    return _text(console)


def _console(width: int | None, colour: bool) -> Console:
    return Console(
        file=io.StringIO(),
        width=width or _UNBOUNDED,
        force_terminal=True,
        color_system="standard" if colour else None,
        legacy_windows=False,
        highlight=False,
        markup=False,
        emoji=False,
    )


def _text(console: Console) -> str:
    """What was drawn, without the blanks with which rich fills its lines."""
    assert isinstance(console.file, io.StringIO)
    return "\n".join(line.rstrip(" ") for line in console.file.getvalue().split("\n"))


def _draw(console: Console, block: Table[Any] | Facts | Lines, look: Look) -> None:
    if isinstance(block, Facts):
        _facts(console, block)
    elif isinstance(block, Table) and block.rows:
        found = grid(block, look)
        console.print(_table(fitted(found, None if look.wide else look.width, look.steady), look))
    else:
        console.file.write(plain([block], look))


def _facts(console: Console, facts: Facts) -> None:
    if facts.title:
        console.print(Text(facts.title, style="bold"))
    table = RichTable.grid(padding=(0, len(GAP), 0, 0))
    table.add_column(style="dim", no_wrap=True)
    table.add_column(overflow="fold")
    for name, value in facts.pairs:
        table.add_row(Text(name), Text(clean(value)))
    console.print(table)


@dataclass(frozen=True, slots=True)
class Fitted:
    """A grid and the width of each of its columns."""

    grid: Grid
    widths: Sequence[int]


def fitted(found: Grid, width: int | None, steady: bool = False) -> Fitted:
    """Without the columns that find no room when every cell is cut as far as it may be; what is left is cut evenly.

    rich itself would cut whatever stands last.
    """
    natural = [
        max(len(column.name), column.width_min if steady else 0, *(cell_len(cells[index]) for cells in found.cells))
        for index, column in enumerate(found.columns)
    ]
    least = [max(len(column.name), min(natural[index], column.width_min)) for index, column in enumerate(found.columns)]
    kept = list(range(len(found.columns)))
    if width is None:
        return Fitted(found, natural)
    while _together(least, kept) > width:
        droppable = [index for index in kept if found.columns[index].rank]
        if not droppable:
            break
        kept.remove(max(droppable, key=lambda index: found.columns[index].rank))
    widths = list(natural)
    for _ in range(max(0, _together(natural, kept) - width)):
        longest = max(kept, key=lambda index: widths[index] - least[index])
        widths[longest] = max(1, widths[longest] - 1)
    return Fitted(
        Grid(
            [found.columns[index] for index in kept],
            [[cells[index] for index in kept] for cells in found.cells],
            [[marks[index] for index in kept] for marks in found.marks],
        ),
        [widths[index] for index in kept],
    )


def _together(widths: Sequence[int], kept: Sequence[int]) -> int:
    return sum(widths[index] for index in kept) + len(GAP) * (len(kept) - 1)


def _table(found: Fitted, look: Look) -> RichTable:
    table = RichTable(
        box=None, padding=(0, len(GAP), 0, 0), pad_edge=False, show_header=look.header, header_style="bold"
    )
    for column, width in zip(found.grid.columns, found.widths, strict=True):
        title = Text(column.name.upper())
        table.add_column(
            title, justify="right" if column.right else "left", no_wrap=True, overflow="ellipsis", width=width
        )
    for cells, marks in zip(found.grid.cells, found.grid.marks, strict=True):
        table.add_row(*(Text(cell, style=STYLES[mark]) for cell, mark in zip(cells, marks, strict=True)))
    return table
