"""Where in a state a value lies, as the Python expression that reaches it: `state["model"].hooks[3]`.

Worked out only after something was refused, so that a save that succeeds pays nothing for it.
"""

from __future__ import annotations

import dataclasses
import enum
from collections import deque
from typing import TYPE_CHECKING

from .tags import PLAIN

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

_STEPS_MAX = 16


def path_to(root: str, state: object, target: object) -> str:
    """Return the path of the first occurrence of this very object; just the root's name where it isn't found."""
    for steps, value, _ in _visit(state):
        if value is target:
            return _join(root, steps)
    return root


def path_to_cycle(root: str, state: object) -> str | None:
    """Return the path of a container that lies inside itself, or None."""
    for steps, _, inside_itself in _visit(state):
        if inside_itself:
            return _join(root, steps)
    return None


def _join(root: str, steps: list[str]) -> str:
    if len(steps) > _STEPS_MAX:
        half = _STEPS_MAX // 2
        steps = [*steps[:half], "…", *steps[-half:]]
    return root + "".join(steps)


def _visit(state: object) -> Iterator[tuple[list[str], object, bool]]:
    """Yield (path, value, whether it lies inside itself), entering each container once; no recursion, for any depth.

    The path is the same list each time: read it before going on.
    """
    path: list[str] = []
    yield path, state, False
    inside = {id(state): _children(state)}
    entered = {id(state)}
    while inside:
        holder = next(reversed(inside))
        step, value = next(inside[holder], (None, None))
        if step is None:
            del inside[holder]
            del path[-1:]
        elif type(value) not in PLAIN:
            path.append(step)
            yield path, value, id(value) in inside
            if id(value) in entered:
                del path[-1]
            else:
                entered.add(id(value))
                inside[id(value)] = _children(value)


def _children(value: object) -> Iterator[tuple[str, object]]:
    if isinstance(value, dict):
        for index, key in enumerate(value):
            yield f".keys()[{index}]", key
        for key, each in value.items():
            yield f"[{_label(key)}]", each
    elif isinstance(value, (list, deque)) or (isinstance(value, tuple) and not hasattr(value, "_fields")):
        for index, each in enumerate(value):
            yield f"[{index}]", each
    elif isinstance(value, (set, frozenset)):
        for each in value:
            yield "{member}", each
    else:
        for name in _attributes(value):
            yield f".{name}", getattr(value, name, None)


def _attributes(value: object) -> Sequence[str]:
    if isinstance(value, enum.Enum):
        return ("value",)
    if isinstance(value, tuple):
        return getattr(value, "_fields", ())
    if isinstance(value, slice):
        return ("start", "stop", "step")
    if dataclasses.is_dataclass(value):
        return [field.name for field in dataclasses.fields(value)]
    return ("tzinfo",) if hasattr(value, "tzinfo") else ()


def _label(key: object) -> str:
    if type(key) is str:
        text = key if len(key) <= 60 else key[:60] + "…"
        return '"' + text.encode("unicode_escape").decode().replace('"', '\\"') + '"'
    if type(key) in PLAIN or (type(key) is tuple and PLAIN.issuperset(map(type, key))):
        return repr(key)[:80]
    return f"<{type(key).__name__}>"
