"""core.health: each component reacts to its own figure, says what it costs, and the score is their sum."""

import pytest
from hypothesis import given, strategies as st

from ckptd.core.health import RULES, Figure, Level, Rule, Told, judge, level, span, words

NAMES = [rule.name for rule in RULES]
BY_NAME = {rule.name: rule for rule in RULES}
FINE = {rule.name: Figure(rule.threshold) for rule in RULES}

each_rule = pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.name)


def beyond(rule: Rule, share: float) -> float:
    return rule.threshold + share * (rule.severe - rule.threshold)


def test_all_is_well_at_every_threshold() -> None:
    found = judge(FINE)
    assert (found.score, found.level, found.faults) == (100, "healthy", ())
    assert [one.rule.name for one in found.components] == NAMES


def test_what_was_not_measured_is_absent_and_costs_nothing() -> None:
    assert judge({}).components == ()
    assert judge({}).score == 100


@each_rule
def test_a_component_reacts_to_its_own_figure_alone(rule: Rule) -> None:
    found = judge({**FINE, rule.name: Figure(rule.severe)})
    assert [(one.rule.name, one.points) for one in found.faults] == [(rule.name, rule.weight)]
    assert found.score == 100 - rule.weight
    assert rule.name in found.words


@each_rule
def test_the_formula(rule: Rule) -> None:
    shares = (-1.0, 0.0, 1e-6, 0.5, 1.0, 3.0)
    half = round(rule.weight * 0.5)
    assert [rule.points(beyond(rule, share)) for share in shares] == [0, 0, 1, half, rule.weight, rule.weight]


@each_rule
def test_a_sentence_has_the_value_and_the_threshold(rule: Rule) -> None:
    said = rule.sentence(rule.severe, "as measured")
    assert words(rule.severe, rule.unit) in said
    assert words(rule.threshold, rule.unit) in said
    assert "(as measured)" in said


@given(st.dictionaries(st.sampled_from(NAMES), st.floats(0, 1e12)))
def test_the_score_is_the_sum_of_what_is_said(values: dict[str, float]) -> None:
    found = judge({name: Figure(value) for name, value in values.items()})
    assert found.score == max(0, 100 - sum(one.points for one in found.components))
    assert found.level == level(found.score)
    assert [one.points for one in found.faults] == sorted((one.points for one in found.faults), reverse=True)


@each_rule
@given(st.data())
def test_worse_never_costs_less(rule: Rule, data: st.DataObject) -> None:
    better, worse = sorted(data.draw(st.tuples(st.floats(-2, 5), st.floats(-2, 5))))
    assert rule.points(beyond(rule, better)) <= rule.points(beyond(rule, worse))


@pytest.mark.parametrize(
    ("score", "expected"), [(100, "healthy"), (90, "healthy"), (89, "warning"), (70, "warning"), (69, "critical"), (0, "critical")]
)  # fmt: skip
def test_levels(score: int, expected: Level) -> None:
    assert level(score) == expected


def test_full_disk_is_critical_alone_and_a_stalled_process_is_a_warning() -> None:
    assert judge({"space": Figure(0.0)}).level == "critical"
    assert judge({"stalled_work": Figure(1)}).level == "warning"


@pytest.mark.parametrize(
    ("looks", "told"),
    [
        (["healthy"], ["healthy"]),
        (["warning"], ["warning"]),
        (["critical", "warning", "warning", "warning"], ["critical"] * 3 + ["warning"]),
        (["warning", "healthy", "warning", "healthy", "healthy"], ["warning"] * 5),
        (["warning", "healthy", "healthy", "healthy"], ["warning"] * 3 + ["healthy"]),
    ],
)
def test_worse_is_told_at_once_and_better_when_it_lasts(looks: list[Level], told: list[Level]) -> None:
    now, said = Told(), []
    for found in looks:
        now = now.next(found)
        said.append(now.level)
    assert said == told


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.0042, "4 ms"), (1.5, "1.5 s"), (41, "41 s"), (840, "14 m"), (3661, "1 h 1 m"), (187_200, "2 d 4 h"), (86_400 + 61, "1 d")],
)  # fmt: skip
def test_spans(seconds: float, text: str) -> None:
    assert span(seconds) == text
