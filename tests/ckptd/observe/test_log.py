"""What a line looks like, which lines are written, and what never is."""

import asyncio
import io
import json
import logging
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from typing_extensions import override

from ckptd.observe import log
from tests.fakes import FakeClock


class Terminal(io.StringIO):
    @override
    def isatty(self) -> bool:
        return True


@pytest.fixture(autouse=True)
def _as_before() -> Iterator[None]:
    level, write = log._Output.level, log._Output.write
    handlers, root_level = logging.root.handlers, logging.root.level
    yield
    log._Output.level, log._Output.write = level, write
    logging.root.handlers = handlers
    logging.root.setLevel(root_level)


def opened(level: log.Level = "debug", style: log.Style = "json", stream: io.StringIO | None = None) -> io.StringIO:
    stream = stream or io.StringIO()
    log.configure(level, style, FakeClock(), stream)
    return stream


def lines(stream: io.StringIO) -> list[dict[str, object]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def test_a_line() -> None:
    stream = opened()
    log.get("ckptd.rpc").bind(uid=1000).info("peer connected", pid=7)
    assert stream.getvalue() == (
        '{"timestamp":"2025-06-15T15:06:40.000Z","level":"info","event":"peer connected",'
        '"logger":"ckptd.rpc","uid":1000,"pid":7}\n'
    )


@pytest.mark.parametrize(("threshold", "written"), [("debug", 4), ("info", 3), ("warning", 2), ("error", 1)])
def test_the_level_says_what_is_written_and_may_change(threshold: log.Level, written: int) -> None:
    stream, one = opened(), log.get("x")
    log.set_level(threshold)
    for write in (one.debug, one.info, one.warning, one.error):
        write("event")
    assert [line["level"] for line in lines(stream)] == ["debug", "info", "warning", "error"][4 - written :]


async def test_the_lines_of_a_request_share_its_id() -> None:
    stream, one = opened(), log.get("x")

    async def serve(request: str) -> None:
        log.request.set(request)
        one.info("begun")
        await asyncio.to_thread(one.info, "in a thread")
        one.info("ended")

    async with asyncio.TaskGroup() as group:
        for request in ("a/1", "a/2"):
            group.create_task(serve(request))
    one.info("outside")
    assert Counter(line.get("request") for line in lines(stream)) == {"a/1": 3, "a/2": 3, None: 1}


@dataclass
class State:
    weights: bytes = b"secret weights"


PLAIN = [
    (None, None),
    (True, True),
    (7, 7),
    (0.5, 0.5),
    (float("inf"), "inf"),
    ("text", "text"),
    ("größer", "größer"),
    ("\x1b[31mred\n", "\\x1b[31mred\\n"),
    ("x" * 3000, "x" * 2000 + "... (3000 characters)"),
    (b"payload", "<7 bytes>"),
    (bytearray(8), "<8 bytes>"),
    (memoryview(b"123"), "<3 bytes>"),
    (Path("/srv"), "/srv"),
    (ValueError("no such thing"), "ValueError: no such thing"),
    (State(), "<State>"),
    ([1, b"22", State()], [1, "<2 bytes>", "<State>"]),
    (list(range(1000)), list(range(20))),
    ({"path": Path("/a"), "token": "abc"}, {"path": "/a", "token": "<redacted>"}),
    ([[[[[1]]]]], [[[["<list>"]]]]),
]


@pytest.mark.parametrize(("value", "written"), PLAIN)
def test_what_a_field_may_show(value: object, written: object) -> None:
    stream = opened()
    log.get("x").info("event", field=value)
    assert lines(stream)[0]["field"] == written


@pytest.mark.parametrize(
    ("name", "shown"),
    [("token", False), ("member_token", False), ("password", False), ("key", False), ("payload", False),
     ("result", False), ("payload_bytes", True), ("process_id", True), ("setting", True)],
)  # fmt: skip
def test_a_field_that_is_named_like_a_secret(name: str, shown: bool) -> None:
    stream = opened()
    log.get("x").info("event", **{name: "sesame"})
    assert ("sesame" in stream.getvalue()) is shown


@pytest.mark.parametrize("style", ["json", "console"])
def test_a_traceback_shows_no_values(style: log.Style) -> None:
    def fail(payload: bytes) -> None:
        raise RuntimeError(f"bad payload of {len(payload)} bytes")

    stream = opened(style=style)
    try:
        fail(b"secret" + b"weights")
    except RuntimeError:
        log.get("x").exception("save failed")
    assert "RuntimeError: bad payload of 13 bytes" in stream.getvalue()
    assert "secretweights" not in stream.getvalue()


@pytest.mark.parametrize(
    ("style", "stream", "is_json"),
    [("auto", io.StringIO, True), ("auto", Terminal, False), ("json", Terminal, True), ("console", io.StringIO, False)],
)
def test_the_style_follows_the_stream(style: log.Style, stream: type[io.StringIO], is_json: bool) -> None:
    opened_stream = opened(style=style, stream=stream())
    log.get("x").info("event", pid=7)
    assert opened_stream.getvalue().startswith("{") is is_json
    assert "pid" in opened_stream.getvalue()


@pytest.mark.parametrize(("stream", "no_color", "coloured"), [(Terminal, "", True), (Terminal, "1", False), (io.StringIO, "", False)])  # fmt: skip
def test_colours_are_for_terminals(
    monkeypatch: pytest.MonkeyPatch, stream: type[io.StringIO], no_color: str, coloured: bool
) -> None:
    monkeypatch.setenv("NO_COLOR", no_color)
    opened_stream = opened(style="console", stream=stream())
    log.get("x").warning("event")
    assert ("\x1b[" in opened_stream.getvalue()) is coloured


@pytest.mark.parametrize(("level", "prefix"), [("debug", "<7>"), ("info", "<6>"), ("warning", "<4>"), ("error", "<3>")])
def test_the_journal_gets_priorities(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, level: log.Level, prefix: str
) -> None:
    with (tmp_path / "journal").open("w+", encoding="utf-8") as stream:
        status = os.fstat(stream.fileno())
        monkeypatch.setenv("JOURNAL_STREAM", f"{status.st_dev}:{status.st_ino}")
        log.configure("debug", "auto", FakeClock(), stream)
        getattr(log.get("x"), level)("event")
        stream.seek(0)
        assert stream.read().startswith(prefix + '{"timestamp"')


def test_what_libraries_log_comes_out_the_same_way() -> None:
    stream = opened("info")
    logging.getLogger("library").info("talk")
    logging.getLogger("library").warning("look at %s", "this")
    assert [(line["logger"], line["level"], line["event"]) for line in lines(stream)] == [
        ("library", "warning", "look at this")
    ]


def test_a_log_that_nobody_reads_any_more_stops_nothing() -> None:
    stream = opened()
    stream.close()
    log.get("x").error("event")
    reader, writer = os.pipe()
    os.close(reader)
    with io.TextIOWrapper(open(writer, "wb", buffering=0), write_through=True) as broken:
        log.configure("debug", "json", FakeClock(), broken)
        log.get("x").error("event")


def test_nothing_is_loaded_or_written_before_it_is_configured() -> None:
    program = (
        "import sys; from ckptd.observe import log; log.get('x').error('event'); print('structlog' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=30)
    assert (done.stdout.strip(), done.stderr) == ("False", "")


def test_structlog_is_loaded_without_rich_which_stays_available() -> None:
    program = (
        "import sys; from ckptd.clock import SystemClock; from ckptd.observe import log;"
        "log.configure('info', 'json', SystemClock()); print('structlog' in sys.modules, 'rich' in sys.modules);"
        "import rich.console"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=30)
    assert done.stdout.split() == ["True", "False"]
