"""The live state: what is counted, what is reported, what comes back."""

import threading
from typing import Any

import pytest

from ckptclient.errors import BadRequest, Encoding
from ckptclient.payload import decode_value, encode_value
from ckptclient.process.live import Live, Speed, metadata_of, packed_metadata, text
from ckptclient.results import ProgressInfo
from ckptclient.wire import limits
from tests.ckptclient.process.scripted import PROGRESS


def live(**progress: object) -> Live:
    return Live("p", "t", ProgressInfo.read(PROGRESS | progress), 0)


def test_it_begins_where_the_daemon_says() -> None:
    one = live(total=10, completed=4, step="s", batch="b", metadata=encode_value({"k": 1}), eta=5_000_000)
    state = one.state
    assert (state.total_steps, state.completed_steps, state.current_step, state.current_batch) == (10, 4, "s", "b")
    assert state.metadata == {"k": 1}
    assert state.estimated_completion is not None
    assert state.estimated_completion.timestamp() == 5.0


def test_a_report_has_absolute_figures_and_metadata_only_when_it_changed() -> None:
    one = live()
    one.say(total=8, completed=2, step="x", metadata={"a": 1})
    first = one.report()
    assert (first.total, first.completed, first.step) == (8, 2, "x")
    assert first.metadata is not None
    assert decode_value(first.metadata) == {"a": 1}
    assert not one.dirty
    one.say(metadata={"b": 2})
    second = one.report(completed=1)
    assert second.completed == 1
    assert second.metadata is not None
    assert decode_value(second.metadata) == {"a": 1, "b": 2}
    assert one.report().metadata is None


@pytest.mark.parametrize("wrong", [-1, 1.5, "3", True])
def test_steps_are_counts(wrong: Any) -> None:
    with pytest.raises(BadRequest, match="completed_steps"):
        live().say(completed=wrong)
    with pytest.raises(BadRequest, match="total_steps"):
        live().say(total=wrong)
    with pytest.raises(BadRequest, match="text"):
        live().say(step=wrong if not isinstance(wrong, str) else 5)  # type: ignore[arg-type]


def test_metadata_that_cannot_be_stored_is_named() -> None:
    with pytest.raises(Encoding, match=r'metadata\["k"\]'):
        packed_metadata({"k": object()})
    with pytest.raises(Encoding, match="allowed"):
        packed_metadata({"k": "x" * limits.metadata_bytes_max})
    assert metadata_of(encode_value([1])) == {"metadata": [1]}
    assert metadata_of(b"") == {}


def test_long_names_are_cut_between_characters() -> None:
    assert len(text("ä" * limits.description_bytes_max).encode()) <= limits.description_bytes_max
    assert text("short") == "short"


def test_steps_of_many_threads_are_all_counted() -> None:
    one = live()

    def work() -> None:
        for _ in range(5_000):
            one.advance(1)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert one.state.completed_steps == 20_000


def test_speed_is_recent_and_survives_by_what_the_daemon_gives() -> None:
    speed = Speed(None, 0, 0.0)
    speed.update(5, 0.01)
    assert speed.per_second is None  # too soon to say
    speed.update(100, 10.0)
    assert speed.per_second == pytest.approx(10.0)
    for second in range(11, 2000):
        speed.update(100 + (second - 10) * 50, float(second))
    assert speed.per_second == pytest.approx(50.0, rel=0.01)
    speed.update(0, 2000.0)  # put back: no sample
    assert speed.per_second == pytest.approx(50.0, rel=0.01)


def test_the_estimate_comes_from_the_speed() -> None:
    clock = [0.0]
    progress = ProgressInfo.read(PROGRESS | {"total": 100, "per_second": 10.0})
    one = Live("p", "t", progress, 0, lambda: clock[0])
    one.say(completed=50)
    clock[0] = 5.0
    one.report()
    assert one.state.estimated_completion is not None
    assert (one.state.estimated_completion - one.state.last_update).total_seconds() == pytest.approx(5.0, rel=0.05)
