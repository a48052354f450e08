"""Classes of the application that a state may hold: dataclasses, NamedTuples and Enums, each by a registered name.

The application registers a class in its own process; data can only name what is registered. A name that isn't gives
plain data: a dict for a dataclass, a tuple for a NamedTuple, the value for an Enum. To write, registering is needed:
otherwise a forgotten line would turn objects into dicts at the first recovery, which is when nobody is watching.

Not for: subclasses of a registered class, which need a registration of their own.
"""

from __future__ import annotations

import dataclasses
import enum
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar, overload

from ckptclient.errors import Encoding

from . import tags
from .tags import HEADS, Lower, Refused, Row, Walk

if TYPE_CHECKING:
    from collections.abc import Callable

_NAME_CHARACTERS_MAX = 200

Class = TypeVar("Class", bound=type[Any])


class _Entry(NamedTuple):
    cls: type[Any]
    name: str
    tag: int


_by_name: dict[str, _Entry] = {}
_by_class: dict[type[Any], _Entry] = {}


@overload
def register_type(cls: Class, name: str | None = None) -> Class: ...
@overload
def register_type(cls: None = None, name: str | None = None) -> Callable[[Class], Class]: ...
def register_type(cls: Any = None, name: str | None = None) -> Any:
    """Let states hold instances of this dataclass, NamedTuple or Enum; also a decorator, with or without `name=`.

    The name is what is stored: the class may move between modules, and renaming it needs `name=` with the old one.
    It defaults to the qualified name (`Job`, `Outer.Job`). Registering a class again is allowed, and so is replacing
    it by one of the same module and name, as a reload does.

    A dataclass comes back without a call of its `__init__` or `__post_init__`, with the very values its fields had; a
    field that the stored one lacks takes its default. Enums come back by the member's name, flags by their value.

    Raises `Encoding` for any other class, and where another class has the name.
    """
    if cls is None:
        return lambda decorated: register_type(decorated, name)
    tag = tag_of(cls)
    if tag is None:
        raise Encoding(f"{cls!r} is neither a dataclass nor a NamedTuple nor an Enum", hint=_HINT_OTHER)
    if name is None:
        name = cls.__qualname__
    if type(name) is not str or not 0 < len(name) <= _NAME_CHARACTERS_MAX:
        raise Encoding(f"the name of a type is text of 1 to {_NAME_CHARACTERS_MAX} characters, not {name!r}")
    if tag == tags.DATACLASS:
        _check_bare(cls)
    taken = _by_name.get(name)
    if taken is not None and _identity(taken.cls) != _identity(cls):
        raise Encoding(
            f"the name {name!r} belongs to {taken.cls.__module__}.{taken.cls.__qualname__}",
            hint="give one of the two another name: register_type(cls, name=...)",
        )
    _by_name[name] = _by_class[cls] = _Entry(cls, name, tag)
    return cls


_HINT_OTHER = "turn its state into a dict on the way in, and back on the way out"


def _identity(cls: type[Any]) -> tuple[str, str]:
    return cls.__module__, cls.__qualname__


def _check_bare(cls: type[Any]) -> None:
    """Refuse a dataclass that is also a list, an exception, ...: its fields are not all that it is made of."""
    try:
        object.__new__(cls)
    except TypeError as error:
        raise Encoding(f"{cls!r} is more than its fields: {error}", hint=_HINT_OTHER) from None


def tag_of(cls: object) -> int | None:
    """Say which of the three kinds a class is, or None."""
    if not isinstance(cls, type):
        return None
    if issubclass(cls, enum.Enum):
        return tags.ENUM
    if dataclasses.is_dataclass(cls):
        return tags.DATACLASS
    if issubclass(cls, tuple) and type(getattr(cls, "_fields", None)) is tuple:
        return tags.NAMED_TUPLE
    return None


def find(cls: type[Any]) -> Lower | None:
    """Return what lowers an instance of a registered class."""
    entry = _by_class.get(cls)
    return None if entry is None else _LOWER[entry.tag]


def _lower_enum(value: enum.Enum, walk: Walk) -> list[object]:
    return [HEADS[tags.ENUM], _by_class[type(value)].name, value.name, walk(value.value)]


def _lift_enum(name: str, member: str | None, value: object) -> object:
    entry = _by_name.get(name)
    if entry is None:
        return value
    cls = _expect(entry, tags.ENUM)
    if issubclass(cls, enum.Flag):
        return cls(value)
    if member not in cls.__members__:
        raise ValueError(f"the registered type {name!r} has no member {member!r}")
    return cls.__members__[member]


def _lower_dataclass(value: Any, walk: Walk) -> list[object]:
    fields: dict[str, object] = {}
    for field in dataclasses.fields(value):
        try:
            fields[field.name] = getattr(value, field.name)
        except AttributeError:
            raise Refused(value, f"its field {field.name!r} has no value") from None
    extra = sorted(getattr(value, "__dict__", {}).keys() - fields)
    if extra:
        raise Refused(
            value,
            f"its attribute {extra[0]!r} is no field of {type(value).__name__}, so it would be lost",
            "declare it, for instance as field(init=False, repr=False, compare=False)",
        )
    return [HEADS[tags.DATACLASS], _by_class[type(value)].name, walk(fields)]


def _lift_dataclass(name: str, values: dict[str, object]) -> object:
    entry = _by_name.get(name)
    if entry is None:
        return values
    cls = _expect(entry, tags.DATACLASS)
    fields = dataclasses.fields(cls)
    _check_known(name, values, [field.name for field in fields])
    # As copy and pickle do: __init__ would run a second time over values that it has already treated.
    made = object.__new__(cls)
    for field in fields:
        object.__setattr__(made, field.name, _field_value(name, field, values))
    return made


def _field_value(name: str, field: dataclasses.Field[Any], values: dict[str, object]) -> object:
    if field.name in values:
        return values[field.name]
    if field.default is not dataclasses.MISSING:
        return field.default
    if field.default_factory is not dataclasses.MISSING:
        return field.default_factory()
    raise ValueError(f"the stored {name!r} has no field {field.name!r}, which has no default either")


def _lower_named_tuple(value: Any, walk: Walk) -> list[object]:
    return [HEADS[tags.NAMED_TUPLE], _by_class[type(value)].name, walk(dict(zip(value._fields, value, strict=True)))]


def _lift_named_tuple(name: str, values: dict[str, object]) -> object:
    entry = _by_name.get(name)
    if entry is None:
        return tuple(values.values())
    cls = _expect(entry, tags.NAMED_TUPLE)
    _check_known(name, values, cls._fields)
    values = {**cls._field_defaults, **values}
    if len(values) < len(cls._fields):
        missing = next(field for field in cls._fields if field not in values)
        raise ValueError(f"the stored {name!r} has no field {missing!r}, which has no default either")
    return tuple.__new__(cls, [values[field] for field in cls._fields])


def _expect(entry: _Entry, tag: int) -> type[Any]:
    if entry.tag != tag:
        raise ValueError(f"the registered type {entry.name!r} is of another kind than the stored one")
    return entry.cls


def _check_known(name: str, values: dict[str, object], fields: Any) -> None:
    unknown = next((field for field in values if field not in fields), None)
    if unknown is not None:
        raise ValueError(
            f"the registered type {name!r} has no field {unknown!r}, which was stored; "
            "keep the field, or leave the class unregistered to get plain data"
        )


ROWS = (
    Row(tags.ENUM, "", (), _lower_enum, _lift_enum),
    Row(tags.DATACLASS, "", (), _lower_dataclass, _lift_dataclass),
    Row(tags.NAMED_TUPLE, "", (), _lower_named_tuple, _lift_named_tuple),
)
_LOWER: dict[int, Lower] = {row.tag: row.lower for row in ROWS}
