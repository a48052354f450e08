"""Sizes, durations and shares as people write them: `"10 GB"`, `"4 KiB"`, `"24 h"`, `"80 %"`.

Parsing gives bytes (int), seconds (float) or a share of one (float); formatting gives a text that parses back to the
same value. Not for: ranges and defaults, which are the settings' (`ckptd.settings`), nor for rounded display.
A number without a unit is refused, because nobody can tell what its writer meant; only 0 needs none.
"""

import re
from collections.abc import Mapping
from decimal import Decimal
from fractions import Fraction
from typing import Final

SIZES: Final[Mapping[str, int]] = {
    "B": 1,
    "kB": 10**3,
    "KiB": 2**10,
    "MB": 10**6,
    "MiB": 2**20,
    "GB": 10**9,
    "GiB": 2**30,
    "TB": 10**12,
    "TiB": 2**40,
}
"""Bytes of each unit, smallest first; decimal and binary prefixes as IEC 80000-13 has them."""

DURATIONS: Final[Mapping[str, Fraction]] = {
    "ms": Fraction(1, 1000),
    "s": Fraction(1),
    "min": Fraction(60),
    "h": Fraction(3600),
    "d": Fraction(86400),
}
"""Seconds of each unit, smallest first."""

_NUMBER_AND_UNIT = re.compile(r"([0-9]{1,20}(?:\.[0-9]{1,9})?)\s*([A-Za-z%]*)", re.ASCII)


def _quantity(text: str, units: Mapping[str, int] | Mapping[str, Fraction]) -> Fraction:
    """A number with its unit, exactly: 0.1 of a unit is a tenth, not the nearest float."""
    match = _NUMBER_AND_UNIT.fullmatch(text.strip())
    if match is None:
        raise ValueError(f"not a number with a unit: {text!r}")
    number, unit = Fraction(match[1]), match[2].casefold()
    if not unit and number == 0:
        return number
    for name, scale in units.items():
        if name.casefold() == unit:  # "kb", "KB" and "kB" mean one thing to everybody
            return number * scale
    raise ValueError(f"no unit of {', '.join(units)}: {text!r}")


def parse_size(text: str) -> int:
    """Bytes of `"10 GB"`; raises ValueError where it is no size or no whole number of bytes."""
    quantity = _quantity(text, SIZES)
    if quantity.denominator != 1:
        raise ValueError(f"not a whole number of bytes: {text!r}")
    return quantity.numerator


def parse_duration(text: str) -> float:
    """Seconds of `"24 h"`; raises ValueError where it is no duration."""
    return float(_quantity(text, DURATIONS))


def parse_share(text: str) -> float:
    """The share, 0 to 1, of `"80 %"`; raises ValueError where it is none."""
    share = _quantity(text, {"%": Fraction(1, 100)})
    if share > 1:
        raise ValueError(f"more than the whole: {text!r}")
    return float(share)


def format_size(size_bytes: int) -> str:
    """The text in the largest unit that gives a whole number; `"0"` for nothing."""
    for name, scale in reversed(list(SIZES.items())):
        if size_bytes and size_bytes % scale == 0:
            return f"{size_bytes // scale} {name}"
    return "0"


def format_duration(seconds: float) -> str:
    """The text in the largest unit that gives a whole number, else in milliseconds; `"0"` for none."""
    exact = Fraction(repr(seconds))
    for name, scale in reversed(list(DURATIONS.items())):
        if exact and exact % scale == 0:
            return f"{exact // scale} {name}"
    return f"{_decimal(exact * 1000)} ms" if exact else "0"


def format_share(share: float) -> str:
    """The text in percent; `"0"` for nothing."""
    return f"{_decimal(Fraction(repr(share)) * 100)} %" if share else "0"


def _decimal(exact: Fraction) -> str:
    text = f"{Decimal(exact.numerator) / Decimal(exact.denominator):f}"
    return text.rstrip("0").rstrip(".") if "." in text else text
