"""`ckptctl health`: what people read, what a monitoring system gets, and exit codes."""

import json

import pytest

from ckptclient.errors import Unreachable
from tests.ckptd.ctl import canned
from tests.ckptd.ctl.fakes import run

WELL = {**canned.HEALTH, "score": 100, "components": [], "trends": [], "recommendations": []}


def at(score: int, level: str) -> dict[str, object]:
    return {"health.report": {**canned.HEALTH, "score": score, "level": level}}


def test_every_component_is_explained_and_what_costs_most_comes_first() -> None:
    lines = run("health", "--explain").out.splitlines()
    rows = [line.split() for line in lines if line.startswith(("! ", "✓ "))]
    assert [row[1] for row in rows] == ["rpo", "space"]
    assert rows[0][-3:] == ["-8", "of", "20"]
    assert any("left_bytes" in line and "-120 MB" in line for line in lines)


def test_where_all_is_well_one_line_says_so() -> None:
    ran = run("health", replies={"health.report": WELL})
    assert (ran.code, ran.out) == (0, "health  ✓ 100 of 100, healthy\n")


@pytest.mark.parametrize(("below", "code"), [("92", 0), ("93", 14)])
def test_a_score_below_what_was_asked_for_is_an_exit_code(below: str, code: int) -> None:
    ran = run("health", "--fail-below", below)
    assert ran.code == code
    assert "92 of 100" in ran.out
    assert json.loads(run("health", "--json", "--fail-below", below).out)["score"] == 92


@pytest.mark.parametrize(
    ("score", "level", "code", "word"),
    [(92, "healthy", 0, "OK"), (80, "warning", 1, "WARNING"), (10, "critical", 2, "CRITICAL")],
)
def test_a_plugin_line(score: int, level: str, code: int, word: str) -> None:
    ran = run("health", "--nagios", replies=at(score, level))
    assert ran.code == code
    assert ran.out == f"CKPTD {word} - health {score}: rpo -8 | score={score};90:;70:;0;100 rpo=400 space=0.39\n"
    assert ran.err == ""


def test_a_plugin_that_finds_no_daemon_says_unknown() -> None:
    ran = run("health", "--nagios", replies={"health.report": Unreachable("no daemon answers")})
    assert (ran.code, ran.out) == (3, "CKPTD UNKNOWN - no daemon answers\n")


def test_stalled_is_a_state_that_ps_asks_for_and_shows() -> None:
    stalled = canned.process(state="stalled")
    ran = run("ps", "--state", "stalled", replies={"process.list": {"processes": [stalled], "next": None}})
    assert ran.daemon.asked[0][1]["states"] == ["stalled"]
    assert "! etl-nightly" in ran.out
    assert "6 m 40 s" in ran.out
