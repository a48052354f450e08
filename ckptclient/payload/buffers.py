"""Codecs of the buffers that Python itself has: bytes, bytearray, memoryview, array. NumPy's are in `arrays`."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from .tags import ARRAY, BYTEARRAY, HEADS, MEMORYVIEW, Refused, Row, Walk

if TYPE_CHECKING:
    import array
    from collections.abc import Mapping

_ORDER = "<" if sys.byteorder == "little" else ">"
_FORMATS = frozenset("bBhHiIlLqQfd")
"""Numbers in the host's own layout. Not `u`: what it holds depends on the platform, and Python is giving it up."""


def _layout(typecode: str, itemsize: int) -> str:
    """Byte order, type code and size: `<q8`. Only a host with the same layout reads the numbers as they were."""
    return f"{_ORDER}{typecode}{itemsize}"


def lower_bytes(value: bytes, walk: Walk) -> object:
    """Small ones are MessagePack's own."""
    if not walk.spills(len(value)):
        return value
    return walk.part(id(value), value, {"kind": "bytes", "type": "bytes"}, value)


def _lower_bytearray(value: bytearray, walk: Walk) -> list[object]:
    if not walk.spills(len(value)):
        return [HEADS[BYTEARRAY], bytes(value)]
    return walk.part(id(value), value, {"kind": "bytes", "type": "bytearray"}, memoryview(value))


def _lift_bytearray(data: bytes | memoryview) -> bytearray:
    # bytearray(5) would be five zeros, and bytearray(2**40) the end of the memory.
    return bytearray(memoryview(data))


def _lower_memoryview(value: memoryview, walk: Walk) -> list[object]:
    try:
        typecode, shape = value.format, list(value.shape or ())
    except ValueError:
        raise Refused(value, "this memoryview has been released") from None
    if typecode not in _FORMATS or not shape or (value.nbytes == 0 and (typecode, shape) != ("B", [0])):
        raise Refused(value, f"a memoryview of format {typecode!r} and shape {shape} can't be stored", "use bytes")
    layout = _layout(typecode, value.itemsize)
    if not walk.spills(value.nbytes):
        return [HEADS[MEMORYVIEW], layout, shape, value.readonly, value.tobytes()]
    form = {"kind": "bytes", "type": "memoryview", "layout": layout, "shape": shape, "readonly": value.readonly}
    return walk.part(id(value), value, form, value.cast("B") if value.c_contiguous else value.tobytes())


def _lift_memoryview(layout: str, shape: list[int], readonly: bool, data: bytes | memoryview) -> memoryview:
    own = bytes(memoryview(data)) if readonly else bytearray(memoryview(data))
    typecode = layout[1:2]
    if (typecode, shape) == ("B", [len(own)]):
        return memoryview(own)
    view = memoryview(own).cast(typecode, shape)  # type: ignore[call-overload]
    _check_layout(layout, _layout(typecode, view.itemsize))
    return view  # type: ignore[no-any-return]


def _lower_array(value: array.array[Any], walk: Walk) -> list[object]:
    if value.typecode not in _FORMATS:
        raise Refused(value, f"an array of type {value.typecode!r} can't be stored", "use a str")
    layout = _layout(value.typecode, value.itemsize)
    if not walk.spills(len(value) * value.itemsize):
        return [HEADS[ARRAY], layout, value.tobytes()]
    form = {"kind": "bytes", "type": "array", "layout": layout}
    return walk.part(id(value), value, form, memoryview(value).cast("B"))


def _lift_array(layout: str, data: bytes | memoryview) -> array.array[Any]:
    from array import array

    if layout[1:2] not in _FORMATS:
        raise ValueError(f"no layout of an array: {layout!r}")
    value = array(layout[1:2])
    _check_layout(layout, _layout(value.typecode, value.itemsize))
    value.frombytes(data)
    return value


def _check_layout(stored: str, native: str) -> None:
    if stored != native:
        raise ValueError(f"numbers were stored as {stored!r}; this host has {native!r}")


def lift_part(form: Mapping[str, Any], data: bytes | memoryview) -> object:
    """Rebuild an out-of-band buffer of kind `bytes` from its form."""
    kind = form["type"]
    if kind == "bytes":
        return bytes(data)
    if kind == "bytearray":
        return _lift_bytearray(data)
    if kind == "memoryview":
        return _lift_memoryview(form["layout"], form["shape"], form["readonly"], data)
    if kind == "array":
        return _lift_array(form["layout"], data)
    raise ValueError(f"unknown type of buffer: {kind!r}")


ROWS = (
    Row(BYTEARRAY, "builtins", ("bytearray",), _lower_bytearray, _lift_bytearray),
    Row(MEMORYVIEW, "builtins", ("memoryview",), _lower_memoryview, _lift_memoryview),
    Row(ARRAY, "array", ("array",), _lower_array, _lift_array),
)
