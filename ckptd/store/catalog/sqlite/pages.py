"""Pages of checkpoints: which question becomes which query. Each walks an index in the order wanted, and sorts nothing."""

from collections.abc import Callable, Sequence
from typing import Any

from ckptd.core.change import Place
from ckptd.core.ids import ProcessKey
from ckptd.core.process_table import State
from ckptd.store.catalog.interface import Filter
from ckptd.store.catalog.sqlite.rows import CHECKPOINT_COLUMNS

_STATUS = {
    "active": (Place.LIVE, (State.REGISTERED, State.RUNNING, State.PAUSED, State.INTERRUPTED)),
    "completed": (Place.LIVE, (State.COMPLETED,)),
    "failed": (Place.LIVE, (State.FAILED,)),
    "expired": (Place.TRASH, tuple(State)),
    "archived": (Place.ARCHIVED, tuple(State)),
}

Ask = Callable[[str, Sequence[object]], list[Any]]


def page(ask: Ask, wanted: Filter) -> list[Any]:
    """Rows of CHECKPOINT_COLUMNS, newest first.

    A name may have had many lives. Of one user's, a later life's checkpoints all come after an earlier one's; so the
    lives are asked one after the other until the page is full. Other users' lives of the same name run beside them.
    """
    if wanted.process is not None:
        return _of_life(ask, wanted, wanted.process)
    if wanted.process_id is None:
        return ask(*_query(wanted, None))
    user, values = ("", ()) if wanted.uid is None else (" AND uid=?", (wanted.uid,))
    lives = ask(f"SELECT k FROM process WHERE process_id=?{user} ORDER BY k DESC", (wanted.process_id, *values))
    found: list[Any] = []
    for (life,) in lives:
        found += _of_life(ask, wanted, life)
        if wanted.uid is not None and len(found) >= wanted.limit:
            break
    return sorted(found, reverse=True)[: wanted.limit]


def _of_life(ask: Ask, wanted: Filter, life: ProcessKey) -> list[Any]:
    return ask(*_query(wanted, life))


def _query(wanted: Filter, life: ProcessKey | None) -> tuple[str, list[object]]:
    where: list[str] = []
    values: list[object] = []

    def add(text: str, *some: object) -> None:
        where.append(text)
        values.extend(some)

    # CROSS JOIN keeps SQLite from beginning with the processes: the order wanted is that of the checkpoints.
    source, order = "checkpoint c CROSS JOIN process p ON p.k=c.process", "c.k"
    if life is not None:
        order = "c.seq"
        add("c.process=?", life)
        if wanted.tag is not None:
            add("EXISTS(SELECT 1 FROM tag t WHERE t.tag=? AND t.checkpoint=c.k)", wanted.tag)
    elif wanted.tag is not None:
        source, order = f"tag t CROSS JOIN {source} AND c.k=t.checkpoint", "t.checkpoint"
        add("t.tag=?", wanted.tag)
    if wanted.status is not None:
        place, states = _STATUS[wanted.status]
        add(f"c.place=? AND p.state IN ({','.join(str(int(state)) for state in states)})", place)
    else:
        add("c.place=1" if wanted.trash else "c.place!=1")
    for column, value in (
        ("p.uid=?", wanted.uid),
        ("c.task_id=?", wanted.task_id),
        ("c.type=?", wanted.type),
        ("c.created_at>=?", wanted.since),
        ("c.created_at<=?", wanted.until),
        ("t.checkpoint<?" if order == "t.checkpoint" else "c.k<?", wanted.before),
    ):
        if value is not None:
            add(column, value)
    sql = f"SELECT {CHECKPOINT_COLUMNS} FROM {source} WHERE {' AND '.join(where)} ORDER BY {order} DESC LIMIT ?"
    return sql, [*values, wanted.limit]
