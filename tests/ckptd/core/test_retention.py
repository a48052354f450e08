"""What must survive survives, whatever the clock says."""

from collections.abc import Sequence
from dataclasses import replace

import pytest
from hypothesis import given, strategies as st

from ckptd.core import retention
from ckptd.core.ids import CheckpointKey as Key, Epoch, ProcessKey
from ckptd.core.process_table import State
from ckptd.core.retention import Best, Lifetimes, Needs, Policy, Rules, Standing, Survey, rules_hold, trash_seconds

SECOND = 1_000_000
DAY = 86_400
LEFT_AT = 1000 * DAY * SECOND
SETTINGS = Lifetimes(default_seconds=DAY, completed_seconds=7 * DAY)


@st.composite
def stores(draw: st.DrawFn, circles: bool = False) -> tuple[list[Standing], Needs]:
    """A few processes with checkpoints that depend on older ones (or, with circles, on any)."""
    protecting = draw(st.lists(st.booleans(), min_size=1, max_size=3))
    count = draw(st.integers(0, 14))
    checkpoints = []
    for key in range(1, count + 1):
        process = draw(st.integers(0, len(protecting) - 1))
        checkpoints.append(
            Standing(
                Key(key),
                ProcessKey(process),
                protecting[process],
                restorable=draw(st.booleans()),
                has_state=draw(st.booleans()),
                pinned=draw(st.integers(0, 5)) == 0,
                expires_at=draw(st.none() | st.integers(0, 9)),
                seq=key,
                metric=draw(st.none() | st.sampled_from([0.0, 0.5, 1.0, float("nan"), float("inf")])),
            )
        )
    needs = {}
    for key in range(1, count + 1):
        others = st.integers(1, count if circles else max(1, key - 1)).map(Key)
        needs[Key(key)] = [other for other in draw(st.lists(others, max_size=2)) if circles or other < key]
    return checkpoints, needs


NOW = st.integers(0, 10)


@given(stores(), NOW)
def test_the_newest_of_a_protecting_process_never_expires(store: tuple[list[Standing], Needs], now: int) -> None:
    checkpoints, needs = store
    gone = set(retention.expired(checkpoints, needs, now))
    for process in {one.process for one in checkpoints if one.protecting}:
        restorable = [one for one in checkpoints if one.process == process and one.restorable]
        for several in (restorable, [one for one in restorable if one.has_state]):
            assert not several or several[-1].key not in gone


@given(stores(), NOW)
def test_nothing_that_is_kept_loses_what_it_needs(store: tuple[list[Standing], Needs], now: int) -> None:
    checkpoints, needs = store
    gone = set(retention.expired(checkpoints, needs, now))
    kept = {one.key for one in checkpoints} - gone
    assert not [(key, needed) for key in kept for needed in needs[key] if needed in gone]
    assert not [one for one in checkpoints if one.pinned and one.key in gone]


@given(stores(), NOW)
def test_nothing_goes_before_its_time_and_all_else_goes(store: tuple[list[Standing], Needs], now: int) -> None:
    checkpoints, needs = store
    gone = set(retention.expired(checkpoints, needs, now))
    protected = retention.protected(checkpoints)
    needed = {needed for one in checkpoints if one.key not in gone for needed in needs[one.key]}
    for one in checkpoints:
        due = one.expires_at is not None and one.expires_at <= now
        assert (one.key in gone) is (due and one.key not in protected and one.key not in needed)


@given(stores(), NOW, NOW)
def test_what_is_gone_stays_gone(store: tuple[list[Standing], Needs], one: int, other: int) -> None:
    checkpoints, needs = store
    earlier, later = sorted((one, other))
    assert set(retention.expired(checkpoints, needs, earlier)) <= set(retention.expired(checkpoints, needs, later))


@given(stores(circles=True), NOW)
def test_a_circle_hangs_nobody(store: tuple[list[Standing], Needs], now: int) -> None:
    checkpoints, needs = store
    gone = set(retention.expired(checkpoints, needs, now))
    assert not gone & retention.with_needs({one.key for one in checkpoints} - gone, needs)


def test_a_long_chain_needs_no_stack() -> None:
    needs = {Key(key): [Key(key - 1)] for key in range(1, 100_000)}
    assert len(retention.with_needs([Key(99_999)], needs)) == 100_000


def _row(
    key: int, *, protecting: bool = True, restorable: bool = True, has_state: bool = True, pinned: bool = False
) -> Standing:
    return Standing(Key(key), ProcessKey(1), protecting, restorable, has_state, pinned, expires_at=10)


@pytest.mark.parametrize(
    ("checkpoints", "protected"),
    [
        ([], set()),
        ([_row(1), _row(2), _row(3)], {3}),
        ([_row(3), _row(1), _row(2)], {3}),  # in commit order, not in the order given
        ([_row(1), _row(2), _row(3, restorable=False)], {2}),
        ([_row(1), _row(2), _row(3, has_state=False)], {2, 3}),
        ([_row(1, has_state=False), _row(2, has_state=False)], {2}),
        ([_row(1, pinned=True), _row(2), _row(3)], {1, 3}),
        ([_row(1, protecting=False), _row(2, protecting=False)], set()),
        ([_row(1, protecting=False, pinned=True), _row(2, protecting=False)], {1}),
        ([_row(1), _row(2), replace(_row(3), process=ProcessKey(2))], {2, 3}),
    ],
)
def test_protected(checkpoints: list[Standing], protected: set[int]) -> None:
    assert retention.protected(checkpoints) == protected


@pytest.mark.parametrize(
    ("state", "epoch", "abandoned", "protects"),
    [
        (State.REGISTERED, 0, False, False),  # a checkpoint of an id that nobody ever held
        (State.REGISTERED, 1, False, True),
        (State.RUNNING, 1, False, True),
        (State.PAUSED, 1, False, True),
        (State.INTERRUPTED, 9, False, True),
        (State.FAILED, 1, False, True),
        (State.COMPLETED, 1, False, False),
        *((state, 1, True, False) for state in State),
    ],
)
def test_protects(state: State, epoch: int, abandoned: bool, protects: bool) -> None:
    assert retention.protects(state, Epoch(epoch), abandoned) is protects


@pytest.mark.parametrize(
    ("held", "away_seconds", "after_seconds", "given_up"),
    [
        (False, 30 * DAY - 1, 30 * DAY, False),
        (False, 30 * DAY, 30 * DAY, True),
        (True, 300 * DAY, 30 * DAY, False),
        (False, 300 * DAY, 0, False),
        (False, -DAY, 30 * DAY, False),
    ],
)
def test_abandoned(held: bool, away_seconds: int, after_seconds: float, given_up: bool) -> None:
    assert retention.abandoned(held, LEFT_AT, LEFT_AT + away_seconds * SECOND, after_seconds) is given_up


@pytest.mark.parametrize(
    ("asked", "completed", "lifetimes", "seconds"),
    [
        (None, False, SETTINGS, DAY),
        (None, True, SETTINGS, 7 * DAY),
        (60.0, False, SETTINGS, 60),
        (60.0, True, SETTINGS, 60),
        (0.5, False, SETTINGS, 0.5),
        (0.0, False, SETTINGS, 0),
        (None, False, Lifetimes(0, DAY), None),
        (None, True, Lifetimes(DAY, 0), None),
        (60.0, True, Lifetimes(0, 0), 60),
        (1e10, False, SETTINGS, 1e10),
    ],
)
def test_expires_at(asked: float | None, completed: bool, lifetimes: Lifetimes, seconds: float | None) -> None:
    expected = None if seconds is None else 1000 + round(seconds * SECOND)
    assert retention.expires_at(1000, asked, lifetimes, completed) == expected


RULES = st.builds(
    Rules,
    last=st.integers(0, 3),
    every=st.integers(0, 4),
    best=st.none() | st.builds(Best, st.just("m"), st.booleans(), st.integers(1, 2)),
)
POLICIES = st.dictionaries(st.integers(0, 2).map(ProcessKey), st.builds(Policy, RULES, st.booleans()))


@given(stores(), NOW, POLICIES)
def test_rules_end_nothing_that_is_needed(
    store: tuple[list[Standing], Needs], now: int, policies: dict[ProcessKey, Policy]
) -> None:
    checkpoints, needs = store
    gone = set(retention.expired(checkpoints, needs, now, policies))
    kept = {one.key for one in checkpoints} - gone
    assert not gone & retention.protected(checkpoints)
    assert not [(key, needed) for key in kept for needed in needs[key] if needed in gone]
    assert not [one for one in checkpoints if one.pinned and one.key in gone]


@given(stores(), NOW, NOW, POLICIES, st.sets(st.integers(0, 2).map(ProcessKey)))
def test_what_rules_ended_stays_gone_when_they_no_longer_hold(
    store: tuple[list[Standing], Needs],
    one: int,
    other: int,
    policies: dict[ProcessKey, Policy],
    given_up: set[ProcessKey],
) -> None:
    checkpoints, needs = store
    earlier, later = sorted((one, other))
    then = {key: replace(policy, holds=policy.holds and key not in given_up) for key, policy in policies.items()}
    gone = set(retention.expired(checkpoints, needs, earlier, policies))
    assert gone <= set(retention.expired(checkpoints, needs, later, then))


@given(stores(), POLICIES)
def test_the_best_and_the_last_outlive_their_time(
    store: tuple[list[Standing], Needs], policies: dict[ProcessKey, Policy]
) -> None:
    checkpoints, needs = store
    gone = set(retention.expired(checkpoints, needs, 10, policies))
    for process, policy in policies.items():
        mine = [one for one in checkpoints if one.process == process and one.restorable]
        best = policy.rules.best
        if not policy.holds:
            continue
        assert not {one.key for one in mine[len(mine) - policy.rules.last :]} & gone
        measured = [one for one in mine if one.metric is not None and one.metric == one.metric]
        if best is not None and measured:
            sign = 1 if best.highest else -1
            assert max(measured, key=lambda one: (sign * (one.metric or 0.0), one.seq)).key not in gone


NAN = float("nan")


def _kept(rules: Rules, *rows: Standing) -> dict[int, str]:
    survey = Survey(rules)
    for one in reversed(rows):
        survey.see(one)
    return {int(key): rule for key, rule in survey.end().items()}


def _measured(*metrics: float | None) -> Sequence[Standing]:
    return [replace(_row(key), seq=key, metric=metric) for key, metric in enumerate(metrics, 1)]


@pytest.mark.parametrize(
    ("rules", "rows", "kept"),
    [
        (Rules(), _measured(1.0, 2.0), []),
        (Rules(last=2), _measured(None, None, None, None), [3, 4]),
        (Rules(last=2), [*_measured(None, None, None), replace(_row(4, has_state=False), seq=4)], [2, 3, 4]),
        (Rules(last=1), [*_measured(None, None), replace(_row(3, restorable=False), seq=3)], [2]),
        (Rules(every=3), _measured(*[None] * 7), [3, 6]),
        (Rules(best=Best("m")), _measured(0.5, 0.1, 0.3, NAN), [2]),
        (Rules(best=Best("m", highest=True)), _measured(0.5, 0.1, NAN, 0.3), [1]),
        (Rules(best=Best("m", count=2)), _measured(0.5, None, 0.1, 0.3, 0.3), [3, 5]),
        (Rules(best=Best("m")), _measured(NAN, None, NAN), []),
        (Rules(best=Best("m")), _measured(0.1, 0.1), [2]),
        (Rules(best=Best("m")), [replace(_row(1, restorable=False), metric=0.0), *_measured(None, 0.5)[1:]], [2]),
        (Rules(1, 2, Best("m")), _measured(0.1, 0.9, 0.9, 0.9, 0.9), [1, 2, 4, 5]),
    ],
)  # fmt: skip
def test_what_rules_keep(rules: Rules, rows: Sequence[Standing], kept: list[int]) -> None:
    assert sorted(_kept(rules, *rows)) == kept


def test_a_rule_says_itself() -> None:
    assert _kept(Rules(1, 2, Best("loss")), *_measured(0.1, 0.9, 0.9)) == {
        3: "one of the last 1",
        2: "each 2th",
        1: "the lowest loss",
    }
    assert _kept(Rules(best=Best("f1", True, 2)), *_measured(0.1, 0.9))[1] == "among the 2 highest f1"


@pytest.mark.parametrize(
    ("current", "abandoned", "completed_days_ago", "keep_days", "hold"),
    [
        (True, False, None, 7, True),
        (False, False, None, 7, False),
        (True, True, None, 7, False),
        (True, False, 6, 7, True),
        (True, False, 7, 7, False),
        (True, False, 700, 0, True),
    ],
)
def test_rules_hold(
    current: bool, abandoned: bool, completed_days_ago: int | None, keep_days: float, hold: bool
) -> None:
    at = None if completed_days_ago is None else LEFT_AT - completed_days_ago * DAY * SECOND
    assert rules_hold(current, abandoned, at, LEFT_AT, keep_days * DAY) is hold


@pytest.mark.parametrize(("left", "share"), [(100, 1.0), (10, 1.0), (5, 0.5), (0, 0.0)])
def test_the_trash_is_shorter_when_space_is_short(left: int, share: float) -> None:
    assert trash_seconds(DAY, left, 100) == share * DAY
    assert trash_seconds(DAY, 0, 0) == DAY
