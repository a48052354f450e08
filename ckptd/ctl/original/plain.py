"""Pickles as plain data: nothing that a pickle names is imported or called but a table of harmless constructors.

A class that isn't in the table becomes a stand-in that only keeps what it was given; in the end it is the dict of its
fields, or the value of an enumeration. Not for: safety by itself, which is the cell's (`locking`); this keeps hostile data
from running anything there, and lets a store be imported without the program that wrote it.
"""

import array
import collections
import datetime as dt
import decimal
import io
import pathlib
import pickle  # noqa: TID251  (this is what is read)
import uuid
from collections.abc import Callable, Mapping
from enum import Enum
from typing import Any, Final, Self

from typing_extensions import override

from ckptclient.config import CheckpointStatus, CheckpointType
from ckptclient.errors import Encoding

_BUILTINS: Final = (
    bool, bytearray, bytes, complex, dict, float, frozenset, int, list, range, set, slice, str, tuple,
)  # fmt: skip
_LIBRARY: Final = (
    collections.Counter, collections.OrderedDict, collections.defaultdict, collections.deque,
    dt.date, dt.datetime, dt.time, dt.timedelta, dt.timezone,
    decimal.Decimal, uuid.UUID, uuid.SafeUUID,
    pathlib.PosixPath, pathlib.PurePosixPath, pathlib.PureWindowsPath,
)  # fmt: skip


def _encoded(text: str, encoding: str) -> bytes:
    """How bytes stand in older pickles."""
    if encoding != "latin1":
        raise pickle.UnpicklingError("bytes in an encoding that no pickle has")
    return text.encode("latin1")


def _array(_kind: object, code: str, _layout: int, data: bytes) -> "array.array[Any]":
    made: array.array[Any] = array.array(code)
    made.frombytes(data)
    return made


def _reconstructor(kind: type[Any], _base: object, _state: object) -> object:
    if kind is not uuid.UUID and not issubclass(kind, StandIn):
        raise pickle.UnpicklingError("an object of a kind that isn't made so")
    return kind() if issubclass(kind, StandIn) else object.__new__(kind)


def _member(kind: object, name: object) -> object:
    """How Python 3.11.0 to 3.11.3 name a member of an enumeration; the value of the original's own, else its name."""
    if not (isinstance(kind, type) and issubclass(kind, StandIn) and isinstance(name, str)):
        raise pickle.UnpicklingError("an attribute of something that is no enumeration")
    known = _ENUMERATIONS.get(kind.name)
    return kind(known[name].value if known is not None and name in known.__members__ else name)


_ENUMERATIONS: Final[Mapping[str, type[Enum]]] = {one.__name__: one for one in (CheckpointStatus, CheckpointType)}

_TABLE: Final[Mapping[tuple[str, str], Callable[..., object]]] = {
    **{("builtins", one.__name__): one for one in _BUILTINS},
    **{(one.__module__, one.__name__): one for one in _LIBRARY},
    ("pathlib", "PosixPath"): pathlib.PosixPath,
    ("pathlib", "PurePosixPath"): pathlib.PurePosixPath,
    ("pathlib", "PureWindowsPath"): pathlib.PureWindowsPath,
    # As Python 2 and old protocols name them.
    **{("builtins", name): kind for name, kind in (("xrange", range), ("unicode", str), ("long", int))},
    ("_codecs", "encode"): _encoded,
    ("array", "array"): array.array,
    ("array", "_array_reconstructor"): _array,
    ("copyreg", "_reconstructor"): _reconstructor,
    ("builtins", "getattr"): _member,
}

_NUMPY: Final[Mapping[str, str]] = {
    "_reconstruct": "multiarray",
    "scalar": "multiarray",
    "_frombuffer": "numeric",
    "ndarray": "",
    "dtype": "",
}
"""What arrays and scalars of any release of NumPy are pickled by, and where in its core that is."""


class StandIn:
    """In place of an instance of a class that isn't known here."""

    module = name = ""
    args: tuple[object, ...]
    state: object

    def __new__(cls, *args: object) -> Self:
        made = super().__new__(cls)
        made.args, made.state = args, None
        return made

    def __setstate__(self, state: object) -> None:
        self.state = state


class _Unpickler(pickle.Unpickler):
    @override
    def find_class(self, module_name: str, global_name: str, /) -> Any:
        module = {"__builtin__": "builtins", "copy_reg": "copyreg"}.get(module_name, module_name)
        known = _TABLE.get((module, global_name))
        if known is None and module.partition(".")[0] == "numpy" and global_name in _NUMPY:
            known = _of_numpy(global_name)
        return known or type(global_name, (StandIn,), {"module": module, "name": global_name})

    @override
    def persistent_load(self, pid: Any, /) -> Any:
        raise pickle.UnpicklingError("it refers to something outside of itself")


def _of_numpy(name: str) -> Callable[..., object] | None:
    try:
        import numpy as np
        from numpy._core import multiarray, numeric
    except ImportError:
        return None
    rooms: Mapping[str, object] = {"": np, "multiarray": multiarray, "numeric": numeric}
    found: Callable[..., object] | None = getattr(rooms[_NUMPY[name]], name, None)
    return found


def load(data: bytes) -> object:
    """The plain data of a pickle. Raises `Encoding`, and whatever else strange data makes a constructor raise."""
    try:
        return _plain(_Unpickler(io.BytesIO(data)).load())
    except pickle.PickleError as error:
        raise Encoding(f"it is no pickle: {error}") from error


def _plain(value: Any) -> Any:
    kind = type(value)
    if isinstance(value, StandIn):
        return _of_stand_in(value)
    if kind in (dict, collections.OrderedDict, collections.Counter):
        return kind({_plain(key): _plain(inner) for key, inner in value.items()})
    if kind is collections.defaultdict:
        return collections.defaultdict(
            value.default_factory, {_plain(key): _plain(inner) for key, inner in value.items()}
        )
    if kind in (list, tuple, set, frozenset):
        return kind(_plain(inner) for inner in value)
    if kind is collections.deque:
        return collections.deque((_plain(inner) for inner in value), value.maxlen)
    return value


def _of_stand_in(value: StandIn) -> object:
    state = value.state
    if type(state) is tuple and len(state) == 2:  # with slots: what lies in the dict, and what beside it
        state = {**(state[0] or {}), **(state[1] or {})}
    if not value.args and isinstance(state, dict):
        return {_plain(key): _plain(inner) for key, inner in state.items()}
    if len(value.args) == 1 and state is None:
        return _plain(value.args[0])  # a member of an enumeration is made from its value
    raise Encoding(f"it holds a {value.module}.{value.name}, which is no plain data")
