"""Codecs of the standard library's value types; each module is imported when data needs it, never for an encoding.

Not for: buffers (`buffers`), classes of the application (`registry`).
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from . import tags
from .tags import HEADS, Refused, Row, Walk

if TYPE_CHECKING:
    import datetime as dt
    import decimal
    import pathlib
    import uuid
    import zoneinfo
    from collections import Counter, OrderedDict, defaultdict, deque

_FACTORIES: dict[str, type] = {
    kind.__name__: kind for kind in (bool, bytes, complex, dict, float, frozenset, int, list, set, str, tuple)
}
_PATHS = frozenset({"PosixPath", "PurePosixPath", "PureWindowsPath", "WindowsPath"})
_ZONE_KEY = re.compile(r"[A-Za-z0-9_+\-]+(/[A-Za-z0-9_+\-]+)*")
"""A zone is looked up as a file and then as a resource of a package: a key from data must be no more than a name."""


def _text(value: object) -> str:
    if type(value) is not str:
        raise TypeError(f"expected text, got {type(value).__name__}")
    return value


def _lower_datetime(value: dt.datetime, walk: Walk) -> list[object]:
    local = value.replace(tzinfo=None).isoformat()
    return [HEADS[tags.DATETIME], local, value.fold, walk(value.tzinfo)]


def _lift_datetime(text: object, fold: int, zone: Any) -> object:
    from datetime import datetime

    return datetime.fromisoformat(_text(text)).replace(fold=fold, tzinfo=zone)


def _lower_date(value: dt.date, walk: Walk) -> list[object]:
    return [HEADS[tags.DATE], value.isoformat()]


def _lift_date(text: object) -> object:
    from datetime import date

    return date.fromisoformat(_text(text))


def _lower_time(value: dt.time, walk: Walk) -> list[object]:
    return [HEADS[tags.TIME], value.replace(tzinfo=None).isoformat(), value.fold, walk(value.tzinfo)]


def _lift_time(text: object, fold: int, zone: Any) -> object:
    from datetime import time

    return time.fromisoformat(_text(text)).replace(fold=fold, tzinfo=zone)


def _lower_timedelta(value: dt.timedelta, walk: Walk) -> list[object]:
    return [HEADS[tags.TIMEDELTA], value.days, value.seconds, value.microseconds]


def _lift_timedelta(days: int, seconds: int, microseconds: int) -> object:
    from datetime import timedelta

    return timedelta(days, seconds, microseconds)


def _lower_timezone(value: dt.timezone, walk: Walk) -> list[object]:
    from datetime import timedelta

    offset = value.utcoffset(None)
    # A zone without a name of its own makes one up from the offset; only the constructor's arguments tell them apart.
    own_name = value.__getinitargs__()[1:]  # type: ignore[attr-defined]
    return [HEADS[tags.TIMEZONE], offset // timedelta(microseconds=1), *own_name]


def _lift_timezone(offset_microseconds: int, *own_name: str) -> object:
    from datetime import timedelta, timezone

    return timezone(timedelta(microseconds=offset_microseconds), *own_name)


def _lower_zoneinfo(value: zoneinfo.ZoneInfo, walk: Walk) -> list[object]:
    if value.key is None:
        raise Refused(value, "a time zone that was read from a file has no name to store", "use ZoneInfo(key)")
    return [HEADS[tags.ZONEINFO], value.key]


def _lift_zoneinfo(key: object) -> object:
    from zoneinfo import ZoneInfo

    if not _ZONE_KEY.fullmatch(_text(key)):
        raise ValueError(f"no name of a time zone: {key!r}")
    try:
        return ZoneInfo(_text(key))
    except (LookupError, OSError):
        raise ValueError(f"this host doesn't know the time zone {key}; the package tzdata has them all") from None


def _lower_decimal(value: decimal.Decimal, walk: Walk) -> list[object]:
    return [HEADS[tags.DECIMAL], str(value)]


def _lift_decimal(text: object) -> object:
    from decimal import Decimal

    return Decimal(_text(text))


def _lower_uuid(value: uuid.UUID, walk: Walk) -> list[object]:
    return [HEADS[tags.UUID], value.bytes]


def _lift_uuid(data: bytes) -> object:
    from uuid import UUID

    return UUID(bytes=data)


def _lower_path(value: pathlib.PurePath, walk: Walk) -> list[object]:
    return [HEADS[tags.PATH], type(value).__name__, str(value)]


def _lift_path(flavour: object, text: object) -> object:
    import pathlib

    if flavour not in _PATHS:
        raise ValueError(f"no flavour of a path: {flavour!r}")
    return getattr(pathlib, _text(flavour))(_text(text))


def _map(value: object) -> dict[Any, Any]:
    if type(value) is not dict:
        raise TypeError(f"expected a map, got {type(value).__name__}")
    return value


def _lower_ordered_dict(value: OrderedDict[Any, Any], walk: Walk) -> list[object]:
    return [HEADS[tags.ORDERED_DICT], walk(dict(value))]


def _lift_ordered_dict(items: object) -> object:
    from collections import OrderedDict

    return OrderedDict(_map(items))


def _lower_default_dict(value: defaultdict[Any, Any], walk: Walk) -> list[object]:
    factory = value.default_factory
    name = getattr(factory, "__name__", "")
    if factory is not None and _FACTORIES.get(name) is not factory:
        raise Refused(
            value,
            "the default factory of this defaultdict is a function, which can't be stored",
            f"use one of {', '.join(sorted(_FACTORIES))}, or a dict",
        )
    return [HEADS[tags.DEFAULT_DICT], None if factory is None else name, walk(dict(value))]


def _lift_default_dict(factory: str | None, items: object) -> object:
    from collections import defaultdict

    return defaultdict(None if factory is None else _FACTORIES[factory], _map(items))


def _lower_counter(value: Counter[Any], walk: Walk) -> list[object]:
    return [HEADS[tags.COUNTER], walk(dict(value))]


def _lift_counter(items: object) -> object:
    from collections import Counter

    return Counter(_map(items))


def _lower_deque(value: deque[Any], walk: Walk) -> list[object]:
    return [HEADS[tags.DEQUE], value.maxlen, walk(list(value))]


def _lift_deque(maxlen: int | None, items: list[Any]) -> object:
    from collections import deque

    return deque(items, maxlen)


ROWS = (
    Row(tags.DATETIME, "datetime", ("datetime",), _lower_datetime, _lift_datetime),
    Row(tags.DATE, "datetime", ("date",), _lower_date, _lift_date),
    Row(tags.TIME, "datetime", ("time",), _lower_time, _lift_time),
    Row(tags.TIMEDELTA, "datetime", ("timedelta",), _lower_timedelta, _lift_timedelta),
    Row(tags.TIMEZONE, "datetime", ("timezone",), _lower_timezone, _lift_timezone),
    Row(tags.ZONEINFO, "zoneinfo", ("ZoneInfo",), _lower_zoneinfo, _lift_zoneinfo),
    Row(tags.DECIMAL, "decimal", ("Decimal",), _lower_decimal, _lift_decimal),
    Row(tags.UUID, "uuid", ("UUID",), _lower_uuid, _lift_uuid),
    Row(tags.PATH, "pathlib", tuple(sorted(_PATHS)), _lower_path, _lift_path),
    Row(tags.ORDERED_DICT, "collections", ("OrderedDict",), _lower_ordered_dict, _lift_ordered_dict),
    Row(tags.DEFAULT_DICT, "collections", ("defaultdict",), _lower_default_dict, _lift_default_dict),
    Row(tags.COUNTER, "collections", ("Counter",), _lower_counter, _lift_counter),
    Row(tags.DEQUE, "collections", ("deque",), _lower_deque, _lift_deque),
)
