"""Lays blocks out as plain text, for pipes and files: aligned columns, nothing cut, no colour; owns the term *look*.

Also what both ways of laying out share: which columns and rows of a table are wanted. `terminal` is the other way.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any
from unicodedata import combining, east_asian_width

from ckptclient.errors import BadRequest
from ckptd.ctl.answer import Block, Column, Facts, Lines, Table
from ckptd.ctl.shown import View, clean

GAP = "  "


@dataclass(frozen=True, slots=True)
class Look:
    """How an answer is wanted. `width` is the terminal's, None where nothing is cut; `sort` may begin with `-`."""

    view: View
    width: int | None = None
    colour: bool = False
    wide: bool = False
    columns: tuple[str, ...] = ()
    header: bool = True
    sort: str = ""
    steady: bool = False
    """Other tables of the same columns come before or after: none is narrower than its least width."""


@dataclass(frozen=True, slots=True)
class Grid:
    """A table as texts: what is left of it after the choice of columns and the order of rows."""

    columns: Sequence[Column[Any]]
    cells: Sequence[Sequence[str]]
    marks: Sequence[Sequence[str]]


def grid(table: Table[Any], look: Look) -> Grid:
    """Choose columns and sort rows; raises USAGE for a name that is no column's."""
    columns = _chosen(table, look)
    rows = _sorted(table, look.sort) if look.sort else list(table.rows)
    return Grid(
        columns,
        [[clean(column.text(row, look.view)) for column in columns] for row in rows],
        [[column.mark(row) if column.mark else "" for column in columns] for row in rows],
    )


def _chosen(table: Table[Any], look: Look) -> list[Column[Any]]:
    if look.columns:
        return [replace(_named(table, name, "--columns"), rank=0) for name in look.columns]
    return [column for column in table.columns if look.wide or not column.wide]


def _sorted(table: Table[Any], sort: str) -> list[Any]:
    column = _named(table, sort.removeprefix("-"), "--sort")
    known = [row for row in table.rows if column.key(row) is not None]
    unknown = [row for row in table.rows if column.key(row) is None]
    return sorted(known, key=column.key, reverse=sort.startswith("-")) + unknown


def _named(table: Table[Any], name: str, option: str) -> Column[Any]:
    for column in table.columns:
        if column.name == name.lower():
            return column
    names = ", ".join(column.name for column in table.columns)
    raise BadRequest(f"{option} {name} names no column", hint=f"there are {names}", details={"field": option})


def plain(blocks: Sequence[Block], look: Look) -> str:
    """All blocks but raw ones, a blank line between them."""
    return "\n".join(_block(block, look) for block in blocks if isinstance(block, Table | Facts | Lines))


def _block(block: Table[Any] | Facts | Lines, look: Look) -> str:
    if isinstance(block, Lines):
        return block.text if block.text.endswith("\n") else block.text + "\n"
    if isinstance(block, Facts):
        return _facts(block)
    return _table(grid(block, look), look) if block.rows else f"{block.empty}\n"


def _facts(facts: Facts) -> str:
    width = max((len(name) for name, _ in facts.pairs), default=0)
    lines = [f"{name.ljust(width)}{GAP}{clean(value)}".rstrip() for name, value in facts.pairs]
    return "".join(f"{line}\n" for line in ([facts.title] if facts.title else []) + lines)


def _table(found: Grid, look: Look) -> str:
    titles = [column.name.upper() for column in found.columns]
    lines = [titles, *found.cells] if look.header else list(found.cells)
    widths = [
        max(column.width_min if look.steady else 0, *(cells_of(line[index]) for line in lines))
        for index, column in enumerate(found.columns)
    ]
    return "".join(
        GAP.join(
            " " * (width - cells_of(text)) + text if column.right else text + " " * (width - cells_of(text))
            for text, width, column in zip(line, widths, found.columns, strict=True)
        ).rstrip()
        + "\n"
        for line in lines
    )


def cells_of(text: str) -> int:
    """How many columns of a terminal a text takes: two for a wide character, none for one that combines."""
    if text.isascii():
        return len(text)
    return sum(0 if combining(one) else 2 if east_asian_width(one) in "WF" else 1 for one in text)
