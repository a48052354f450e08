"""What leaving the block means, and what the handle refuses."""

from collections.abc import Callable
from typing import Any

import pytest

from ckptclient.errors import BadRequest, Conflict, Fenced, NoSpace, Stopped, Unreachable
from ckptclient.payload import decode_value
from ckptclient.process import Process, Terms
from tests.ckptclient.process.scripted import Heard, ScriptedDaemon, process_of, state_in


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
