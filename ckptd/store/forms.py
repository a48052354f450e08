"""What of a part's form the store looks at: its kind, and how large the elements of an array are.

A form is the client's MessagePack map (`docs/PAYLOAD.md`), and the store takes nothing of it for granted: what it can't
read is a part of no kind with elements of one byte.
"""

import re
from dataclasses import dataclass
from typing import Final

import msgpack

_SIMPLE: Final = re.compile(r"[<>|=]?(?P<code>[a-zA-Z])(?P<size>\d{1,3})(\[.*\])?")
"""As NumPy and the `array` module name their elements: order, code, bytes (for text, characters)."""

_NAMED: Final = re.compile(r"(?P<name>[a-z]+)(?P<bits>\d{1,3})(_.*)?")
"""As `ml_dtypes` does: `bfloat16`, `float8_e4m3`."""

_CHARACTERS: Final = {"U": 4, "S": 1, "V": 1}


@dataclass(frozen=True, slots=True)
class Form:
    """`kind` is none where the form names none; `element_bytes` is 1 where it is no array of numbers."""

    kind: str = ""
    element_bytes: int = 1


def parse(form: bytes) -> Form:
    """What a form says to the store."""
    try:
        found = msgpack.unpackb(form, strict_map_key=False)
    except (ValueError, msgpack.UnpackException):
        return Form()
    kind = found.get("kind") if isinstance(found, dict) else None
    if not isinstance(kind, str):
        return Form()
    element = found.get("dtype") if kind == "array" else found.get("layout")
    return Form(kind, _element_bytes(element) if isinstance(element, str) else 1)


def _element_bytes(name: str) -> int:
    """Of a number; a complex one is two."""
    simple = _SIMPLE.fullmatch(name)
    if simple is not None:
        code, size = simple["code"], int(simple["size"])
        return _CHARACTERS.get(code, size // 2 if code == "c" else size) or 1
    named = _NAMED.fullmatch(name)
    if named is None:
        return 1
    bits = int(named["bits"]) // (2 if named["name"].endswith("complex") else 1)
    return max(1, bits // 8)
