"""The table is complete; and what follows from it together with leases, against a model of plain words."""

from dataclasses import dataclass, replace
from itertools import product

import pytest
from hypothesis import settings, strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from ckptclient.errors import Conflict, Fenced, Held
from ckptd.core.ids import Holder
from ckptd.core.lease import Holding, claim
from ckptd.core.process_table import ENDS, TRANSITIONS, Act, Mode, State, after
from tests.fakes import EPOCH

ENDING = {
    Act.COMPLETE: State.COMPLETED,
    Act.PAUSE: State.PAUSED,
    Act.INTERRUPT: State.INTERRUPTED,
    Act.FAIL: State.FAILED,
}


@pytest.mark.parametrize(("state", "act"), list(product(State, Act)))
def test_every_pair_is_in_the_table_or_refused(state: State, act: Act) -> None:
    if act is Act.SAVE:
        expected: State | None = state  # a checkpoint changes no state
    elif act is Act.TAKE:
        expected = None if state is State.COMPLETED else State.RUNNING
    else:
        expected = ENDING[act] if state is State.RUNNING else None  # only a holder lets go
    if expected is not None:
        assert after(state, act) is expected
        return
    assert (state, act) not in TRANSITIONS
    with pytest.raises(Conflict) as caught:
        after(state, act)
    assert state.word in caught.value.message
    assert caught.value.details == {"state": state.word}


def test_completed_has_no_way_out() -> None:
    assert {following for (state, _), following in TRANSITIONS.items() if state is State.COMPLETED} == {State.COMPLETED}


def test_every_state_can_be_reached() -> None:
    reached = {State.REGISTERED}
    for _ in State:
        reached |= {following for (state, _), following in TRANSITIONS.items() if state in reached}
    assert reached == set(State)


@pytest.mark.parametrize("state", list(State))
def test_unfinished_is_what_can_be_taken_up_again(state: State) -> None:
    assert state.unfinished is ((state, Act.TAKE) in TRANSITIONS)


@pytest.mark.parametrize(("word", "act"), list(ENDS.items()))
def test_a_holder_ends_with_the_word_of_the_state(word: str, act: Act) -> None:
    assert after(State.RUNNING, act).word == word


def test_numbers_are_those_on_disk() -> None:
    words = ["registered", "running", "paused", "interrupted", "completed", "failed"]
    assert [state.word for state in State] == words
    assert [state.value for state in State] == list(range(len(words)))
    assert [mode.name for mode in Mode] == ["UNKNOWN", "ITEMS", "STATEFUL"]
    assert [mode.value for mode in Mode] == [0, 1, 2]


# --- the machine ---


@dataclass(frozen=True)
class Row:
    """What the catalog would have of one incarnation."""

    key: int
    state: State
    epoch: int
    holder: Holder | None


@dataclass(frozen=True)
class Right:
    """What a worker got, and would write with."""

    worker: int
    life: int
    key: int
    epoch: int


WORKERS = range(4)
worker_index = st.sampled_from(WORKERS)


def _holder(worker: int, life: int) -> Holder:
    return Holder(b"boot", 100 + worker, life, f"{worker}/{life}".encode())


class ProcessMachine(RuleBasedStateMachine):
    """One process id and four workers.

    On one side the code: `claim`, `after`, and rows that a catalog would keep. On the other a dict in plain words:
    whose right is the last one given, and the word that stands behind the process.
    """

    def __init__(self) -> None:
        super().__init__()
        self.rows: list[Row] = []
        self.rights: list[Right] = []
        self.lives = dict.fromkeys(WORKERS, 0)
        self.model: dict[str, object] = {"word": None, "right": None, "lives": 0}

    # --- the code's side ---

    def _alive(self, holder: Holder) -> bool:
        return holder == _holder(holder.pid - 100, self.lives[holder.pid - 100])

    def _holding(self) -> Holding | None:
        if not self.rows:
            return None
        row = self.rows[-1]
        alive = row.holder is not None and self._alive(row.holder)
        return Holding("p", row.state, row.holder, alive, connected=alive, since=EPOCH, heard_at=EPOCH)

    def _write(self, right: Right, act: Act) -> None:
        """The catalog's guard, then the table."""
        row = next(row for row in self.rows if row.key == right.key)
        if row.epoch != right.epoch:
            raise Fenced("a newer epoch exists")
        following = after(row.state, act)
        self.rows[right.key] = replace(row, state=following, holder=row.holder if act is Act.SAVE else None)

    def _valid(self) -> list[Right]:
        return [right for right in self.rights if self.rows[right.key].epoch == right.epoch]

    # --- what happens ---

    @rule(worker=worker_index, takeover=st.booleans(), fresh=st.booleans())
    def register(self, worker: int, takeover: bool, fresh: bool) -> None:
        holder = _holder(worker, self.lives[worker])
        held_by = self.model["right"]
        barred = (
            self.model["word"] == "running"
            and isinstance(held_by, Right)
            and held_by.life == self.lives[held_by.worker]
            and held_by.worker != worker
            and not takeover
        )
        if barred:
            with pytest.raises(Held):
                claim(self._holding(), holder, now=EPOCH, lease_seconds=60.0, takeover=takeover, fresh=fresh)
            return
        grant = claim(self._holding(), holder, now=EPOCH, lease_seconds=60.0, takeover=takeover, fresh=fresh)
        assert grant.new_incarnation is (fresh or self.model["word"] in (None, "completed"))
        assert grant.resumed is not grant.new_incarnation
        if grant.new_incarnation:
            if self.rows:  # the old life's rights end with it
                self.rows[-1] = replace(self.rows[-1], epoch=self.rows[-1].epoch + 1, holder=None)
            self.rows.append(Row(len(self.rows), State.REGISTERED, 0, None))
        row = self.rows[-1]
        self.rows[-1] = Row(row.key, after(row.state, grant.act), row.epoch + 1, holder)
        right = Right(worker, self.lives[worker], row.key, row.epoch + 1)
        assert right not in self.rights, "no right is ever given twice"
        self.rights.append(right)
        self.model = {"word": "running", "right": right, "lives": len(self.rows)}

    @precondition(lambda self: self.rights)
    @rule(data=st.data())
    def save(self, data: st.DataObject) -> None:
        right = data.draw(st.sampled_from(self.rights))
        if right == self.model["right"]:
            before = self.rows[-1]
            self._write(right, Act.SAVE)
            assert self.rows[-1] == before
        else:
            with pytest.raises(Fenced):
                self._write(right, Act.SAVE)

    @precondition(lambda self: self.rights)
    @rule(data=st.data(), word=st.sampled_from(sorted(ENDS)))
    def end(self, data: st.DataObject, word: str) -> None:
        right = data.draw(st.sampled_from(self.rights))
        if right != self.model["right"]:
            with pytest.raises(Fenced):
                self._write(right, ENDS[word])
        elif self.model["word"] == "running":
            self._write(right, ENDS[word])
            self.model["word"] = word
        else:
            with pytest.raises(Conflict):
                self._write(right, ENDS[word])

    @precondition(lambda self: self.rows)
    @rule()
    def save_without_a_right(self) -> None:
        row = self.rows[-1]
        assert after(row.state, Act.SAVE) is row.state

    @precondition(lambda self: self.model["word"] == "running")
    @rule()
    def fence(self) -> None:
        row = self.rows[-1]
        self.rows[-1] = Row(row.key, after(row.state, Act.INTERRUPT), row.epoch + 1, None)
        self.model = {**self.model, "word": "interrupted", "right": None}

    @rule(worker=worker_index)
    def die(self, worker: int) -> None:
        """A death that nobody has noticed yet: the pid comes back with another start."""
        self.lives[worker] += 1

    @precondition(lambda self: self.model["word"] == "running" and not self._alive(self.rows[-1].holder))
    @rule()
    def notice(self) -> None:
        row = self.rows[-1]
        self.rows[-1] = replace(row, state=after(row.state, Act.INTERRUPT), holder=None)
        self.model["word"] = "interrupted"

    # --- what always holds ---

    @invariant()
    def at_most_one_right_is_valid(self) -> None:
        held_by = self.model["right"]
        assert self._valid() == ([held_by] if held_by is not None else [])

    @invariant()
    def the_word_agrees(self) -> None:
        assert (self.rows[-1].state.word if self.rows else None) == self.model["word"]

    @invariant()
    def only_a_running_process_has_a_holder(self) -> None:
        assert all(
            (row.holder is not None) is (row.state is State.RUNNING and row is self.rows[-1]) for row in self.rows
        )

    @invariant()
    def an_old_life_is_over(self) -> None:
        assert len(self.rows) == self.model["lives"]
        assert [row.key for row in self.rows] == list(range(len(self.rows)))


TestProcessMachine = ProcessMachine.TestCase
TestProcessMachine.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
