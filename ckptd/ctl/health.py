"""The verb `health`: the score that the daemon gives itself, what it is made of, and what would raise it.

For people the faults and the advice, with `--explain` every component; for a monitoring system one line and the exit
codes of its plugins (https://www.monitoring-plugins.org/doc/guidelines.html). Not for: judging, which the daemon does.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Final

from ckptclient import calls, results
from ckptclient.errors import CkptdError, Unhealthy
from ckptd.ctl import documents, shown
from ckptd.ctl.answer import Answer, Block, Column, Facts, Lines, Mark, Table
from ckptd.ctl.session import Session

NAGIOS: Final[Mapping[str, tuple[int, str]]] = {
    "healthy": (0, "OK"),
    "warning": (1, "WARNING"),
    "critical": (2, "CRITICAL"),
}
NAGIOS_UNKNOWN: Final = 3

_SIGNS: Final[Mapping[str, str]] = {"healthy": "✓", "warning": "!", "critical": "✗"}

_FORMS: Final[Mapping[str, Callable[[float], str]]] = {
    "seconds": lambda value: f"{1000 * value:.0f} ms" if value < 1 else shown.span(value),
    "share": lambda value: f"{100 * value:.0f} %",
    "times": lambda value: f"{value:.1f} times",
    "count": lambda value: f"{value:,.0f}",
    "bytes": lambda value: shown.size(round(value)),
}


def health(session: Session, *, explain: bool, fail_below: int | None, nagios: bool) -> Answer:
    """How the daemon and its store do."""
    try:
        report = session.call(calls.health())
    except CkptdError as error:
        if nagios:
            return Answer(
                documents.error(error),
                (Lines(f"CKPTD UNKNOWN - {shown.clean(error.message)}"),),
                exit_code=NAGIOS_UNKNOWN,
            )
        raise
    if nagios:
        return Answer(_document(report), (Lines(_plugin_line(report)),), exit_code=NAGIOS.get(report.level, (2, ""))[0])
    missed = fail_below is not None and report.score < fail_below
    blocks = _explained(report, session) if explain else _told(report)
    return Answer(_document(report), blocks, (), Unhealthy.exit_code if missed else 0)


def _told(report: results.HealthReport) -> list[Block]:
    faults = _faults(report)
    pairs = [("health", f"{_SIGNS.get(report.level, '!')} {report.score} of 100, {report.level}")]
    pairs += [(f"-{one.points}", _sentence(one)) for one in faults]
    blocks: list[Block] = [Facts(pairs)]
    return blocks + [_advised(one) for one in report.recommendations]


def _explained(report: results.HealthReport, session: Session) -> list[Block]:
    at = session.view().both(report.at)
    head = Facts(
        [("health", f"{_SIGNS.get(report.level, '!')} {report.score} of 100, {report.level}"), ("measured", at)]
    )
    blocks: list[Block] = [
        head,
        Table(_COMPONENTS, [*_faults(report), *(one for one in report.components if not one.points)]),
    ]
    if report.trends:
        blocks.append(Table(_TRENDS, report.trends))
    blocks += [Facts([(f"-{one.points} {one.name}", _sentence(one))]) for one in _faults(report)]
    return blocks + [_advised(one) for one in report.recommendations]


def _faults(report: results.HealthReport) -> list[results.HealthComponent]:
    return sorted((one for one in report.components if one.points), key=lambda one: -one.points)


def _sentence(one: results.HealthComponent) -> str:
    named = f": {', '.join(one.processes[:3])}" if one.processes else ""
    more = f" and {len(one.processes) - 3} more" if len(one.processes) > 3 else ""
    return f"{one.sentence}{named}{more}"


def _advised(one: results.RecommendationInfo) -> Facts:
    return Facts([("do", one.command), ("why", one.why), ("gain", one.gain)])


def _form(value: float, unit: str) -> str:
    form = _FORMS.get(unit)
    return f"{value:g}" if form is None else form(value)


def _mark(one: results.HealthComponent) -> Mark:
    if not one.points:
        return "good"
    return "bad" if one.points >= one.weight else "warn"


_COMPONENTS: Sequence[Column[results.HealthComponent]] = (
    Column("component", lambda one, _: f"{'!' if one.points else '✓'} {one.name}", lambda one: one.name, mark=_mark),
    Column("value", lambda one, _: _form(one.value, one.unit), lambda one: one.value, right=True),
    Column("threshold", lambda one, _: _form(one.threshold, one.unit), lambda one: one.threshold, 3, right=True),
    Column("severe", lambda one, _: _form(one.severe, one.unit), lambda one: one.severe, 4, right=True),
    Column("points", lambda one, _: f"{-one.points} of {one.weight}", lambda one: one.points, right=True, mark=_mark),
)


def _figure(name: str, value: float) -> str:
    unit = "bytes" if name.endswith("_bytes") else "seconds" if name.endswith("_seconds") else "count"
    sign = "-" if value < 0 else ""
    return sign + _form(abs(value), unit)


def _per_day(one: results.TrendInfo) -> str:
    return shown.NOTHING if one.per_day is None else _figure(one.name, one.per_day)


def _until(one: results.TrendInfo) -> str:
    return shown.NOTHING if one.seconds_until_zero is None else f"in {shown.span(one.seconds_until_zero)}"


_TRENDS: Sequence[Column[results.TrendInfo]] = (
    Column("trend", lambda one, _: one.name, lambda one: one.name),
    Column("now", lambda one, _: _figure(one.name, one.now), lambda one: one.now, right=True),
    Column("change", lambda one, _: _figure(one.name, one.change), lambda one: one.change, right=True),
    Column("over", lambda one, _: shown.span(one.span_seconds), lambda one: one.span_seconds, right=True),
    Column("a-day", lambda one, _: _per_day(one), lambda one: one.per_day, right=True),
    Column("zero", lambda one, _: _until(one), lambda one: one.seconds_until_zero, right=True),
)


def _plain(value: float) -> str:
    """Digits and a point: performance data have no exponents."""
    return f"{value:.6f}".rstrip("0").rstrip(".")


def _plugin_line(report: results.HealthReport) -> str:
    """`CKPTD OK - health 92: ... | score=92;90:;70:;0;100`; the thresholds are ranges in which all is well."""
    _, word = NAGIOS.get(report.level, (2, "CRITICAL"))
    why = ", ".join(f"{one.name} -{one.points}" for one in _faults(report))
    figures = " ".join(f"{one.name}={_plain(one.value)}" for one in report.components)
    return f"CKPTD {word} - health {report.score}{': ' + why if why else ''} | score={report.score};90:;70:;0;100 {figures}".rstrip()


def _document(report: results.HealthReport) -> documents.Document:
    return {
        "score": report.score,
        "level": report.level,
        "measured_at": documents.time_of(report.at),
        "components": [
            {
                "name": one.name,
                "value": one.value,
                "unit": one.unit,
                "threshold": one.threshold,
                "severe": one.severe,
                "weight": one.weight,
                "points": one.points,
                "sentence": one.sentence,
                "processes": list(one.processes),
            }
            for one in report.components
        ],
        "trends": [
            {
                "name": one.name,
                "now": one.now,
                "change": one.change,
                "span_seconds": one.span_seconds,
                "per_day": one.per_day,
                "seconds_until_zero": one.seconds_until_zero,
            }
            for one in report.trends
        ],
        "recommendations": [
            {
                "component": one.component,
                "process": one.process,
                "command": one.command,
                "why": one.why,
                "gain": one.gain,
            }
            for one in report.recommendations
        ],
    }
