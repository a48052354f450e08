"""What a checkpoint's row says of itself."""

from dataclasses import replace

import pytest

from ckptd.core.change import CheckpointRow, CheckpointType, Place
from ckptd.core.ids import CheckpointKey, Epoch, ProcessKey
from ckptd.core.process_table import State

ROW = CheckpointRow(
    key=CheckpointKey(5),
    process=ProcessKey(1),
    uid=1000,
    process_id="train_7",
    process_state=State.RUNNING,
    seq=3,
    epoch=Epoch(2),
    type=CheckpointType.MODEL_STATE,
    place=Place.LIVE,
    created_at=1,
    expires_at=None,
    ended_at=None,
    pinned=False,
    logical_bytes=0,
    own_bytes=0,
    journal_position=0,
    attempts=0,
    has_state=True,
    schema_version=0,
    checksum=bytes(32),
    task_id="",
    description="",
    metadata=b"",
    alias=None,
)


@pytest.mark.parametrize(
    ("place", "state", "status"),
    [
        (Place.LIVE, State.REGISTERED, "active"),
        (Place.LIVE, State.RUNNING, "active"),
        (Place.LIVE, State.PAUSED, "active"),
        (Place.LIVE, State.INTERRUPTED, "active"),
        (Place.LIVE, State.COMPLETED, "completed"),
        (Place.LIVE, State.FAILED, "failed"),
        *((Place.TRASH, state, "expired") for state in State),
        *((Place.ARCHIVED, state, "archived") for state in State),
    ],
)
def test_status_is_derived(place: Place, state: State, status: str) -> None:
    assert replace(ROW, place=place, process_state=state).status == status


def test_the_callers_id_goes_before_ours() -> None:
    assert ROW.checkpoint_id == "train_7_model_state_3"
    assert replace(ROW, alias="best").checkpoint_id == "best"
