"""The verb `drill`: the newest checkpoint of each process is read whole, now, as a recovery would read it."""

from collections.abc import Sequence
from typing import Final

from ckptclient import calls, results
from ckptclient.errors import Damaged, NotFound
from ckptd.ctl import documents, naming, shown
from ckptd.ctl.answer import Answer, Column, Mark, Table
from ckptd.ctl.progressing import Bar
from ckptd.ctl.session import Session

EXIT_DAMAGED: Final = Damaged.exit_code


def _word(found: results.Proven) -> str:
    if found.damaged:
        return "! older one" if found.checkpoint_id else "✗ damaged"
    return "✓ proven" if found.checkpoint_id else "· nothing"


_MARKS: Final[dict[str, Mark]] = {"✓": "good", "!": "warn", "✗": "bad", "·": "dim"}


def _speed(found: results.Proven) -> float:
    return found.size_bytes / found.seconds if found.seconds else 0.0


COLUMNS: Sequence[Column[results.Proven]] = (
    Column("process", lambda d, _: d.process_id, lambda d: d.process_id, 0, width_min=24),
    Column("user", lambda d, _: d.user, lambda d: d.user, 5),
    Column("drill", lambda d, _: _word(d), _word, 0, width_min=11, mark=lambda d: _MARKS[_word(d)[0]]),
    Column("checkpoint", lambda d, _: shown.or_nothing(d.checkpoint_id), lambda d: d.checkpoint_id, 2, width_min=16),
    Column("size", lambda d, _: shown.size(d.size_bytes), lambda d: d.size_bytes, 3, right=True, width_min=7),
    Column("took", lambda d, _: shown.span(d.seconds), lambda d: d.seconds, 4, right=True, width_min=6),
    Column("damaged", lambda d, _: ", ".join(one.checkpoint_id for one in d.damaged) or shown.NOTHING, lambda d: len(d.damaged), 1, width_min=16),
    Column("speed", lambda d, _: f"{shown.size(round(_speed(d)))}/s" if _speed(d) else shown.NOTHING, _speed, right=True, wide=True),
)  # fmt: skip


def drill(session: Session, *, process: str | None) -> Answer:
    """Drill one process, or each; what a recovery would ask for first and can't have ends in the exit code for damage."""
    chosen = [naming.process(session, process)] if process else naming.processes(session)[0]
    total = sum(_size_bytes(info) for info in chosen)
    found: list[results.Proven] = []
    with Bar(session, "drilling", total) as bar:
        for info in chosen:
            try:
                found.append(session.call(calls.prove(naming.qualified(session, info))))
            except NotFound:  # it ended meanwhile
                continue
            bar.add(_size_bytes(info))
    broken = [one for one in found if one.damaged]
    return Answer(
        {"drills": [documents.proven(one) for one in found], "damaged_count": len(broken)},
        (Table(COLUMNS, found, "no processes"),),
        [f"{one.process_id}: {past.checkpoint_id}: {past.why}" for one in broken for past in one.damaged],
        EXIT_DAMAGED if broken else 0,
    )


def _size_bytes(info: results.ProcessInfo) -> int:
    return info.last_checkpoint.size_bytes if info.last_checkpoint else 0
