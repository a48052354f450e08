"""A process's state: saved when it is whole, put back before the first item, and never mixed with the other way."""

from collections.abc import Callable
from typing import Any

import pytest

from ckptclient.errors import BadRequest, Conflict
from ckptclient.payload import encode
from ckptclient.process import Process, Terms, stored
from ckptclient.process.sequence import sequenced
from tests.ckptclient.process.scripted import DUE, PROGRESS, Heard, ScriptedDaemon, process_of, state_in


@pytest.fixture
def daemon() -> ScriptedDaemon:
    return ScriptedDaemon()


def last(daemon: ScriptedDaemon) -> dict[str, Any]:
    return daemon.of("checkpoint.save")[-1]


# Saves


def test_a_save_inside_the_body_needs_the_item_recorded(daemon: ScriptedDaemon) -> None:
    process = process_of(daemon)
    state: dict[str, int] = {}
    turns = process.track(range(2), state=state)
    item = next(turns)
    with pytest.raises(Conflict, match="not recorded"):
        process.save(state).wait()
    process.record(item, "r")
    process.save(state).wait()
    assert daemon.methods("journal.append", "checkpoint.save") == ["journal.append", "checkpoint.save"]
    list(turns)
    process.flush()
    assert [row[1] for row in daemon.rows()] == [0, 1]
    assert process.state.completed_steps == 2


def test_a_save_takes_the_state_as_it_is(daemon: ScriptedDaemon) -> None:
    process = process_of(daemon)
    process._outbox.close()
    state = {"a": bytearray(100_000), "n": 1}
    saved = process.save(state)
    state["n"] = 2
    state["a"][:] = b"x" * 100_000  # type: ignore[index]
    saved.wait()
    assert state_in(last(daemon)) == {"a": bytearray(100_000), "n": 1}


def test_saves_do_not_outrun_the_disk(daemon: ScriptedDaemon) -> None:
    process = process_of(daemon)
    process._outbox.close()
    first, second = process.save(1), process.save(2)
    assert not first.done()
    third = process.save(3)
    assert first.done()
    assert not third.done()
    assert [saved.wait() for saved in (first, second, third)] == [f"p_processing_state_{n}" for n in (1, 2, 3)]


@pytest.mark.parametrize("level", ["service", "fleet", "stone"])
def test_a_durability_that_cannot_be_had_is_refused_by_name(daemon: ScriptedDaemon, level: Any) -> None:
    process = process_of(daemon)
    with pytest.raises(BadRequest, match=level):
        process.save(1, durability=level).wait()
    with pytest.raises(BadRequest, match=level):
        process.save(1).wait(level)


async def test_a_save_can_be_awaited(daemon: ScriptedDaemon) -> None:
    process = process_of(daemon)
    saved = process.save({"a": 1})
    assert await saved == saved.checkpoint_id == "p_processing_state_1"
    assert saved.level == "disk"


def test_a_provider_is_asked_between_steps_when_a_checkpoint_is_due(daemon: ScriptedDaemon) -> None:
    process = process_of(daemon)
    process.on_checkpoint(lambda: {"step": process.state.completed_steps})
    process.advance(5)
    daemon.ticks.append(DUE)
    process.report()
    assert daemon.of("checkpoint.save") == []
    process.advance(1)
    process.flush()
    assert state_in(last(daemon)) == {"step": 6}


# The two ways to resume


@pytest.mark.parametrize(
    ("mode", "act"),
    [
        ("items", lambda process: process.track([1], state={})),
        ("items", lambda process: process.on_checkpoint(dict)),
        ("items", lambda process: process.save(1)),
        ("stateful", lambda process: process.track([1])),
        ("stateful", lambda process: (process.on_checkpoint(dict), process.track([1]))),
        ("stateful", Process.member_token),
    ],
    ids=["state", "provider", "save", "no state", "provider without restore", "member"],
)
def test_a_mixture_is_refused_with_the_reason(daemon: ScriptedDaemon, mode: str, act: Any) -> None:
    with pytest.raises(Conflict, match="state"):
        act(process_of(daemon, resumed=True, mode=mode))


@pytest.mark.parametrize(
    ("begin", "mode"),
    [
        (lambda process: process.track([1]), "items"),
        (lambda process: process.track([1], state={}), "stateful"),
        (lambda process: (process.on_checkpoint(dict), process.track([1])), "stateful"),
        (lambda process: (process.restore(), process.track([1])), "stateful"),
        (lambda process: (process.save(1), process.track([1])), "stateful"),
        (lambda process: process.save(1), "stateful"),
        (lambda process: None, "unknown"),
    ],
)
def test_what_makes_a_process_stateful(daemon: ScriptedDaemon, begin: Any, mode: str) -> None:
    process = process_of(daemon)
    begin(process)
    assert process.mode == mode
    for sent in daemon.of("journal.sequence"):
        assert sent.get("stateful", False) is (mode == "stateful")


def restored(state: object, **changes: object) -> Callable[[dict[str, Any]], object]:
    """A daemon's answer with this state."""
    checkpoint = {
        "checkpoint_id": "p_processing_state_1", "process_id": "p", "user": "u", "task_id": "", "seq": 1, "epoch": 1,
        "type": "processing_state", "status": "active", "created_at": 0, "expires_at": None, "pinned": False,
        "size_bytes": 1, "stored_bytes": 1, "has_state": True, "journal_position": 0, "schema_version": 3,
        "checksum": b"", "description": "", "tags": [], "metadata": b"", "depends": [], "attempts": 0,
    }  # fmt: skip
    parts = [[part.name, part.form, len(part.data), part.data] for part in stored(encode(state))]
    answer = {
        "found": True, "checkpoint": checkpoint, "parts": parts, "skipped": [["p_processing_state_2", "damaged"]],
        "journal": {"position": 0, "done": 0, "failed": 0}, "progress": {**PROGRESS, "completed": 7},
    }  # fmt: skip
    return lambda _packed: answer | changes


class Model:
    """Has its state as torch's modules do."""

    def __init__(self) -> None:
        self.weights = [0]

    def state_dict(self) -> dict[str, object]:
        return {"weights": self.weights}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.weights = state["weights"]


def test_the_state_is_put_back_before_the_first_item(daemon: ScriptedDaemon) -> None:
    model = Model()
    mapping: dict[str, object] = {"old": 1}
    held: list[object] = []
    pair = (lambda: held, held.append)
    for state in (model, pair, mapping):
        daemon.answers["checkpoint.restore"] = restored({"weights": [5]})
        heard = Heard()
        process = process_of(daemon, heard, resumed=True, mode="stateful")
        process.track(range(9), state=state)
        assert process.state.completed_steps == 7
        assert any("damaged" in words for words in heard.warned)
    assert model.weights == [5]
    assert held == [{"weights": [5]}]
    assert mapping == {"weights": [5]}
    order = daemon.methods("journal.sequence", "checkpoint.restore", "journal.ordinals")
    assert order == ["journal.sequence", "checkpoint.restore", "journal.ordinals"] * 3


def test_a_state_that_track_cannot_use_is_refused(daemon: ScriptedDaemon) -> None:
    with pytest.raises(BadRequest, match="state="):
        process_of(daemon).track([1], state=3)


def test_restore_gives_state_default_parts_lazily_or_into(daemon: ScriptedDaemon) -> None:
    daemon.answers["checkpoint.restore"] = restored({"a": [1, 2], "b": bytearray(b"xy")})

    def resumed() -> Process:
        return process_of(daemon, resumed=True, mode="stateful")

    assert resumed().restore() == {"a": [1, 2], "b": bytearray(b"xy")}
    assert resumed().restore(parts=["state"]) == {"state": {"a": [1, 2], "b": bytearray(b"xy")}}
    assert list(resumed().restore(lazy=True)) == ["state"]
    into = {"a": [0, 0], "b": bytearray(2)}
    kept = into["b"]
    assert resumed().restore(into=into) is into
    assert into == {"a": [1, 2], "b": bytearray(b"xy")}
    assert into["b"] is kept
    assert process_of(daemon).restore("default") == "default"
    assert "checkpoint.restore" in daemon.methods()


def test_restore_gives_an_old_state_to_upgrade(daemon: ScriptedDaemon) -> None:
    daemon.answers["checkpoint.restore"] = restored({"old": 1})
    process = process_of(daemon, None, Terms(schema_version=4), resumed=True, mode="stateful")
    assert process.restore(upgrade=lambda state, version: {"new": state["old"], "was": version}) == {"new": 1, "was": 3}
    process = process_of(daemon, None, Terms(schema_version=3), resumed=True, mode="stateful")
    assert process.restore(upgrade=lambda state, version: None) == {"old": 1}


def test_restore_inside_a_loop_is_refused(daemon: ScriptedDaemon) -> None:
    process = process_of(daemon)
    next(process.track([1]))
    with pytest.raises(Conflict):
        process.restore()


# The sequence


def known(items: Any) -> bytes:
    mark = sequenced(items, None).mark
    return mark.length.to_bytes(8, "big") + mark.digest


@pytest.mark.parametrize(
    ("before", "after", "refused"),
    [
        ([1, 2], [1, 2], False),
        ([1, 2], [1, 2, 3], False),
        (range(10), range(20), False),
        ([1, 2], [2, 1], True),
        ([1, 2], [1], True),
        (range(10), range(1, 20), True),
        ([1, 2], iter([1, 2]), True),
    ],
    ids=["same", "appended", "range appended", "other order", "shorter", "other range", "by key now"],
)
def test_a_changed_sequence_is_refused_and_an_appended_one_is_not(
    daemon: ScriptedDaemon, before: Any, after: Any, refused: bool
) -> None:
    process = process_of(daemon, resumed=True, mode="items", sequence=known(before))
    if refused:
        with pytest.raises(Conflict, match="not those"):
            process.track(after)
        assert daemon.methods("journal.sequence") == []
    else:
        process.track(after)
        assert daemon.methods("journal.sequence") == ["journal.sequence"]


def test_on_change_warns_or_begins_anew(daemon: ScriptedDaemon) -> None:
    heard = Heard()
    process = process_of(daemon, heard, Terms(on_change="warn"), resumed=True, mode="items", sequence=known([1]))
    process.track([2])
    assert heard.warned
    process = process_of(daemon, heard, Terms(on_change="restart"), resumed=True, mode="items", sequence=known([1]))
    assert list(process.track([2])) == [2]
    process.flush()
    assert daemon.of("journal.append")[-1]["token"] == b"u" * 48
