"""Codecs of Python's own types: containers, numbers, ranges. Not for: buffers (`buffers`), library types (`library`)."""

from itertools import chain
from typing import Any

from .tags import (
    COMPLEX,
    DICT,
    FROZENSET,
    HEADS,
    INT,
    PLAIN,
    RANGE,
    SET,
    SLICE,
    TUPLE,
    Row,
    Walk,
)

_KEYS = PLAIN | {bytes}
_TEXT = frozenset((str,))
_DICT = frozenset((dict,))
_INT_MIN, _INT_MAX = -(2**63), 2**64 - 1


def lower_dict(value: dict[Any, Any], walk: Walk) -> object:
    """A map as long as any MessagePack reader can take the keys; else keys and values in turn, in a tagged array."""
    walk.count(len(value))
    if not _TEXT.issuperset(map(type, value)):
        keys = set(map(type, value))
        simple = keys <= _KEYS and (
            int not in keys or all(_INT_MIN <= key <= _INT_MAX for key in value if type(key) is int)
        )
        if not simple:
            return [HEADS[DICT], *[walk(each) for pair in value.items() for each in pair]]
    if PLAIN.issuperset(map(type, value.values())):
        return value
    return {key: each if type(each) in PLAIN else walk(each) for key, each in value.items()}


def lift_dict(*items: Any) -> dict[Any, Any]:
    """Undo `lower_dict` where the keys are compound."""
    return dict(zip(items[::2], items[1::2], strict=True))


def lower_list(value: list[Any], walk: Walk) -> object:
    """A list is an array; one that holds nothing special is packed as it is."""
    walk.count(len(value))
    kinds = set(map(type, value))
    if kinds <= PLAIN:
        return value
    if kinds == _DICT:
        return walk.deeper(_lower_records, value)
    return [each if type(each) in PLAIN else walk(each) for each in value]


def _lower_records(values: list[dict[Any, Any]], walk: Walk) -> object:
    """Dictionaries of a list: the larger part of many a state, so they are looked at together where they are simple."""
    keys = chain.from_iterable(values)
    if _TEXT.issuperset(map(type, keys)) and PLAIN.issuperset(map(type, chain.from_iterable(map(dict.values, values)))):
        walk.count(sum(map(len, values)))
        return values
    return [lower_dict(each, walk) for each in values]


def _lower_items(tag: int) -> Any:
    head = HEADS[tag]

    def lower(value: Any, walk: Walk) -> list[object]:
        walk.count(len(value))
        return [head, *[each if type(each) in PLAIN else walk(each) for each in value]]

    return lower


def lower_wide_int(value: int) -> list[object]:
    """An integer beyond 64 bits: big-endian two's complement, as short as it goes."""
    return [HEADS[INT], value.to_bytes((value.bit_length() + 8) // 8, "big", signed=True)]


def lift_wide_int(data: bytes) -> int:
    """Undo `lower_wide_int`."""
    return int.from_bytes(data, "big", signed=True)


def _lower_complex(value: complex, walk: Walk) -> list[object]:
    return [HEADS[COMPLEX], value.real, value.imag]


def _lower_range(value: range, walk: Walk) -> list[object]:
    return [HEADS[RANGE], value.start, value.stop, value.step]


def _lower_slice(value: Any, walk: Walk) -> list[object]:
    return [HEADS[SLICE], walk(value.start), walk(value.stop), walk(value.step)]


ROWS = (
    Row(DICT, "builtins", ("dict",), lower_dict, lift_dict),
    Row(TUPLE, "builtins", ("tuple",), _lower_items(TUPLE), lambda *items: items),
    Row(SET, "builtins", ("set",), _lower_items(SET), lambda *items: set(items)),
    Row(FROZENSET, "builtins", ("frozenset",), _lower_items(FROZENSET), lambda *items: frozenset(items)),
    Row(COMPLEX, "builtins", ("complex",), _lower_complex, complex),
    Row(RANGE, "builtins", ("range",), _lower_range, range),
    Row(SLICE, "builtins", ("slice",), _lower_slice, slice),
)
