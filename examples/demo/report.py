"""The end of the demo, in words and a table: what was killed, what it cost, and whether anything differs."""

from collections.abc import Sequence
from dataclasses import dataclass

from rich import box
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from examples.demo.killer import Strike
from examples.demo.measure import total
from examples.demo.plan import DAEMON
from examples.demo.verify import Outcome


@dataclass(frozen=True, slots=True)
class Run:
    """One of the two runs, when it is over."""

    name: str
    outcome: Outcome
    seconds: float
    executed: int
    """Files measured, repetitions counted."""


def costs(strikes: Sequence[Strike], begun_at: float) -> Table:
    """What was killed when, and what each recovery cost."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for name, justify in (
        ("killed", "left"),
        ("at", "right"),
        ("went on after", "right"),
        ("files done again", "right"),
    ):
        table.add_column(name, justify=justify)  # type: ignore[arg-type]  # the words that rich names in a Literal
    for one in strikes:
        back = f"{one.seconds:.2f} s" if one.seconds is not None else "it had finished"
        table.add_row(one.name, f"{one.at - begun_at:.1f} s", back, str(one.repeated))
    return table


def comparison(runs: Sequence[Run]) -> Table:
    """Both runs side by side."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("run")
    for name in ("files", "counted", "lines", "tokens", "time"):
        table.add_column(name, justify="right")
    table.add_column("aggregate")
    for run in runs:
        outcome = run.outcome
        table.add_row(
            run.name,
            f"{len(outcome.counted):,}",
            f"{outcome.counted.total():,}",
            *(f"{total(outcome.aggregates, figure):,}" for figure in ("lines", "tokens")),
            f"{run.seconds:.1f} s",
            outcome.digest[:16],
        )
    return table


def report(runs: Sequence[Run], strikes: Sequence[Strike], begun_at: float) -> RenderableType:
    """All of it, without the verdict."""
    last = runs[-1]
    counted = last.outcome.counted.total()
    again = last.executed - counted
    unreadable = total(last.outcome.aggregates, "unreadable")
    return Group(
        costs(strikes, begun_at),
        comparison(runs),
        Text(f"{again:,} of {last.executed:,} turns did a file again ({again / last.executed:.1%} of the work)"),
        Text(f"no Python of this version, and so recorded as failed items: {unreadable}"),
    )


def verdict(strikes: Sequence[Strike], wanted: int, differences: Sequence[str]) -> tuple[bool, str]:
    """Whether all is well, and the last line."""
    daemon = sum(one.victim == DAEMON for one in strikes)
    kills = f"{len(strikes)} kills ({len(strikes) - daemon} of workers, {daemon} of the daemon)"
    if differences:
        more = f" and {len(differences) - 1} more" if len(differences) > 1 else ""
        return False, f"failed: after {kills}: {differences[0]}{more}"
    if len(strikes) < wanted:
        return False, f"failed: only {kills} of {wanted} could be carried out"
    return True, f"ok: {kills}: every file counted exactly once, the same aggregate"
