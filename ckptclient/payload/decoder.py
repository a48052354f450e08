"""A document and its buffers become the state again.

The bytes may be anything: they can make this raise `Encoding`, and nothing else. Nothing is imported, looked up or
called because the data names it; memory stays within a fixed factor of the bytes that are there.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from msgpack import Unpacker, unpackb
from msgpack.exceptions import UnpackException

from ckptclient.errors import CkptdError, Encoding

from . import buffers, builtin, library, registry, tags
from .parts import DOCUMENT, Part, buffer_name

if TYPE_CHECKING:
    from .tags import Lift

Loader = Callable[[str], Part]

_SMALL_BYTES = 2048
"""Up to here announced lengths can't hurt: 1,024 levels, the unpacker's own limit, of so many elements."""

_WRONG = (
    ArithmeticError,
    AttributeError,
    BufferError,
    ImportError,
    LookupError,
    MemoryError,
    RuntimeError,
    TypeError,
    UnpackException,
    ValueError,
)
"""What MessagePack and the constructors of the supported types raise on arguments that make no sense."""


class _Tag:
    """A tag on its way from the bytes to the array that it heads."""

    __slots__ = ("number",)

    def __init__(self, number: int) -> None:
        self.number = number


_TAGS = tuple(map(_Tag, range(256)))


def decode(
    parts: Mapping[str, Part], *, allow_pickle: bool = False, loader: Callable[[str], Part] | None = None
) -> object:
    """Return the state that these parts hold; parts that are not in the mapping are asked of `loader`, once each.

    Arrays are views on their part where its memory can be written to, and copies elsewhere.

    Raises `Encoding` for anything that isn't a state, for a pickle without `allow_pickle`, and for a part that is
    missing. What `loader` raises of our own errors passes through.
    """
    buffers_by_name = _Buffers(parts, loader)
    document = buffers_by_name.part(DOCUMENT)
    if document.form.get("encoding", "msgpack") == "pickle":
        if not allow_pickle:
            raise Encoding(
                "this state was saved with pickle, and loading a pickle runs whatever code it holds",
                hint="pass allow_pickle=True if you trust who wrote it",
            )
        from .pickled import decode_pickle

        return decode_pickle(document, buffers_by_name.part)
    if document.form.get("kind") != "document" or document.form.get("encoding", "msgpack") != "msgpack":
        raise Encoding(f"part {DOCUMENT!r} is no document in MessagePack", details={"form": dict(document.form)})
    return _decode(document.data, buffers_by_name.lift)


def decode_value(data: bytes | memoryview) -> object:
    """Undo `encode_value`; raises `Encoding` for anything that isn't one document."""
    return _decode(data, _no_part)


def _decode(data: bytes | memoryview, part: Lift) -> object:
    lifting = _Lifting(part)
    try:
        if len(data) > _SMALL_BYTES:
            _check_lengths(data)
        state = unpackb(
            data,
            ext_hook=lifting.extension,
            list_hook=lifting.array,
            strict_map_key=False,
            unicode_errors="surrogatepass",
            timestamp=3,
        )
        if lifting.open_tags:
            raise ValueError("a tag that heads no array")
    except CkptdError:
        raise
    except _WRONG as error:
        raise Encoding(f"these bytes are no state: {str(error) or type(error).__name__}") from error
    return state


def _check_lengths(data: bytes | memoryview) -> None:
    """Raise unless all announced elements are there: unpacking makes room for them before it looks."""
    unpacker = Unpacker(read_size=len(data), max_buffer_size=len(data))
    unpacker.feed(data)
    unpacker.skip()


class _Lifting:
    """One document being read: replaces each tagged array by the value it stands for, innermost first."""

    __slots__ = ("_part", "open_tags")

    def __init__(self, part: Lift) -> None:
        self._part = part
        self.open_tags = 0

    def extension(self, code: int, data: bytes) -> object:
        if code != tags.TAG_CODE or len(data) != 1:
            raise ValueError(f"unknown extension type {code} of {len(data)} bytes")
        self.open_tags += 1
        return _TAGS[data[0]]

    def array(self, items: list[Any]) -> object:
        if not items or type(items[0]) is not _Tag:
            return items
        self.open_tags -= 1
        number = items[0].number
        lift = self._part if number == tags.PART else _LIFT.get(number)
        if lift is None:
            raise ValueError(f"tag {number} is not known to this release")
        return lift(*items[1:])


class _Buffers:
    """The parts at hand, and the buffers rebuilt from them: one object per part, however often it is referred to."""

    __slots__ = ("_lifted", "_loader", "_parts")

    def __init__(self, parts: Mapping[str, Part], loader: Loader | None) -> None:
        self._parts = parts
        self._loader = loader
        self._lifted: dict[int, object] = {}

    def part(self, name: str) -> Part:
        found = self._parts.get(name)
        if found is not None:
            return found
        if self._loader is None:
            raise Encoding(f"part {name!r} is missing", details={"part": name})
        return self._loader(name)

    def lift(self, index: object) -> object:
        if type(index) is not int:
            raise TypeError("the number of a buffer is an integer")
        if index not in self._lifted:
            self._lifted[index] = self._rebuild(self.part(buffer_name(index)))
        return self._lifted[index]

    def _rebuild(self, part: Part) -> object:
        if part.form.get("kind") == "array":
            from . import arrays

            return arrays.lift_part(part.form, part.data)
        if part.form.get("kind") == "bytes":
            return buffers.lift_part(part.form, part.data)
        raise ValueError(f"part {part.name!r} is no buffer")


def _no_part(index: object) -> object:
    raise ValueError("a reference to a part, in a value that has none")


def _lift_ndarray(*args: Any) -> object:
    from . import arrays

    return arrays.lift_ndarray(*args)


def _lift_numpy_scalar(*args: Any) -> object:
    from . import arrays

    return arrays.lift_scalar(*args)


_LIFT: dict[int, Lift] = {
    **{row.tag: row.lift for rows in (builtin.ROWS, buffers.ROWS, library.ROWS, registry.ROWS) for row in rows},
    tags.INT: builtin.lift_wide_int,
    tags.NDARRAY: _lift_ndarray,
    tags.NUMPY_SCALAR: _lift_numpy_scalar,
}
