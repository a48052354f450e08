"""Results and items of the journal, read in pages."""

import copy

import pytest

from ckptclient.errors import NotFound
from ckptclient.payload import encode_value
from ckptclient.process.journal import DONE, FAILED, JournalItems, results
from tests.ckptclient.process.scripted import PROGRESS, ScriptedDaemon

ROWS = [
    [0, DONE, 0, encode_value("a"), encode_value({"n": 1}), 1_000_000],
    [1, FAILED, 1, encode_value("b"), encode_value("why"), 2_000_000],
    [2, DONE, 2, b"", None, 3_000_000],
    [3, FAILED, -1, encode_value("d"), encode_value(3), 4_000_000],
]

SHOWN = {
    "process_id": "p", "user": "u", "uid": 0, "task_id": "", "description": "", "state": "running", "mode": "items",
    "epoch": 1, "progress": PROGRESS, "holder": None, "checkpoints": 0, "last_checkpoint": None, "registered_at": 0,
    "ended_at": None, "deaths": 0, "journal": {"position": 4, "done": 2, "failed": 2},
}  # fmt: skip


@pytest.fixture
def daemon() -> ScriptedDaemon:
    """One with two pages of two records."""
    one = ScriptedDaemon()

    def read(packed: dict[str, int]) -> object:
        after = packed.get("after", -1)
        rows = [row for row in ROWS if int(str(row[0])) > after and (not packed.get("failed_only") or row[1] == FAILED)]
        return {"records": rows[:2], "next": rows[1][0] if len(rows) > 2 else None}

    one.answers["journal.read"] = read
    one.answers["process.show"] = lambda _packed: SHOWN
    return one


def test_results_come_in_order_over_all_pages(daemon: ScriptedDaemon) -> None:
    found = list(results(daemon, "p"))
    assert [(one.item, one.value, one.error) for one in found] == [
        ("a", {"n": 1}, None),
        ("b", None, "why"),
        (None, None, None),
        ("d", None, "3"),
    ]
    assert [one.at.timestamp() for one in found] == [1.0, 2.0, 3.0, 4.0]
    assert len(daemon.of("journal.read")) == 2


def test_nothing_is_read_before_it_is_looked_at(daemon: ScriptedDaemon) -> None:
    found = results(daemon, "p")
    assert daemon.asked == []
    next(found)
    assert len(daemon.asked) == 1


def test_items_are_a_sequence(daemon: ScriptedDaemon) -> None:
    done, failed = JournalItems(daemon, "p", DONE), JournalItems(daemon, "p", FAILED)
    assert list(done) == ["a", None] == done
    assert list(failed) == ["b", "d"]
    assert (failed[0], failed[1], failed[-1], failed[:1]) == ("b", "d", "d", ["b"])
    assert (len(done), len(failed)) == (2, 2)
    assert "d" in failed
    assert copy.deepcopy(failed) == ["b", "d"]
    assert "failed items of p" in repr(failed)
    with pytest.raises(IndexError):
        failed[2]


def test_an_unknown_process_has_no_items(daemon: ScriptedDaemon) -> None:
    daemon.fail("process.show", NotFound("gone"))
    assert len(JournalItems(daemon, "p", DONE)) == 0
