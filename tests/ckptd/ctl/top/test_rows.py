"""Which processes, in which order, in which columns."""

import pytest

from ckptclient.results import ProcessInfo
from ckptd.ctl.top import rows
from tests.ckptd.ctl import canned
from tests.ckptd.ctl.canned import HOUR, NOW, SECOND


def info(name: str, **more: object) -> ProcessInfo:
    return ProcessInfo.read(canned.process(process_id=name, **more))


def saved(seconds_ago: int) -> dict[str, object]:
    return canned.checkpoint(created_at=NOW - seconds_ago * SECOND)


OLD = info("old", last_checkpoint=saved(400), progress=canned.progress(percent=10.0))
NEW = info("new", user="bob", last_checkpoint=saved(3), progress=canned.progress(percent=90.0, step="fetch"))
DEAD = info("dead", state="interrupted", holder=None, last_checkpoint=None, progress=canned.progress(percent=None))
FOUND = [NEW, DEAD, OLD]


@pytest.mark.parametrize(
    ("sort", "reverse", "names"),
    [
        ("at-risk", False, ["old", "new", "dead"]),
        ("at-risk", True, ["dead", "new", "old"]),
        ("process", False, ["dead", "new", "old"]),
        ("process", True, ["old", "new", "dead"]),
        ("progress", False, ["new", "old", "dead"]),
        ("progress", True, ["old", "new", "dead"]),
        ("saved", False, ["old", "new", "dead"]),
        ("worker", False, ["new", "old", "dead"]),
    ],
)
def test_the_order(sort: str, reverse: bool, names: list[str]) -> None:
    found = rows.arranged(FOUND, NOW, sort=sort, reverse=reverse)
    assert [one.process_id for one in found] == names


@pytest.mark.parametrize("sort", rows.SORTS)
def test_every_order_takes_processes_of_which_nothing_is_known(sort: str) -> None:
    assert len(rows.arranged(FOUND, NOW, sort=sort)) == 3


@pytest.mark.parametrize(
    ("wanted", "names"),
    [
        ("", ["old", "new", "dead"]),
        ("OLD", ["old"]),
        ("user:bob", ["new"]),
        ("state:interrupted", ["dead"]),
        ("user:anna e", ["old", "dead"]),
        ("user:anna old", ["old"]),
        ("user:anna fetch", []),
        ("step:fetch", ["new"]),
        ("nothing:such", []),
        ("user:", ["old", "new", "dead"]),
    ],
)
def test_the_filter(wanted: str, names: list[str]) -> None:
    assert sorted(one.process_id for one in rows.arranged(FOUND, NOW, wanted=wanted)) == sorted(names)


@pytest.mark.parametrize("width", [1, 40, 79, 80, 100, 120, 160, 300])
def test_columns_fit_the_width_and_the_most_important_stay(width: int) -> None:
    columns = rows.columns_for(width)
    taken = sum(cells for _, cells in columns) + rows.GAP * (len(columns) - 1)
    assert taken <= width or len(columns) == 1
    assert columns[0][0].name == "process"


@pytest.mark.parametrize(
    ("width", "has", "lacks"),
    [
        (80, {"state", "progress", "speed", "eta", "at-risk"}, {"user"}),
        (160, {"user", "ckpts", "epoch", "step"}, set()),
    ],
)
def test_what_an_ordinary_width_shows(width: int, has: set[str], lacks: set[str]) -> None:
    names = {column.name for column, _ in rows.columns_for(width)}
    assert has <= names
    assert not lacks & names


@pytest.mark.parametrize(
    ("one", "sign"),
    [
        (OLD, ("✓", "good")),
        (DEAD, ("✗", "bad")),
        (info("x", holder={"pid": 1, "alive": False, "since": NOW - HOUR}), ("!", "bad")),
        (info("x", state="stalled"), ("!", "warn")),
        (info("x", state="a new one"), ("·", "")),
    ],
)
def test_a_sign_is_not_colour_alone(one: ProcessInfo, sign: tuple[str, str]) -> None:
    assert rows.sign(one) == sign
