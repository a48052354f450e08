"""A state becomes a document and its buffers.

The state is first *lowered*: values that MessagePack would not give back exactly are replaced by tagged arrays, and
whatever holds none of them is passed on as it is, so that an ordinary state is packed by C code untouched. Lowering is
also what enforces the limits on depth and size before a byte is packed.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from msgpack import packb

from ckptclient.errors import Encoding

from . import buffers, builtin, library, locate, registry
from .parts import BUFFER_BYTES_MIN, DEPTH_MAX, DOCUMENT, DOCUMENT_BYTES_MAX, DOCUMENT_FORM, Part, buffer_name
from .tags import HEADS, PART, PLAIN, Lower, Refused, Row

if TYPE_CHECKING:
    from collections.abc import Hashable, Mapping

_known: dict[type[Any], Lower] = {list: builtin.lower_list, bytes: buffers.lower_bytes}
"""What lowers a type. Grows as types are met, whose modules are imported by then."""

_by_type_name: dict[str, Row] = {
    name: row for rows in (builtin.ROWS, buffers.ROWS, library.ROWS) for row in rows for name in row.types
}


def encode(state: object, *, serializer: str = "msgpack", bytes_max: int = DOCUMENT_BYTES_MAX) -> list[Part]:
    """Turn a state into parts: the document first, then the buffers of 64 KiB and more that it refers to.

    A buffer that occurs twice (the same object, or a NumPy view of the same memory, type, shape and strides) is one
    part. Buffers are not copied where that can be avoided: see `Part.data`.

    Raises `Encoding` with the path of a value that can't be encoded, for a cycle, beyond 200 levels of nesting, and
    for a document above `bytes_max`.
    """
    if serializer == "pickle":
        from .pickled import encode_pickle

        return encode_pickle(state)
    if serializer != "msgpack":
        raise Encoding(f"unknown serializer {serializer!r}", hint="use msgpack, or pickle")
    lowering = _Lowering(bytes_max, spill=True)
    packed = _encode(state, lowering, DOCUMENT)
    return [Part(DOCUMENT, DOCUMENT_FORM, packed), *lowering.parts]


def encode_value(value: object, *, bytes_max: int = DOCUMENT_BYTES_MAX, root: str = "value") -> bytes:
    """Return one value as one document, with all buffers inside it.

    Raises `Encoding` as `encode` does; `root` is what its message calls the value (`item`, `result`, ...).
    """
    return _encode(value, _Lowering(bytes_max, spill=False), root)


def _encode(state: object, lowering: _Lowering, root: str) -> bytes:
    try:
        packed = _pack(lowering(state))
    except Refused as error:
        raise _refusal(root, state, error) from None
    except RecursionError:
        raise _too_deep(root, state, lowering.depth) from None
    except RuntimeError as error:
        raise Encoding(f"{root} changed while it was saved: {error}", hint="save between the changes") from error
    except OverflowError as error:
        raise _too_large(root, lowering.bytes_max, str(error)) from None
    except (ValueError, MemoryError) as error:
        raise Encoding(f"{root} can't be packed: {str(error) or type(error).__name__}") from error
    if len(packed) > lowering.bytes_max:
        raise _too_large(root, lowering.bytes_max, f"{len(packed):,}")
    return packed


def _pack(lowered: object) -> bytes:
    try:
        return packb(lowered, default=_wide_int, strict_types=True)
    except UnicodeEncodeError:
        # Python lets a str hold half a surrogate pair (file names do); UTF-8 proper can't, and trying it is quicker.
        return packb(lowered, default=_wide_int, strict_types=True, unicode_errors="surrogatepass")


def _wide_int(value: object) -> object:
    if type(value) is not int:
        raise TypeError(f"{type(value)!r} was not lowered")
    return builtin.lower_wide_int(value)


class _Lowering:
    """One pass over one state; the `Walk` that the codecs see."""

    __slots__ = ("_items", "_references", "_spill", "bytes_max", "depth", "parts")

    def __init__(self, bytes_max: int, *, spill: bool) -> None:
        self.bytes_max = bytes_max
        self.parts: list[Part] = []
        self._spill = spill
        self.depth = 0
        self._items = 0
        self._references: dict[Hashable, tuple[list[object], object]] = {}

    def __call__(self, value: object) -> object:
        kind = type(value)
        if kind in PLAIN:
            return value
        if self.depth >= DEPTH_MAX:
            raise RecursionError
        self.depth += 1
        lower = _known.get(kind) or registry.find(kind) or _meet(kind, value)
        lowered = lower(value, self)
        self.depth -= 1
        return lowered

    def deeper(self, lower: Lower, value: object) -> object:
        if self.depth >= DEPTH_MAX:
            raise RecursionError
        self.depth += 1
        lowered = lower(value, self)
        self.depth -= 1
        return lowered

    def count(self, items: int) -> None:
        # Every item takes a byte at least. Ten lists, each ten times inside the next, are 10^10 items in little memory.
        self._items += items
        if self._items > self.bytes_max:
            raise OverflowError(f"more than {self.bytes_max:,}")

    def spills(self, size_bytes: int) -> bool:
        return self._spill and size_bytes >= BUFFER_BYTES_MIN

    def part(self, key: Hashable, owner: object, form: Mapping[str, object], data: bytes | memoryview) -> list[object]:
        found = self._references.get(key)
        if found is not None:
            return found[0]
        index = len(self.parts)
        self.parts.append(Part(buffer_name(index), form, data))
        reference: list[object] = [HEADS[PART], index]
        self._references[key] = reference, owner
        return reference


def _meet(kind: type[Any], value: object) -> Lower:
    """Find what lowers a type that was not met before; raise `Refused` where nothing does."""
    row = _by_type_name.get(kind.__name__)
    if row is not None and getattr(sys.modules.get(row.module), kind.__name__, None) is kind:
        return _known.setdefault(kind, row.lower)
    numpy = sys.modules.get("numpy")
    if numpy is not None and issubclass(kind, (numpy.ndarray, numpy.generic)):
        from . import arrays

        lower = arrays.find(kind)
        if lower is not None:
            return lower
    raise Refused(value, *_reason(kind))


def _reason(kind: type[Any]) -> tuple[str, str]:
    name = f"{kind.__module__}.{kind.__qualname__}".removeprefix("builtins.")
    if registry.tag_of(kind) is not None:
        return f"its class {name} is not registered", f"call ckptclient.register_type({kind.__name__}) at start-up"
    base = next((base for base in kind.__mro__[1:] if base in PLAIN or base in _known), None)
    if base is not None:
        return (
            f"{name} is a subclass of {base.__name__}, and would come back as that",
            f"convert it: {base.__name__}(...)",
        )
    return f"{name} can't be stored", 'leave it out and make it anew on recovery, or save with serializer="pickle"'


def _refusal(root: str, state: object, error: Refused) -> Encoding:
    path = locate.path_to(root, state, error.value)
    return Encoding(f"{path} can't be saved: {error.reason}", hint=error.hint, details={"path": path})


def _too_deep(root: str, state: object, depth: int) -> Encoding:
    cycle = locate.path_to_cycle(root, state)
    if cycle is not None:
        return Encoding(f"{cycle} contains itself", hint="store an id in place of the object", details={"path": cycle})
    if depth < DEPTH_MAX:
        return Encoding(f"the call stack ended {depth} levels inside {root}", hint="save from a function less deep")
    return Encoding(
        f"{root} is nested deeper than {DEPTH_MAX} levels", hint="flatten it, for instance into a list of nodes"
    )


def _too_large(root: str, bytes_max: int, size: str) -> Encoding:
    return Encoding(
        f"{root} takes {size} bytes as a document, and {bytes_max:,} are allowed",
        hint="large data belongs in NumPy arrays or bytes, which are stored beside the document",
        details={"bytes_max": bytes_max},
    )
