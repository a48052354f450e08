"""Callbacks: told of everything, in order, on a thread of their own; what one raises harms nothing."""

import logging
import threading
from datetime import UTC, datetime

import pytest

from ckptclient.callbacks import Callbacks
from ckptclient.config import CheckpointMetadata, CheckpointType
from ckptclient.errors import BadRequest

METADATA = CheckpointMetadata("c", CheckpointType.CUSTOM, datetime(2026, 1, 1, tzinfo=UTC), "p", "t")


def test_functions_and_coroutine_functions_are_called_elsewhere() -> None:
    told: list[tuple[str, str, str]] = []
    threads: set[str] = set()

    def plain(checkpoint_id: str, event_type: str, metadata: CheckpointMetadata) -> None:
        threads.add(threading.current_thread().name)
        told.append(("plain", checkpoint_id, event_type))

    async def coroutine(checkpoint_id: str, event_type: str, metadata: CheckpointMetadata) -> None:
        told.append(("coroutine", checkpoint_id, metadata.process_id))

    callbacks = Callbacks()
    callbacks.add("created", plain)
    callbacks.add("created", coroutine)
    callbacks.add("deleted", plain)
    for number in range(3):
        callbacks.happened(f"c{number}", "created", METADATA)
    assert callbacks.join()
    assert told == [
        entry for number in range(3) for entry in (("plain", f"c{number}", "created"), ("coroutine", f"c{number}", "p"))
    ]
    assert threads == {"ckptclient-callbacks"}
    assert callbacks.wants("deleted")
    assert not callbacks.wants("expired")


def test_what_one_raises_is_reported_and_the_next_is_called(caplog: pytest.LogCaptureFixture) -> None:
    told: list[str] = []

    def fails(checkpoint_id: str, event_type: str, metadata: CheckpointMetadata) -> None:
        raise RuntimeError("broken callback")

    callbacks = Callbacks()
    callbacks.add("created", fails)
    callbacks.add("created", lambda checkpoint_id, _event, _metadata: told.append(checkpoint_id))
    with caplog.at_level(logging.ERROR, "ckptclient"):
        callbacks.happened("c", "created", METADATA)
        assert callbacks.join()
    assert told == ["c"]
    assert "broken callback" in caplog.text


def test_waiting_has_an_end_and_does_not_wait_for_itself() -> None:
    callbacks = Callbacks()
    go = threading.Event()
    joined: list[bool] = []

    def slow(*_: object) -> None:
        joined.append(callbacks.join())
        go.wait(10)

    callbacks.add("created", slow)
    callbacks.happened("c", "created", METADATA)
    assert not callbacks.join(timeout=0.01)
    go.set()
    assert callbacks.join()
    assert joined == [True]


def test_only_what_can_be_called_is_a_callback() -> None:
    with pytest.raises(BadRequest):
        Callbacks().add("created", 3)  # type: ignore[arg-type]
