"""Every example runs to its end and says what it should; each row is one of them."""

import re
from pathlib import Path

import pytest

from tests.examples.programs import ROOT, place

SAYS = {
    "first_loop": (r"^0 of 400 were done before$", r"^400 now; results: 400$"),
    "quick_start": (r"initialized successfully", r"^System health: (healthy|no_data)"),
    "progress": (
        r"^Progress: 50% - Processing batch 6$",
        r"completed with checkpoint: data_processing_001_processing_",
    ),
    "recovery": (r"^Recovered process at \d+\.0% completion$", r"^Process completed after recovery$"),
    "custom_checkpoints": (r"Created model checkpoint: training_session_001_model_state_", r"^Loaded: .*'epoch': 15"),
    "batch_processing": (
        r"^Batch good: pipeline_good_",
        r"^Error checkpoint for batch bad: .*'partial_results': \[1, 4\]",
    ),
    "callbacks": (r"^created: watched_model_state_.*\(model_state\)$", r"^Model checkpoint created: epoch 1$"),
    "monitoring": (r"^System Status: \w+$", r"^  monitored: 40 %, step 4$"),
    "optimization": (r"^  Space freed: \d+\.\d\d MB$", r"^  Recommendations: \["),
    "training": (r"^killed at step 150\nkilled at step 290\n400 losses", r"^unbroken:"),
    "poison": (r"^item 7 failed: ", r"^19 items are done\ncame to its end at start [3-5]$"),
    "pool": (r"^spawn: 200 items, each once, by [2-4] members", r"^fork: 200 items, each once, by [2-4] members"),
}


def test_every_example_has_a_row() -> None:
    programs = {path.stem for path in (ROOT / "examples").glob("*.py")} - {"__init__"}
    assert programs == SAYS.keys()


@pytest.mark.parametrize("name", SAYS)
def test_example(name: str, tmp_path: Path) -> None:
    with place(tmp_path) as here:
        said = here.run("-m", f"examples.{name}")
    for words in SAYS[name]:
        assert re.search(words, said, re.MULTILINE), said


def test_training_ends_as_if_it_was_never_killed(tmp_path: Path) -> None:
    with place(tmp_path) as here:
        said = here.run("-m", "examples.training")
    trained, unbroken = re.findall(r"weights (\[.*\])", said)
    assert trained == unbroken


def test_a_second_start_of_the_first_loop_finds_everything_done(tmp_path: Path) -> None:
    """A completed process begins a new life: the same program can be run again tomorrow."""
    with place(tmp_path) as here:
        here.run("-m", "examples.first_loop")
        said = here.run("-m", "examples.first_loop")
    assert "0 of 400 were done before" in said


def test_the_steps_of_a_shell_script_are_done_once(tmp_path: Path) -> None:
    with place(tmp_path) as here:
        here.run("-m", "examples.quick_start")  # starts the private daemon
        first, second = here.shell("examples/pipeline.sh"), here.shell("examples/pipeline.sh")
    steps = ("numbers", "squares", "total")
    assert first.splitlines() == [*(f"{step}: done" for step in steps), "333833500"]
    assert second.splitlines() == [*(f"{step}: taken from its checkpoint" for step in steps), "333833500"]
