"""How a parameter is declared, checked and named in an error; owns the term *field*.

`params` annotates each field with one of the checks below (`Annotated[str, Text(255)]`). A class is compiled to a
table when it is first unpacked, and `unpack` walks that table: a value is checked once, here, and never behind it.
Not for: what a value means; that is the business of the service which gets it.
"""

from collections.abc import Callable, Mapping
from itertools import compress, repeat
from operator import is_not
from types import NoneType
from typing import (
    Annotated,
    ClassVar,
    NamedTuple,
    Self,
    TypeVar,
    cast,
    dataclass_transform,
    get_args,
    get_origin,
    get_type_hints,
)

from ckptclient.errors import BadRequest
from ckptclient.wire.shapes import Shape


class Rejected(Exception):
    """A check's refusal: where inside the value, and what would be accepted."""

    def __init__(self, words: str, where: str = "") -> None:
        super().__init__(words)
        self.words = words
        self.where = where


class Int:
    """An integer from low to high, both included."""

    __match_args__ = ("low", "high")
    __slots__ = __match_args__

    def __init__(self, low: int = 0, high: int = (1 << 63) - 1) -> None:
        self.low = low
        self.high = high

    def __call__(self, value: object) -> object:
        if type(value) is int and self.low <= value <= self.high:
            return value
        raise Rejected(f"an integer from {self.low} to {self.high}")


class Number:
    """A finite number from low to high, both included."""

    __match_args__ = ("low", "high")
    __slots__ = __match_args__

    def __init__(self, low: float = 0.0, high: float = 1e18) -> None:
        self.low = low
        self.high = high

    def __call__(self, value: object) -> object:
        if type(value) in (int, float) and self.low <= cast("float", value) <= self.high:
            return value
        raise Rejected(f"a number from {self.low:g} to {self.high:g}")


class Flag:
    """true or false."""

    __slots__ = ()

    def __call__(self, value: object) -> object:
        if type(value) is bool:
            return value
        raise Rejected("true or false")


class Text:
    """A string of low to high bytes in UTF-8, without control characters unless it may have lines."""

    __match_args__ = ("high", "low", "lines")
    __slots__ = __match_args__

    def __init__(self, high: int, low: int = 0, lines: bool = False) -> None:
        self.high = high
        self.low = low
        self.lines = lines

    def __call__(self, value: object) -> object:
        if type(value) is str:
            size = len(value) if value.isascii() else len(value.encode("utf-8", "surrogatepass"))
            if self.low <= size <= self.high and (self.lines or value.isprintable()):
                return value
        raise Rejected(
            f"a string of {self.low} to {self.high} bytes{'' if self.lines else ' without control characters'}"
        )


class Bin:
    """Bytes, low to high of them."""

    __match_args__ = ("high", "low")
    __slots__ = __match_args__

    def __init__(self, high: int, low: int = 0) -> None:
        self.high = high
        self.low = low

    def __call__(self, value: object) -> object:
        if type(value) is bytes and self.low <= len(value) <= self.high:
            return value
        raise Rejected(f"{self.low} to {self.high} bytes of binary")


class Choice:
    """One of a few words."""

    __match_args__ = ("words",)
    __slots__ = __match_args__

    def __init__(self, words: tuple[str, ...]) -> None:
        self.words = words

    def __call__(self, value: object) -> object:
        if type(value) is str and value in self.words:
            return value
        raise Rejected(f"one of {', '.join(self.words)}")


class Many:
    """An array of up to `count` values, each of which `item` accepts; a tuple behind the edge."""

    __match_args__ = ("item", "count")
    __slots__ = __match_args__

    def __init__(self, item: Callable[[object], object], count: int) -> None:
        self.item = item
        self.count = count

    def __call__(self, value: object) -> object:
        if type(value) is not list or len(value) > self.count:
            raise Rejected(f"an array of up to {self.count}")
        item = self.item
        checked: list[object] = []
        for one in value:
            try:
                checked.append(item(one))
            except Rejected as refusal:
                raise Rejected(refusal.words, f"[{len(checked)}]{refusal.where}") from None
        return tuple(checked)


class Nested:
    """A class inside a class: a map, or an array where the class says so."""

    __match_args__ = ("kind",)
    __slots__ = __match_args__

    def __init__(self, kind: "type[Params]") -> None:
        self.kind = kind

    def __call__(self, value: object) -> object:
        return self.kind.check(value)


class Column(NamedTuple):
    """One field of a compiled class."""

    name: str
    check: Callable[[object], object]
    nullable: bool
    required: bool
    words: str


_Check = tuple[str, Callable[[object], object]]
"""A field and its check as a bound method, which is called in half the time of the object."""

LOOKS_MET_MAX = 256
"""Whoever asks decides what requests look like, so what is remembered of that has a bound."""


class Params(Shape):
    """Base of every class of parameters, unpacked by `unpack` and packed by `pack`."""

    _table: ClassVar[tuple[Column, ...] | None] = None
    _met: ClassVar[dict[tuple[object, ...], tuple[_Check, ...]]] = {}
    """Maps that were checked before, by their keys and the types of their values: what of them has to be checked."""

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        cls._table, cls._met = None, {}

    @classmethod
    def table(cls) -> tuple[Column, ...]:
        """The class's fields in order, compiled once."""
        if cls._table is None:
            hints = get_type_hints(cls, include_extras=True)
            cls._table = tuple(_column(name, hints[name], name in cls.required) for name in cls.names)
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
        if cls.as_array and type(raw) is list and len(raw) == len(cls.names):
            raw = dict(zip(cls.names, raw, strict=True))
        elif cls.as_array or type(raw) is not dict:
            raise Rejected(f"{'an array' if cls.as_array else 'a map'} of {', '.join(cls.names) or 'nothing'}")
        # Requests of a kind look alike: which fields there are, and which of them are nil, is decided once.
        looks = (*raw, *map(type, raw.values()))
        met = cls._met.get(looks)
        checks = cls._checks(raw) if met is None else met
        made = cls.__new__(cls)
        values = made.__dict__
        values.update(raw)
        name = ""
        try:
            for name, check in checks:
                values[name] = check(values[name])
        except Rejected as refusal:
            nullable = any(column.nullable for column in cls.table() if column.name == name)
            words = f"{refusal.words}, or nil" if nullable and not refusal.where else refusal.words
            raise Rejected(words, f".{name}{refusal.where}") from None
        if met is None and len(cls._met) < LOOKS_MET_MAX:
            cls._met[looks] = checks
        return made

    @classmethod
    def _checks(cls, raw: Mapping[str, object]) -> tuple[_Check, ...]:
        """What has to be checked of the values; Rejected where a key is unknown, or a required one is missing."""
        columns = {column.name: column for column in cls.table()}
        for name in raw:
            if name not in columns:
                raise Rejected(f"only {', '.join(cls.names) or 'nothing'}", f".{str(name)[:64]}")
        for column in cls.table():
            if column.required and column.name not in raw:
                raise Rejected(f"{column.words} (it is missing)", f".{column.name}")
        return tuple(
            (name, columns[name].check.__call__)  # type: ignore[operator]
            for name, value in raw.items()
            if value is not None or not columns[name].nullable
        )

    def pack(self) -> object:
        """What crosses the wire; in a map, what has its default is left out."""
        if self.as_array:
            values = [getattr(self, name) for name in self.names]
            return values if _PLAIN.issuperset(map(type, values)) else [_plain(value) for value in values]
        given, default = self.__dict__, self.defaults.get
        # By the iterators of C, and values looked at only where one is compound: this is in the way of every request.
        says = map(is_not, given.values(), map(default, given, repeat(_NOTHING)))
        packed: dict[str, object] = dict(compress(given.items(), says))
        if not _PLAIN.issuperset(map(type, packed.values())):
            for name, value in packed.items():
                if type(value) not in _PLAIN:
                    packed[name] = _plain(value)
        return packed


P = TypeVar("P", bound=Params)


@dataclass_transform(frozen_default=True, kw_only_default=True)
def parameters(kind: type[P]) -> type[P]:
    """Mark a class of parameters: its annotations say what each field may be."""
    return kind


_PLAIN = frozenset({NoneType, bool, int, float, str, bytes})


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
