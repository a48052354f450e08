"""What `catalog.interface` obliges every backend to; a module beside it runs this against one."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Protocol, cast

import pytest

from ckptclient.errors import CkptdError, Conflict, Fenced, Held, NotFound, UnknownCheckpoint, UnknownOutcome
from ckptd.core.change import Answer, Change, CheckpointType, EventRow, Guard, Place, Suspicion
from ckptd.core.ids import BodyKey, CheckpointKey, Epoch, PackKey, ProcessKey
from ckptd.core.journal import FAILED, Cut, bitmaps
from ckptd.core.process_table import Act, Mode, State
from ckptd.core.retention import Standing, expired, protects
from ckptd.store.catalog.interface import DUE_FROM_START, BackupRow, Catalog, CatalogReader, Filter, NewChunk, Proof
from tests.ckptd.store.catalog.changes import (
    NOW,
    SECOND,
    SESSION,
    UID,
    append,
    asked,
    done,
    guarded,
    holder,
    items,
    part,
    progress,
    rewind,
    save,
    take,
)

JOB = ProcessKey(1)
MEMBER = b"a member's name "


class World(Protocol):
    """One medium; opening it again is a new daemon on the same disk."""

    def open(self) -> Catalog: ...


def refused(catalog: Catalog, change: Change) -> CkptdError:
    (outcome,) = catalog.apply([change])
    assert isinstance(outcome, CkptdError), outcome
    return outcome


def applied(catalog: Catalog, *batch: Change) -> list[Answer]:
    outcomes = catalog.apply(batch)
    assert not [one for one in outcomes if isinstance(one, CkptdError)]
    return cast("list[Answer]", list(outcomes))


def numbers(reader: CatalogReader, wanted: Filter) -> list[int]:
    return [row.seq for row in reader.checkpoints(wanted)]


def process(reader: CatalogReader, key: int = JOB) -> Any:
    row = reader.process_by_key(ProcessKey(key))
    assert row is not None
    return row


def expire_all(catalog: Catalog, now: int, abandoned_after: int = 0, limit: int = 2) -> int:
    """Slice by slice, as the service does; what would go is told before in one go."""
    reader = catalog.reader()
    told = reader.doomed(reader.due(now, DUE_FROM_START, 99).keys, now, abandoned_after, ())
    cursor: tuple[int, int] | None = DUE_FROM_START
    moved: list[CheckpointKey] = []
    while cursor is not None:
        found = reader.due(now, cursor, limit)
        moved += catalog.condemn(found.keys, now, abandoned_after, now)
        cursor = found.cursor
    reader.close()
    assert moved == told
    return len(moved)


def empty_trash(catalog: Catalog, before: int, limit: int = 2) -> int:
    total, more = 0, True
    while more:
        count, more = catalog.empty_trash(before, limit)
        total += count
    return total


def sweep(catalog: Catalog, held: Sequence[bytes] = (), limit: int = 2) -> None:
    while catalog.sweep(frozenset(held), NOW, limit):
        pass


def chunk(number: int, offset: int = 152, base: int | None = None) -> NewChunk:
    its = None if base is None else base.to_bytes(32, "big")
    return NewChunk(number.to_bytes(32, "big"), offset, 10, 20, 0 if base is None else 3, its)


class Conformance:
    """Inherit, and give a fixture `world`."""

    @pytest.fixture
    def catalog(self, world: World) -> Catalog:
        return world.open()

    @pytest.fixture
    def reader(self, catalog: Catalog) -> CatalogReader:
        return catalog.reader()

    # Claims and fences

    def test_a_claim_makes_a_row_and_each_further_one_raises_its_epoch(
        self, catalog: Catalog, reader: CatalogReader
    ) -> None:
        assert applied(catalog, take(task_id="t", policy=b"p")) == [(JOB, 1)]
        assert applied(catalog, take(process=JOB, seen=1), take(process=JOB, seen=2)) == [(JOB, 2), (JOB, 3)]
        row = process(reader)
        assert (row.state, row.epoch, row.holder, row.task_id, row.policy) == (State.RUNNING, 3, holder(), "t", b"p")
        assert reader.held() == [row] == [reader.process(UID, "job")]

    @pytest.mark.parametrize(
        ("change", "kind"),
        [
            pytest.param(take(), Conflict, id="somebody made it first"),
            pytest.param(take(process=JOB, seen=0), Conflict, id="somebody took it first"),
            pytest.param(take(process=99, seen=1), NotFound, id="it is gone"),
            pytest.param(take(retires=ProcessKey(99)), Conflict, id="another incarnation is the current one"),
            pytest.param(guarded(JOB, 0, progress=progress()), Fenced, id="an older epoch"),
            pytest.param(guarded(JOB, 2, progress=progress()), Fenced, id="an epoch that never was"),
            pytest.param(guarded(JOB, 1, MEMBER, progress=progress()), Fenced, id="a member that nobody named"),
            pytest.param(guarded(99, 1, progress=progress()), NotFound, id="no such process"),
            pytest.param(save(JOB, 1, None), Held, id="somebody else holds it"),
            pytest.param(save(JOB, 1, depends=(CheckpointKey(99),)), NotFound, id="it needs what is gone"),
            pytest.param(guarded(JOB, 1, head=CheckpointKey(7), progress=progress(5)), Conflict, id="another head"),
        ],
    )
    def test_a_refusal_changes_nothing_and_harms_no_neighbour(
        self, catalog: Catalog, reader: CatalogReader, change: Change, kind: type[CkptdError]
    ) -> None:
        applied(catalog, take())
        before = process(reader)
        assert type(refused(catalog, change)) is kind
        assert process(reader) == before
        first, outcome, last = catalog.apply([save(JOB, 1), change, save(JOB, 2)])
        assert (first, type(outcome), last) == ((1, NOW), kind, (2, NOW))
        assert numbers(reader, Filter()) == [2, 1]

    def test_a_save_that_makes_and_ends_a_process_leaves_nothing_when_it_is_refused(
        self, catalog: Catalog, reader: CatalogReader
    ) -> None:
        change = replace(save(0, 1), guard=None, claim=take(held=False).claim, act=Act.COMPLETE)
        assert isinstance(refused(catalog, change), Conflict)
        assert (reader.process(UID, "job"), reader.checkpoints(Filter())) == (None, [])

    def test_a_fence_ends_the_holder_and_raises_the_epoch(self, catalog: Catalog, reader: CatalogReader) -> None:
        applied(catalog, take())
        assert applied(catalog, take(process=JOB, seen=1, held=False, at=NOW + 5)) == [(JOB, 2)]
        row = process(reader)
        assert (row.state, row.holder, row.ended_at) == (State.INTERRUPTED, None, NOW + 5)
        error = refused(catalog, save(JOB, 1))
        assert (type(error), error.details["newer_epoch"]) == (Fenced, 2)

    def test_a_process_that_nobody_holds_has_epoch_0_and_takes_checkpoints(
        self, catalog: Catalog, reader: CatalogReader
    ) -> None:
        first = replace(save(0, 1), guard=None, claim=take(held=False).claim)
        assert applied(catalog, first, save(JOB, 2, None)) == [(1, NOW), (2, NOW)]
        assert (process(reader).state, process(reader).epoch) == (State.REGISTERED, 0)
        assert applied(catalog, take(process=JOB, seen=0)) == [(JOB, 1)]

    def test_a_new_incarnation_retires_the_old_one_and_its_numbers_go_on(
        self, catalog: Catalog, reader: CatalogReader
    ) -> None:
        applied(catalog, take(), save(JOB, 1), append(JOB, 0, done(0)), guarded(JOB, act=Act.COMPLETE))
        assert applied(catalog, take(retires=JOB)) == [(2, 1)]
        old, new = process(reader), process(reader, 2)
        assert (old.state, new.state, new.next_seq) == (State.COMPLETED, State.RUNNING, 2)
        assert (new.next_position, new.progress.done) == (0, 0)
        assert reader.process(UID, "job") == new
        assert isinstance(refused(catalog, save(JOB, 2)), Fenced)  # whoever still writes to the old life
        assert isinstance(refused(catalog, take(process=JOB, seen=old.epoch)), Conflict)

    def test_a_life_that_is_retired_unfinished_lets_go_of_its_holder(
        self, catalog: Catalog, reader: CatalogReader
    ) -> None:
        applied(catalog, take(), take(retires=JOB))
        assert (process(reader).state, process(reader).holder) == (State.INTERRUPTED, None)
        assert [row.key for row in reader.held()] == [2]

    @pytest.mark.parametrize(
        ("act", "state", "word"),
        [
            (Act.COMPLETE, State.COMPLETED, "completed"),
            (Act.PAUSE, State.PAUSED, "paused"),
            (Act.INTERRUPT, State.INTERRUPTED, "interrupted"),
            (Act.FAIL, State.FAILED, "failed"),
        ],
    )
    def test_an_end_lets_go_and_says_the_state(
        self, catalog: Catalog, reader: CatalogReader, act: Act, state: State, word: str
    ) -> None:
        applied(catalog, take())
        assert applied(catalog, guarded(JOB, act=act, at=NOW + 1)) == [(word,)]
        row = process(reader)
        assert (row.state, row.holder, row.ended_at) == (state, None, NOW + 1)
        assert isinstance(refused(catalog, guarded(JOB, act=Act.PAUSE)), Conflict)

    def test_what_a_change_says_of_a_process_stands_in_its_row(self, catalog: Catalog, reader: CatalogReader) -> None:
        applied(catalog, take(), guarded(JOB, progress=progress(4), mode=Mode.STATEFUL, sequence=b"mark", deaths=2))
        row = process(reader)
        assert (row.progress, row.mode, row.sequence, row.deaths) == (progress(4), Mode.STATEFUL, b"mark", 2)

    # Request ids

    @pytest.mark.parametrize(
        ("first", "again"),
        [
            pytest.param(save(JOB, 1, request=asked(9)), None, id="a holder"),
            pytest.param(
                save(JOB, 1, request=asked(9)), save(JOB, 2, None, request=asked(9)), id="a holder that has let go"
            ),
            pytest.param(take(process=JOB, seen=1, request=asked(9)), None, id="a claim"),
            pytest.param(take(retires=JOB, request=asked(9)), None, id="a new life"),
            pytest.param(take("new", request=asked(9)), None, id="a new process"),
            pytest.param(
                take("new", request=asked(9)), take("new", 2, 1, request=asked(9)), id="one that is there now"
            ),
            pytest.param(
                append(JOB, 0, done(0), request=asked(9)), append(JOB, 1, done(0), request=asked(9)), id="records"
            ),
            pytest.param(Change(NOW, UID, asked(9), unpins=(CheckpointKey(1),)), None, id="without a process"),
            pytest.param(take(process=JOB, seen=1, held=False, request=asked(9)), None, id="a fence"),
        ],
    )
    def test_a_repetition_answers_what_the_first_attempt_did_and_changes_nothing(
        self, catalog: Catalog, world: World, first: Change, again: Change | None
    ) -> None:
        applied(catalog, take())
        (answer,) = applied(catalog, first)
        reader = catalog.reader()
        before = (process(reader), numbers(reader, Filter()), reader.journal(JOB, -1, 9, False))
        assert applied(catalog, again or first, again or first) == [answer, answer]
        catalog.close()
        catalog = world.open()
        assert applied(catalog, again or first) == [answer]
        reader = catalog.reader()
        assert (process(reader), numbers(reader, Filter()), reader.journal(JOB, -1, 9, False)) == before

    def test_a_save_without_a_holder_is_found_again_after_its_session_took_the_process(self, catalog: Catalog) -> None:
        first = replace(save(0, 1), guard=None, claim=take(held=False).claim, request=asked(1))
        answers = applied(catalog, first, take(process=JOB, seen=0, request=asked(2)))
        again = replace(save(JOB, 2, request=asked(1)), guard=Guard(JOB, Epoch(1), outsider=True))
        assert applied(catalog, again) == answers[:1]

    def test_answers_of_many_sessions_without_a_holder_are_kept(self, catalog: Catalog, reader: CatalogReader) -> None:
        applied(catalog, take(held=False))
        changes = [save(JOB, n + 1, None, request=asked(1, n.to_bytes(16, "big"))) for n in range(20)]
        assert applied(catalog, *changes) == applied(catalog, *changes)
        assert len(reader.checkpoints(Filter())) == 20

    @pytest.mark.parametrize("whose", ["holder", "nobody", "member"])
    def test_64_answers_of_a_session_are_kept_and_what_is_older_is_refused(self, catalog: Catalog, whose: str) -> None:
        applied(catalog, take(), guarded(JOB, member=MEMBER))
        member = MEMBER if whose == "member" else None

        def change(number: int) -> Change:
            if whose == "nobody":
                return Change(NOW, UID, asked(number), unpins=(CheckpointKey(1),))
            return guarded(JOB, 1, member, request=asked(number), progress=progress(number))

        order = [2, 1, *range(4, 66), 3]  # 3 comes last, as after a lost connection
        applied(catalog, *map(change, order))
        assert isinstance(refused(catalog, change(1)), UnknownOutcome)
        applied(catalog, change(2), change(3), change(65), change(66))
        assert isinstance(refused(catalog, change(2)), UnknownOutcome)
        applied(catalog, replace(change(1), request=asked(1, b"another session!")))

    def test_a_refusal_is_not_kept(self, catalog: Catalog) -> None:
        applied(catalog, take())
        change = save(JOB, 1, depends=(CheckpointKey(1),), request=asked(5))
        refused(catalog, change)
        applied(catalog, save(JOB, 2))
        assert applied(catalog, change) == [(1, NOW)]

    # Members

    def test_a_member_writes_under_its_epoch_and_ends_with_it(self, catalog: Catalog, reader: CatalogReader) -> None:
        applied(catalog, take())
        assert applied(catalog, guarded(JOB, member=MEMBER)) == [(MEMBER,)]
        assert applied(catalog, append(JOB, 0, done(0), 1, MEMBER)) == [(1, 1, 0)]
        applied(catalog, guarded(JOB, act=Act.INTERRUPT))
        assert applied(catalog, append(JOB, 1, done(1), 1, MEMBER)) == [
            (2, 2, 0)
        ]  # the holder's death alone ends nothing
        applied(catalog, take(process=JOB, seen=1))
        assert isinstance(refused(catalog, append(JOB, 2, done(2), 1, MEMBER)), Fenced)
        assert isinstance(refused(catalog, append(JOB, 2, done(2), 2, MEMBER)), Fenced)
        assert [row.position for row in reader.journal(JOB, -1, 9, False)] == [0, 1]

    # The result journal

    def test_records_are_read_in_pages_and_counted_once(self, catalog: Catalog, reader: CatalogReader) -> None:
        applied(catalog, take(), guarded(JOB, deaths=3))
        assert applied(catalog, append(JOB, 0, items((0, 0), ("a", 1), (1, 1), ("b", 0)))) == [(4, 2, 2)]
        assert [row.ordinal for row in reader.journal(JOB, -1, 3, False)] == [0, None, 1]
        assert [row.item for row in reader.journal(JOB, 2, 3, False)] == [b"'b'"]
        assert [row.position for row in reader.journal(JOB, -1, 9, True)] == [1, 2]
        assert [kind for _, kind in reader.done_digests(JOB, b"", 9)] in ([0, 1], [1, 0])
        row = process(reader)
        assert (row.next_position, row.progress.done, row.progress.failed, row.deaths) == (4, 2, 2, 0)

    @pytest.mark.parametrize("name", [7, "key"])
    def test_an_item_is_what_its_newest_record_says(
        self, catalog: Catalog, reader: CatalogReader, name: object
    ) -> None:
        applied(catalog, take())
        answers = applied(
            catalog, append(JOB, 0, items((name, FAILED), ("other", 0))), append(JOB, 2, items((name, 0), (name, 0)))
        )
        assert answers == [(2, 1, 1), (4, 2, 0)]
        assert [row.position for row in reader.journal(JOB, -1, 9, False)] == [1, 3]
        assert reader.journal(JOB, -1, 9, True) == []
        assert (reader.journal_counts(JOB, 9), reader.journal_counts(JOB, 2)) == ((2, 0), (1, 0))
        # What a rewind sets aside is open again, whatever an older record says.
        applied(catalog, rewind(JOB, None, (0, 0), (2, 4), counts=(1, 0)))
        assert [row.position for row in reader.journal(JOB, -1, 9, False)] == [1]
        assert reader.journal_counts(JOB, 9) == (1, 0)
        assert len(reader.done_digests(JOB, b"", 9)) == 1
        assert bitmaps(reader.records(JOB, 0, 8), reader.cuts(JOB), 0, 8) == (b"\0", b"\0")
        # And done again: two rewinds from one checkpoint don't collide.
        assert applied(catalog, append(JOB, 4, done(name))) == [(5, 2, 0)]
        applied(catalog, rewind(JOB, None, (0, 0), (2, 5), counts=(1, 0)), append(JOB, 5, items((name, FAILED))))
        assert (reader.journal_counts(JOB, 9), reader.cuts(JOB)) == ((1, 1), [Cut(2, 5)])
        assert [row.position for row in reader.journal(JOB, -1, 9, False)] == [1, 5]

    def test_records_of_a_claim_are_its_own_and_the_answer_the_claim_s(
        self, catalog: Catalog, reader: CatalogReader
    ) -> None:
        applied(catalog, take(), append(JOB, 0, done(0)))
        aside = append(JOB, 1, items((1, FAILED)), clears=[b"1"]).journal
        assert applied(catalog, replace(take(process=JOB, seen=1), journal=aside)) == [(JOB, 2)]
        assert (process(reader).progress.done, process(reader).progress.failed) == (1, 1)

    def test_suspects_are_counted_over_deaths_until_they_have_an_end(
        self, catalog: Catalog, reader: CatalogReader
    ) -> None:
        applied(catalog, take())
        for restarts, attempts in ((False, 1), (False, 2), (True, 1), (False, 2)):
            applied(catalog, guarded(JOB, suspicion=Suspicion(b"7", 7, f"death {attempts}", restarts)))
            (found,) = reader.suspects(JOB)
            assert (found.item, found.ordinal, found.attempts, found.evidence) == (
                b"7",
                7,
                attempts,
                f"death {attempts}",
            )
        applied(catalog, append(JOB, 0, done(7), clears=[b"7"]))
        assert reader.suspects(JOB) == []

    # Rewinds

    def test_after_a_rewind_what_came_later_is_listed_but_no_candidate(
        self, catalog: Catalog, reader: CatalogReader
    ) -> None:
        applied(catalog, take(), save(JOB, 1), save(JOB, 2, has_state=False), save(JOB, 3), save(JOB, 4))
        assert reader.candidates(JOB, False) == [4, 3, 2, 1]
        assert reader.candidates(JOB, True) == [4, 3, 1]
        applied(catalog, rewind(JOB, 1, (1, 9), (0, 6)))
        assert (reader.candidates(JOB, False), numbers(reader, Filter())) == ([1], [4, 3, 2, 1])
        row = process(reader)
        # Numbers that were given out stay used, or a later save would stand in the rewind's shadow.
        assert (row.head, row.next_seq, row.next_position) == (1, 10, 6)
        applied(catalog, save(JOB, 10))
        assert reader.candidates(JOB, True) == [5, 1]
        applied(catalog, Change(NOW, UID, to_trash=(CheckpointKey(5),)))
        assert process(reader).head == 1

    def test_attempts_are_counted_until_a_restore_went_well(self, catalog: Catalog, reader: CatalogReader) -> None:
        applied(catalog, take(), save(JOB, 1))
        tried, proven = guarded(JOB, tried=CheckpointKey(1)), guarded(JOB, proven=CheckpointKey(1))
        for change, attempts in ((tried, 1), (tried, 2), (proven, 0), (tried, 1)):
            applied(catalog, change)
            row = reader.checkpoint(CheckpointKey(1))
            assert row is not None
            assert row.attempts == attempts

    # Checkpoints

    def test_a_checkpoint_is_found_by_all_its_names_and_gives_its_content(
        self, catalog: Catalog, reader: CatalogReader
    ) -> None:
        applied(catalog, take())
        applied(catalog, save(JOB, 3, alias="mine", tags=("b", "a", "b")), save(JOB, 5, depends=(CheckpointKey(1),)))
        row = reader.checkpoint(CheckpointKey(1))
        assert row is not None
        assert row == reader.find_checkpoint(UID, "job", 3) == reader.find_alias(UID, "mine")
        assert row == reader.find_checkpoint(None, "job", 3) == reader.find_alias(None, "mine")
        assert (row.checkpoint_id, row.status, row.epoch) == ("mine", "active", 1)
        assert (reader.find_checkpoint(UID + 1, "job", 3), reader.find_alias(UID + 1, "mine")) == (None, None)
        assert reader.tags([CheckpointKey(1), CheckpointKey(2)]) == {1: ["a", "b"]}
        assert reader.dependencies([CheckpointKey(1), CheckpointKey(2)]) == {2: [1]}
        content = reader.content(CheckpointKey(1))
        assert (content.manifest, content.small) == (b"manifest 3", b"state")
        with pytest.raises(UnknownCheckpoint):
            reader.content(CheckpointKey(9))

    def test_lists_are_filtered_paged_and_newest_first(self, catalog: Catalog, reader: CatalogReader) -> None:
        applied(catalog, take("a"), take("b"), take("a", uid=UID + 1))
        applied(
            catalog,
            save(1, 1, tags=("x",), created_at=NOW + 1),
            save(2, 1, type=CheckpointType.MODEL_STATE, created_at=NOW + 2),
            save(3, 1, task_id="other", created_at=NOW + 3),
            save(1, 2, tags=("x", "y"), created_at=NOW + 4),
            save(1, 3, created_at=NOW + 5),
            guarded(1, act=Act.COMPLETE),
            guarded(2, act=Act.FAIL),
            take("a", retires=ProcessKey(1)),
            save(4, 4, created_at=NOW + 6),
            Change(NOW + 7, UID, to_trash=(CheckpointKey(5),)),
        )
        for wanted, keys in (
            (Filter(), [6, 4, 3, 2, 1]),
            (Filter(trash=True), [5]),
            (Filter(uid=UID), [6, 4, 2, 1]),
            (Filter(process=ProcessKey(1)), [4, 1]),
            (Filter(uid=UID, process_id="a"), [6, 4, 1]),
            (Filter(uid=UID, process_id="a", limit=2), [6, 4]),
            (Filter(uid=UID, process_id="a", before=CheckpointKey(4), limit=2), [1]),
            (Filter(process_id="a"), [6, 4, 3, 1]),
            (Filter(process_id="a", tag="x"), [4, 1]),
            (Filter(tag="x"), [4, 1]),
            (Filter(tag="x", before=CheckpointKey(4)), [1]),
            (Filter(tag="z"), []),
            (Filter(task_id="other"), [3]),
            (Filter(type=CheckpointType.MODEL_STATE), [2]),
            (Filter(since=NOW + 2, until=NOW + 4), [4, 3, 2]),
            (Filter(before=CheckpointKey(4), limit=2), [3, 2]),
            (Filter(status="active"), [6, 3]),
            (Filter(status="completed"), [4, 1]),
            (Filter(status="failed"), [2]),
            (Filter(status="expired"), [5]),
            (Filter(status="archived"), []),
        ):
            assert [row.key for row in reader.checkpoints(wanted)] == keys, wanted
        assert reader.checkpoint_counts([ProcessKey(1), ProcessKey(2), ProcessKey(9)]) == {1: 2, 2: 1}

    def test_processes_are_listed_newest_first_the_current_ones(self, catalog: Catalog, reader: CatalogReader) -> None:
        applied(catalog, take("a", task_id="t"), take("b"), take("c", uid=UID + 1), guarded(2, act=Act.COMPLETE))
        applied(catalog, take("b", retires=ProcessKey(2)), guarded(1, act=Act.PAUSE))
        for asks, keys in (
            ((None, (), None, None, 9), [4, 3, 1]),
            ((UID, (), None, None, 9), [4, 1]),
            ((None, (State.PAUSED, State.COMPLETED), None, None, 9), [1]),
            ((None, (), "t", None, 9), [1]),
            ((None, (), None, 4, 1), [3]),
        ):
            assert [row.key for row in reader.processes(*asks)] == keys, asks

    def test_an_alias_moves_and_the_old_checkpoint_goes_to_the_trash(
        self, catalog: Catalog, reader: CatalogReader
    ) -> None:
        applied(catalog, take(), save(JOB, 1, alias="best"), save(JOB, 2, alias="best", created_at=NOW + 1))
        assert [row.seq for row in reader.checkpoints(Filter(trash=True))] == [1]
        found = reader.find_alias(UID, "best")
        assert found is not None
        assert found.seq == 2
        applied(catalog, Change(NOW, UID, from_trash=(CheckpointKey(1),)))
        assert [row.checkpoint_id for row in reader.checkpoints(Filter())] == ["best", "job_custom_1"]

    def test_the_trash_is_left_and_entered(self, catalog: Catalog, reader: CatalogReader) -> None:
        applied(catalog, take(), save(JOB, 1, expires_at=NOW + 1), save(JOB, 2))
        both = (CheckpointKey(2), CheckpointKey(1))
        assert applied(catalog, Change(NOW + 9, UID, to_trash=(*both, CheckpointKey(9)))) == [(2,)]
        assert applied(catalog, Change(NOW + 9, UID, to_trash=both)) == [(0,)]
        assert (process(reader).head, reader.candidates(JOB, False)) == (None, [])
        assert applied(catalog, Change(NOW + 10, UID, from_trash=(CheckpointKey(1),))) == [(1,)]
        row = reader.checkpoint(CheckpointKey(1))
        assert row is not None
        assert (row.place, row.ended_at, row.expires_at, process(reader).head) == (Place.LIVE, None, None, 1)

    def test_pins_hold_and_let_go(self, catalog: Catalog, reader: CatalogReader) -> None:
        applied(catalog, take(), save(JOB, 1), save(JOB, 2), Change(NOW, UID, to_trash=(CheckpointKey(2),)))
        keys = (CheckpointKey(1), CheckpointKey(2))
        for change, pinned in ((Change(NOW, UID, pins=keys), True), (Change(NOW, UID, unpins=keys), False)):
            assert applied(catalog, change) == [(1,)]
            row = reader.checkpoint(CheckpointKey(1))
            assert row is not None
            assert row.pinned is pinned

    # What ends

    def test_expiry_agrees_with_retention(self, catalog: Catalog, reader: CatalogReader) -> None:
        applied(catalog, take("a"), take("b"), take("c", held=False), take("d"))
        needs = {CheckpointKey(3): (CheckpointKey(1),), CheckpointKey(6): (CheckpointKey(5),)}
        applied(
            catalog,
            save(1, 1, expires_at=NOW + 1),  # 1: needed by 3, which is protected
            save(1, 2, expires_at=NOW + 2),  # 2: goes
            save(1, 3, expires_at=NOW + 3, depends=needs[CheckpointKey(3)]),  # 3: the newest with state
            save(1, 4, expires_at=NOW + 4, has_state=False),  # 4: the newest
            save(2, 1, expires_at=NOW + 5),  # 5: its process is completed, and 6 goes too
            save(2, 2, expires_at=NOW + 5, depends=needs[CheckpointKey(6)]),  # 6: goes
            save(3, 1, None, expires_at=NOW + 6),  # 7: nobody ever held it
            save(4, 1, expires_at=NOW + 7),  # 8: pinned
            save(4, 2, expires_at=NOW + 7),  # 9: protected
            save(4, 3, expires_at=NOW + 99 * SECOND),  # 10: not yet, and in a rewind's shadow
            guarded(2, act=Act.COMPLETE),
            rewind(4, 9, (2, 3), (0, 0)),
            Change(NOW, UID, pins=(CheckpointKey(8),)),
        )
        standing = [
            Standing(
                row.key,
                row.process,
                protects(row.process_state, process(reader, row.process).epoch, is_abandoned=False),
                restorable=row.key in reader.candidates(row.process, False),
                has_state=row.has_state,
                pinned=row.pinned,
                expires_at=row.expires_at,
            )
            for row in reader.checkpoints(Filter())
        ]
        wanted = expired(standing, needs, NOW + SECOND)
        assert sorted(wanted) == [2, 5, 6, 7]
        assert expire_all(catalog, NOW + SECOND) == 4
        assert [row.key for row in reader.checkpoints(Filter(trash=True))] == sorted(wanted, reverse=True)
        assert expire_all(catalog, NOW + SECOND) == 0

    @pytest.mark.parametrize(
        ("own", "default", "goes"),
        [(None, 0, False), (None, SECOND, True), (None, SECOND + 1, False), (0, SECOND, False), (SECOND, 0, True)],
    )
    def test_an_abandoned_process_protects_nothing(
        self, catalog: Catalog, own: int | None, default: int, goes: bool
    ) -> None:
        applied(catalog, take(abandon_after=own), save(JOB, 1, expires_at=NOW), guarded(JOB, act=Act.PAUSE))
        assert expire_all(catalog, NOW + SECOND, default) == goes

    def test_what_is_nearly_abandoned_is_told_once(self, catalog: Catalog, reader: CatalogReader) -> None:
        applied(
            catalog,
            take("a"),
            take("b", abandon_after=50),
            take("c"),
            take("d", abandon_after=0),
            take("e", held=False),
        )
        ends = [(1, Act.PAUSE), (2, Act.FAIL), (3, Act.COMPLETE), (4, Act.INTERRUPT)]
        applied(catalog, *(guarded(key, act=act, at=NOW + 1) for key, act in ends))

        def told(since: int, until: int, default: int) -> list[int]:
            return [row.key for row in reader.nearly_abandoned(NOW + since, NOW + until, default, 10)]

        assert [told(0, 41, 100), told(41, 90, 100), told(90, 91, 100), told(0, 999, 0)] == [[2], [], [1], [2]]

    def test_a_holder_and_the_current_life_alone_protect(self, catalog: Catalog) -> None:
        applied(catalog, take(), save(JOB, 1, expires_at=NOW))
        assert expire_all(catalog, NOW + SECOND, 1) == 0
        applied(catalog, take(retires=JOB))
        assert expire_all(catalog, NOW + SECOND) == 1

    def test_a_chain_of_dependent_checkpoints_goes_in_one_run(self, catalog: Catalog) -> None:
        applied(catalog, take(held=False), save(JOB, 1, None, expires_at=NOW))
        for seq in range(2, 9):
            applied(catalog, save(JOB, seq, None, expires_at=NOW + seq, depends=(CheckpointKey(seq - 1),)))
        assert expire_all(catalog, NOW + SECOND) == 8

    def test_the_trash_is_emptied_by_age_and_keys_are_not_given_again(
        self, catalog: Catalog, reader: CatalogReader
    ) -> None:
        applied(catalog, take(), *(save(JOB, seq, alias=f"a{seq}", tags=("t",)) for seq in range(1, 6)))
        for seq in range(1, 6):
            applied(catalog, Change(NOW + seq, UID, to_trash=(CheckpointKey(seq),)))
        assert empty_trash(catalog, NOW + 3) == 3
        assert [row.seq for row in reader.checkpoints(Filter(trash=True))] == [5, 4]
        assert empty_trash(catalog, NOW + 9) == 2
        assert (reader.find_alias(UID, "a5"), reader.checkpoints(Filter(tag="t", trash=True))) == (None, [])
        assert reader.totals(None).trash == 0
        applied(catalog, save(JOB, 6))
        assert [row.key for row in reader.checkpoints(Filter())] == [6]
        # The current row of an id stays, and its numbers go on.
        assert process(reader).next_seq == 7

    def test_old_lives_without_checkpoints_go_with_their_journals(
        self, catalog: Catalog, reader: CatalogReader
    ) -> None:
        applied(catalog, take(), save(JOB, 1), append(JOB, 0, done(*range(5), "a", "b")), guarded(JOB, member=MEMBER))
        applied(catalog, guarded(JOB, suspicion=Suspicion(b"7", 7, "", False)), rewind(JOB, None, (0, 0), (5, 5)))
        applied(catalog, take(retires=JOB), append(2, 0, done(0)), take("nobody's", held=False))

        def drop() -> None:
            while catalog.drop_journal(2):
                pass

        drop()
        assert len(reader.journal(JOB, -1, 99, False)) == 7  # it has a checkpoint
        applied(catalog, Change(NOW, UID, to_trash=(CheckpointKey(1),)))
        drop()
        assert process(reader)
        empty_trash(catalog, NOW)
        drop()
        assert reader.process_by_key(JOB) is None
        assert (reader.journal(JOB, -1, 99, False), reader.suspects(JOB), reader.cuts(JOB)) == ([], [], [])
        assert (len(reader.journal(ProcessKey(2), -1, 99, False)), process(reader, 3).process_id) == (1, "nobody's")

    # Chunks

    def bodies(self, catalog: Catalog, *lists: Sequence[int]) -> list[BodyKey]:
        pack = catalog.add_pack(f"pack {lists}", NOW)
        found = []
        with catalog.transaction():
            for numbers_ in lists:
                keys = catalog.add_chunks(UID, pack, [chunk(n) for n in numbers_], NOW)
                found.append(catalog.add_body(UID, bytes(numbers_), 20 * len(numbers_), keys))
        return found

    def test_a_payload_is_read_back_by_its_bodies(self, catalog: Catalog, reader: CatalogReader) -> None:
        applied(catalog, take())
        one, two = self.bodies(catalog, [1, 2, 1], [3])
        assert self.bodies(catalog, [3]) == [two]  # the same list is the same body
        applied(catalog, save(JOB, 1, small=None, parts=(part(one, two), part(), part(two), part())))
        content = reader.content(CheckpointKey(1))
        assert (content.small, [tuple(some) for some in content.bodies]) == (None, [(one, two), (), (two,)])
        rows = reader.body_chunks(one)
        assert [row.id for row in rows] == [chunk(1).id, chunk(2).id, chunk(1).id]
        assert (rows[0].offset, rows[0].stored_bytes, rows[0].plain_bytes) == (152, 10, 20)
        assert reader.find_chunk(UID, chunk(2).id) == rows[1]
        assert reader.find_chunk(UID + 1, chunk(2).id) is None
        assert list(reader.packs().values()) == ["pack ([1, 2, 1], [3])", "pack ([3],)"]
        assert (reader.totals(None).stored_bytes, reader.totals(UID).stored_bytes) == (2 * 262, 0)

    def test_what_nothing_refers_to_is_swept_and_what_is_held_or_shared_stays(
        self, catalog: Catalog, reader: CatalogReader
    ) -> None:
        applied(catalog, take())
        one, two = self.bodies(catalog, [1, 2, 2, 3], [3, 4])
        applied(catalog, save(JOB, 1, small=None, parts=(part(one),)), save(JOB, 2, small=None, parts=(part(two),)))
        sweep(catalog)
        assert len(reader.body_chunks(one)) == 4
        applied(catalog, Change(NOW, UID, to_trash=(CheckpointKey(1),)))
        sweep(catalog)
        assert len(reader.body_chunks(one)) == 4  # trash is alive
        empty_trash(catalog, NOW)
        sweep(catalog, held=[chunk(1).id])
        assert [bool(reader.find_chunk(UID, chunk(n).id)) for n in (1, 2, 3, 4)] == [True, False, True, True]
        assert (reader.body_chunks(one), len(reader.body_chunks(two)), catalog.dead_packs()) == ([], 2, [])
        applied(catalog, Change(NOW, UID, to_trash=(CheckpointKey(2),)))
        empty_trash(catalog, NOW)
        sweep(catalog)
        ((pack, name),) = catalog.dead_packs()
        assert reader.packs() == {pack: name}
        catalog.drop_pack(pack)
        assert (reader.packs(), reader.totals(None).stored_bytes) == ({}, 0)

    def test_what_is_archived_has_nothing_here_and_comes_back(self, catalog: Catalog, reader: CatalogReader) -> None:
        applied(catalog, take())
        (one,) = self.bodies(catalog, [1, 2])
        twice = (part(one), part(one))
        applied(catalog, save(JOB, 1, small=None, parts=twice), save(JOB, 2, small=b"inline"))
        first = catalog.begin_archive("first", CheckpointKey(1))
        assert not catalog.archived(first, 9, b"f" * 32)  # its process goes on
        applied(catalog, guarded(JOB, act=Act.COMPLETE))
        assert [row.seq for row in reader.archivable(NOW, 0, 9)] == [1, 2]
        assert [[row.seq for row in reader.archivable(*asked, 9)] for asked in ((NOW - 1, 0), (NOW, 1))] == [[], [2]]
        second, third = (catalog.begin_archive(name, CheckpointKey(k)) for name, k in (("second", 1), ("third", 2)))
        assert [name for _, name in reader.archive_files(False, 0, 9)] == ["first", "second", "third"]
        assert [catalog.archived(key, 9, b"f" * 32) for key in (second, third)] == [True, True]
        assert not catalog.archived(catalog.begin_archive("again", CheckpointKey(1)), 9, b"f" * 32)
        assert reader.archive_files(True, 0, 9) == [(second, "second"), (third, "third")]
        assert [reader.content(CheckpointKey(k)).archive for k in (1, 2)] == ["second", "third"]
        assert [reader.content(CheckpointKey(k)).small for k in (1, 2)] == [None, None]
        totals = reader.totals(None)
        assert {word: n for word, n in totals.by_status.items() if n} == {"archived": 2}
        assert (sum(totals.by_type.values()), totals.checkpoints) == (2, 0)
        sweep(catalog)
        assert reader.body_chunks(one) == []
        (two,) = self.bodies(catalog, [3])
        back = (CheckpointKey(1), b"manifest", b"c" * 32, (part(two),), None, None)
        assert [catalog.unarchived(*back), catalog.unarchived(*back)] == [True, False]
        sweep(catalog)
        assert (reader.content(CheckpointKey(1)).bodies, len(reader.body_chunks(two))) == (((two,),), 1)
        assert {word: n for word, n in reader.totals(None).by_status.items() if n} == {"archived": 1, "completed": 1}
        assert [row.seq for row in reader.archivable(NOW, 0, 9)] == []  # it was asked back
        assert reader.archive_files(True, 0, 9) == [(third, "third")]

    def test_an_archived_one_goes_through_the_trash_and_leaves_its_file_over(
        self, catalog: Catalog, reader: CatalogReader
    ) -> None:
        applied(catalog, take(), save(JOB, 1, small=b"inline", expires_at=NOW + 5), guarded(JOB, act=Act.COMPLETE))
        only = CheckpointKey(1)
        file = catalog.begin_archive("file", only)
        assert catalog.archived(file, 9, b"f" * 32)
        assert [reader.archived_due(at, 9) for at in (NOW + 4, NOW + 5)] == [[], [only]]
        applied(catalog, Change(NOW, UID, to_trash=(only,)))
        assert reader.content(only).archive == "file"
        applied(catalog, Change(NOW, UID, from_trash=(only,)))
        row = reader.checkpoint(only)
        assert row is not None
        assert row.place is Place.ARCHIVED
        applied(catalog, Change(NOW, UID, to_trash=(only,)))
        assert reader.archive_files(False, 0, 9) == []
        empty_trash(catalog, NOW)
        assert reader.archive_files(False, 0, 9) == [(file, "file")]
        catalog.drop_archive(file)
        assert (reader.archive_files(False, 0, 9), reader.archive_files(True, 0, 9)) == ([], [])
        assert sum(reader.totals(None).by_status.values()) == 0

    def test_a_backup_holds_the_packs_that_there_are_and_those_that_come(
        self, catalog: Catalog, reader: CatalogReader
    ) -> None:
        catalog.add_pack("first", NOW)
        one, two = catalog.begin_backup(NOW), catalog.begin_backup(NOW + 1)
        catalog.add_pack("second", NOW)
        assert catalog.dead_packs() == []
        assert catalog.end_backup(one, b"c" * 32)
        assert catalog.dead_packs() == []
        assert catalog.end_backup(two, None)
        assert [name for _, name in catalog.dead_packs()] == ["first", "second"]
        assert not catalog.end_backup(two, b"d" * 32)
        catalog.drilled(b"c" * 32, NOW + 9)
        assert reader.backups(9) == [
            BackupRow(two, NOW + 1, True, None, None), BackupRow(one, NOW, True, b"c" * 32, NOW + 9),
        ]  # fmt: skip
        assert len(reader.backups(1)) == 1

    def test_what_an_earlier_daemon_began_holds_nothing(self, catalog: Catalog, reader: CatalogReader) -> None:
        key = catalog.begin_backup(NOW)
        catalog.add_pack("pack", NOW)
        assert (catalog.dead_packs(), reader.backups(9)) == ([], [BackupRow(key, NOW, False, None, None)])
        assert (catalog.abandon_backups(), catalog.abandon_backups()) == (1, 0)
        assert (len(catalog.dead_packs()), reader.backups(9)) == (1, [BackupRow(key, NOW, True, None, None)])

    def test_a_condemned_chunk_gets_a_new_place_and_a_usable_one_keeps_its_own(
        self, catalog: Catalog, reader: CatalogReader
    ) -> None:
        first, second = catalog.add_pack("first", NOW), catalog.add_pack("second", NOW)
        catalog.add_chunks(UID, first, [chunk(1), chunk(2, 300)], NOW)
        assert reader.find_chunk(UID, chunk(1).id) is not None  # ZERO may be shared
        catalog.sweep(frozenset([chunk(2).id]), NOW, 9)
        assert reader.find_chunk(UID, chunk(1).id) is None  # CONDEMNED may not
        catalog.add_chunks(UID, second, [chunk(1, 500), chunk(2, 600)], NOW)
        catalog.sweep(frozenset([chunk(1).id, chunk(2).id]), NOW, 9)  # deletes what is condemned still
        places = [reader.find_chunk(UID, chunk(n).id) for n in (1, 2)]
        assert [(row.pack, row.offset) for row in places if row] == [(second, 500), (first, 300)]
        sweep(catalog)
        assert [name for _, name in catalog.dead_packs()] == ["first", "second"]

    def test_a_delta_keeps_its_base_until_its_own_row_is_gone(self, catalog: Catalog, reader: CatalogReader) -> None:
        pack = catalog.add_pack("pack", NOW)
        one, *_ = catalog.add_chunks(UID, pack, [chunk(1), chunk(2, 300)], NOW)
        two, three = catalog.add_chunks(UID, pack, [chunk(3, 500, base=1), chunk(4, 700, base=3)], NOW)
        rows = reader.chain(three)
        assert [(row.key, row.base, row.depth) for row in rows] == [(three, two, 2), (two, one, 1), (one, None, 0)]
        assert (reader.chain(two), reader.find_chunk(UID, chunk(4).id)) == (rows[1:], rows[0])
        left = []
        while catalog.sweep(frozenset(), NOW, 9):
            left.append([bool(reader.chain(key)) for key in (one, two, three)])
        assert left == [[True, True, True], [True, True, False], [True, False, False]]
        assert reader.chain(one) == []

    def test_a_delta_that_was_there_already_is_no_second_reference(
        self, catalog: Catalog, reader: CatalogReader
    ) -> None:
        pack = catalog.add_pack("pack", NOW)
        for _ in range(2):
            catalog.add_chunks(UID, pack, [chunk(1)], NOW)
            catalog.add_chunks(UID, pack, [chunk(2, 300, base=1)], NOW)
        sweep(catalog)
        assert reader.find_chunk(UID, chunk(1).id) is None
        assert len(catalog.dead_packs()) == 1

    def test_a_condemned_delta_that_comes_back_stands_on_another_base(
        self, catalog: Catalog, reader: CatalogReader
    ) -> None:
        pack = catalog.add_pack("pack", NOW)
        bases = frozenset(chunk(n).id for n in (1, 2))
        catalog.add_chunks(UID, pack, [chunk(1), chunk(2, 300)], NOW)
        (key,) = catalog.add_chunks(UID, pack, [chunk(3, 500, base=1)], NOW)
        catalog.sweep(bases, NOW, 9)
        assert catalog.add_chunks(UID, pack, [chunk(3, 700, base=2)], NOW) == [key]
        sweep(catalog, held=[chunk(3).id])
        assert [row.id for row in reader.chain(key)] == [chunk(3).id, chunk(2).id]
        assert reader.find_chunk(UID, chunk(1).id) is None
        sweep(catalog)
        assert len(catalog.dead_packs()) == 1

    def test_a_held_base_outlives_its_deltas(self, catalog: Catalog, reader: CatalogReader) -> None:
        pack = catalog.add_pack("pack", NOW)
        catalog.add_chunks(UID, pack, [chunk(1)], NOW)
        catalog.add_chunks(UID, pack, [chunk(2, 300, base=1)], NOW)
        sweep(catalog, held=[chunk(1).id])
        assert reader.find_chunk(UID, chunk(2).id) is None
        assert reader.find_chunk(UID, chunk(1).id) is not None

    @pytest.mark.parametrize("base", [1, 2])
    def test_a_delta_to_a_condemned_chunk_or_to_none_is_a_bug_and_leaves_nothing(
        self, catalog: Catalog, reader: CatalogReader, base: int
    ) -> None:
        pack = catalog.add_pack("pack", NOW)
        catalog.add_chunks(UID, pack, [chunk(1)], NOW)
        catalog.sweep(frozenset(), NOW, 9)
        with pytest.raises(AssertionError):
            catalog.add_chunks(UID, pack, [chunk(3, 500, base=base)], NOW)
        assert reader.find_chunk(UID, chunk(3).id) is None

    def test_a_body_of_a_condemned_chunk_is_a_bug_and_leaves_nothing(self, catalog: Catalog) -> None:
        (key,) = catalog.add_chunks(UID, catalog.add_pack("pack", NOW), [chunk(1)], NOW)
        catalog.sweep(frozenset(), NOW, 9)
        with pytest.raises(AssertionError):
            catalog.add_body(UID, b"hash", 20, [key])
        sweep(catalog)
        assert len(catalog.dead_packs()) == 1

    # The store

    def test_events_are_a_ring_in_order(self, catalog: Catalog, reader: CatalogReader) -> None:
        assert reader.last_event() == 0
        for number in range(5):
            event = EventRow("kind", UID + number % 2, None, f"job{number}", (("n", number), ("why", None)))
            applied(catalog, Change(NOW + number, UID, events=(event,)))
        catalog.trim(3, NOW)
        assert [(e.seq, e.at, e.process_id, e.uid) for e in reader.events(0, None, None, 9)] == [
            (3, NOW + 2, "job2", UID),
            (4, NOW + 3, "job3", UID + 1),
            (5, NOW + 4, "job4", UID),
        ]
        assert [e.data for e in reader.events(3, UID, None, 9)] == [{"n": 4, "why": None}]
        assert [e.seq for e in reader.events(0, None, "job3", 9)] == [4]
        assert [e.seq for e in reader.events(0, None, None, 1)] == [3]
        catalog.trim(0, NOW)
        applied(catalog, Change(NOW, UID, events=(EventRow("kind", UID, None, "job"),)))
        assert reader.last_event() == 6  # no number twice

    def test_drills_are_remembered_and_who_is_due_is_found(self, catalog: Catalog) -> None:
        applied(catalog, take("a"), take("b"), take("c"))
        keys = [ProcessKey(key) for key in (1, 2, 3)]
        applied(catalog, save(1, 1), save(2, 1))
        reader = catalog.reader()
        assert list(reader.unproven(NOW, ProcessKey(0), 9)) == keys[:2]
        assert list(reader.unproven(NOW, keys[0], 9)) == [keys[1]]
        assert list(reader.unproven(NOW, ProcessKey(0), 1)) == [keys[0]]
        whole = Proof(keys[0], NOW, NOW, CheckpointKey(1), 1, 0)
        broken = Proof(keys[1], NOW, None, None, None, 2)
        catalog.prove([whole, broken])
        assert dict(reader.proofs(keys)) == {keys[0]: whole, keys[1]: broken}
        assert [row.key for row in reader.broken(9)] == [keys[1]]
        assert list(reader.unproven(NOW, ProcessKey(0), 9)) == []
        assert list(reader.unproven(NOW + 1, ProcessKey(0), 9)) == keys[:2]
        rows = {row.key: row.proven_at for row in reader.checkpoints(Filter())}
        assert rows == {1: NOW, 2: None}
        catalog.prove([replace(broken, damaged=0, proven_at=NOW, checkpoint=CheckpointKey(99), seq=9)])
        assert list(reader.broken(9)) == []

    def test_a_drill_goes_with_its_life(self, catalog: Catalog) -> None:
        applied(catalog, take("a"))
        catalog.prove([Proof(JOB, NOW, None, None, None, 1)])
        applied(catalog, guarded(JOB, act=Act.COMPLETE), take("a", retires=JOB, at=NOW + 1))
        reader = catalog.reader()
        assert list(reader.broken(9)) == []
        while catalog.drop_journal(9):
            pass
        assert dict(reader.proofs([JOB])) == {}

    def test_answers_of_sessions_that_said_nothing_for_long_are_trimmed(self, catalog: Catalog) -> None:
        applied(catalog, take(), save(JOB, 1))
        pin = Change(NOW, UID, asked(1), pins=(CheckpointKey(1),))
        assert applied(catalog, pin) == [(1,)]
        applied(catalog, Change(NOW, UID, to_trash=(CheckpointKey(1),)))
        catalog.trim(9, NOW)
        assert applied(catalog, pin) == [(1,)]
        catalog.trim(9, NOW + 1)
        assert applied(catalog, pin) == [(0,)]

    def test_totals_are_a_user_s_or_all(self, catalog: Catalog, reader: CatalogReader) -> None:
        applied(catalog, take("a"), take("b", uid=UID + 1))
        applied(
            catalog, save(1, 1), save(1, 2, type=CheckpointType.MODEL_STATE), save(2, 1, small=b"12", logical_bytes=2)
        )
        applied(catalog, guarded(1, act=Act.FAIL), Change(NOW, UID, to_trash=(CheckpointKey(1),)))
        mine, all_ = reader.totals(UID), reader.totals(None)
        assert (mine.checkpoints, mine.trash, mine.logical_bytes, mine.stored_bytes) == (1, 1, 5, 10)
        assert (all_.checkpoints, all_.trash, all_.logical_bytes, all_.stored_bytes) == (2, 1, 7, 12)
        assert {word: n for word, n in mine.by_type.items() if n} == {"model_state": 1}
        assert {word: n for word, n in all_.by_status.items() if n} == {"active": 1, "failed": 1, "expired": 1}
        # Taken up again, what was failed is active.
        applied(catalog, take("a", 1, 1))
        assert {word: n for word, n in all_.by_status.items() if n} != reader.totals(None).by_status
        assert reader.totals(None).by_status["active"] == 2

    def test_settings_are_kept(self, catalog: Catalog, world: World) -> None:
        catalog.set("cleaned_at", 5)
        catalog.set("cleaned_at", 6)
        lineage = catalog.lineage
        catalog.close()
        catalog = world.open()
        reader = catalog.reader()
        assert (reader.setting("cleaned_at"), reader.setting("nothing")) == (6, None)
        assert (catalog.lineage, reader.setting("lineage"), catalog.quick_check()) == (lineage, lineage, [])

    def test_a_transaction_that_fails_leaves_nothing(self, catalog: Catalog, reader: CatalogReader) -> None:
        def fail() -> None:
            with catalog.transaction():
                catalog.add_pack("pack", NOW)
                catalog.apply([take()])
                assert reader.process(UID, "job") is None  # nobody sees it yet
                raise ZeroDivisionError

        with pytest.raises(ZeroDivisionError):
            fail()
        assert (reader.process(UID, "job"), reader.packs()) == (None, {})
        assert applied(catalog, take()) == [(JOB, 1)]

    def test_a_bug_in_a_batch_leaves_nothing_of_it(self, catalog: Catalog, reader: CatalogReader) -> None:
        bug = replace(take("b"), events=(cast("EventRow", object()),))
        with pytest.raises(AttributeError):
            catalog.apply([take("a"), bug])
        assert reader.processes(None, (), None, None, 9) == []

    def test_nothing_is_found_in_an_empty_catalog(self, reader: CatalogReader) -> None:
        key, name = CheckpointKey(1), b"x" * 32
        assert (reader.process(UID, "job"), reader.process_by_key(JOB), reader.checkpoint(key)) == (None, None, None)
        assert (reader.find_checkpoint(UID, "job", 1), reader.find_alias(UID, "a")) == (None, None)
        assert (reader.find_chunk(UID, name), reader.body_chunks(BodyKey(1)), reader.packs()) == (None, [], {})
        assert (reader.tags([]), reader.checkpoint_counts([]), reader.totals(UID).checkpoints) == ({}, {}, 0)

    def test_packs_keep_their_keys(self, catalog: Catalog, reader: CatalogReader) -> None:
        keys = [catalog.add_pack(name, NOW) for name in ("a", "b")]
        catalog.drop_pack(PackKey(keys[0]))
        assert reader.packs() == {keys[1]: "b"}

    def test_the_session_s_name_matters(self, catalog: Catalog, reader: CatalogReader) -> None:
        applied(catalog, take(), save(JOB, 1, request=asked(9)), save(JOB, 2, request=asked(9, SESSION[::-1])))
        assert numbers(reader, Filter()) == [2, 1]
