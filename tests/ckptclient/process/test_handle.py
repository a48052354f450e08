"""What leaving the block means, and what the handle refuses."""

from collections.abc import Callable
from typing import Any

import pytest

from ckptclient.errors import BadRequest, Conflict, Fenced, NoSpace, Stopped, Unreachable
from ckptclient.payload import decode_value, encode
from ckptclient.process import Process, Terms, stored
from ckptclient.process.sequence import sequenced
from tests.ckptclient.process.scripted import DUE, PROGRESS, Heard, ScriptedDaemon, process_of, state_in


@pytest.fixture
def daemon() -> ScriptedDaemon:
    return ScriptedDaemon()


def last(daemon: ScriptedDaemon) -> dict[str, Any]:
    return daemon.of("checkpoint.save")[-1]


def exhausts(process: Process) -> None:
    for _ in process.track(range(3)):
        pass


def breaks(process: Process) -> None:
    for _ in process.track(range(3)):
        break


def reaches_total(process: Process) -> None:
    process.update(total=2)
    process.advance(2)


def does_nothing(process: Process) -> None:
    pass


def falls_short(process: Process) -> None:
    process.update(total=2)
    process.advance(1)


def raises(error: BaseException) -> Callable[[Process], None]:
    def body(process: Process) -> None:
        for _ in process.track(range(3)):
            raise error

    return body


@pytest.mark.parametrize(
    ("body", "state", "leaves"),
    [
        (exhausts, "completed", None),
        (reaches_total, "completed", None),
        (breaks, "paused", None),
        (falls_short, "paused", None),
        (does_nothing, "paused", None),
        (raises(KeyboardInterrupt()), "interrupted", KeyboardInterrupt),
        (raises(SystemExit(1)), "interrupted", SystemExit),
        (raises(Stopped()), "interrupted", None),
        (raises(ValueError("bad")), "failed", ValueError),
    ],
)
def test_how_a_block_is_left(
    daemon: ScriptedDaemon, body: Callable[[Process], None], state: str, leaves: type[BaseException] | None
) -> None:
    heard = Heard()

    def run() -> None:
        with process_of(daemon, heard) as process:
            body(process)

    if leaves is None:
        run()
    else:
        with pytest.raises(leaves):
            run()
    assert heard.ended == [state]
    assert last(daemon)["ends"] == state
    assert len(daemon.of("checkpoint.save")) == 1


def test_complete_says_that_nothing_is_left(daemon: ScriptedDaemon) -> None:
    heard = Heard()
    with process_of(daemon, heard) as process:
        for _ in process.track(range(9)):
            process.complete()
            break
    assert heard.ended == ["completed"]
    assert len(daemon.of("checkpoint.save")) == 1


def test_after_the_end_the_handle_says_so(daemon: ScriptedDaemon) -> None:
    with process_of(daemon) as process:
        pass
    for act in (lambda: process.track([1]), lambda: process.save(1), process.report, process.restore):
        with pytest.raises(Conflict, match="has ended"):
            act()


def test_the_error_checkpoint_says_what_went_wrong(daemon: ScriptedDaemon) -> None:
    with pytest.raises(ValueError, match="bad"), process_of(daemon) as process:
        raises(ValueError("bad"))(process)
    saved = last(daemon)
    data = state_in(saved)
    assert saved["error"] == data["error"] == "ValueError: bad"
    assert "Traceback" in data["traceback"]
    assert saved["has_state"] is False


@pytest.mark.parametrize("recorded", [True, False])
def test_a_state_is_saved_on_leaving_only_if_no_item_is_half_done(daemon: ScriptedDaemon, recorded: bool) -> None:
    state: dict[str, int] = {}
    with process_of(daemon) as process:
        for item in process.track(range(3), state=state):
            state["half"] = item
            if recorded:
                process.record(item, item)
            break
    saved = last(daemon)
    assert saved.get("has_state", True) is recorded
    assert [row[1] for row in daemon.rows()] == ([0] if recorded else [])


def test_a_failure_in_a_stateful_loop_keeps_the_newest_whole_state_beside_the_error(daemon: ScriptedDaemon) -> None:
    state: dict[str, int] = {}

    def run() -> None:
        with process_of(daemon) as process:
            for item in process.track(range(3), state=state):
                state["last"] = item
                process.record(item)
                raise ValueError("bad")

    with pytest.raises(ValueError, match="bad"):
        run()
    first, second = daemon.of("checkpoint.save")
    assert first.get("has_state", True) is True
    assert state_in(first) == {"last": 0}
    assert (second["has_state"], second["ends"]) == (False, "failed")


def test_leaving_joins_every_save_and_raises_what_failed(daemon: ScriptedDaemon) -> None:
    heard = Heard()
    process = process_of(daemon, heard)
    daemon.fail("checkpoint.save", NoSpace("full"))
    _ = process.save({"a": 1})
    with pytest.raises(NoSpace), process:
        pass
    assert heard.ended == ["paused"]


def test_a_failed_save_is_raised_at_the_next_call_and_once(daemon: ScriptedDaemon) -> None:
    process = process_of(daemon)
    daemon.fail("checkpoint.save", NoSpace("full"))
    saved = process.save({"a": 1})
    process.flush()
    with pytest.raises(NoSpace):
        process.save({"a": 2}).wait()
    process.save({"a": 2}).wait()
    with pytest.raises(NoSpace):
        saved.wait()


def test_one_whose_failure_was_heard_is_not_raised_again(daemon: ScriptedDaemon) -> None:
    process = process_of(daemon)
    daemon.fail("checkpoint.save", NoSpace("full"))
    with pytest.raises(NoSpace):
        process.save({"a": 1}).wait()
    process.advance()
    process.save({"a": 2}).wait()


def test_where_no_last_checkpoint_can_be_made_the_process_is_let_go_all_the_same(daemon: ScriptedDaemon) -> None:
    heard = Heard()
    with pytest.raises(NoSpace), process_of(daemon, heard):
        daemon.fail("checkpoint.save", NoSpace("full"))
    assert [one["state"] for one in daemon.of("process.end")] == ["paused"]
    assert heard.ended == ["paused"]


def test_an_error_of_the_body_comes_out_with_that_of_the_save_noted(daemon: ScriptedDaemon) -> None:
    daemon.fail("checkpoint.save", NoSpace("full"))
    with pytest.raises(ValueError, match="bad") as caught, process_of(daemon) as process:
        raises(ValueError("bad"))(process)
    assert "NO_SPACE" in caught.value.__notes__[0]


def test_a_provider_that_fails_does_not_keep_the_process(daemon: ScriptedDaemon) -> None:
    heard = Heard()

    def get_state() -> object:
        raise RuntimeError("no state")

    with pytest.raises(RuntimeError), process_of(daemon, heard) as process:
        process.on_checkpoint(get_state)
    assert heard.ended == ["interrupted"]


def test_fenced_nothing_is_saved_and_every_call_says_so(daemon: ScriptedDaemon) -> None:
    heard = Heard()
    process = process_of(daemon, heard)
    process.cut_off(Fenced("epoch 2"))
    for act in (lambda: process.save(1).wait(), process.advance, process.advance, process.report, process.restore):
        with pytest.raises(Fenced):
            act()
    with pytest.raises(Fenced), process:
        process.advance()
    assert heard.ended == ["fenced"]
    assert daemon.methods("checkpoint.save", "process.end") == []


def test_a_forked_child_does_not_touch_what_is_the_parents(daemon: ScriptedDaemon) -> None:
    with process_of(daemon) as process:
        process.forked()
        with pytest.raises(BadRequest, match="forked"):
            process.track([1])
    assert daemon.methods() == []


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


# Members


def test_with_members_an_item_is_done_only_by_record(daemon: ScriptedDaemon) -> None:
    daemon.answers["process.show"] = lambda _packed: pytest.fail("not asked")
    process = process_of(daemon)
    assert process.member_token() == f"p:{(b'm' * 64).hex()}"
    for item in process.track(["a", "b"]):
        if item == "a":
            process.record(item, 1)
    process.flush()
    assert [(row[1], decode_value(row[2])) for row in daemon.rows()] == [(-1, "a")]


@pytest.mark.parametrize("error", [Unreachable("gone")])
def test_on_unavailable_raise_raises_at_the_next_call(daemon: ScriptedDaemon, error: Exception) -> None:
    process = process_of(daemon, None, Terms(on_unavailable="raise"))
    daemon.fail("process.progress", Unreachable("gone"))
    with pytest.raises(Unreachable):
        process.report()
