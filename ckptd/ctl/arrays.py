"""Values as NumPy's `.npz`: each array under its path in the value, and all the rest as `value.json` beside them.

A path is the keys and places on the way, with `/` between: `model/layers/0/weight`. `numpy.load` gives an array by that
name, and the bytes of `value.json`, in which `{"array": path}` stands where an array was. Needs NumPy, and nothing here
is ever a pickle.
"""

import json
import zipfile
from collections import deque
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, BinaryIO, Final

from ckptclient.errors import BadRequest
from ckptd.ctl import documents

if TYPE_CHECKING:
    import numpy as np

    Array = np.ndarray[Any, np.dtype[Any]]

REST: Final = "value.json"
_ROOT: Final = "value"
_BEGIN: Final = (1980, 1, 1, 0, 0, 0)
"""The first time that a zip file knows: the same value gives the same file."""

_WIDER: Final[Mapping[str, str]] = {
    "bfloat": "float32",
    "float": "float32",
    "uint": "uint8",
    "int": "int8",
    "bcomplex": "complex64",
    "complex": "complex64",
}
"""Element types of ml_dtypes, which no `.npy` names, by how their names begin; what takes their place holds every value."""


def write_npz(value: object, out: BinaryIO) -> int:
    """Write a value, and return how many arrays it has; USAGE where it has none, or NumPy is missing."""
    try:
        from numpy.lib.format import write_array
    except ImportError as error:
        raise BadRequest(
            "an .npz needs NumPy, which isn't installed", hint="pip install numpy, or --format json"
        ) from error
    arrays: dict[str, Array] = {}
    rest = _apart(value, "", arrays)
    if not arrays:
        raise BadRequest("there is no array in it", hint="--format json shows what it holds")
    with zipfile.ZipFile(out, "w") as target:
        for name, array in arrays.items():
            with target.open(zipfile.ZipInfo(f"{name}.npy", _BEGIN), "w", force_zip64=True) as entry:
                write_array(entry, _plain(array), allow_pickle=False)
        target.writestr(zipfile.ZipInfo(REST, _BEGIN), json.dumps(documents.jsonable(rest)))
    return len(arrays)


def _apart(value: Any, path: str, arrays: "dict[str, Array]") -> object:
    """The value with each array taken out of it and named in its place."""
    if documents.is_array(value):
        name = _free(path or _ROOT, arrays)
        arrays[name] = value
        return {"array": name}
    if isinstance(value, Mapping):
        return {key: _apart(inner, _below(path, key), arrays) for key, inner in value.items()}
    if isinstance(value, list | tuple | deque):
        return [_apart(inner, _below(path, place), arrays) for place, inner in enumerate(value)]
    return value


def _below(path: str, key: object) -> str:
    step = str(key).replace("%", "%25").replace("/", "%2F") or "%"
    return f"{path}/{step}" if path else step


def _free(name: str, taken: "Mapping[str, Array]") -> str:
    """The name, with a number behind it where the keys `1` and `"1"` give the same one."""
    found, number = name, 1
    while found in taken:
        number += 1
        found = f"{name}~{number}"
    return found


def _plain(array: "Array") -> "Array":
    if array.dtype.type.__module__.partition(".")[0] != "ml_dtypes":
        return array
    begin = next(begin for begin in _WIDER if array.dtype.name.startswith(begin))
    return array.astype(_WIDER[begin])
