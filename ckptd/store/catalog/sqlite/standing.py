"""What keeps a checkpoint and what doesn't: `core.retention` in SQL, a slice at a time, for who reads and who writes.

The same question decides what goes and what would go: a dry run can't tell another story than the cleanup. Not for:
moving anything (`tending`).
"""

from collections.abc import Callable, Container, Sequence
from typing import Any

import apsw

from ckptd.core.ids import CheckpointKey, ProcessKey
from ckptd.core.process_table import State
from ckptd.store.catalog.interface import DUE_FROM_START, Due, Life, Surveyed

Ask = Callable[[str, Sequence[object]], list[Any]]

MOVED = "c.process,c.type,c.logical,coalesce(length(c.small),0)"
"""What must be known of a checkpoint that moves."""

_CANDIDATES = """SELECT k FROM checkpoint c WHERE process=?1 AND place!=1 AND has_state>=?2 AND NOT EXISTS(
  SELECT 1 FROM journal_cut x WHERE x.process=?1 AND c.seq>x.after_seq AND c.seq<=x.upto_seq)
  ORDER BY seq DESC LIMIT ?3"""

_DUE = (
    "SELECT k,expires_at FROM checkpoint WHERE place=0 AND pinned=0 AND expires_at IS NOT NULL AND (expires_at,k)<(?,?) "
    "ORDER BY expires_at DESC,k DESC LIMIT ?"
)
_MOVABLE = (
    f"SELECT EXISTS(SELECT 1 FROM dependency WHERE needs=c.k),{MOVED} FROM checkpoint c WHERE k=?1 AND place=0 AND pinned=0 "
    "AND (?2 IS NULL OR expires_at<=?2)"
)
_DEPENDENTS = "SELECT c.k FROM dependency d JOIN checkpoint c ON c.k=d.checkpoint WHERE d.needs=? AND c.place!=1"
_LIVES = (
    "SELECT k,uid,process_id,state,now,coalesce(ended_at,progress_at),abandon_after,policy FROM process "
    "WHERE k>? AND checkpoints>0 ORDER BY k LIMIT ?"
)
_SURVEY = (
    "SELECT k,seq,NOT EXISTS(SELECT 1 FROM journal_cut x WHERE x.process=c.process AND c.seq>x.after_seq "
    "AND c.seq<=x.upto_seq),has_state,pinned,expires_at,logical,own,metadata FROM checkpoint c "
    "WHERE process=?1 AND place=0 AND (?2 IS NULL OR seq<?2) ORDER BY seq DESC LIMIT ?3"
)


def candidate_keys(connection: apsw.Connection, process: int, with_state: bool, limit: int) -> list[CheckpointKey]:
    """Restorable checkpoints of a process newest first."""
    return [key for (key,) in connection.execute(_CANDIDATES, (process, int(with_state), limit))]


def lives(ask: Ask, after: ProcessKey | None, limit: int) -> Sequence[Life]:
    """See `CatalogReader.lives`."""
    return [
        Life(ProcessKey(key), uid, name, State(state), bool(now), left_at, patience, policy)
        for key, uid, name, state, now, left_at, patience, policy in ask(_LIVES, (after or 0, limit))
    ]


def survey(ask: Ask, process: ProcessKey, before: int | None, limit: int) -> Sequence[Surveyed]:
    """See `CatalogReader.survey`."""
    return [
        Surveyed(CheckpointKey(key), seq, bool(restorable), bool(has_state), bool(pinned), *rest)
        for key, seq, restorable, has_state, pinned, *rest in ask(_SURVEY, (process, before, limit))
    ]


def due(ask: Ask, now: int, cursor: tuple[int, int], limit: int) -> Due:
    """See `CatalogReader.due`. The latest first: what depends on others goes before these, which then may go too."""
    begin = (now + 1, 0) if cursor == DUE_FROM_START else cursor
    rows = ask(_DUE, (*begin, limit))
    return Due([CheckpointKey(key) for key, _ in rows], (rows[-1][1], rows[-1][0]) if len(rows) == limit else None)


class Dooming:
    """Says of one checkpoint after the other whether anything protects it."""

    def __init__(self, connection: apsw.Connection, now: int, abandoned_after: int) -> None:
        self._connection = connection
        self._now = now
        self._abandoned_after = abandoned_after
        self._protected: dict[int, set[CheckpointKey]] = {}

    def row(
        self, key: CheckpointKey, ended_by: int | None, gone: Container[CheckpointKey] = ()
    ) -> Sequence[Any] | None:
        """The columns MOVED of one that may go, None of one that stays."""
        found = self._connection.execute(_MOVABLE, (key, ended_by)).fetchone()
        if found is None:
            return None
        has_dependents: int = found[0]
        row: Sequence[Any] = found[1:]
        if key in self._of_process(row[0]):
            return None
        if has_dependents and any(one not in gone for (one,) in self._connection.execute(_DEPENDENTS, (key,))):
            return None
        return row

    def _of_process(self, process: int) -> set[CheckpointKey]:
        if process not in self._protected:
            self._protected[process] = protected(self._connection, process, self._now, self._abandoned_after)
        return self._protected[process]


def protected(connection: apsw.Connection, process: int, now: int, abandoned_after: int) -> set[CheckpointKey]:
    """What a recovery would ask for: the newest restorable one, and the newest with application state.

    `retention.protects` in SQL; besides, nobody recovers an earlier life.
    """
    row = connection.execute(
        "SELECT state,epoch,coalesce(ended_at,progress_at),coalesce(abandon_after,?) FROM process WHERE k=? AND now=1",
        (abandoned_after, process),
    ).fetchone()
    if row is None:
        return set()
    state, epoch, left_at, patience = row
    abandoned = state != State.RUNNING and patience > 0 and left_at + patience <= now
    if state == State.COMPLETED or epoch == 0 or abandoned:
        return set()
    return {*candidate_keys(connection, process, False, 1), *candidate_keys(connection, process, True, 1)}


def doomed(
    connection: apsw.Connection,
    keys: Sequence[CheckpointKey],
    now: int,
    abandoned_after: int,
    gone: Container[CheckpointKey],
) -> Sequence[CheckpointKey]:
    """See `CatalogReader.doomed`."""
    dooming, found = Dooming(connection, now, abandoned_after), dict[CheckpointKey, None]()
    for key in keys:
        if dooming.row(key, None, _Either(gone, found)) is not None:
            found[key] = None
    return list(found)


class _Either:
    """In one or the other."""

    def __init__(self, one: Container[CheckpointKey], other: Container[CheckpointKey]) -> None:
        self._one, self._other = one, other

    def __contains__(self, key: object) -> bool:
        return key in self._one or key in self._other
