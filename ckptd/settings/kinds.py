"""The kinds of values: how each is read, checked, written, and named to an operator who got it wrong."""

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final, Literal

from ckptd.settings.tree import Grant, StoreLimit
from ckptd.units import format_duration, format_share, format_size, parse_duration, parse_share, parse_size

SOCKET_PATH_BYTES_MAX: Final = 107
"""`sun_path` of unix(7) without its closing zero."""

COMPRESSION_LEVEL_DEFAULT: Final = 3


@dataclass(frozen=True, slots=True)
class Kind:
    """How a value is read, checked and written.

    `parse` takes what TOML gives or a text and raises ValueError; `format` gives a text for people that is the same
    for equal values; `accepted` says in the operator's words what `parse` takes; `from_text` turns what the environment
    or the command line says into what the file would.
    """

    accepted: str
    parse: Callable[[object], Any]
    format: Callable[[Any], str]
    from_text: Callable[[str], object] = str


def _text(raw: object) -> str:
    if isinstance(raw, bool) or not isinstance(raw, str | int | float):
        raise ValueError(f"not a text or a number: {raw!r}")
    return str(raw)


def _within(number: Any, low: Any, high: Any) -> Any:
    if not low <= number <= high:
        raise ValueError(f"{number} is not within {low} to {high}")
    return number


def duration(low: str, high: str, zero: str = "") -> Kind:
    """A length of time from `low` to `high`; `zero` says what 0 means, where it is allowed."""

    def parse(raw: object) -> float:
        seconds = parse_duration(_text(raw))
        return seconds if zero and not seconds else float(_within(seconds, parse_duration(low), parse_duration(high)))

    words = f'a duration from "{low}" to "{high}" (units ms, s, min, h, d)'
    return Kind(f"{words}, or 0: {zero}" if zero else words, parse, format_duration)


def size(low: str, high: str, zero: str = "") -> Kind:
    """A number of bytes, as `duration` is one of seconds."""

    def parse(raw: object) -> int:
        size_bytes = parse_size(_text(raw))
        return size_bytes if zero and not size_bytes else int(_within(size_bytes, parse_size(low), parse_size(high)))

    words = f'a size from "{low}" to "{high}" (units B, kB, MB, GB, TB, KiB, MiB, GiB, TiB)'
    return Kind(f"{words}, or 0: {zero}" if zero else words, parse, format_size)


def integer(low: int, high: int) -> Kind:
    """A whole number of things that have no unit."""

    def parse(raw: object) -> int:
        if isinstance(raw, float):
            raise ValueError(f"not a whole number: {raw}")
        return int(_within(int(_text(raw)), low, high))

    return Kind(f"a whole number from {low} to {high}", parse, str)


def choice(*names: str) -> Kind:
    """One of a few words."""

    def parse(raw: object) -> str:
        if raw not in names:
            raise ValueError(f"not one of {names}: {raw!r}")
        return str(raw)

    return Kind("one of " + ", ".join(f'"{name}"' for name in names), parse, str)


def _parse_path(raw: object, bytes_max: int = 4095) -> Path:
    if not isinstance(raw, str) or not os.path.isabs(raw) or "\0" in raw:
        raise ValueError(f"not an absolute path: {raw!r}")
    _within(len(os.fsencode(raw)), 1, bytes_max)
    return Path(os.path.normpath(raw))


def _path_or_none(raw: object) -> Path | None:
    return None if raw == "" else _parse_path(raw)


def _absolute(text: str) -> str:
    """In the environment and on the command line a path starts where its writer stands."""
    return os.path.abspath(text) if text else ""


def _parse_limit(raw: object) -> StoreLimit:
    text = _text(raw)
    if "%" in text:
        return StoreLimit(share=float(_within(parse_share(text), 0.01, 1.0)))
    size_bytes = parse_size(text)
    return StoreLimit(bytes_max=int(_within(size_bytes, 10**6, 10**18))) if size_bytes else StoreLimit()


def _format_limit(limit: StoreLimit) -> str:
    return format_size(limit.bytes_max or 0) if limit.share is None else format_share(limit.share)


_BOOLEANS: Final[Mapping[object, bool]] = {
    word: value
    for value, words in {True: ("true", "yes", "on"), False: ("false", "no", "off", "0")}.items()
    for word in words
}


def _boolean(raw: object) -> bool | None:
    return raw if isinstance(raw, bool) else _BOOLEANS.get(str(raw).casefold())


def _parse_boolean(raw: object) -> bool:
    on = _boolean(raw)
    if on is None:
        raise ValueError(f"neither true nor false: {raw!r}")
    return on


def _parse_compression(raw: object) -> int:
    on = _boolean(raw)
    if on is not None:
        return COMPRESSION_LEVEL_DEFAULT if on else 0
    return int(integer(0, 19).parse(raw))


def _format_compression(level: int) -> str:
    return {0: "false", COMPRESSION_LEVEL_DEFAULT: "true"}.get(level, str(level))


_INTERVAL = duration("1 s", "30 d", "never")


def _parse_interval(raw: object) -> float | Literal["auto"]:
    return "auto" if raw == "auto" else float(_INTERVAL.parse(raw))


def _format_interval(interval: float | Literal["auto"]) -> str:
    return "auto" if interval == "auto" else format_duration(interval)


def _parse_name(raw: object) -> str:
    if not isinstance(raw, str) or not raw.isprintable() or set(raw) & set(":, "):
        raise ValueError(f"not a name: {raw!r}")
    return raw


_GRANTED: Final[tuple[Literal["user", "group"], ...]] = ("user", "group")


def _parse_grant(raw: object) -> Grant:
    kind, _, name = raw.partition(":") if isinstance(raw, str) else ("", "", "")
    for known in _GRANTED:
        if kind == known and name:
            return Grant(known, _parse_name(name))
    raise ValueError(f"not user:NAME or group:NAME: {raw!r}")


def _parse_grants(raw: object) -> tuple[Grant, ...]:
    if not isinstance(raw, list):
        raise ValueError(f"not a list: {raw!r}")
    return tuple(_parse_grant(one) for one in raw)


def _format_grants(grants: tuple[Grant, ...]) -> str:
    return ",".join(f"{grant.kind}:{grant.name}" for grant in grants)


def _listed(text: str) -> list[str]:
    return [part.strip() for part in text.split(",") if part.strip()]


PATH = Kind("an absolute path", _parse_path, str, _absolute)
OPTIONAL_PATH = Kind('an absolute path, or "" for none', _path_or_none, lambda path: str(path or ""), _absolute)
SOCKET = Kind(
    f"an absolute path of at most {SOCKET_PATH_BYTES_MAX} bytes",
    partial(_parse_path, bytes_max=SOCKET_PATH_BYTES_MAX),
    str,
    _absolute,
)
GROUP = Kind('the name of a group, or "" for the user of the daemon alone', _parse_name, str)
LIMIT = Kind(
    'a share of the file system ("80 %"), a size from "1 MB" ("10 GB"), or 0: no limit', _parse_limit, _format_limit
)
BOOLEAN = Kind("true or false", _parse_boolean, lambda on: str(on).lower())
COMPRESSION = Kind("true, false, or a zstd level from 1 to 19", _parse_compression, _format_compression)
CADENCE = Kind(f'{_INTERVAL.accepted}, or "auto"', _parse_interval, _format_interval)
SHARE = Kind(
    'a share from "0.1 %" to "100 %", or 0: never',
    lambda raw: share if not (share := parse_share(_text(raw))) else _within(share, 0.001, 1.0),
    format_share,
)
GRANTS = Kind('a list of "user:NAME" and "group:NAME"', _parse_grants, _format_grants, _listed)
