"""Questions to the catalog. Each runs in a read transaction of its own and never writes."""

import json
import threading
from collections.abc import Container, Mapping, Sequence
from itertools import groupby
from typing import Any, cast

import apsw
import msgpack

from ckptclient.errors import UnknownCheckpoint
from ckptd.core.change import CheckpointRow, CheckpointType, Place, ProcessRow
from ckptd.core.encoding import DEPTH_MAX
from ckptd.core.ids import BodyKey, CheckpointKey, ChunkKey, PackKey, ProcessKey
from ckptd.core.journal import Cut
from ckptd.core.process_table import State
from ckptd.store.catalog.interface import (
    Audit,
    BackupRow,
    BodyRow,
    ChunkRow,
    Content,
    Damage,
    Due,
    Event,
    Filter,
    JournalRow,
    Life,
    PackRow,
    Placed,
    PlacedNote,
    Proof,
    Surveyed,
    Suspect,
    Totals,
)
from ckptd.store.catalog.sqlite import archiving, auditing, backups, counting, standing
from ckptd.store.catalog.sqlite.failing import reading
from ckptd.store.catalog.sqlite.pages import page
from ckptd.store.catalog.sqlite.quarantining import AT_DAMAGE, STANDS
from ckptd.store.catalog.sqlite.rows import (
    CHECKPOINT_COLUMNS,
    CHUNK_COLUMNS,
    CONDEMNED,
    PROCESS_COLUMNS,
    checkpoint_row,
    chunk_row,
    process_row,
    unpack_keys,
)

_CHECKPOINT = f"SELECT {CHECKPOINT_COLUMNS} FROM checkpoint c JOIN process p ON p.k=c.process"
_PROCESS = f"SELECT {PROCESS_COLUMNS} FROM process"

_CHAIN = f"""WITH RECURSIVE chain(key,n) AS (VALUES(?1,0) UNION ALL
  SELECT base,n+1 FROM chain JOIN chunk ON k=key WHERE base IS NOT NULL AND n<?2)
SELECT {CHUNK_COLUMNS} FROM chain JOIN chunk ON k=key ORDER BY n"""

_STANDING_ON = """WITH RECURSIVE standing(key) AS (SELECT value FROM json_each(?) UNION
  SELECT k FROM chunk JOIN standing ON base=key) SELECT key FROM standing ORDER BY key"""

# An item is what its newest record says, unless a rewind has set that one aside.
_UNCUT = "NOT EXISTS(SELECT 1 FROM journal_cut x WHERE x.process=j.process AND j.pos>=x.after_pos AND j.pos<x.upto_pos)"
_NEWEST = (
    "EXISTS(SELECT 1 FROM journal_item i WHERE i.process=j.process AND i.ordinal=j.ordinal AND i.digest=j.digest "
    "AND i.pos=j.pos)"
)
_JOURNAL = (
    "SELECT pos,kind,nullif(ordinal,-1),item,result,at FROM journal j WHERE process=?1 AND pos>?2 AND kind>=?4 "
    f"AND {_NEWEST} AND {_UNCUT} ORDER BY pos LIMIT ?3"
)


class SqliteReader:
    """A connection of its own. The lock is for who shares it: its questions queue, and never mix."""

    def __init__(self, path: str) -> None:
        """`path` may be a URI: `looking` has more to say about how a file is opened."""
        with reading():
            self._connection = apsw.Connection(path, flags=apsw.SQLITE_OPEN_READONLY | apsw.SQLITE_OPEN_URI)
            self._connection.set_busy_timeout(5000)
            self._connection.config(apsw.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1)
            self._connection.config(apsw.SQLITE_DBCONFIG_ENABLE_QPSG, 1)
        self._lock = threading.Lock()

    def _all(self, sql: str, values: Sequence[object] = ()) -> list[Any]:
        with self._lock, reading():
            return self._connection.execute(sql, cast("Sequence[apsw.SQLiteValue]", values)).fetchall()

    def _one(self, sql: str, values: Sequence[object] = ()) -> Any:
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
        rows = self._all(f"{_PROCESS} WHERE now=1 AND state=? ORDER BY k", (State.RUNNING,))
        return [process_row(row) for row in rows]

    def nearly_abandoned(self, since: int, until: int, abandoned_after: int, ahead: int) -> Sequence[ProcessRow]:
        moment = "ended_at+coalesce(abandon_after,?1)-?2"
        rows = self._all(
            f"{_PROCESS} WHERE now=1 AND state IN (?3,?4,?5) AND epoch>0 AND coalesce(abandon_after,?1)>0 "
            f"AND {moment}>?6 AND {moment}<=?7 ORDER BY k",
            (abandoned_after, ahead, State.PAUSED, State.INTERRUPTED, State.FAILED, since, until),
        )
        return [process_row(row) for row in rows]

    def processes(
        self, uid: int | None, states: Sequence[State], task_id: str | None, after: int | None, limit: int
    ) -> Sequence[ProcessRow]:
        where, values = ["now=1"], list[object]()
        if states:
            where.append(f"state IN ({_marks(states)})")
            values.extend(states)
        for column, value in (("uid=?", uid), ("task_id=?", task_id), ("k<?", after)):
            if value is not None:
                where.append(column)
                values.append(value)
        rows = self._all(f"{_PROCESS} WHERE {' AND '.join(where)} ORDER BY k DESC LIMIT ?", (*values, limit))
        return [process_row(row) for row in rows]

    def checkpoint_counts(self, keys: Sequence[ProcessKey]) -> Mapping[ProcessKey, int]:
        return dict(self._all(f"SELECT k,checkpoints FROM process WHERE k IN ({_marks(keys)})", keys))

    # Checkpoints

    def checkpoint(self, key: CheckpointKey) -> CheckpointRow | None:
        return self._checkpoint(f"{_CHECKPOINT} WHERE c.k=?", key)

    def find_checkpoint(self, uid: int | None, process_id: str, seq: int) -> CheckpointRow | None:
        # An operator may leave the user out: the newest of that name is meant.
        where = "p.process_id=?1 AND c.seq=?2 AND (?3 IS NULL OR p.uid=?3)"
        rows = self._all(f"{_CHECKPOINT} WHERE {where}", (process_id, seq, uid))
        return checkpoint_row(max(rows)) if rows else None

    def find_alias(self, uid: int | None, alias: str) -> CheckpointRow | None:
        where = "k=(SELECT max(checkpoint) FROM alias WHERE id=?1 AND (?2 IS NULL OR uid=?2))"
        return self._checkpoint(f"{_CHECKPOINT} WHERE c.{where}", alias, uid)

    def _checkpoint(self, sql: str, *values: object) -> CheckpointRow | None:
        row = self._one(sql, values)
        return checkpoint_row(row) if row else None

    def checkpoints(self, wanted: Filter) -> Sequence[CheckpointRow]:
        return [checkpoint_row(row) for row in page(self._all, wanted)]

    def content(self, key: CheckpointKey) -> Content:
        row = self._one("SELECT manifest,small,archive FROM checkpoint WHERE k=?", (key,))
        if row is None:
            raise UnknownCheckpoint("the checkpoint is gone", details={"what": "checkpoint"})
        manifest, small, archive = row
        if small is not None:
            return Content(manifest, small, ())
        if archive:
            (name,) = self._one("SELECT name FROM archive WHERE k=?", (archive,)) or ("",)
            return Content(manifest, None, (), name)
        bodies: dict[int, list[BodyKey]] = {}
        for ordinal, body in self._all(
            "SELECT ordinal,body FROM part WHERE checkpoint=? ORDER BY ordinal,extent", (key,)
        ):
            bodies.setdefault(ordinal, []).append(body)
        count = max(bodies, default=-1) + 1
        return Content(manifest, None, tuple(tuple(bodies.get(ordinal, ())) for ordinal in range(count)))

    def tags(self, keys: Sequence[CheckpointKey]) -> Mapping[CheckpointKey, Sequence[str]]:
        rows = self._all(
            f"SELECT checkpoint,tag FROM tag WHERE checkpoint IN ({_marks(keys)}) ORDER BY checkpoint,tag", keys
        )
        return {key: [tag for _, tag in some] for key, some in groupby(rows, key=lambda row: row[0])}

    def dependencies(self, keys: Sequence[CheckpointKey]) -> Mapping[CheckpointKey, Sequence[CheckpointKey]]:
        marks = ",".join("?" * len(keys))
        found: dict[CheckpointKey, list[CheckpointKey]] = {}
        for key, needs in self._all(
            f"SELECT checkpoint,needs FROM dependency WHERE checkpoint IN ({marks}) ORDER BY checkpoint,needs", keys
        ):
            found.setdefault(key, []).append(needs)
        return found

    def candidates(self, process: ProcessKey, with_state: bool) -> Sequence[CheckpointKey]:
        with self._lock, reading():
            return standing.candidate_keys(self._connection, process, with_state, 64)

    def lives(self, after: ProcessKey | None, limit: int) -> Sequence[Life]:
        return standing.lives(self._all, after, limit)

    def survey(self, process: ProcessKey, before: int | None, limit: int) -> Sequence[Surveyed]:
        return standing.survey(self._all, process, before, limit)

    def due(self, now: int, cursor: tuple[int, int], limit: int) -> Due:
        return standing.due(self._all, now, cursor, limit)

    def doomed(
        self, keys: Sequence[CheckpointKey], now: int, abandoned_after: int, gone: Container[CheckpointKey]
    ) -> Sequence[CheckpointKey]:
        with self._lock, reading():
            return standing.doomed(self._connection, keys, now, abandoned_after, gone)

    def unproven(self, tried_before: int, after: ProcessKey, limit: int) -> Sequence[ProcessKey]:
        rows = self._all(
            "SELECT p.k FROM process p LEFT JOIN proof f ON f.process=p.k WHERE p.now=1 AND p.head IS NOT NULL AND p.k>? "
            "AND coalesce(f.tried_at<?,1) ORDER BY p.k LIMIT ?",
            (after, tried_before, limit),
        )
        return [key for (key,) in rows]

    def proofs(self, keys: Sequence[ProcessKey]) -> Mapping[ProcessKey, Proof]:
        columns = "process,tried_at,proven_at,checkpoint,seq,damaged"
        rows = self._all(f"SELECT {columns} FROM proof WHERE process IN ({_marks(keys)})", keys)
        return {row[0]: Proof(*row) for row in rows}

    def broken(self, limit: int) -> Sequence[ProcessRow]:
        where = "now=1 AND k IN (SELECT process FROM proof WHERE damaged>0)"
        return [process_row(row) for row in self._all(f"{_PROCESS} WHERE {where} ORDER BY k LIMIT ?", (limit,))]

    # Chunks

    def body_chunks(self, body: BodyKey) -> Sequence[ChunkRow]:
        row = self._one("SELECT chunks FROM body WHERE k=?", (body,))
        keys = _keys(row[0]) if row else ()
        wanted = tuple(set(keys))
        rows = self._all(f"SELECT {CHUNK_COLUMNS} FROM chunk WHERE k IN ({_marks(wanted)})", wanted)
        found = {one[0]: chunk_row(one) for one in rows}
        return [found[key] for key in keys if key in found]

    def find_chunk(self, namespace: int, id: bytes) -> ChunkRow | None:
        row = self._one(
            f"SELECT {CHUNK_COLUMNS} FROM chunk WHERE ns=? AND id=? AND state<2 AND NOT {AT_DAMAGE}", (namespace, id)
        )
        return chunk_row(row) if row else None

    def is_quarantined(self, namespace: int, id: bytes) -> bool:
        return bool(self._all(f"SELECT 1 FROM chunk WHERE ns=? AND id=? AND {AT_DAMAGE}", (namespace, id)))

    def chain(self, key: ChunkKey) -> Sequence[ChunkRow]:
        return [chunk_row(row) for row in self._all(_CHAIN, (key, DEPTH_MAX))]

    def packs(self) -> Mapping[PackKey, str]:
        return dict(self._all("SELECT k,name FROM pack"))

    # What looks after what is stored

    def placed(self, pack: PackKey, begin: int, limit: int) -> Sequence[Placed]:
        sql = f"SELECT {CHUNK_COLUMNS},ns,state FROM chunk WHERE pack=? AND at>=? ORDER BY at LIMIT ?"
        rows = self._all(sql, (pack, begin, limit))
        return [Placed(chunk_row(row[:-2]), row[-2], row[-1] == CONDEMNED) for row in rows]

    def pack_rows(self) -> Sequence[PackRow]:
        return [
            PackRow(key, name, looked_at, begun_at, size, live, lifetime, bool(tight))
            for key, name, looked_at, begun_at, size, live, lifetime, tight in self._all(
                "SELECT k,name,coalesce(scrubbed_at,created_at) t,created_at,bytes,live,class,state FROM pack ORDER BY t,k"
            )
        ]

    def notes(self, pack: PackKey, begin: int, limit: int) -> Sequence[PlacedNote]:
        sql = "SELECT checkpoint,at,stored FROM note WHERE pack=? AND at>=? ORDER BY at LIMIT ?"
        return [PlacedNote(*row) for row in self._all(sql, (pack, begin, limit))]

    def bodies(self, after: int, limit: int) -> Sequence[BodyRow]:
        rows = self._all("SELECT k,hash,bytes,chunks FROM body WHERE k>? ORDER BY k LIMIT ?", (after, limit))
        return [BodyRow(key, hash_, size_bytes, _keys(packed)) for key, hash_, size_bytes, packed in rows]

    def checkpoint_keys(self, after: int, limit: int) -> Sequence[CheckpointKey]:
        return [key for (key,) in self._all("SELECT k FROM checkpoint WHERE k>? ORDER BY k LIMIT ?", (after, limit))]

    def standing_on(self, chunks: Sequence[ChunkKey]) -> Sequence[ChunkKey]:
        return [key for (key,) in self._all(_STANDING_ON, (json.dumps(chunks),))]

    def checkpoints_of(self, bodies: Sequence[BodyKey]) -> Sequence[CheckpointKey]:
        sql = "SELECT DISTINCT checkpoint FROM part WHERE body IN (SELECT value FROM json_each(?)) ORDER BY 1"
        return [key for (key,) in self._all(sql, (json.dumps(bodies),))]

    def damage(self, limit: int) -> Sequence[Damage]:
        sql = f"SELECT pack,at,bytes,chunk,how,found_at FROM damage d WHERE {STANDS} ORDER BY found_at,pack,at LIMIT ?"
        return [Damage(*row) for row in self._all(sql, (limit,))]

    def damaged_bodies(self) -> Sequence[BodyKey]:
        sql = f"SELECT DISTINCT o.body FROM damage d JOIN body_of o ON o.chunk=d.chunk WHERE {STANDS} ORDER BY 1"
        return [key for (key,) in self._all(sql)]

    def audit(self) -> Audit:
        with self._lock, reading():
            # One view of it all: what is written meanwhile isn't seen.
            self._connection.execute("BEGIN")
            try:
                return auditing.audit(self._connection.execute)
            finally:
                self._connection.execute("ROLLBACK")

    # Result journal

    def journal(self, process: ProcessKey, after: int, limit: int, failed_only: bool) -> Sequence[JournalRow]:
        return [JournalRow(*row) for row in self._all(_JOURNAL, (process, after, limit, int(failed_only)))]

    def journal_counts(self, process: ProcessKey, before: int) -> tuple[int, int]:
        done, failed = self._one(
            "SELECT count(*) FILTER (WHERE kind=0),count(*) FILTER (WHERE kind=1) FROM journal_item j "
            f"WHERE process=? AND pos<? AND {_UNCUT}",
            (process, before),
        )
        return done, failed

    def records(self, process: ProcessKey, first: int, count: int) -> Sequence[tuple[int, int, int]]:
        rows = self._all(
            "SELECT pos,kind,ordinal FROM journal_item WHERE process=? AND ordinal>=? AND ordinal<?",
            (process, first, first + count),
        )
        rows.sort()  # by position; nearly sorted already, where items end in their order
        return rows

    def cuts(self, process: ProcessKey) -> Sequence[Cut]:
        rows = self._all(
            "SELECT after_pos,upto_pos FROM journal_cut WHERE process=? ORDER BY after_pos,after_seq", (process,)
        )
        return [Cut(*row) for row in rows]

    def done_digests(self, process: ProcessKey, after: bytes, limit: int) -> Sequence[tuple[bytes, int]]:
        return self._all(
            "SELECT digest,kind FROM journal_item j WHERE process=? AND ordinal=-1 AND digest>? "
            f"AND {_UNCUT} ORDER BY digest LIMIT ?",
            (process, after, limit),
        )

    def suspects(self, process: ProcessKey) -> Sequence[Suspect]:
        rows = self._all("SELECT item,ordinal,attempts,evidence FROM suspect WHERE process=? ORDER BY item", (process,))
        return [Suspect(*row) for row in rows]

    # The store

    def events(self, since: int, uid: int | None, process_id: str | None, limit: int) -> Sequence[Event]:
        rows = self._all(
            "SELECT seq,at,kind,process_id,uid,data FROM event WHERE seq>?1 AND (?2 IS NULL OR uid=?2) "
            "AND (?3 IS NULL OR process_id=?3) ORDER BY seq LIMIT ?4",
            (since, uid, process_id, limit),
        )
        return [Event(seq, at, kind, name, owner, msgpack.unpackb(data)) for seq, at, kind, name, owner, data in rows]

    def last_event(self) -> int:
        (newest,) = self._one("SELECT coalesce(max(seq),0) FROM event")
        return cast("int", newest)

    def totals(self, uid: int | None) -> Totals:
        # Of one user the rows lie together; of all there are few: a handful for each user.
        user, values = ("", ()) if uid is None else ("WHERE uid=? ", (uid,))
        rows = self._all(
            f"SELECT dim,value,sum(n),sum(logical),sum(stored) FROM counter {user}GROUP BY dim,value", values
        )
        counted: dict[tuple[int, int], tuple[int, int, int]] = {(row[0], row[1]): row[2:] for row in rows}

        def count(dimension: int, value: int) -> tuple[int, int, int]:
            return counted.get((dimension, value), (0, 0, 0))

        places = {place: count(counting.PLACE, place) for place in Place}
        (packs,) = self._one("SELECT coalesce(sum(bytes),0) FROM pack") if uid is None else (0,)
        status = {word: count(counting.STATUS, value)[0] for value, word in enumerate(counting.STATUS_WORDS)}
        return Totals(
            checkpoints=places[Place.LIVE][0],
            logical_bytes=places[Place.LIVE][1],
            stored_bytes=sum(stored for _, _, stored in places.values()) + packs,
            trash=places[Place.TRASH][0],
            by_type={one.word: count(counting.TYPE, one)[0] for one in CheckpointType},
            by_status={**status, "expired": places[Place.TRASH][0], "archived": places[Place.ARCHIVED][0]},
        )

    def archivable(self, before: int, after: int, limit: int) -> Sequence[CheckpointRow]:
        where = f"{archiving.ARCHIVABLE} AND c.pinned=0 AND c.archive IS NULL AND c.created_at<=? AND c.k>?"
        rows = self._all(f"{_CHECKPOINT} WHERE {where} ORDER BY c.k LIMIT ?", (before, after, limit))
        return [checkpoint_row(row) for row in rows]

    def archived_due(self, now: int, limit: int) -> Sequence[CheckpointKey]:
        sql = (
            "SELECT k FROM checkpoint c WHERE place=2 AND pinned=0 AND expires_at<=? AND NOT EXISTS("
            "SELECT 1 FROM dependency d JOIN checkpoint o ON o.k=d.checkpoint WHERE d.needs=c.k AND o.place!=1) LIMIT ?"
        )
        return [key for (key,) in self._all(sql, (now, limit))]

    def archive_files(self, kept: bool, after: int, limit: int) -> Sequence[tuple[int, str]]:
        state = "=" if kept else "!="
        return self._all(
            f"SELECT k,name FROM archive WHERE state{state}{archiving.KEPT} AND k>? ORDER BY k LIMIT ?", (after, limit)
        )

    def backups(self, limit: int) -> Sequence[BackupRow]:
        rows = self._all("SELECT k,at,state,checksum,drilled_at FROM backup ORDER BY k DESC LIMIT ?", (limit,))
        return [backups.row(row) for row in rows]

    def setting(self, key: str) -> int | bytes | str | None:
        row = self._one("SELECT v FROM store WHERE k=?", (key,))
        return cast("int | bytes | str", row[0]) if row else None

    def close(self) -> None:
        self._connection.close()


def _keys(packed: object) -> tuple[ChunkKey, ...]:
    """The chunks of a body; none of a list that is cut off, or of what a damaged page has in its place."""
    if not isinstance(packed, bytes) or len(packed) % 8:
        return ()
    return tuple(ChunkKey(key) for key in unpack_keys(packed))


def _marks(values: Sequence[object]) -> str:
    """As many question marks."""
    return ",".join("?" * len(values))
