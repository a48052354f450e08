"""Keys and pictures, by textual's pilot, against a daemon that answers canned replies."""

import os
import re
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from textual.pilot import Pilot

from ckptclient.errors import Denied, Unreachable
from ckptd.ctl.session import Common, Session
from ckptd.ctl.top.app import Canvas, Top
from ckptd.ctl.top.drawing import Scene
from ckptd.ctl.top.rates import Rates, Sample
from ckptd.ctl.top.reading import Reader
from tests.ckptd.ctl import canned
from tests.ckptd.ctl.canned import NOW, SECOND
from tests.ckptd.ctl.fakes import FakeDaemon, world
from tests.fakes import FakeClock

PICTURE = Path(__file__).parents[4] / "docs/images/top.svg"
NEVER = 1e6
"""Seconds between looks: a test looks when it wants to."""

NAMES = ("train-llm-7", "crawl-eu", "etl-nightly", "embed-docs", "finetune-3")


def fleet() -> list[dict[str, object]]:
    """Some of each: those at the beginning have most to lose."""
    made = []
    for index, name in enumerate(NAMES):
        last = canned.checkpoint(created_at=NOW - (400 - 90 * index) * SECOND, process_id=name, seq=20 + index)
        progress = canned.progress(percent=71.2 - 11 * index, per_second=4.2 / (index + 1), completed=700 - index)
        made.append(
            canned.process(process_id=name, user=("anna", "bob")[index % 2], last_checkpoint=last, progress=progress)
        )
    made[1] |= {"state": "interrupted", "holder": None}
    return made


@asynccontextmanager
async def running(
    replies: Mapping[str, object] | None = None, size: tuple[int, int] = (80, 24), role: str = "operator"
) -> AsyncIterator[tuple[Pilot[None], FakeDaemon]]:
    shown = {one["process_id"]: one for one in fleet()}
    daemon = FakeDaemon(
        {
            "process.list": {"processes": list(shown.values()), "next": None},
            "process.show": lambda packed: shown[str(packed["process_id"]).rpartition("/")[2]],
            **(replies or {}),
        },
        role=role,
    )
    session = Session(world(daemon, clock=FakeClock(NOW)), Common(utc=True))
    reader, rates = Reader(session), Rates()
    reading = reader.read()
    rates.add(Sample.of(reading.monotonic, reading.status))
    app = Top(session, reader, Scene(reading, rates, "node-a", session.view()), NEVER)
    async with app.run_test(size=size) as pilot:
        await looked(pilot)
        yield pilot, daemon


async def looked(pilot: Pilot[None]) -> None:
    assert isinstance(pilot.app, Top)
    pilot.app.look()
    await settled(pilot)


async def settled(pilot: Pilot[None]) -> None:
    await pilot.app.workers.wait_for_complete()
    await pilot.pause()


def screen(pilot: Pilot[None]) -> list[str]:
    lines = pilot.app.query_one(Canvas).lines
    return ["".join(text for text, _ in line).rstrip() for line in lines]


def names(pilot: Pilot[None]) -> list[str]:
    return [found[1] for line in screen(pilot) if (found := re.match(r"[✓✗!·] ([\w-]+)", line))]


def chosen(pilot: Pilot[None]) -> str | None:
    for line in pilot.app.query_one(Canvas).lines:
        if any(mark == "chosen" for _, mark in line):
            return next(text for text, _ in line).split()[1]
    return None


async def test_the_first_picture() -> None:
    async with running() as (pilot, _):
        lines = screen(pilot)
        assert len(lines) == 24
        assert lines[0].startswith("ckptd node-a   health 92 ✓ healthy")
        assert names(pilot) == ["train-llm-7", "etl-nightly", "embed-docs", "finetune-3", "crawl-eu"]
        assert "71.2 %" in lines[5]
        assert "crawl-eu interrupted  pid 901  how SIGKILL" in lines[21]
        assert lines[-1].startswith("q quit")


@pytest.mark.parametrize(
    ("keys", "found"),
    [
        (["down"], "train-llm-7"),
        (["down", "j"], "etl-nightly"),
        (["down", "down", "up"], "train-llm-7"),
        (["down", "k"], "train-llm-7"),
        (["end"], "crawl-eu"),
        (["end", "home"], "train-llm-7"),
        (["pagedown", "pagedown"], "crawl-eu"),
        (["down", "escape"], None),
    ],
)
async def test_a_process_is_chosen(keys: list[str], found: str | None) -> None:
    async with running() as (pilot, _):
        await pilot.press(*keys)
        assert chosen(pilot) == found


async def test_the_chosen_one_stays_chosen_where_the_order_changes() -> None:
    async with running() as (pilot, _):
        await pilot.press("down", "down", "s", "r")
        assert (chosen(pilot), names(pilot)[0]) == ("etl-nightly", "train-llm-7")


@pytest.mark.parametrize(
    ("keys", "first", "title"),
    [
        (["s"], "crawl-eu", "PROCESS▼"),
        (["s", "r"], "train-llm-7", "PROCESS▲"),
        (["s", "less_than_sign"], "train-llm-7", "AT-RISK▼"),
        (["s", "s", "s", "s"], "train-llm-7", "PROGRESS▼"),
    ],
)
async def test_the_order(keys: list[str], first: str, title: str) -> None:
    async with running() as (pilot, _):
        await pilot.press(*keys)
        assert names(pilot)[0] == first
        assert title in screen(pilot)[4]


async def test_a_filter_is_typed_and_stays() -> None:
    async with running() as (pilot, _):
        await pilot.press("slash", *"user:bob")
        await pilot.pause()
        assert names(pilot) == ["embed-docs", "crawl-eu"]
        await pilot.press("enter")
        assert "2 processes of 5 match user:bob" in "\n".join(screen(pilot))
        await pilot.press("escape")
        assert len(names(pilot)) == 5


async def test_escape_ends_the_typing_of_a_filter() -> None:
    async with running() as (pilot, _):
        await pilot.press("slash", *"bob", "escape", "down")
        assert (chosen(pilot), len(names(pilot))) == ("train-llm-7", 5)


@pytest.mark.parametrize(
    ("key", "command", "method", "said"),
    [
        ("f", "$ ckptctl fence anna/train-llm-7 --yes", "process.fence", "fenced train-llm-7: epoch 4"),
        ("S", "$ ckptctl stop anna/train-llm-7", "process.stop", "asked train-llm-7 to stop"),
        ("p", "$ ckptctl pin anna/train-llm-7@20", "checkpoint.pin", "pinned "),
        ("u", "$ ckptctl unpin anna/train-llm-7@20", "checkpoint.unpin", "unpinned "),
    ],
)
async def test_an_act_shows_its_command_and_waits_for_enter(key: str, command: str, method: str, said: str) -> None:
    async with running() as (pilot, daemon):
        await pilot.press("down", key)
        assert screen(pilot)[-1].startswith(command)
        assert method not in daemon.methods()
        await pilot.press("x")
        assert screen(pilot)[-1] == "nothing was done"
        assert method not in daemon.methods()
        await pilot.press(key, "enter")
        await settled(pilot)
        assert daemon.methods().count(method) == 1
        assert screen(pilot)[-1].startswith(said)


async def test_what_is_refused_is_said() -> None:
    async with running({"process.fence": Denied("only an operator may")}) as (pilot, _):
        await pilot.press("down", "f", "enter")
        await settled(pilot)
        assert screen(pilot)[-1] == "only an operator may [DENIED]"


async def test_nothing_is_done_to_nobody() -> None:
    async with running() as (pilot, _):
        await pilot.press("f")
        assert screen(pilot)[-1] == "choose a process first: up, down"


async def test_details_and_back() -> None:
    async with running(size=(120, 60)) as (pilot, _):
        await pilot.press("down", "enter")
        await settled(pilot)
        text = "\n".join(screen(pilot))
        assert [
            word for word in ("train-llm-7", "expected end", "steps/s", "CHECKPOINT", "registered") if word not in text
        ] == []
        await pilot.press("escape")
        assert names(pilot)[0] == "train-llm-7"


async def test_pages_are_scrolled() -> None:
    async with running() as (pilot, _):
        await pilot.press("question_mark")
        top = screen(pilot)[4]
        await pilot.press("down", "down")
        assert screen(pilot)[4] != top
        await pilot.press("home")
        assert screen(pilot)[4] == top


@pytest.mark.parametrize(
    ("key", "has"), [("question_mark", "sort by another column"), ("w", "etl-nightly saved 400 s ago")]
)
async def test_help_and_reasons(key: str, has: str) -> None:
    async with running(size=(120, 40)) as (pilot, _):
        await pilot.press(key)
        assert has in "\n".join(screen(pilot))


async def test_a_daemon_that_goes_away_is_waited_for() -> None:
    gone: dict[str, object] = {}
    async with running({"store.status": lambda _: gone.get("error", canned.STATUS)}) as (pilot, _):
        gone["error"] = Unreachable("no daemon answers")
        await looked(pilot)
        assert "✗ the daemon is away; waiting for it" in screen(pilot)[0]
        assert len(names(pilot)) == 5
        gone.clear()
        await looked(pilot)
        assert "✓ healthy" in screen(pilot)[0]


async def test_it_stands_still_and_goes_on() -> None:
    async with running() as (pilot, daemon):
        await pilot.press("space")
        asked = len(daemon.asked)
        await looked(pilot)
        assert len(daemon.asked) == asked
        assert "standing still" in screen(pilot)[-1]
        await pilot.press("space")
        await settled(pilot)
        assert len(daemon.asked) > asked


async def test_completed_ones_are_asked_for() -> None:
    async with running() as (pilot, daemon):
        await pilot.press("a")
        await settled(pilot)
        asked = [packed.get("states") for method, packed in daemon.asked if method == "process.list"]
        assert not asked[-1]


async def test_a_worker_is_told_that_it_sees_its_own() -> None:
    async with running(role="worker", size=(120, 24)) as (pilot, _):
        assert "own processes only" in screen(pilot)[-1]


@pytest.mark.parametrize("size", [(80, 24), (120, 30), (160, 50), (40, 12), (20, 6)])
async def test_any_size(size: tuple[int, int]) -> None:
    async with running(size=size) as (pilot, _):
        assert len(screen(pilot)) == size[1]
        await pilot.resize_terminal(100, 20)
        await pilot.pause()
        assert len(screen(pilot)) == 20


async def test_q_leaves() -> None:
    async with running() as (pilot, _):
        await pilot.press("q")
        assert not pilot.app.is_running or pilot.app._exit


async def test_the_picture_in_the_documents_is_there() -> None:
    """With CKPTD_WRITE_PICTURES it is drawn anew; textual's own ids in it differ from run to run."""
    if os.environ.get("CKPTD_WRITE_PICTURES"):
        async with running(size=(120, 30)) as (pilot, _):
            drawn = pilot.app.export_screenshot(title="ckptctl top")
            # A font from the network: the picture has to do with the reader's own.
            PICTURE.write_text(re.sub(r"@font-face \{.*?\}\s*", "", drawn, flags=re.DOTALL), encoding="utf-8")
    assert "train-llm-7" in PICTURE.read_text(encoding="utf-8")
