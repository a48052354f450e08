"""The daemon's structured log: an event name and fields, JSON for the journal, readable on a terminal.

`LOG = get(__name__)` at the top of a module costs nothing: structlog, which only this room knows, is loaded by
`configure`, and before that nothing is written. A line whose level is off costs a comparison of two numbers (140 ns with
the call; one that is written 12 us), so nothing stands in the way of a save. Events are constant, lower-case names
("worker gone"); what varies is a field.

What is never written: payloads and secrets. `plain` lets numbers, short texts, paths and lists of these through;
bytes become their length, an object its type, and a field whose name says secret or payload becomes `<redacted>`.
Not for: the audit of mutations, which is in the store, nor figures (`ckptd.observe.metrics`).
"""

import json
import logging
import math
import os
import sys
from collections.abc import Callable, Iterator, Mapping, MutableMapping
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import UTC, datetime
from pathlib import PurePath
from typing import Any, Final, Literal, TextIO, TypeAlias

from typing_extensions import override

from ckptd.clock import Clock

Level: TypeAlias = Literal["debug", "info", "warning", "error"]
Style: TypeAlias = Literal["auto", "json", "console"]

LEVELS: Final[Mapping[Level, int]] = {"debug": 10, "info": 20, "warning": 30, "error": 40}
_OFF: Final = 100

_PRIORITIES: Final[Mapping[str, str]] = {"debug": "<7>", "info": "<6>", "warning": "<4>", "error": "<3>"}
"""sd-daemon(3): the journal takes a line's priority from this prefix and strips it, so `journalctl -p err` works."""

_UNSPEAKABLE: Final = frozenset(
    ("body", "credential", "data", "key", "params", "password", "payload", "result", "secret", "token", "value")
)
_TEXT_CHARS_MAX: Final = 2000
_LIST_COUNT_MAX: Final = 20
_DEPTH_MAX: Final = 4

request: ContextVar[str] = ContextVar("request")
"""Id of the request that is being served; whoever sets it has it on every line that the request writes."""

_Fields: TypeAlias = MutableMapping[str, Any]


class _Output:
    """Where lines go; one for the process, because a process has one journal."""

    level: int = _OFF
    write: Mapping[str, Callable[..., Any]] = {}  # replaced whole, never changed


class Log:
    """Writes events with some fields bound to them."""

    __slots__ = ("_fields",)

    def __init__(self, fields: Mapping[str, object]) -> None:
        self._fields = fields

    def bind(self, **fields: object) -> "Log":
        """A log that adds these fields to every line."""
        return Log({**self._fields, **fields})

    def debug(self, event: str, **fields: object) -> None:
        if _Output.level <= LEVELS["debug"]:
            self._write("debug", event, fields)

    def info(self, event: str, **fields: object) -> None:
        if _Output.level <= LEVELS["info"]:
            self._write("info", event, fields)

    def warning(self, event: str, **fields: object) -> None:
        if _Output.level <= LEVELS["warning"]:
            self._write("warning", event, fields)

    def error(self, event: str, **fields: object) -> None:
        if _Output.level <= LEVELS["error"]:
            self._write("error", event, fields)

    def exception(self, event: str, **fields: object) -> None:
        """An error with the traceback of the exception that is being handled."""
        self.error(event, exc_info=True, **fields)

    def _write(self, level: str, event: str, fields: Mapping[str, object]) -> None:
        try:
            _Output.write[level](event, **{**self._fields, **fields})
        except (OSError, ValueError):
            # The reader of our log has gone (EPIPE), its disk is full, or the stream is closed. The work goes on.
            return


def get(name: str) -> Log:
    """The log of a module; may be called, and written to, before `configure`."""
    return Log({"logger": name})


def configure(level: Level, style: Style, clock: Clock, stream: TextIO | None = None) -> None:
    """Open the log on `stream` (the process's stderr); may be called again.

    What libraries write through `logging` (asyncio's lost exceptions) comes out the same way.
    """
    with _without_rich():
        import structlog

    stream = stream or sys.stderr
    terminal = stream.isatty()
    if style == "json" or (style == "auto" and not terminal):
        renderers: list[Callable[..., Any]] = [_json, *([_prioritised] if _is_journal(stream) else [])]
    else:
        # plain_traceback: the default one prints local variables, and with them payloads.
        renderers = [
            structlog.dev.ConsoleRenderer(
                colors=terminal and not os.environ.get("NO_COLOR"), exception_formatter=structlog.dev.plain_traceback
            )
        ]
    bound = structlog.wrap_logger(
        structlog.WriteLogger(stream),
        processors=[_stamp(clock), _plain_fields, structlog.processors.format_exc_info, *renderers],
        wrapper_class=structlog.make_filtering_bound_logger(0),
    ).bind()
    _Output.write = {"debug": bound.debug, "info": bound.info, "warning": bound.warning, "error": bound.error}
    logging.root.handlers = [_FromLibraries()]
    set_level(level)


@contextmanager
def _without_rich() -> Iterator[None]:
    """Import something as if rich were not installed.

    structlog loads rich where it is (the tool needs it), for tracebacks that print local variables. We never want
    those, and rich is 3.5 MB of the 45 that an idle daemon may take, and 40 ms of its start.
    """
    if "rich" in sys.modules:
        yield
        return
    sys.modules["rich"] = None  # type: ignore[assignment]  # what import takes for "there is none"
    try:
        yield
    finally:
        del sys.modules["rich"]


def set_level(level: Level) -> None:
    """Write this level and those above it from now on."""
    _Output.level = LEVELS[level]
    logging.root.setLevel(_Output.level)


def plain(value: object, depth: int = _DEPTH_MAX) -> object:
    """What of a field's value may be written."""
    match value:
        case None | bool() | int():
            return value
        case float():
            return value if math.isfinite(value) else str(value)  # JSON has no infinity
        case str():
            return _clean(value)
        case bytes() | bytearray() | memoryview():
            return f"<{len(value)} bytes>"
        case PurePath():
            return _clean(str(value))
        case BaseException():
            return _clean(f"{type(value).__name__}: {value}")
        case dict() if depth:
            return {_clean(str(name)): _field(str(name), inner, depth - 1) for name, inner in value.items()}
        case list() | tuple() | set() | frozenset() if depth:
            return [plain(inner, depth - 1) for inner in list(value)[:_LIST_COUNT_MAX]]
    return f"<{type(value).__name__}>"


def _field(name: str, value: object, depth: int = _DEPTH_MAX) -> object:
    return "<redacted>" if name.rpartition("_")[2] in _UNSPEAKABLE else plain(value, depth)


def _clean(text: str) -> str:
    """A peer chooses ids and names: no control character of theirs reaches a terminal."""
    short = text if len(text) <= _TEXT_CHARS_MAX else f"{text[:_TEXT_CHARS_MAX]}... ({len(text)} characters)"
    return short if short.isprintable() else short.encode("unicode_escape").decode()


def _plain_fields(_: object, __: str, fields: _Fields) -> _Fields:
    # exc_info becomes a traceback later, of source lines and the exception's text: no values of variables.
    return {name: value if name == "exc_info" else _field(name, value) for name, value in fields.items()}


def _stamp(clock: Clock) -> Callable[[object, str, _Fields], _Fields]:
    def stamp(_: object, level: str, fields: _Fields) -> _Fields:
        at = datetime.fromtimestamp(clock.now() / 1e6, UTC).isoformat(timespec="milliseconds")
        fields.update({"timestamp": at.replace("+00:00", "Z"), "level": level})
        if (serving := request.get(None)) is not None:
            fields["request"] = serving
        return fields

    return stamp


def _json(_: object, __: str, fields: _Fields) -> str:
    first = {name: fields.pop(name) for name in ("timestamp", "level", "event")}
    return json.dumps({**first, **fields}, ensure_ascii=False, separators=(",", ":"))


def _prioritised(_: object, level: str, line: Any) -> str:
    return f"{_PRIORITIES[level]}{line}"


def _is_journal(stream: TextIO) -> bool:
    """Whether the stream is the one that systemd connected to the journal: systemd.exec(5), JOURNAL_STREAM."""
    try:
        status = os.fstat(stream.fileno())
    except (OSError, ValueError):
        return False
    return os.environ.get("JOURNAL_STREAM") == f"{status.st_dev}:{status.st_ino}"


class _FromLibraries(logging.Handler):
    @override
    def emit(self, record: logging.LogRecord) -> None:
        log = get(record.name)
        write = log.error if record.levelno >= logging.ERROR else log.warning
        (write if record.levelno >= logging.WARNING else log.debug)(record.getMessage(), exc_info=record.exc_info)
