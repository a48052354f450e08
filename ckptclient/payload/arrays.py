"""Codecs of NumPy arrays and scalars, and of the element types of `ml_dtypes`.

This module imports NumPy, so it is itself imported only when a state or a document holds such a value.
"""

import math
import re
from collections.abc import Mapping
from importlib import import_module
from typing import Any, Literal

import numpy as np

from .tags import HEADS, NDARRAY, NUMPY_SCALAR, Lower, Refused, Walk

_SIMPLE = re.compile(r"(\|b1|[<>|][iu][1248]|[<>][fc]\d{1,2}|[<>|][SUV]\d{1,10}|[<>][mM]8(\[\d{0,10}[A-Za-z]{1,7}\])?)")
"""The names that NumPy gives its own element types; nothing else from data reaches its parser."""

_EXTENSION_MODULE = "ml_dtypes"
_EXTENSION_NAMES = frozenset(
    [
        "bfloat16",
        "bcomplex32",
        "complex32",
        "float4_e2m1fn",
        "float6_e2m3fn",
        "float6_e3m2fn",
        "float8_e3m4",
        "float8_e4m3",
        "float8_e4m3b11fnuz",
        "float8_e4m3fn",
        "float8_e4m3fnuz",
        "float8_e5m2",
        "float8_e5m2fnuz",
        "float8_e8m0fnu",
        "int1",
        "int2",
        "int4",
        "uint1",
        "uint2",
        "uint4",
    ]
)

Array = np.ndarray[Any, np.dtype[Any]]


def lower_ndarray(value: Array, walk: Walk) -> list[object]:
    """Element type, shape, order and the elements; those of a view that is not contiguous are copied, in C order."""
    form = _lower_dtype(value.dtype, value)
    order: Literal["C", "F"] = "F" if value.flags.f_contiguous and not value.flags.c_contiguous else "C"
    shape = list(value.shape)
    if not walk.spills(value.nbytes):
        return [HEADS[NDARRAY], form, shape, order, value.tobytes(order)]
    key = (value.__array_interface__["data"][0], value.dtype, value.shape, value.strides)
    flat = (value.T if order == "F" else np.ascontiguousarray(value)).reshape(-1)
    # Bytes first: NumPy exports no buffer of datetime64 or bfloat16.
    data = memoryview(flat.view(np.uint8))  # type: ignore[arg-type]
    return walk.part(key, value, {"kind": "array", "dtype": form, "shape": shape, "order": order}, data)


def lift_ndarray(form: object, shape: list[int], order: str, data: bytes | memoryview) -> Array:
    """Return an array that can be written to: a view where the memory allows it, else a copy.

    Nothing is allocated before shape, element size and length agree.
    """
    dtype = _lift_dtype(form)
    if order not in ("C", "F") or not all(type(each) is int and each >= 0 for each in shape):
        raise ValueError(f"no shape of an array: {shape!r} in order {order!r}")
    if math.prod(shape) * dtype.itemsize != len(data):
        raise ValueError(f"{len(data)} bytes can't be an array of shape {shape} and type {dtype}")
    if not data:
        return np.empty(shape, dtype, order=order)  # type: ignore[call-overload,no-any-return]
    array: Array = np.frombuffer(data, np.uint8)
    if not array.flags.writeable or array.__array_interface__["data"][0] % dtype.alignment:
        array = array.copy()
    return array.view(dtype).reshape(shape, order=order)  # type: ignore[call-overload,no-any-return]


def lift_part(form: Mapping[str, Any], data: bytes | memoryview) -> Array:
    """Rebuild an out-of-band buffer of kind `array` from its form."""
    return lift_ndarray(form["dtype"], form["shape"], form["order"], data)


def lower_scalar(value: np.generic, walk: Walk) -> list[object]:
    """Element type and bytes; text and bytes by value, because an array would cut zeros off their end."""
    if type(value) is np.str_:
        return [HEADS[NUMPY_SCALAR], "U", str.__str__(value)]
    if type(value) is np.bytes_:
        return [HEADS[NUMPY_SCALAR], "S", bytes(value)]
    return [HEADS[NUMPY_SCALAR], _lower_dtype(value.dtype, value), value.tobytes()]


def lift_scalar(form: object, data: Any) -> np.generic:
    """Undo `lower_scalar`."""
    if form == "U" and type(data) is str:
        return np.str_(data)
    if form == "S" and type(data) is bytes:
        return np.bytes_(data)
    return lift_ndarray(form, [1], "C", data)[0]  # type: ignore[no-any-return]


def _lower_dtype(dtype: np.dtype[Any], owner: object) -> object:
    """The name of a simple element type; a map for a structured one, with offsets, so that padding stays."""
    if dtype.type.__module__.partition(".")[0] == _EXTENSION_MODULE:
        form: object = dtype.name
    elif dtype.names is not None:
        fields = [[name, *_lower_field(dtype.fields[name][0], owner), dtype.fields[name][1]] for name in dtype.names]  # type: ignore[index]
        form = {"size": dtype.itemsize, "fields": fields}
    else:
        form = dtype.str
    try:
        same = not dtype.hasobject and _lift_dtype(form) == dtype and _lift_dtype(form).type is dtype.type
    except (TypeError, ValueError):
        same = False
    if not same:
        raise Refused(owner, f"elements of type {dtype} can't be stored", "convert with astype, or use a list")
    return form


def _lower_field(dtype: np.dtype[Any], owner: object) -> tuple[object, list[int]]:
    base, shape = dtype.subdtype or (dtype, ())
    return _lower_dtype(base, owner), list(shape)


def _lift_dtype(form: Any) -> np.dtype[Any]:
    if isinstance(form, Mapping):
        names, bases, shapes, offsets = zip(*form["fields"], strict=True)
        formats = [np.dtype((_lift_dtype(base), tuple(shape))) for base, shape in zip(bases, shapes, strict=True)]
        fields: Any = {"names": names, "formats": formats, "offsets": offsets, "itemsize": form["size"]}
        dtype: np.dtype[Any] = np.dtype(fields)
    elif form in _EXTENSION_NAMES:
        dtype = np.dtype(getattr(import_module(_EXTENSION_MODULE), form))
    elif type(form) is str and _SIMPLE.fullmatch(form):
        dtype = np.dtype(form)
    else:
        raise ValueError(f"no element type: {form!r}")
    if not dtype.itemsize:
        raise ValueError("an element type of no size")
    return dtype


def find(kind: type[Any]) -> Lower | None:
    """Return what lowers an array or scalar of exactly this type; None for a subclass made elsewhere."""
    if kind is np.ndarray:
        return lower_ndarray
    if kind.__module__.partition(".")[0] in ("numpy", _EXTENSION_MODULE) and issubclass(kind, np.generic):
        return lower_scalar
    return None
