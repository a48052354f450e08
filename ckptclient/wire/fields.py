"""How a parameter is declared, checked and named in an error; owns the term *field*.

`params` annotates each field with one of the checks below (`Annotated[str, Text(255)]`). A class is compiled to a
table when it is first unpacked, and `unpack` walks that table: a value is checked once, here, and never behind it.
Not for: what a value means; that is the business of the service which gets it.
"""

from collections.abc import Callable, Mapping
from dataclasses import MISSING, Field, FrozenInstanceError, dataclass, fields
from types import NoneType
from typing import Annotated, ClassVar, Self, TypeVar, cast, dataclass_transform, get_args, get_origin, get_type_hints

from ckptclient.errors import BadRequest


class Rejected(Exception):
    """A check's refusal: where inside the value, and what would be accepted."""

    def __init__(self, words: str, where: str = "") -> None:
        super().__init__(words)
        self.words = words
        self.where = where


@dataclass(frozen=True, slots=True)
class Int:
    """An integer from low to high, both included."""

    low: int = 0
    high: int = (1 << 63) - 1

    def __call__(self, value: object) -> object:
        if type(value) is int and self.low <= value <= self.high:
            return value
        raise Rejected(f"an integer from {self.low} to {self.high}")


@dataclass(frozen=True, slots=True)
class Number:
    """A finite number from low to high, both included."""

    low: float = 0.0
    high: float = 1e18

    def __call__(self, value: object) -> object:
        if type(value) in (int, float) and self.low <= cast("float", value) <= self.high:
            return value
        raise Rejected(f"a number from {self.low:g} to {self.high:g}")


@dataclass(frozen=True, slots=True)
class Flag:
    """true or false."""

    def __call__(self, value: object) -> object:
        if type(value) is bool:
            return value
        raise Rejected("true or false")


@dataclass(frozen=True, slots=True)
class Text:
    """A string of low to high bytes in UTF-8, without control characters unless it may have lines."""

    high: int
    low: int = 0
    lines: bool = False

    def __call__(self, value: object) -> object:
        if type(value) is str:
            size = len(value) if value.isascii() else len(value.encode("utf-8", "surrogatepass"))
            if self.low <= size <= self.high and (self.lines or value.isprintable()):
                return value
        raise Rejected(
            f"a string of {self.low} to {self.high} bytes{'' if self.lines else ' without control characters'}"
        )


@dataclass(frozen=True, slots=True)
class Bin:
    """Bytes, low to high of them."""

    high: int
    low: int = 0

    def __call__(self, value: object) -> object:
        if type(value) is bytes and self.low <= len(value) <= self.high:
            return value
        raise Rejected(f"{self.low} to {self.high} bytes of binary")


@dataclass(frozen=True, slots=True)
class Choice:
    """One of a few words."""

    words: tuple[str, ...]

    def __call__(self, value: object) -> object:
        if type(value) is str and value in self.words:
            return value
        raise Rejected(f"one of {', '.join(self.words)}")


@dataclass(frozen=True, slots=True)
class Many:
    """An array of up to `count` values, each of which `item` accepts; a tuple behind the edge."""

    item: Callable[[object], object]
    count: int

    def __call__(self, value: object) -> object:
        if type(value) is not list or len(value) > self.count:
            raise Rejected(f"an array of up to {self.count}")
        checked: list[object] = []
        for index, one in enumerate(value):
            try:
                checked.append(self.item(one))
            except Rejected as refusal:
                raise Rejected(refusal.words, f"[{index}]{refusal.where}") from None
        return tuple(checked)


@dataclass(frozen=True, slots=True)
class Nested:
    """A class inside a class: a map, or an array where the class says so."""

    kind: "type[Params]"

    def __call__(self, value: object) -> object:
        return self.kind.check(value)


@dataclass(frozen=True, slots=True)
class Column:
    """One field of a compiled class."""

    name: str
    check: Callable[[object], object]
    nullable: bool
    required: bool
    words: str


class Params:
    """Base of every class of parameters: frozen, keyword-only, unpacked by `unpack` and packed by `pack`.

    An instance has only what was given; a default is found in its class.
    """

    __dataclass_fields__: ClassVar[dict[str, Field[object]]]
    declared: ClassVar[Mapping[str, Field[object]]] = {}
    as_array: ClassVar[bool] = False
    """Cross as an array of the fields in order, for what comes by the thousand."""
    _table: ClassVar[tuple[Column, ...] | None] = None
    _columns: ClassVar[Mapping[str, Column]] = {}
    _required: ClassVar[tuple[str, ...]] = ()
    _names: ClassVar[str] = ""

    def __init__(self, **values: object) -> None:
        known = self.declared
        for name in values:
            if name not in known:
                raise TypeError(f"{type(self).__name__} has no {name}")
        for name, one in known.items():
            if one.default is MISSING and name not in values:
                raise TypeError(f"{type(self).__name__} needs {name}")
        self.__dict__.update(values)

    def __setattr__(self, name: str, value: object) -> None:
        raise FrozenInstanceError(f"cannot assign to {name}")

    def __eq__(self, other: object) -> bool:
        if type(other) is not type(self):
            return NotImplemented
        return all(getattr(self, name) == getattr(other, name) for name in self.declared)

    def __hash__(self) -> int:
        return hash((type(self), *(getattr(self, name) for name in self.declared)))

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(f'{name}={value!r}' for name, value in self.__dict__.items())})"

    @classmethod
    def table(cls) -> tuple[Column, ...]:
        """The class's fields in order, compiled once."""
        if cls._table is None:
            hints = get_type_hints(cls, include_extras=True)
            cls._table = tuple(
                _column(one.name, hints[one.name], one.default is MISSING) for one in cls.declared.values()
            )
            cls._columns = {column.name: column for column in cls._table}
            cls._required = tuple(column.name for column in cls._table if column.required)
            cls._names = ", ".join(cls._columns) or "nothing"
        return cls._table

    @classmethod
    def unpack(cls, raw: object) -> Self:
        """Check a decoded map and build the class, or raise `BadRequest` that names the field and what is accepted."""
        try:
            return cls.check(raw)
        except Rejected as refusal:
            where = refusal.where.lstrip(".")
            raise BadRequest(
                f"parameter {where} was refused" if where else "the parameters were refused",
                hint=f"accepted: {refusal.words}",
                details={"field": where, "accepted": refusal.words},
            ) from None

    @classmethod
    def check(cls, raw: object) -> Self:
        """As `unpack`, for a class inside another."""
        table = cls.table()
        names = cls._names
        if cls.as_array:
            if type(raw) is not list or len(raw) != len(table):
                raise Rejected(f"an array of {names}")
            raw = {column.name: value for column, value in zip(table, raw, strict=True)}
        if type(raw) is not dict:
            raise Rejected(f"a map of {names}")
        columns = cls._columns
        values: dict[str, object] = {}
        for name, value in raw.items():
            column = columns.get(name)
            if column is None:
                raise Rejected(f"only {names}", f".{str(name)[:64]}")
            if value is None and column.nullable:
                values[name] = None
                continue
            try:
                values[name] = column.check(value)
            except Rejected as refusal:
                words = f"{refusal.words}, or nil" if column.nullable and not refusal.where else refusal.words
                raise Rejected(words, f".{name}{refusal.where}") from None
        for name in cls._required:
            if name not in values:
                raise Rejected(f"{columns[name].words} (it is missing)", f".{name}")
        made = cls.__new__(cls)
        made.__dict__.update(values)
        return made

    def pack(self) -> object:
        """What crosses the wire; in a map, what has its default is left out."""
        known = self.declared
        if self.as_array:
            return [_plain(getattr(self, name)) for name in known]
        return {name: _plain(value) for name, value in self.__dict__.items() if value is not known[name].default}


P = TypeVar("P", bound=Params)


@dataclass_transform(frozen_default=True, kw_only_default=True)
def parameters(kind: type[P]) -> type[P]:
    """A frozen dataclass whose methods are the base's: generating them anew would cost each worker 20 ms at its start."""
    made = dataclass(init=False, repr=False, eq=False, match_args=False)(kind)
    made.declared = {one.name: one for one in fields(made)}
    return made


def _plain(value: object) -> object:
    if isinstance(value, Params):
        return value.pack()
    if isinstance(value, tuple):
        return [_plain(one) for one in value]
    return value


def _column(name: str, hint: object, required: bool) -> Column:
    nullable = False
    if get_origin(hint) is not Annotated:
        options = [option for option in get_args(hint) if option is not NoneType]
        nullable, hint = True, options[0]
    check = cast("Callable[[object], object]", get_args(hint)[1])
    return Column(name, check, nullable, required, _words(check))


def _words(check: Callable[[object], object]) -> str:
    try:
        check(_NOTHING)
    except Rejected as refusal:
        return refusal.words
    raise AssertionError(f"{check!r} accepts anything")


_NOTHING = object()
