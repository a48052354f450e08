"""The demo's own counting, shared between processes through a file."""

from pathlib import Path

from examples.demo.tally import Tally


def test_a_row_counts_over_lives_and_is_seen_through_another_mapping(tmp_path: Path) -> None:
    mine, theirs = Tally(tmp_path / "tally", 3), Tally(tmp_path / "tally", 3)
    row = mine[1]
    row.begin(1, 0, 10.0)
    for _ in range(5):
        row.turn()
    row.begin(2, 3, 20.5)
    row.turn()
    seen = theirs[1]
    assert (seen.life, seen.executed, seen.position, seen.resumed_at, seen.first_at) == (2, 6, 4, 3, 20.5)
    assert (theirs.executed, theirs.position) == (6, 4)
    assert theirs[0].life == theirs[2].executed == 0
