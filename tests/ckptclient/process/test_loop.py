"""Turns of `track`: when an item is done, what goes with it, and what waits for a turn."""

import contextlib
import signal
from collections.abc import Iterator
from typing import Any

import pytest

from ckptclient.errors import BadRequest, Conflict, Encoding, NoSpace, Stopped
from ckptclient.payload import decode_value
from ckptclient.process import Process
from ckptclient.process.loop import CAREFUL_TURNS
from ckptclient.process.outbox import ENTRIES_MAX
from ckptclient.process.stopping import terminated
from tests.ckptclient.process.scripted import DUE, STOP, TICK, Heard, ScriptedDaemon, process_of, state_in


@pytest.fixture
def daemon() -> ScriptedDaemon:
    return ScriptedDaemon()


@pytest.fixture(autouse=True)
def _not_terminated() -> Iterator[None]:
    yield
    terminated.asked = False


def rows(daemon: ScriptedDaemon) -> list[tuple[int, int, object, object]]:
    """(kind, place, item, result) of everything that was recorded."""
    return [
        (kind, place, decode_value(item), None if result is None else decode_value(result))
        for kind, place, item, result in daemon.rows()
    ]


def test_an_item_is_done_when_the_body_comes_back_for_the_next(daemon: ScriptedDaemon) -> None:
    process = process_of(daemon)
    turns = process.track(["a", "b"])
    assert next(turns) == "a"
    process.flush()
    assert rows(daemon) == []
    assert next(turns) == "b"
    process.flush()
    assert rows(daemon) == [(0, 0, "a", None)]
    assert next(turns, None) is None
    process.flush()
    assert rows(daemon) == [(0, 0, "a", None), (0, 1, "b", None)]


def test_result_and_item_go_together_with_the_turn(daemon: ScriptedDaemon) -> None:
    process = process_of(daemon)
    turns = process.track([3, 4])
    process.record(next(turns), {"square": 9})
    process.flush()
    assert rows(daemon) == []
    process.fail_item(next(turns), ValueError("odd"))
    next(turns, None)
    process.flush()
    assert rows(daemon) == [(0, 0, 3, {"square": 9}), (1, 1, 4, "ValueError: odd")]


@pytest.mark.parametrize(
    ("say", "error"),
    [
        (lambda process: process.record("b", 1), BadRequest),
        (lambda process: process.record("a", object()), Encoding),
        (lambda process: process.record("a", bytes(1 << 20)), Encoding),
        (lambda process: (process.record("a", 1), process.record("a", 2)), Conflict),
        (lambda process: (process.fail_item("a"), process.record("a", 2)), Conflict),
        (lambda process: process.track(["z"]), Conflict),
    ],
    ids=["not in hand", "not storable", "too large", "twice", "failed, then done", "nested"],
)
def test_what_the_item_in_hand_refuses(daemon: ScriptedDaemon, say: Any, error: type[Exception]) -> None:
    process = process_of(daemon)
    turns = process.track(["a", "b"])
    assert next(turns) == "a"
    with pytest.raises(error):
        say(process)


def test_no_record_outside_a_turn(daemon: ScriptedDaemon) -> None:
    process = process_of(daemon)
    for _ in process.track(["a"]):
        pass
    with pytest.raises(BadRequest):
        process.record("a", 1)


def test_without_a_loop_an_item_is_recorded_by_its_value(daemon: ScriptedDaemon) -> None:
    process = process_of(daemon)
    process.record("a", 1)
    process.fail_item("b", "why")
    process.flush()
    assert rows(daemon) == [(0, -1, "a", 1), (1, -1, "b", "why")]
    assert process.state.completed_steps == 2


@pytest.mark.parametrize(
    ("items", "key", "recorded"),
    [
        ([10, 20], None, [(0, 10), (1, 20)]),
        ((10, 20), None, [(0, 10), (1, 20)]),
        (range(5, 7), None, [(0, 5), (1, 6)]),
        ({"x": 1, "y": 2}, None, [(0, "x"), (1, "y")]),
        ([[1], {"k": 2}], None, [(0, [1]), (1, {"k": 2})]),
        ([2**70, "\ud800", b"b", None], None, [(0, 2**70), (1, "\ud800"), (2, b"b"), (3, None)]),
        (iter([10, 20]), None, [(-1, 10), (-1, 20)]),
        ([10, 20], lambda item: f"n{item}", [(-1, "n10"), (-1, "n20")]),
        ({10}, None, [(-1, 10)]),
    ],
    ids=["list", "tuple", "range", "dict", "mutable", "awkward", "generator", "key", "set"],
)
def test_how_items_are_known(daemon: ScriptedDaemon, items: Any, key: Any, recorded: list[tuple[int, object]]) -> None:
    process = process_of(daemon)
    assert list(process.track(items, key=key)) == list(items) or key is None
    process.flush()
    assert [(place, item) for _, place, item, _ in rows(daemon)] == recorded


def test_items_are_recorded_as_they_came_whatever_the_body_does_to_them(daemon: ScriptedDaemon) -> None:
    process = process_of(daemon)
    for item in process.track([{"a": 1}]):
        item.clear()
    process.flush()
    assert rows(daemon) == [(0, 0, {"a": 1}, None)]


def test_an_item_counts_as_a_step_unless_the_body_counts_its_own(daemon: ScriptedDaemon) -> None:
    process = process_of(daemon)
    for item in process.track(range(4)):
        if item == 2:
            process.advance(10)
    assert (process.state.completed_steps, process.state.total_steps) == (13, 4)


def test_a_break_ends_the_loop_at_once_without_a_block(daemon: ScriptedDaemon) -> None:
    process = process_of(daemon)
    for item in process.track(range(3)):
        if item == 1:
            break
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
    process.flush()
    assert [item for _, _, item, _ in rows(daemon)] == [0]


def test_flush_item_waits_for_each_record(daemon: ScriptedDaemon) -> None:
    process = process_of(daemon)
    for item in process.track(range(3), flush="item"):
        assert len(daemon.rows()) == item


def test_careful_announces_each_item_and_waits(daemon: ScriptedDaemon) -> None:
    process = process_of(daemon, careful=True)
    for _ in process.track(range(2)):
        pass
    wanted = ["item.announce", "journal.append"]
    assert daemon.methods(*wanted) == wanted * 2
    assert [(one["ordinal"], decode_value(one["item"])) for one in daemon.of("item.announce")] == [(0, 0), (1, 1)]


def test_careful_ends_after_a_thousand_turns(daemon: ScriptedDaemon) -> None:
    process = process_of(daemon, careful=True)
    for _ in process.track(range(CAREFUL_TURNS + 5)):
        pass
    assert len(daemon.of("item.announce")) == CAREFUL_TURNS


def test_what_is_recorded_already_is_not_yielded(daemon: ScriptedDaemon) -> None:
    daemon.answers["journal.ordinals"] = lambda _: {"first": 0, "done": b"\x05", "failed": b"\x02"}
    process = process_of(daemon, resumed=True, mode="items")
    assert list(process.track(list("abcde"))) == ["d", "e"]


def test_failed_items_come_again_only_when_asked_for(daemon: ScriptedDaemon) -> None:
    daemon.answers["journal.ordinals"] = lambda _: {"first": 0, "done": b"\x05", "failed": b"\x02"}
    journal = {"position": 3, "done": 2, "failed": 1}
    progress = {**dict(TICK), "completed": 3}
    process = process_of(daemon, resumed=True, mode="items", journal=journal)
    process.update(completed=progress["completed"])  # type: ignore[arg-type]
    assert list(process.track(list("abcd"), retry_failed=True)) == ["b", "d"]
    assert process.state.completed_steps == 4


def test_a_failure_behind_its_back_is_raised_at_the_next_turn(daemon: ScriptedDaemon) -> None:
    process = process_of(daemon)
    turns = process.track(range(9))
    next(turns)
    process._outbox.failure = NoSpace("full")
    process.alert = True
    with pytest.raises(NoSpace):
        next(turns)


def test_the_room_is_bounded(daemon: ScriptedDaemon, monkeypatch: pytest.MonkeyPatch) -> None:
    process = process_of(daemon)
    process._outbox.close()  # nothing is sent but by who waits
    turns = process.track(range(ENTRIES_MAX + 10))
    for _ in turns:
        assert len(process._outbox.entries) < ENTRIES_MAX
    assert len(daemon.rows()) >= ENTRIES_MAX


# What waits for a turn


def test_a_due_checkpoint_with_state_is_made_between_two_items(daemon: ScriptedDaemon) -> None:
    process = process_of(daemon)
    state: dict[str, int] = {}
    daemon.ticks.append(DUE)
    for item in process.track(range(4), state=state, flush="item"):
        state["last"] = item
    process.flush()
    (saved,) = daemon.of("checkpoint.save")
    assert saved.get("has_state", True)
    assert daemon.methods("journal.append", "checkpoint.save")[:2] == ["journal.append", "checkpoint.save"]
    assert state_in(saved) == {"last": 0}


def test_without_a_state_a_due_checkpoint_has_progress_alone(daemon: ScriptedDaemon) -> None:
    process = process_of(daemon)
    daemon.ticks.append(DUE)
    for _ in process.track(range(2), flush="item"):
        pass
    (saved,) = daemon.of("checkpoint.save")
    assert saved["has_state"] is False
    assert "parts" not in saved


def test_it_is_not_asked_for_twice_while_one_is_under_way(daemon: ScriptedDaemon) -> None:
    process = process_of(daemon)
    process._outbox.close()
    process.hear(process.report())
    daemon.ticks.extend([DUE] * 3)
    for _ in range(3):
        process.hear(process._outbox._daemon.call(_advance(process)))
    process.flush()
    assert len(daemon.of("checkpoint.save")) == 1


def _advance(process: Process) -> Any:
    from ckptclient import calls

    return calls.advance(process.token, process._live.report())


def test_asked_to_stop_the_loop_ends_after_the_item_in_hand(daemon: ScriptedDaemon) -> None:
    heard = Heard()
    done: list[int] = []
    daemon.ticks.extend([TICK, STOP])
    with process_of(daemon, heard) as process:
        done.extend(process.track(range(9), flush="item"))
    assert done == [0, 1]
    assert heard.ended == ["interrupted"]
    assert [item for _, _, item, _ in rows(daemon)] == [0, 1]


def test_a_stop_with_nothing_left_completes(daemon: ScriptedDaemon) -> None:
    heard = Heard()
    daemon.ticks.extend([TICK, STOP])
    with process_of(daemon, heard) as process:
        for _ in process.track(range(2), flush="item"):
            pass
    assert heard.ended == ["completed"]


def test_an_exception_cannot_swallow_the_stop(daemon: ScriptedDaemon) -> None:
    daemon.ticks.append(STOP)
    process = process_of(daemon)
    turns = process.track(range(9), flush="item")
    next(turns)
    with pytest.raises(Stopped), contextlib.suppress(Exception):
        next(turns)
