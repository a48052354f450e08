"""One worker with a real daemon: the same answer as without it, and nothing done twice after its end."""

from pathlib import Path

import pytest

from examples.demo import verify
from examples.demo.worker import PLAIN, PROTECTED, Task
from tests.examples.programs import ROOT, place


@pytest.mark.parametrize("passes", [1, 2])
def test_both_runs_agree_and_a_start_after_the_end_does_nothing(tmp_path: Path, passes: int) -> None:
    files = [str(path) for path in sorted((ROOT / "examples" / "demo").glob("*.py"))]
    broken = tmp_path / "broken.py"
    broken.write_text("def")
    (tmp_path / "files").write_text("\n".join([*files, str(broken)]))
    plain, protected = (Task(tmp_path, name, 1, passes) for name in (PLAIN, PROTECTED))
    with place(tmp_path) as here:
        for task, life in ((plain, 1), (protected, 1), (protected, 2)):
            here.run(*task.argv(0, life)[1:])
        kept = verify.kept(protected, here.socket())
    assert list(verify.differences(verify.uninterrupted(plain), kept)) == []
    assert kept.aggregates[0]["unreadable"] == passes
    assert protected.tally().executed == plain.tally().executed == passes * (len(files) + 1)
