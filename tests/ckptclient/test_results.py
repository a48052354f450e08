"""Replies become values, or an error that names what is wrong in them."""

import copy

import pytest

from ckptclient import results
from ckptclient.errors import ProtocolError
from ckptclient.results import Answer, nothing, only

TICK = {"due": True, "reason": "progress", "stop": False, "stop_reason": None}
SAVED = {"checkpoint_id": "a_custom_1", "seq": 1, "created_at": 5, "expires_at": None, "level": "disk", "due": TICK}


def test_a_map_becomes_the_value() -> None:
    saved = results.SavedInfo.read(SAVED)
    assert saved == results.SavedInfo(
        checkpoint_id="a_custom_1",
        seq=1,
        created_at=5,
        expires_at=None,
        level="disk",
        due=results.Tick(due=True, reason="progress", stop=False, stop_reason=None),
    )


def test_what_a_newer_daemon_adds_is_ignored() -> None:
    assert results.Tick.read({**TICK, "mood": "good"}) == results.Tick.read(TICK)
    assert results.Skipped.read(["c", "damaged", 7]) == results.Skipped(checkpoint_id="c", why="damaged")


def test_what_may_be_nil_may_be_missing() -> None:
    assert results.Tick.read({"due": False, "stop": False}) == results.Tick(
        due=False, reason=None, stop=False, stop_reason=None
    )


@pytest.mark.parametrize(
    ("kind", "raw", "words"),
    [
        (results.Tick, {**TICK, "due": 1}, "Tick with a wrong due"),
        (results.Tick, {"due": True}, "Tick with no stop"),
        (results.Tick, {**TICK, "reason": 3}, "Tick with a wrong reason"),
        (results.Tick, None, "something else than a Tick"),
        (results.SavedInfo, {**SAVED, "seq": "1"}, "SavedInfo with a wrong seq"),
        (results.SavedInfo, {**SAVED, "seq": True}, "SavedInfo with a wrong seq"),
        (results.SavedInfo, {**SAVED, "due": {**TICK, "stop": None}}, "Tick with a wrong stop"),
        (results.Reloaded, {"changed": ["a", 1], "restart": []}, "Reloaded with a wrong changed"),
        (results.RecordPage, {"records": [[0, 1]], "next": None}, "RecordInfo with no ordinal"),
        (results.RecordPage, {"records": [{"position": 0}], "next": None}, "RecordInfo with no kind"),
        (results.EventPage, {"events": [[1, 2, "x", None, None, []]], "last": 1}, "EventInfo with a wrong data"),
    ],
)
def test_what_is_wrong_is_named(kind: type[Answer], raw: object, words: str) -> None:
    with pytest.raises(ProtocolError, match=words):
        kind.read(raw)


def test_arrays_and_pages() -> None:
    page = results.RecordPage.read({"records": [[3, 1, -1, b"k", None, 9]], "next": 3})
    assert page.records == (results.RecordInfo(position=3, kind=1, ordinal=-1, item=b"k", result=None, at=9),)
    assert page.next == 3


def test_a_whole_number_is_a_number() -> None:
    policy = results.PolicyInfo.read({"interval_seconds": 300, "auto": False, "progress_percent": 5.0})
    assert (policy.interval_seconds, policy.progress_percent) == (300.0, 5.0)
    assert type(policy.interval_seconds) is float


def test_a_checkpoint_with_its_parts_is_one_flat_map() -> None:
    raw: dict[str, object] = {
        name: {"str": "x", "int": 1, "bool": True, "bytes": b"x"}.get(str(getattr(hint, "__name__", "")), [])
        for name, hint in results.CheckpointInfo.__annotations__.items()
    }
    raw |= {"expires_at": None, "proven_at": None, "parts": [["state", b"f", 2, b"xy"]]}
    content = results.CheckpointContent.read(raw)
    assert content.checkpoint_id == "x"
    assert content.parts == (results.PartInfo(name="state", form=b"f", size_bytes=2, data=b"xy"),)


@pytest.mark.parametrize("raw", [{"epoch": 3, "more": 1}, {"epoch": 3}])
def test_one_key_of_a_reply(raw: object) -> None:
    assert only("epoch", int)(raw) == 3


@pytest.mark.parametrize("raw", [{}, {"epoch": "3"}, {"epoch": None}, None])
def test_one_key_that_is_not_there(raw: object) -> None:
    with pytest.raises(ProtocolError, match="without a usable epoch"):
        only("epoch", int)(raw)


def test_a_result_is_a_frozen_value() -> None:
    tick = results.Tick.read(TICK)
    assert {name: getattr(tick, name) for name in tick.names} == TICK
    assert tick.having(due=False) == results.Tick(due=False, reason="progress", stop=False, stop_reason=None) != tick
    assert len({tick, results.Tick.read(TICK)}) == 1
    assert repr(tick) == "Tick(due=True, reason='progress', stop=False, stop_reason=None)"
    assert copy.deepcopy(tick) == tick
    with pytest.raises(AttributeError, match="Tick is frozen"):
        tick.due = False  # type: ignore[misc]
    with pytest.raises(TypeError, match="Tick needs reason, stop, stop_reason"):
        results.Tick(due=True)  # type: ignore[call-arg]


def test_nothing_takes_anything() -> None:
    nothing({"later": 1})
