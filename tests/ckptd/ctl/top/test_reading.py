"""What a look asks: pages in turn, what is on the screen by name, events since the last look."""

import pytest

from ckptclient.errors import BadRequest, UnknownProcess
from ckptd.ctl.session import Common, Session
from ckptd.ctl.top.reading import EVENTS_KEPT, PAGE, Reader
from tests.ckptd.ctl import canned
from tests.ckptd.ctl.fakes import FakeDaemon, world

Packed = dict[str, object]


class Node:
    """So many processes, listed a page at a time with the last key as the cursor."""

    def __init__(self, count: int, events: int = 0) -> None:
        self.keys = list(range(count, 0, -1))
        self.completed = 100
        self.daemon = FakeDaemon({"process.list": self.listed, "process.show": self.shown, "events.read": self.events})
        self.newest_event = events

    def listed(self, packed: Packed) -> object:
        after, limit = packed.get("after"), packed.get("limit", 100)
        assert isinstance(limit, int)
        assert "completed" not in packed.get("states", ()) or not packed.get("states")  # type: ignore[operator]
        behind = [key for key in self.keys if after is None or key < after]  # type: ignore[operator]
        page = behind[:limit]
        return {"processes": [self.process(key) for key in page], "next": page[-1] if len(page) == limit else None}

    def process(self, key: int) -> Packed:
        return canned.process(process_id=f"p{key}", progress=canned.progress(completed=self.completed))

    def shown(self, packed: Packed) -> object:
        name = packed["process_id"]
        assert isinstance(name, str)
        key = int(name.rpartition("p")[2])
        return self.process(key) if key in self.keys else UnknownProcess(f"no process {name}")

    def events(self, packed: Packed) -> object:
        since, limit = packed.get("since", -1), packed.get("limit", 200)
        assert isinstance(since, int)
        assert isinstance(limit, int)
        found = [
            [seq, canned.NOW, "resumed", "p1", "anna", {}] for seq in range(max(since, 0) + 1, self.newest_event + 1)
        ][:limit]
        return {"events": found, "last": found[-1][0] if found else max(since, self.newest_event)}

    def reader(self) -> Reader:
        return Reader(Session(world(self.daemon), Common()))


def test_few_are_read_at_every_look() -> None:
    node = Node(30)
    reader = node.reader()
    assert len(reader.read().processes) == 30
    node.keys.remove(7)
    node.keys.insert(0, 31)
    assert {one.process_id for one in reader.read().processes} == {f"p{key}" for key in node.keys}


def test_many_are_read_in_turn() -> None:
    node = Node(5 * PAGE)
    reader = node.reader()
    counts = [len(reader.read().processes) for _ in range(5)]
    assert counts == [400, 600, 800, 1000, 1000]
    assert node.daemon.methods().count("process.list") == 10


def test_one_that_is_gone_is_gone_after_a_round() -> None:
    node = Node(3 * PAGE)
    reader = node.reader()
    for _ in range(2):
        reader.read()
    node.keys.remove(1)
    reading = [reader.read() for _ in range(4)][-1]
    assert len(reading.processes) == 3 * PAGE - 1


def test_what_is_on_the_screen_is_as_of_now() -> None:
    node = Node(5 * PAGE)
    reader = node.reader()
    for _ in range(4):
        reader.read()
    node.completed = 777
    reading = reader.read([("anna", "p1"), ("anna", "p2"), ("anna", "gone")])
    stand = {one.process_id: one.progress.completed for one in reading.processes}
    assert (stand["p1"], stand["p2"]) == (777, 777)
    node.keys.remove(1)
    reader.read([("anna", "p1")])  # it went between the list and the question


def test_completed_ones_are_asked_for() -> None:
    node = Node(1)
    reader = node.reader()
    reader.read()
    reader.completed = True
    reader.read()
    asked = [packed.get("states") for method, packed in node.daemon.asked if method == "process.list"]
    assert "completed" not in asked[0]  # type: ignore[operator]
    assert not asked[-1]


@pytest.mark.parametrize("newest", [0, 1, 2, 49, 50, 51, 1000, 12_345])
def test_the_newest_events_are_found_among_many(newest: int) -> None:
    node = Node(1, events=newest)
    reader = node.reader()
    first = reader.read().events
    assert [one.seq for one in first] == list(range(max(1, newest - EVENTS_KEPT + 1), newest + 1))
    assert node.daemon.methods().count("events.read") < 40
    node.newest_event += 2
    assert [one.seq for one in reader.read().events][-2:] == [newest + 1, newest + 2]


@pytest.mark.parametrize(("reply", "score"), [(canned.HEALTH, 92), (BadRequest("no such method"), None)])
def test_health_is_there_where_the_daemon_says_it(reply: object, score: int | None) -> None:
    daemon = FakeDaemon({"health.report": reply})
    reader = Reader(Session(world(daemon), Common()))
    for _ in range(2):
        health = reader.read().health
        assert (health and health.score) == score
    assert daemon.methods().count("health.report") == (2 if score else 1)
