"""Questions to the catalog. Each runs in a read transaction of its own and never writes."""

import threading
from collections.abc import Mapping, Sequence
from itertools import groupby
from typing import cast

import apsw
import msgpack

from ckptclient.errors import UnknownCheckpoint
from ckptd.core.change import CheckpointRow, CheckpointType, Place, ProcessRow
from ckptd.core.ids import BodyKey, CheckpointKey, ChunkKey, PackKey, ProcessKey
from ckptd.core.journal import Cut
from ckptd.core.process_table import State
from ckptd.store.catalog.interface import ChunkRow, Content, Event, Filter, JournalRow, Suspect, Totals
from ckptd.store.catalog.sqlite.rows import (
    CHECKPOINT_COLUMNS,
    PROCESS_COLUMNS,
    checkpoint_row,
    process_row,
    unpack_keys,
)

_CHECKPOINT = f"SELECT {CHECKPOINT_COLUMNS} FROM checkpoint c JOIN process p ON p.k=c.process"  # noqa: S608
_PROCESS = f"SELECT {PROCESS_COLUMNS} FROM process"  # noqa: S608

_CANDIDATES = """SELECT k FROM checkpoint c WHERE process=?1 AND place!=1 AND has_state>=?2 AND NOT EXISTS(
  SELECT 1 FROM journal_cut j WHERE j.process=?1 AND c.seq>j.after_seq AND c.seq<=j.upto_seq)
  ORDER BY seq DESC LIMIT ?3"""

# A record counts when it is the newest of its item and no rewind has set it aside.
_UNCUT = "NOT EXISTS(SELECT 1 FROM journal_cut x WHERE x.process=j.process AND j.pos>=x.after_pos AND j.pos<x.upto_pos)"
_STATUS = {
    "active": (Place.LIVE, (State.REGISTERED, State.RUNNING, State.PAUSED, State.INTERRUPTED)),
    "completed": (Place.LIVE, (State.COMPLETED,)),
    "failed": (Place.LIVE, (State.FAILED,)),
    "expired": (Place.TRASH, tuple(State)),
    "archived": (Place.ARCHIVED, tuple(State)),
}


def candidate_keys(connection: apsw.Connection, process: object, with_state: bool, limit: int) -> list[CheckpointKey]:
    """Restorable checkpoints of a process newest first; the query is the writer's and the reader's."""
    rows = connection.execute(_CANDIDATES, (process, int(with_state), limit))
    return [CheckpointKey(row[0]) for row in rows]  # type: ignore[arg-type]


class SqliteReader:
    """A connection of its own; the lock is for who shares it, a slow question for one must not be a wrong one for another."""

    def __init__(self, path: str) -> None:
        self._connection = apsw.Connection(path, flags=apsw.SQLITE_OPEN_READONLY)
        self._connection.set_busy_timeout(5000)
        self._connection.config(apsw.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1)
        self._lock = threading.Lock()

    def _all(self, sql: str, values: Sequence[object] = ()) -> list[tuple[object, ...]]:
        with self._lock:
            return self._connection.execute(sql, cast("Sequence[apsw.SQLiteValue]", values)).fetchall()

    def _one(self, sql: str, values: Sequence[object] = ()) -> tuple[object, ...] | None:
        rows = self._all(sql, values)
        return rows[0] if rows else None

    # Processes

    def process(self, uid: int, process_id: str) -> ProcessRow | None:
        """See `CatalogReader`; so do all below."""
        row = self._one(f"{_PROCESS} WHERE uid=? AND process_id=? AND now=1", (uid, process_id))
        return process_row(row) if row else None

    def process_by_key(self, key: ProcessKey) -> ProcessRow | None:
        row = self._one(f"{_PROCESS} WHERE k=?", (key,))
        return process_row(row) if row else None

    def held(self) -> Sequence[ProcessRow]:
        return [process_row(row) for row in self._all(f"{_PROCESS} WHERE now=1 AND state=?", (State.RUNNING,))]

    def processes(
        self, uid: int | None, states: Sequence[State], task_id: str | None, after: int | None, limit: int
    ) -> Sequence[ProcessRow]:
        where, values = ["now=1"], list[object]()
        if uid is not None:
            where.append("uid=?")
            values.append(uid)
        if states:
            where.append(f"state IN ({','.join('?' * len(states))})")
            values.extend(states)
        if task_id is not None:
            where.append("task_id=?")
            values.append(task_id)
        if after is not None:
            where.append("k<?")
            values.append(after)
        rows = self._all(f"{_PROCESS} WHERE {' AND '.join(where)} ORDER BY k DESC LIMIT ?", (*values, limit))
        return [process_row(row) for row in rows]

    def checkpoint_counts(self, keys: Sequence[ProcessKey]) -> Mapping[ProcessKey, int]:
        rows = self._all(f"SELECT k,checkpoints FROM process WHERE k IN ({','.join('?' * len(keys))})", keys)  # noqa: S608
        return cast("dict[ProcessKey, int]", dict(rows))  # type: ignore[arg-type]

    # Checkpoints

    def checkpoint(self, key: CheckpointKey) -> CheckpointRow | None:
        row = self._one(f"{_CHECKPOINT} WHERE c.k=?", (key,))
        return checkpoint_row(row) if row else None

    def find_checkpoint(self, uid: int | None, process_id: str, seq: int) -> CheckpointRow | None:
        # An operator may leave the user out: the newest of that name is meant.
        user = "p.uid=?" if uid is not None else "?1 IS NULL"
        row = self._one(
            f"{_CHECKPOINT} WHERE {user} AND p.process_id=? AND c.seq=? ORDER BY c.k DESC", (uid, process_id, seq)
        )
        return checkpoint_row(row) if row else None

    def find_alias(self, uid: int | None, alias: str) -> CheckpointRow | None:
        user = "a.uid=?" if uid is not None else "?1 IS NULL"
        row = self._one(
            f"SELECT {CHECKPOINT_COLUMNS} FROM alias a JOIN checkpoint c ON c.k=a.checkpoint JOIN process p ON p.k=c.process "  # noqa: S608
            f"WHERE {user} AND a.id=?",
            (uid, alias),
        )
        return checkpoint_row(row) if row else None

    def checkpoints(self, wanted: Filter) -> Sequence[CheckpointRow]:
        sql, values = _page(wanted)
        return [checkpoint_row(row) for row in self._all(sql, values)]

    def content(self, key: CheckpointKey) -> Content:
        row = self._one("SELECT manifest,small FROM checkpoint WHERE k=?", (key,))
        if row is None:
            raise UnknownCheckpoint("the checkpoint is gone", details={"what": "checkpoint"})
        manifest, small = cast("tuple[bytes, bytes | None]", row)
        if small is not None:
            return Content(manifest, small, ())
        rows = self._all("SELECT ordinal,body FROM part WHERE checkpoint=? ORDER BY ordinal,extent", (key,))
        bodies: dict[object, list[BodyKey]] = {}
        for ordinal, body in rows:
            bodies.setdefault(ordinal, []).append(cast("BodyKey", body))
        count = cast("int", max(bodies, default=-1)) + 1  # type: ignore[type-var]
        return Content(manifest, None, tuple(tuple(bodies.get(ordinal, ())) for ordinal in range(count)))

    def tags(self, keys: Sequence[CheckpointKey]) -> Mapping[CheckpointKey, Sequence[str]]:
        marks = ",".join("?" * len(keys))
        rows = self._all(f"SELECT checkpoint,tag FROM tag WHERE checkpoint IN ({marks}) ORDER BY checkpoint,tag", keys)  # noqa: S608
        grouped = groupby(rows, key=lambda row: row[0])
        return {cast("CheckpointKey", key): [cast("str", row[1]) for row in some] for key, some in grouped}

    def dependencies(self, key: CheckpointKey) -> Sequence[CheckpointKey]:
        return [
            cast("CheckpointKey", row[0])
            for row in self._all("SELECT needs FROM dependency WHERE checkpoint=?", (key,))
        ]

    def candidates(self, process: ProcessKey, with_state: bool) -> Sequence[CheckpointKey]:
        with self._lock:
            return candidate_keys(self._connection, process, with_state, 64)

    # Chunks

    def body_chunks(self, body: BodyKey) -> Sequence[ChunkRow]:
        row = self._one("SELECT chunks FROM body WHERE k=?", (body,))
        keys = unpack_keys(cast("bytes", row[0])) if row else ()
        marks = ",".join("?" * len(set(keys)))
        rows = self._all(f"SELECT k,id,pack,at,stored,bytes,encoding FROM chunk WHERE k IN ({marks})", tuple(set(keys)))  # noqa: S608
        found = {one[0]: _chunk(one) for one in rows}
        return [found[key] for key in keys if key in found]

    def find_chunk(self, namespace: int, id: bytes) -> ChunkRow | None:
        row = self._one(
            "SELECT k,id,pack,at,stored,bytes,encoding FROM chunk WHERE ns=? AND id=? AND state<2", (namespace, id)
        )
        return _chunk(row) if row else None

    def packs(self) -> Mapping[PackKey, str]:
        return {cast("PackKey", row[0]): cast("str", row[1]) for row in self._all("SELECT k,name FROM pack")}

    # Result journal

    def journal(self, process: ProcessKey, after: int, limit: int, failed_only: bool) -> Sequence[JournalRow]:
        kind = "AND j.kind=1 " if failed_only else ""
        rows = self._all(
            f"SELECT pos,kind,ordinal,item,result,at FROM journal j WHERE process=? AND pos>? {kind}AND {_UNCUT} ORDER BY pos LIMIT ?",  # noqa: S608
            (process, after, limit),
        )
        return [JournalRow(*row) for row in rows]  # type: ignore[arg-type]

    def records(self, process: ProcessKey, first: int, count: int) -> Sequence[tuple[int, int, int]]:
        rows = self._all(
            "SELECT pos,kind,ordinal FROM journal WHERE process=? AND ordinal>=? AND ordinal<? ORDER BY pos",
            (process, first, first + count),
        )
        return cast("list[tuple[int, int, int]]", rows)

    def cuts(self, process: ProcessKey) -> Sequence[Cut]:
        rows = self._all("SELECT after_pos,upto_pos FROM journal_cut WHERE process=?", (process,))
        return [Cut(*row) for row in cast("list[tuple[int, int]]", rows)]

    def done_digests(self, process: ProcessKey, after: bytes, limit: int) -> Sequence[tuple[bytes, int]]:
        return cast(
            "list[tuple[bytes, int]]",
            self._all(
                f"SELECT digest,kind FROM journal_item j WHERE process=? AND digest>? AND {_UNCUT} ORDER BY digest LIMIT ?",  # noqa: S608
                (process, after, limit),
            ),
        )

    def journal_counts(self, process: ProcessKey, before: int) -> tuple[int, int]:
        rows = self._all(
            f"SELECT kind,count(*) FROM journal j WHERE process=? AND pos<? AND {_UNCUT} GROUP BY kind",  # noqa: S608
            (process, before),
        )
        counts = cast("dict[int, int]", dict(rows))  # type: ignore[arg-type]
        return counts.get(0, 0), counts.get(1, 0)

    def suspects(self, process: ProcessKey) -> Sequence[Suspect]:
        rows = self._all("SELECT item,ordinal,attempts,evidence FROM suspect WHERE process=?", (process,))
        return [Suspect(*row) for row in rows]  # type: ignore[arg-type]

    # The store

    def events(self, since: int, uid: int | None, process_id: str | None, limit: int) -> Sequence[Event]:
        rows = self._all(
            "SELECT seq,at,kind,process_id,uid,data FROM event WHERE seq>?1 AND (?2 IS NULL OR uid=?2) "
            "AND (?3 IS NULL OR process_id=?3) ORDER BY seq LIMIT ?4",
            (since, uid, process_id, limit),
        )
        return [Event(*row[:5], msgpack.unpackb(row[5])) for row in rows]  # type: ignore[arg-type]

    def last_event(self) -> int:
        row = self._one("SELECT max(seq) FROM event")
        return cast("int", row[0]) if row and row[0] is not None else 0

    def totals(self, uid: int | None) -> Totals:
        rows = self._all(
            "SELECT dim,value,sum(n),sum(logical),sum(stored) FROM counter WHERE ?1 IS NULL OR uid=?1 GROUP BY dim,value",
            (uid,),
        )
        counted = {(row[0], row[1]): cast("tuple[int, int, int]", row[2:]) for row in rows}
        nothing = (0, 0, 0)
        live, trash = counted.get((2, Place.LIVE), nothing), counted.get((2, Place.TRASH), nothing)
        packs = self._one("SELECT coalesce(sum(bytes),0) FROM pack")
        status = {
            word: counted.get((0, value), nothing)[0] for value, word in enumerate(("active", "completed", "failed"))
        }
        return Totals(
            checkpoints=live[0],
            logical_bytes=live[1],
            stored_bytes=live[2] + trash[2] + cast("int", packs[0] if packs else 0),
            trash=trash[0],
            by_type={one.word: counted.get((1, one.value), nothing)[0] for one in CheckpointType},
            by_status={**status, "expired": trash[0], "archived": counted.get((2, Place.ARCHIVED), nothing)[0]},
        )

    def setting(self, key: str) -> int | bytes | str | None:
        row = self._one("SELECT v FROM store WHERE k=?", (key,))
        return cast("int | bytes | str", row[0]) if row else None

    def close(self) -> None:
        self._connection.close()


def _chunk(row: Sequence[object]) -> ChunkRow:
    key, id_, pack, at, stored, plain, encoding = row
    return ChunkRow(
        cast("ChunkKey", key), cast("bytes", id_), cast("PackKey", pack), cast("int", at), cast("int", stored),
        cast("int", plain), cast("int", encoding),
    )  # fmt: skip


def _page(wanted: Filter) -> tuple[str, list[object]]:
    where: list[str] = []
    values: list[object] = []

    def add(text: str, *some: object) -> None:
        where.append(text)
        values.extend(some)

    # CROSS JOIN keeps SQLite from beginning with the processes: the order wanted is that of the checkpoints.
    source = "checkpoint c CROSS JOIN process p ON p.k=c.process"
    if wanted.tag is not None:
        source = f"tag t CROSS JOIN {source} AND c.k=t.checkpoint"
        add("t.tag=?", wanted.tag)
    if wanted.status is not None:
        place, states = _STATUS[wanted.status]
        add(f"c.place=? AND p.state IN ({','.join(str(int(state)) for state in states)})", place)
    else:
        add("c.place=1" if wanted.trash else "c.place!=1")
    if wanted.process_id is not None:
        owner = "" if wanted.uid is None else f" AND uid={wanted.uid:d}"
        add(f"c.process IN (SELECT k FROM process WHERE process_id=?{owner})", wanted.process_id)  # noqa: S608 - a number
    for column, value in (
        ("c.process=?", wanted.process),
        ("p.uid=?", wanted.uid),
        ("c.task_id=?", wanted.task_id),
        ("c.type=?", wanted.type),
        ("c.created_at>=?", wanted.since),
        ("c.created_at<=?", wanted.until),
        ("c.k<?", wanted.before),
    ):
        if value is not None:
            add(column, value)
    # Numbers go on over the lives of a process, and rise with k: of one process they are an index, newest first.
    order = "c.k" if wanted.process is None and wanted.process_id is None else "c.seq"
    sql = f"SELECT {CHECKPOINT_COLUMNS} FROM {source} WHERE {' AND '.join(where)} ORDER BY {order} DESC LIMIT ?"  # noqa: S608
    return sql, [*values, wanted.limit]
