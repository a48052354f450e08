"""How a parameter is declared, checked and named in an error; owns the term *field*.

`params` annotates each field with one of the checks below (`Annotated[str, Text(255)]`). A class is compiled to a
table when it is first unpacked, and `unpack` walks that table: a value is checked once, here, and never behind it.
Not for: what a value means; that is the business of the service which gets it.
"""

from collections.abc import Callable, Mapping
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


_Check = tuple[Callable[[object], object], bool]
"""The check of a field as a bound method, which is called in half the time of the object; whether nil will do."""


class Params(Shape):
    """Base of every class of parameters, unpacked by `unpack` and packed by `pack`."""

    _table: ClassVar[tuple[Column, ...] | None] = None
    _checks: ClassVar[Mapping[str, _Check]] = {}

    @classmethod
    def table(cls) -> tuple[Column, ...]:
        """The class's fields in order, compiled once."""
        if cls._table is None:
            hints = get_type_hints(cls, include_extras=True)
            cls._table = tuple(_column(name, hints[name], name in cls.required) for name in cls.names)
            cls._checks = {column.name: (_bound(column.check), column.nullable) for column in cls._table}
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
        if cls._table is None:
            cls.table()
        if cls.as_array and type(raw) is list and len(raw) == len(cls.names):
            raw = dict(zip(cls.names, raw, strict=True))
        elif cls.as_array or type(raw) is not dict:
            raise Rejected(f"{'an array' if cls.as_array else 'a map'} of {', '.join(cls.names) or 'nothing'}")
        made = cls.__new__(cls)
        values = made.__dict__
        checks = cls._checks
        name, nullable = "", False
        try:
            for name, value in raw.items():
                check, nullable = checks[name]
                values[name] = None if value is None and nullable else check(value)
        except KeyError:
            raise Rejected(f"only {', '.join(cls.names) or 'nothing'}", f".{str(name)[:64]}") from None
        except Rejected as refusal:
            words = f"{refusal.words}, or nil" if nullable and not refusal.where else refusal.words
            raise Rejected(words, f".{name}{refusal.where}") from None
        if not values.keys() >= cls.required:
            missing = next(column for column in cls.table() if column.required and column.name not in values)
            raise Rejected(f"{missing.words} (it is missing)", f".{missing.name}")
        return made

    def pack(self) -> object:
        """What crosses the wire; in a map, what has its default is left out."""
        if self.as_array:
            return [_plain(getattr(self, name)) for name in self.names]
        default = self.defaults.get
        return {
            name: value if type(value) in _PLAIN else _plain(value)
            for name, value in self.__dict__.items()
            if value is not default(name, _NOTHING)
        }


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


def _bound(check: Callable[[object], object]) -> Callable[[object], object]:
    bound: Callable[[object], object] = check.__call__  # type: ignore[operator]
    return bound


def _words(check: Callable[[object], object]) -> str:
    try:
        check(_NOTHING)
    except Rejected as refusal:
        return refusal.words
    raise AssertionError(f"{check!r} accepts anything")


_NOTHING = object()
