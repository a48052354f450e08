"""`docs/PROTOCOL.md` as data, and the code's tables as the document writes them."""

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from types import NoneType, UnionType
from typing import Union, get_args, get_origin, get_type_hints

from ckptclient.results import Answer
from ckptclient.wire.fields import Bin, Choice, Flag, Int, Many, Nested, Number, Params, Text

PATH = Path(__file__).parents[3] / "docs" / "PROTOCOL.md"
TEXT = PATH.read_text()

Row = tuple[str, ...]


def sections(level: int, text: str = TEXT) -> dict[str, str]:
    """Heading to what stands below it, up to the next one of the same or a higher level."""
    found = re.split(rf"^{'#' * level} (.+)\n", text, flags=re.MULTILINE)
    higher = re.compile(rf"^#{{1,{level - 1}}} ", re.MULTILINE)
    return {
        heading: higher.split(below)[0] if level > 1 else below
        for heading, below in zip(found[1::2], found[2::2], strict=True)
    }


def tables(text: str) -> list[list[Row]]:
    """Every table of a section: its rows, the header first and the rule below it left out."""
    blocks = re.findall(r"(?:^\|.*\|\n)+", text, flags=re.MULTILINE)
    return [
        [
            tuple(cell.strip() for cell in line.strip("|").split("|"))
            for line in block.splitlines()
            if "|---" not in line
        ]
        for block in blocks
    ]


def table(text: str, first: str) -> list[Row]:
    """The rows of the table whose first column has this header; none where there is no such table."""
    return next((rows[1:] for rows in tables(text) if rows[0][0] == first), [])


def hex_blocks() -> dict[str, bytes]:
    """The document's frames by name."""
    blocks = re.findall(r"^```hex (\S+)\n(.*?)^```", TEXT, flags=re.MULTILINE | re.DOTALL)
    return {
        name: bytes.fromhex("".join(line.partition("#")[0] for line in block.splitlines())) for name, block in blocks
    }


def names(cell: str) -> tuple[str, ...]:
    """What a cell has in back quotes."""
    return tuple(re.findall(r"`([^`]+)`", cell))


def link(kind: type) -> str:
    return f"[`{kind.__name__}`](#{kind.__name__.lower()})"


POWERS = {(1 << power) - less: f"2^{power}" + " - 1" * less for power in (16, 22, 31, 40, 63) for less in (0, 1)}


def number(value: int) -> str:
    return POWERS.get(value, str(value))


def size(low: int, high: int) -> str:
    if low == high:
        return f"{high} bytes"
    return f"{low} to {high} bytes" if low else f"up to {high} bytes"


def accepted(check: Callable[[object], object]) -> tuple[str, str]:
    """Type and range of a check, as the document has them."""
    match check:
        case Int(low, high):
            return "int", f"{number(low)} to {number(high)}"
        case Number(low, high):
            return "float", f"{low:g} to {high:g}"
        case Flag():
            return "bool", ""
        case Text(high, low, lines):
            return "str", size(low, high) + ", with lines" * lines
        case Bin(high, low):
            return "bin", size(low, high)
        case Choice(words):
            return "str", ", ".join(f"`{word}`" for word in words)
        case Nested(kind):
            return link(kind), ""
        case Many(item, count):
            kind_of_item, each = accepted(item)
            return f"array of {kind_of_item}", f"up to {count}" + (f", each {each}" if each else "")
        case _:
            raise AssertionError(f"the document has no words for {check!r}")


def default(value: object) -> str:
    match value:
        case None:
            return "nil"
        case bool():
            return str(value).lower()
        case "" | () | b"":
            return "empty"
        case str():
            return f"`{value}`"
        case int():
            return number(value)
        case float():
            return f"{value:g}"
        case _:
            return "required"


def parameter_rows(kind: type[Params]) -> Iterator[Row]:
    """The rows of a class of parameters: name, type, accepted, default."""
    for column in kind.table():
        type_, range_ = accepted(column.check)
        yield (
            f"`{column.name}`",
            type_ + " or nil" * column.nullable,
            range_,
            default(kind.defaults.get(column.name, ...)),
        )


def result_type(hint: object) -> str:
    origin = get_origin(hint)
    if origin in (Union, UnionType):
        (inner,) = (one for one in get_args(hint) if one is not NoneType)
        return f"{result_type(inner)} or nil"
    if origin is tuple:
        return f"array of {result_type(get_args(hint)[0])}"
    if origin is not None:
        return "map"
    if isinstance(hint, type) and issubclass(hint, Answer):
        return link(hint)
    plain: dict[object, str] = {int: "int", float: "float", str: "str", bytes: "bin", bool: "bool", object: "any"}
    return plain[hint]


def result_rows(kind: type[Answer]) -> Iterator[Row]:
    """The rows of a result: name, type."""
    hints = get_type_hints(kind)
    for name in kind.names:
        yield f"`{name}`", result_type(hints[name])
