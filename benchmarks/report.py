"""Result lines to the Markdown tables of docs/BENCHMARKS.md: every figure there is written by this module.

A cell is the median over the rounds, with the least and the most. A ratio is taken inside each round first, between two
peers that ran minutes apart on the same machine; the median of those ratios is what counts.
"""

import json
import statistics
import textwrap
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.peers import PEERS
from benchmarks.peers.interface import SUBJECT
from benchmarks.runner import Line
from benchmarks.targets import TARGETS, Target
from benchmarks.workloads import WORKLOADS
from benchmarks.workloads.interface import Workload

BEGIN = "<!-- written by python -m benchmarks report: begin -->"
END = "<!-- written by python -m benchmarks report: end -->"

LINE_LENGTH = 118
HEADING = "## "

ENCODINGS_DEFINITION = (
    "Successive versions of the same data (6 of each), in percent of their plain bytes: zstd at level 3 of each version by itself; "
    "the repository of restic and of borg after a backup of each, in allocated blocks; and what the store keeps, with its records' "
    "headers: as encoded at the save by default, with arrays as differences too (`store.array_delta_depth` 32), and encoded anew "
    "with time. A version that is chunk by chunk what was there before costs nothing. Then the speeds of one thread, for the bytes that "
    "were encoded, and that were decoded again and compared."
)

DEPTHS_DEFINITION = (
    "W2's 50 versions, encoded as at the save, with chains of each length: what they take with their records' headers, and the time to "
    "decode one with all that it stands on, when nothing of it is in memory."
)


@dataclass(frozen=True)
class Run:
    """One header line and the results below it."""

    header: Line
    results: list[Line]

    def of(self, kind: str) -> list[Line]:
        """The results of a kind."""
        return [line for line in self.results if line["kind"] == kind]

    def values(self, workload: str, peer: str, field: str) -> dict[int, float]:
        """Round to figure."""
        return {
            line["round"]: line[field]
            for line in self.of("result")
            if line["workload"] == workload and line["peer"] == peer and field in line
        }

    def peers(self, workload: str) -> list[str]:
        """The peers that have a line for the workload, in the order of the tables."""
        seen = {line["peer"] for line in self.of("result") if line["workload"] == workload}
        return [peer for peer in PEERS if peer in seen]

    def ratios(self, workload: str, field: str, peer: str) -> list[float]:
        """The subject's figure over the peer's, round by round."""
        own, other = self.values(workload, SUBJECT, field), self.values(workload, peer, field)
        return [own[number] / other[number] for number in sorted(own.keys() & other.keys()) if other[number]]


def read_runs(files: Iterable[Path]) -> list[Run]:
    """The runs of all the files, in order."""
    runs: list[Run] = []
    for file in files:
        for text in file.read_text().splitlines():
            line = json.loads(text)
            if line["kind"] == "run":
                runs.append(Run(line, []))
            else:
                runs[-1].results.append(line)
    return runs


def number(value: float) -> str:
    """Three digits that matter, thousands apart."""
    return f"{value:,.0f}" if abs(value) >= 100 or value == int(value) else f"{value:.3g}"


def cell(values: Iterable[float]) -> str:
    """Median [least to most]."""
    known = list(values)
    if not known:
        return ""
    least, most = number(min(known)), number(max(known))
    return number(statistics.median(known)) + ("" if least == most else f" [{least} to {most}]")


def table(headings: Sequence[str], rows: Iterable[Sequence[str]]) -> Iterator[str]:
    """A Markdown table, with an empty line after it."""
    yield "| " + " | ".join(headings) + " |"
    yield "|---" * len(headings) + "|"
    for row in rows:
        yield "| " + " | ".join(row) + " |"
    yield ""


def _figures_row(run: Run, workload: Workload, peer: str) -> list[str]:
    lines = [line for line in run.of("result") if line["workload"] == workload.name and line["peer"] == peer]
    errors = [line["error"].strip().splitlines()[-1] for line in lines if "error" in line]
    wrong = any(line.get(field, 0) for line in lines for field in workload.zero)
    remark = f"failed: {errors[0]}" if errors else "**no**" if wrong else "yes"
    cells = [cell(run.values(workload.name, peer, column.field).values()) for column in workload.columns]
    return [peer, str(len(lines) - len(errors)), remark, *cells]


def _workload_tables(run: Run, workload: Workload) -> Iterator[str]:
    peers = run.peers(workload.name)
    if not peers:
        return
    yield from (f"### {workload.title}", "", textwrap.fill(workload.definition, LINE_LENGTH), "")
    headings = ["peer", "rounds", "data right", *(column.heading for column in workload.columns)]
    yield from table(headings, (_figures_row(run, workload, peer) for peer in peers))
    others = [peer for peer in peers if peer != SUBJECT]
    columns = [column for column in workload.columns if column.ratio]
    if SUBJECT in peers and others and columns:
        yield from (f"{SUBJECT} as a multiple of each peer, in the same round:", "")
        rows = [[p, *(cell(run.ratios(workload.name, c.field, p)) for c in columns)] for p in others]
        yield from table(["over", *(column.heading for column in columns)], rows)


def _target_row(run: Run, target: Target) -> list[str] | None:
    if target.over is None:
        values = list(run.values(target.workload, SUBJECT, target.field).values())
    else:
        values = run.ratios(target.workload, target.field, target.over)
    if not values:
        return None
    median = statistics.median(values)
    return [target.text, target.wanted(), cell(values), target.outcome(median)]


def _encoding_tables(lines: list[Line]) -> Iterator[str]:
    if not lines:
        return
    yield from ("### Kinds of data and how they are stored", "", textwrap.fill(ENCODINGS_DEFINITION, LINE_LENGTH), "")
    sizes = ["zstd_percent", "restic_percent", "borg_percent", "save_percent", "xor_percent", "tight_percent"]
    headings = [
        "data",
        "MB",
        "zstd, %",
        "restic, %",
        "borg, %",
        "at the save, %",
        "and arrays as differences, %",
        "later, %",
    ]
    rows = ([line["data"], number(line["plain_mb"]), *(_figure(line, size) for size in sizes)] for line in lines)
    yield from table(
        [*headings, "encodings"], ([*row, line["tight_by"]] for row, line in zip(rows, lines, strict=True))
    )
    speeds = ["zstd", "save", "save_decode", "xor", "xor_decode", "tight", "tight_decode"]
    headings = ["data, MB/s", "zstd", "at the save", "decoded", "with differences", "decoded", "later", "decoded"]
    yield from table(
        headings, ([line["data"], *(_figure(line, f"{speed}_mb_s") for speed in speeds)] for line in lines)
    )


def _depth_table(lines: list[Line]) -> Iterator[str]:
    if not lines:
        return
    yield from ("### How long a chain may be", "", textwrap.fill(DEPTHS_DEFINITION, LINE_LENGTH), "")
    fields = ("stored_mb", "read_p50_ms", "read_max_ms")
    rows = ([number(line["depth"]), *(_figure(line, field) for field in fields)] for line in lines)
    yield from table(["store.delta_depth", "50 versions, MB", "read one, p50 ms", "max ms"], rows)


def _figure(line: Line, field: str) -> str:
    return number(line[field]) if field in line else ""


def _run_sections(run: Run) -> Iterator[str]:
    header = run.header
    yield from (f"{HEADING}{header['command']}", "")
    if header["scale"] != 1.0:
        yield from (f"**Shortened to {header['scale']} of each workload: not for comparison.**", "")
    yield from table(["machine", ""], header["machine"].items())
    terms = [[name, version, PEERS[name].terms] for name, version in header["versions"].items()]
    if terms:
        yield from table(["peer", "version", "how it is set"], terms)
    reached = [row for target in TARGETS if (row := _target_row(run, target)) is not None]
    if reached:
        yield from table(["figure to reach", "wanted", "measured", "reached"], reached)
    for workload in WORKLOADS.values():
        yield from _workload_tables(run, workload)
    yield from _encoding_tables(run.of("encoding"))
    yield from _depth_table(run.of("depth"))


def report(files: Sequence[Path], document: Path) -> None:
    """Put the tables of all runs between the markers of the document.

    What stands there of runs by another command stays: a long run need not be repeated for a short one's sake.
    """
    text = document.read_text()
    before, begin, rest = text.partition(BEGIN)
    between, end, after = rest.partition(END)
    if not begin or not end:
        raise SystemExit(f"{document} has no place for the tables: it needs the lines {BEGIN!r} and {END!r}")
    _, *old = f"\n{between}".split(f"\n{HEADING}")
    sections = {text.partition("\n")[0]: text for text in old}
    for run in read_runs(files):
        text = "\n".join(_run_sections(run)).removeprefix(HEADING)
        sections[text.partition("\n")[0]] = text
    tables = "\n\n".join(HEADING + text.rstrip() for text in sections.values())
    document.write_text(f"{before}{begin}\n\n{tables}\n\n{end}{after}")
