"""Numbers, times and texts as people read them; owns the term *view*.

Sizes are decimal, times relative to now unless absolute ones are asked for. What comes from outside (ids, errors,
descriptions) passes `clean` before it reaches a terminal. Not for: JSON, where every value keeps its precision.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

NOTHING = "–"  # noqa: RUF001 - a dash, as in a printed table
"""Stands where a value is unknown, or there is none."""

_SIZES = ("B", "kB", "MB", "GB", "TB", "PB")
_SPANS = ((86_400, "d"), (3_600, "h"), (60, "m"), (1, "s"))
_PER = ((1, "s"), (60, "min"), (3_600, "h"))
_SPARKS = "▁▂▃▄▅▆▇█"
_ELLIPSIS = "…"


@dataclass(frozen=True, slots=True)
class View:
    """When somebody looks (microseconds UTC), and whether they want times in UTC."""

    now: int
    utc: bool = False

    def seconds_since(self, at: int) -> float:
        """Seconds that have passed; never negative, as clocks of two readings may differ by a little."""
        return max(0.0, (self.now - at) / 1e6)

    def age(self, at: int | None) -> str:
        """How long ago (`41 s`); the time itself with `utc`."""
        if at is None:
            return NOTHING
        return self.moment(at) if self.utc else span(self.seconds_since(at))

    def ahead(self, at: int | None) -> str:
        """How long until then; the time itself with `utc`."""
        if at is None:
            return NOTHING
        return self.moment(at) if self.utc else span(max(0.0, (at - self.now) / 1e6))

    def moment(self, at: int) -> str:
        """The time in the reader's zone, or in UTC."""
        when = datetime.fromtimestamp(at // 1_000_000, UTC)
        return f"{when:%Y-%m-%d %H:%M:%S}Z" if self.utc else f"{when.astimezone():%Y-%m-%d %H:%M:%S}"

    def both(self, at: int | None) -> str:
        """The time and how long ago, or how long until then."""
        if at is None:
            return NOTHING
        distance = span(abs(self.now - at) / 1e6)
        return f"{self.moment(at)} ({f'in {distance}' if at > self.now else f'{distance} ago'})"


def size(size_bytes: int | None) -> str:
    """`1.4 GB`; units of a thousand."""
    if size_bytes is None:
        return NOTHING
    amount = float(size_bytes)
    for unit in _SIZES:
        if amount < 999.5 or unit == _SIZES[-1]:
            return f"{amount:.0f} {unit}" if unit == "B" or amount >= 99.95 else f"{amount:.1f} {unit}"
        amount /= 1000
    raise AssertionError


def span(seconds: float) -> str:
    """`0.4 s`, `41 s`, `6 m 40 s`, `3 h 10 m`, `2 d 4 h`: two units at most."""
    if seconds < 10:
        return f"{seconds:.1f} s" if seconds >= 0.05 else "0 s"
    left = round(seconds)
    words: list[str] = []
    for scale, unit in _SPANS:
        amount, left = divmod(left, scale)
        if amount:
            words.append(f"{amount} {unit}")
        if len(words) == 2 or (words and not amount):
            break
    return " ".join(words)


def count(number: int | None) -> str:
    """`71,204`."""
    return NOTHING if number is None else f"{number:,}"


def counted(number: int, one: str, many: str | None = None) -> str:
    """`1 checkpoint`, `2 checkpoints`."""
    return f"{number:,} {one if number == 1 else many or one + 's'}"


def percent(value: float | None) -> str:
    """`83.9 %`; never rounded up to 100."""
    return NOTHING if value is None else f"{int(value * 10) / 10:.1f} %"


def speed(per_second: float | None, of: str = "") -> str:
    """`41/s`, `2.7/min`, `3.1/h`: per the shortest time in which something happens; `41 items/s` with a name."""
    if not per_second or per_second < 0:
        return NOTHING
    amount, unit = next(
        ((per_second * scale, unit) for scale, unit in _PER if per_second * scale >= 1), (per_second * 86_400, "d")
    )
    digits = f"{amount / 1e6:.1f} M" if amount >= 999_950 else f"{amount:,.0f}" if amount >= 99.95 else f"{amount:.3g}"
    return f"{digits} {of}/{unit}" if of else f"{digits}/{unit}"


def spark(values: Sequence[float | None]) -> str:
    """`▁▂▅█`: one character a value, against the largest; a blank where a value is unknown."""
    top = max((value for value in values if value is not None), default=0.0)
    steps = len(_SPARKS) - 1
    return "".join(
        " " if value is None else _SPARKS[round(max(0.0, value) / top * steps) if top > 0 else 0] for value in values
    )


def bar(value: float | None, cells: int = 10) -> str:
    """`███████░░░` for 71 percent; blank where the end is unknown."""
    if value is None:
        return " " * cells
    full = min(cells, int(value / 100 * cells + 1e-9))
    return "█" * full + "░" * (cells - full)


def yes(value: bool) -> str:
    """`yes` or `no`."""
    return "yes" if value else "no"


def clean(text: str) -> str:
    """The text on one line, with what a terminal would act on written out: `\\x1b`, `\\n`."""
    if text.isprintable():
        return text
    return "".join(one if one.isprintable() else one.encode("unicode_escape").decode() for one in text)


def cut(text: str, characters: int) -> str:
    """The text, cut where it is longer."""
    return text if len(text) <= characters else text[: characters - 1] + _ELLIPSIS


def or_nothing(text: str | None, form: Callable[[str], str] = str) -> str:
    """The text, or what stands for none."""
    return form(text) if text else NOTHING
