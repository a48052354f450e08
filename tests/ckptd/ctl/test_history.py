"""A process's life from its events and checkpoints: groups, gaps, ages, speeds."""

import json

import pytest

from ckptclient.results import CheckpointInfo, EventInfo
from ckptd.ctl import history
from ckptd.ctl.shown import View
from tests.ckptd.ctl import canned
from tests.ckptd.ctl.canned import NOW, SECOND
from tests.ckptd.ctl.fakes import run

VIEW = View(NOW)


def event(at: int, kind: str, **data: object) -> EventInfo:
    return EventInfo.read([at, NOW + at * SECOND, kind, "etl", "anna", data])


def saved(at: int, seq: int, position: int = 0) -> CheckpointInfo:
    return CheckpointInfo.read(canned.checkpoint(created_at=NOW + at * SECOND, seq=seq, journal_position=position))


LIFE = [
    event(0, "registered", pid=7), event(100, "interrupted", pid=7, how="SIGKILL"), event(141, "resumed", pid=8),
    event(160, "completed"),
]  # fmt: skip
SAVES = [saved(10, 1, 20), saved(50, 3, 80), saved(90, 5, 100), saved(150, 6, 120)]


def test_saves_between_two_events_are_one_moment() -> None:
    line = history.moments(LIFE, SAVES)
    assert [one.kind for one in line] == ["registered", "saves", "interrupted", "resumed", "saves", "completed"]
    assert [(one.saves.count, one.saves.made) for one in line if one.saves] == [(3, 5), (1, 1)]


@pytest.mark.parametrize(
    ("index", "what", "details"),
    [
        (0, "✓ registered", "pid 7"),
        (1, "● 5 saves", "@1 to @5 in 1 m 20 s, 3 of them kept, 1.4 MB the newest, 1 items/s"),
        (2, "✗ interrupted", "SIGKILL, pid 7, 10 s after its newest save"),
        (3, "✓ resumed", "pid 8, after 41 s"),
        (4, "● 1 save", "@6, 1.4 MB"),
        (5, "✓ completed", ""),
    ],
)
def test_each_moment_says(index: int, what: str, details: str) -> None:
    one = history.moments(LIFE, SAVES)[index]
    assert (history.what(one, VIEW), history.details(one, VIEW)) == (what, details)


@pytest.mark.parametrize(
    ("found", "saves", "since_save", "down"),
    [
        ([event(5, "interrupted", how="SIGKILL")], [], None, None),
        ([event(0, "registered")], [saved(-9, 1)], None, None),
        ([event(3, "failed"), event(4, "fenced"), event(9, "resumed")], [], None, 6.0),
        ([event(8, "failed", error="no")], [saved(2, 1)], 6.0, None),
    ],
)
def test_what_is_not_known_is_not_said(
    found: list[EventInfo], saves: list[CheckpointInfo], since_save: float | None, down: float | None
) -> None:
    last = history.moments(found, saves)[-1]
    assert (last.seconds_since_save, last.seconds_down) == (since_save, down)


def test_no_speed_without_a_journal() -> None:
    assert history.Saves(saved(0, 1), saved(10, 2), 2).items_per_second is None
    assert history.Saves(saved(0, 1, 5), saved(0, 2, 9), 2).items_per_second is None


def test_another_users_process_of_the_same_name_is_not_in_it() -> None:
    both = [[11, NOW, "registered", "etl-nightly", "anna", {}], [12, NOW, "interrupted", "etl-nightly", "bob", {}]]
    ran = run("history", "etl-nightly", "--json", replies={"events.read": {"events": both, "last": 12}})
    assert [one["kind"] for one in json.loads(ran.out)["moments"]] == ["saves", "registered"]


def test_long_lives_are_read_in_pages() -> None:
    many = [[seq, NOW + seq, "resumed", "etl-nightly", "anna", {}] for seq in range(1, 1501)]

    def read(packed: dict[str, object]) -> object:
        since = packed.get("since", -1)
        assert isinstance(since, int)
        page = [one for one in many if isinstance(one[0], int) and one[0] > since][:1000]
        return {"events": page, "last": page[-1][0]}

    ran = run("history", "etl-nightly", "--json", replies={"events.read": read})
    assert len(json.loads(ran.out)["moments"]) == 1501
    assert ran.daemon.methods().count("events.read") == 2


def test_a_limit_is_said() -> None:
    pages = {"checkpoints": [canned.checkpoint(seq=7), canned.checkpoint(seq=6)], "next": 4}
    ran = run("history", "etl-nightly", "--limit", "1", replies={"checkpoint.list": pages})
    assert "only the newest 1 checkpoints are in it" in ran.err
