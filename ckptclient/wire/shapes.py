"""What crosses as a map with known keys; owns the term *shape*: the ground of parameters (`fields`) and results.

A shape is declared like a dataclass and isn't one: to make seventy of these, and to load what makes them, would be a
third of a worker's way to its first answer. Not for: what a value may be; that is for `fields` and `results` to check.
"""

from collections.abc import Mapping
from typing import ClassVar, Self, get_origin


class Shape:
    """Named values in a fixed order: keyword-only, frozen, compared by value.

    An instance has only what was given; a default is found in its class.
    """

    names: ClassVar[tuple[str, ...]] = ()
    defaults: ClassVar[Mapping[str, object]] = {}
    required: ClassVar[frozenset[str]] = frozenset()
    as_array: ClassVar[bool] = False
    """Crosses as an array of the values in order, for what comes by the thousand."""
    _known: ClassVar[frozenset[str]] = frozenset()

    def __init_subclass__(cls) -> None:
        """Take in what the class says of its fields: name and default of each, those of its base first."""
        own: Mapping[str, object] = cls.__annotations__
        names = [name for name, hint in own.items() if get_origin(hint) is not ClassVar]
        cls.names = tuple(dict.fromkeys((*cls.names, *names)))
        cls.defaults = {name: getattr(cls, name) for name in cls.names if hasattr(cls, name)}
        cls._known = frozenset(cls.names)
        cls.required = cls._known - cls.defaults.keys()

    def __init__(self, **values: object) -> None:
        given = values.keys()
        if not (given >= self.required and given <= self._known):
            raise _misused(type(self), values)
        self.__dict__.update(values)

    def having(self, **changed: object) -> Self:
        """The same with some values changed."""
        assert changed.keys() <= self._known
        made = self.__new__(type(self))
        made.__dict__.update(self.__dict__, **changed)
        return made

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError(f"{type(self).__name__} is frozen: cannot assign to {name}")

    def __eq__(self, other: object) -> bool:
        if type(other) is not type(self):
            return NotImplemented
        return all(getattr(self, name) == getattr(other, name) for name in self.names)

    def __hash__(self) -> int:
        return hash((type(self), *(getattr(self, name) for name in self.names)))

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(f'{name}={value!r}' for name, value in self.__dict__.items())})"


def _misused(kind: type[Shape], values: Mapping[str, object]) -> TypeError:
    unknown = [name for name in values if name not in kind.names]
    missing = [name for name in kind.names if name in kind.required and name not in values]
    said = f"has no {', '.join(unknown)}" if unknown else f"needs {', '.join(missing)}"
    return TypeError(f"{kind.__name__} {said}")
