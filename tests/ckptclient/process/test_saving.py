"""How a save crosses: inside its frame, or as an upload that begins anew with each connection."""

import pytest

from ckptclient.errors import CkptdError, NoSpace, TimedOut, Unreachable
from ckptclient.payload import encode
from ckptclient.process.saving import INLINE_BYTES_MAX, UPLOADS_MAX, Job, Saved, StagedJob, Stored, stored
from ckptclient.staging import Laid
from ckptclient.wire import layout, limits, params
from tests.ckptclient.process.scripted import TOKEN, ScriptedDaemon

LARGE = Stored(name="state/0", form=b"\x80", data=bytes(2 * limits.piece_bytes_max + 10))
SMALL = Stored(name="state", form=b"\x80", data=b"document")
LOST = Unreachable("the connection was lost", details={"connection": 0})


def job(*parts: Stored) -> Job:
    return Job(params.Save(request=0, token=TOKEN), parts)


@pytest.mark.parametrize(("size", "uploads"), [(INLINE_BYTES_MAX, 0), (INLINE_BYTES_MAX + 1, 1)])
def test_what_fits_a_frame_crosses_in_it(size: int, uploads: int) -> None:
    daemon = ScriptedDaemon()
    assert job(Stored(name="state", form=b"", data=bytes(size))).send(daemon).seq == 1
    assert len(daemon.of("upload.open")) == uploads


def test_large_parts_go_ahead_in_pieces() -> None:
    daemon = ScriptedDaemon()
    job(SMALL, LARGE).send(daemon)
    pieces = [(one["part"], one["offset"], len(one["data"])) for one in daemon.of("part.write")]
    whole = limits.piece_bytes_max
    assert pieces == [(0, 0, 8), (1, 0, whole), (1, whole, whole), (1, 2 * whole, 10)]
    (saved,) = daemon.of("checkpoint.save")
    assert saved["upload"] == 1
    assert "parts" not in saved


def test_a_lost_connection_begins_the_upload_anew_under_one_number() -> None:
    daemon = ScriptedDaemon()
    daemon.fail("checkpoint.save", LOST)
    daemon.fail("part.write", LOST)
    assert job(LARGE).send(daemon).seq == 1
    assert len(daemon.of("upload.open")) == 3
    assert len({one["request"] for one in daemon.of("checkpoint.save")}) == 1


def test_it_does_not_begin_anew_for_ever_nor_for_another_reason() -> None:
    daemon = ScriptedDaemon()
    daemon.fail("part.write", *[LOST] * (UPLOADS_MAX + 1))
    with pytest.raises(Unreachable):
        job(LARGE).send(daemon)
    assert len(daemon.of("upload.open")) == UPLOADS_MAX
    for error in (Unreachable("no daemon"), NoSpace("full")):
        daemon = ScriptedDaemon()
        daemon.fail("part.write", error)
        with pytest.raises(type(error)):
            job(LARGE).send(daemon)
        assert len(daemon.of("upload.open")) == 1


def test_what_is_stored_depends_on_no_memory_of_the_worker() -> None:
    state = {"a": bytearray(100_000)}
    parts = stored(encode(state))
    state["a"][:] = b"x" * 100_000
    assert all(type(part.data) is bytes for part in parts)
    assert parts[1].data == bytes(100_000)


def test_waiting_with_a_limit_ends_and_can_be_repeated() -> None:
    one = job(SMALL)
    waits: list[float | None] = []

    def drive(_job: Job, timeout: float | None, _level: str) -> None:
        waits.append(timeout)
        if timeout is not None:
            raise TimedOut("late")
        one.land(one.send(ScriptedDaemon()), None)

    saved = Saved(one, drive)
    assert (saved.done(), saved.level) == (False, None)
    assert "on its way" in repr(saved)
    with pytest.raises(TimedOut):
        saved.wait(timeout=0.5)
    assert saved.wait() == saved.checkpoint_id
    assert (saved.done(), saved.level, waits) == (True, "disk", [0.5, None])
    assert saved.checkpoint_id in repr(saved)


def test_an_error_counts_as_told_once_somebody_heard_it() -> None:
    one = job(SMALL)
    one.land(None, NoSpace("full"))
    assert not one.raised
    for _ in range(2):
        with pytest.raises(CkptdError):
            one.answer()
    assert one.raised


def test_a_daemon_without_shared_memory_is_given_a_lost_save_at_its_old_place() -> None:
    daemon = ScriptedDaemon()
    plans = (
        params.PartPlan(name="state", form=b"", size_bytes=3),
        params.PartPlan(name="state/0", form=b"", size_bytes=5),
    )
    memory = bytearray(2 * layout.ALIGNMENT)
    memory[:3], memory[layout.ALIGNMENT : layout.ALIGNMENT + 5] = b"abc", b"12345"
    laid = Laid(7, daemon.connection, plans, memoryview(memory), len(memory))
    daemon.answers["checkpoint.stage"] = lambda asked: {
        "checkpoint_id": "p_processing_state_1", "seq": 1, "created_at": 1, "expires_at": None, "level": "memory",
        "due": None, "position": 4,
    }  # fmt: skip
    one = StagedJob(params.Save(request=0, token=TOKEN), laid, daemon.staging)
    one.send(daemon)
    daemon.connection += 1
    one.send(daemon)
    first, second = daemon.of("checkpoint.stage")
    assert (first["upload"], first.get("position")) == (7, None)
    assert (second["upload"], second["position"], second["request"]) == (1, 4, first["request"])
    written = [(piece["part"], piece["data"]) for piece in daemon.of("part.write")]
    assert written == [(0, b"abc"), (1, b"12345")]
