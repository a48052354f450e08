"""The report: medians over rounds, ratios inside each, and where they are put."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from benchmarks.report import BEGIN, END, Run, cell, number, read_runs, report, table

HEADER: dict[str, Any] = {
    "kind": "run",
    "command": "python -m benchmarks w1",
    "scale": 1.0,
    "machine": {"kernel": "Linux 6"},
    "versions": {"ckptd": "ckptd 1", "redis": "Redis 7", "postgres": "PostgreSQL 15"},
}


def line(workload: str, peer: str, number: int, **figures: object) -> dict[str, Any]:
    return {"kind": "result", "workload": workload, "peer": peer, "round": number, **figures}


LINES = [
    line("w1", "ckptd", 0, one_saves_s=900, many_saves_s=4000, wrong=0),
    line("w1", "redis", 0, one_saves_s=1000, many_saves_s=2000, wrong=0),
    line("w1", "redis", 1, one_saves_s=100, many_saves_s=8000, wrong=0),
    line("w1", "ckptd", 1, one_saves_s=120, many_saves_s=4000, wrong=0),
    line("w1", "postgres", 0, one_saves_s=3000, many_saves_s=2000, wrong=1),
    line("w1", "postgres", 1, error="Traceback\n  ...\nOSError: no room"),
    line("progress", "ckptd", 0, advance_us=5.0, turn_us=1.0, turns_wrong=0, sum_wrong=0),
]


def written(directory: Path, lines: Sequence[object]) -> Path:
    file = directory / "results.jsonl"
    file.write_text("".join(json.dumps(one) + "\n" for one in lines))
    return file


def document(directory: Path) -> Path:
    path = directory / "BENCHMARKS.md"
    path.write_text(f"before\n{BEGIN}\nold\n{END}\nafter\n")
    return path


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.12345, "0.123"), (3.0, "3"), (99.94, "99.9"), (1234.5, "1,234"), (0.0, "0"), (-250.2, "-250")],
)
def test_numbers_have_three_digits_that_matter(value: float, text: str) -> None:
    assert number(value) == text


@pytest.mark.parametrize(
    ("values", "text"), [([], ""), ([2.0], "2"), ([1.0, 9.0, 2.0], "2 [1 to 9]"), ([5.0, 5.0], "5")]
)
def test_a_cell_is_the_median_with_the_extremes(values: list[float], text: str) -> None:
    assert cell(values) == text


def test_a_table_is_markdown() -> None:
    assert list(table(["a", "b"], [["1", "2"]])) == ["| a | b |", "|---|---|", "| 1 | 2 |", ""]


def test_ratios_are_taken_inside_a_round() -> None:
    run = Run(HEADER, LINES)
    assert run.ratios("w1", "one_saves_s", "redis") == pytest.approx([0.9, 1.2])
    assert run.ratios("w1", "many_saves_s", "redis") == [2.0, 0.5]
    assert run.ratios("w1", "one_saves_s", "postgres") == pytest.approx([0.3])
    assert run.ratios("w1", "one_saves_s", "sqlite") == []


def test_runs_of_several_files_stay_apart(tmp_path: Path) -> None:
    file = written(tmp_path, [HEADER, LINES[0], HEADER, *LINES[1:3]])
    assert [len(run.results) for run in read_runs([file, file])] == [1, 2, 1, 2]


def test_the_report_says_what_was_reached_and_what_was_not(tmp_path: Path) -> None:
    path = document(tmp_path)
    report([written(tmp_path, [HEADER, *LINES])], path)
    text = path.read_text()
    assert text.startswith(f"before\n{BEGIN}\n")
    assert text.endswith(f"{END}\nafter\n")
    assert "old" not in text
    assert "| 64 clients, saves/s | at least 1 of redis | 1.25 [0.5 to 2] | yes |" in text
    assert "| one client, saves/s | at least 0.7 of postgres | 0.3 | **no**: at 42.9% of it |" in text
    assert "| advance in the worker, us | at most 2 | 5 | **no**: at 250.0% of it |" in text
    assert "| postgres | 1 | failed: OSError: no room |" in text
    assert "idle daemon" not in text, "what was not measured is not judged"
    assert "not for comparison" not in text


def test_wrong_data_and_short_runs_stand_out(tmp_path: Path) -> None:
    path = document(tmp_path)
    report([written(tmp_path, [HEADER | {"scale": 0.1}, LINES[4]])], path)
    text = path.read_text()
    assert "| postgres | 1 | **no** |" in text
    assert "Shortened to 0.1" in text


def test_a_document_without_a_place_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "README.md"
    path.write_text("mine")
    with pytest.raises(SystemExit, match="has no place for the tables"):
        report([written(tmp_path, [HEADER])], path)
    assert path.read_text() == "mine"


def test_tables_of_another_command_stay_and_those_of_the_same_are_replaced(tmp_path: Path) -> None:
    path, other = document(tmp_path), HEADER | {"command": "python -m benchmarks w4"}
    report([written(tmp_path, [HEADER, LINES[0], other, line("w4", "ckptd", 0, fill_saves_s=77)])], path)
    report([written(tmp_path, [HEADER, LINES[3]])], path)
    text = path.read_text()
    assert [one for one in text.splitlines() if one.startswith("## ")] == [
        "## python -m benchmarks w1",
        "## python -m benchmarks w4",
    ]
    assert "| 77 |" in text
    assert "| 120 |" in text
    assert "| 900 |" not in text
