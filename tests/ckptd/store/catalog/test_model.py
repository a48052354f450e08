"""Random changes go to both backends; every answer and every question must then have the same outcome.

The SQLite catalog is killed now and then: its files are copied as they lie, and a new daemon opens the copy. What was
answered must be there, and what was not committed must not.
"""

import shutil
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import apsw
from hypothesis import HealthCheck, settings, strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule
from typing_extensions import override

from ckptclient.errors import CkptdError
from ckptd.core.change import Change, CheckpointType, EventRow, NotePlace, Suspicion
from ckptd.core.ids import BodyKey, CheckpointKey, ChunkKey, PackKey, ProcessKey
from ckptd.core.process_table import Act, State
from ckptd.store.catalog.interface import (
    DUE_FROM_START,
    Catalog,
    CatalogReader,
    ChunkRow,
    Filter,
    Move,
    NewChunk,
    PlacedNote,
)
from ckptd.store.catalog.memory import MemoryCatalog
from ckptd.store.catalog.sqlite import open_catalog
from ckptd.store.catalog.sqlite.rows import unpack_keys
from tests.ckptd.store.catalog.changes import (
    CHUNK_KEY,
    LINEAGE,
    NOW,
    UID,
    append,
    asked,
    guarded,
    items,
    part,
    progress,
    rewind,
    save,
    take,
)

NAMES = ("a", "b")
MEMBER = b"a member's name "
KEYS = st.integers(1, 6)
EPOCHS = st.integers(0, 3)
MAYBE_REQUEST = st.none() | st.integers(1, 8).map(asked)
ITEMS = st.lists(st.tuples(st.integers(0, 4) | st.sampled_from("xyz"), st.integers(0, 1)), max_size=5)
CHUNKS = st.lists(st.integers(1, 5), min_size=1, max_size=4)


class _Crash(Exception):
    pass


class Catalogs(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.directory = Path(tempfile.mkdtemp(prefix="catalog-model-"))
        self.lives = 0
        self.at, self.number = NOW, 0
        self.last: list[Change] = []

    @initialize()
    def begin(self) -> None:
        self.memory = MemoryCatalog(LINEAGE, CHUNK_KEY, NOW)
        self.sqlite: Catalog = open_catalog(self.directory / "catalog.db", LINEAGE, CHUNK_KEY, NOW)
        self.readers: tuple[CatalogReader, CatalogReader] = (self.memory.reader(), self.sqlite.reader())

    @override
    def teardown(self) -> None:
        self.readers[1].close()
        self.sqlite.close()
        shutil.rmtree(self.directory)

    # Doing the same to both

    def both(self, act: Callable[[Catalog], Any]) -> Any:
        first, second = act(self.memory), act(self.sqlite)
        assert first == second
        return first

    def apply(self, *batch: Change) -> None:
        self.at += 1
        self.last = [self.numbered(replace(change, at=self.at)) for change in batch]
        self.both(lambda catalog: outcomes(catalog, self.last))

    def numbered(self, change: Change) -> Change:
        """Under a request number of its own, as every client gives it: only a repetition has one again."""
        if change.request is None:
            return change
        self.number += 1
        return replace(change, request=asked(self.number))

    def row(self, key: int) -> Any:
        return self.readers[0].process_by_key(ProcessKey(key))

    def right(self, key: int, epoch: int | None) -> int:
        """The epoch of the row more often than not."""
        row = self.row(key)
        return row.epoch if epoch is None and row is not None else epoch or 0

    # Changes

    @rule(name=st.sampled_from(NAMES), uid=st.sampled_from((UID, UID + 1)), held=st.booleans(), request=MAYBE_REQUEST)
    def make(self, name: str, uid: int, held: bool, request: Any) -> None:
        self.apply(take(name, uid=uid, held=held, request=request))

    @rule(key=KEYS, epoch=st.none() | EPOCHS, held=st.booleans(), request=MAYBE_REQUEST)
    def take(self, key: int, epoch: int | None, held: bool, request: Any) -> None:
        row = self.row(key)
        name, uid = (row.process_id, row.uid) if row is not None else ("a", UID)
        self.apply(take(name, key, self.right(key, epoch), uid=uid, held=held, request=request))

    @rule(key=KEYS, request=MAYBE_REQUEST)
    def retire(self, key: int, request: Any) -> None:
        row = self.row(key)
        if row is not None:
            self.apply(take(row.process_id, uid=row.uid, retires=ProcessKey(key), request=request))

    @rule(
        key=KEYS,
        epoch=st.none() | EPOCHS,
        outside=st.booleans(),
        request=MAYBE_REQUEST,
        fields=st.fixed_dictionaries(
            {"has_state": st.booleans(), "journal_position": st.integers(0, 3)},
            optional={
                "expires_at": st.integers(NOW, NOW + 60),
                "alias": st.sampled_from(("best", "last")),
                "tags": st.lists(st.sampled_from("tu"), max_size=2).map(tuple),
                "depends": st.lists(KEYS.map(CheckpointKey), max_size=2).map(tuple),
                "type": st.sampled_from(CheckpointType),
            },
        ),
    )
    def save(self, key: int, epoch: int | None, outside: bool, request: Any, fields: dict[str, Any]) -> None:
        row = self.row(key)
        seq = row.next_seq if row is not None else 1
        right = None if outside else self.right(key, epoch)
        self.apply(save(key, seq, right, request=request, created_at=self.at, **fields))

    @rule(key=KEYS, epoch=st.none() | EPOCHS, ends=ITEMS, by=st.sampled_from((None, MEMBER)), request=MAYBE_REQUEST)
    def record(self, key: int, epoch: int | None, ends: Any, by: bytes | None, request: Any) -> None:
        row = self.row(key)
        position = row.next_position if row is not None else 0
        records = items(*ends)
        clears = [one.item for one in records if one.kind == 0]
        self.apply(append(key, position, records, self.right(key, epoch), by, clears, request=request))

    @rule(key=KEYS, epoch=st.none() | EPOCHS, act=st.sampled_from(Act), done=st.integers(0, 9))
    def end(self, key: int, epoch: int | None, act: Act, done: int) -> None:
        self.apply(guarded(key, self.right(key, epoch), act=act, progress=progress(done, at=self.at)))

    @rule(key=KEYS, item=st.sampled_from((b"0", b"'x'")), restarts=st.booleans(), deaths=st.integers(0, 2))
    def die(self, key: int, item: bytes, restarts: bool, deaths: int) -> None:
        found = Suspicion(item, None, "evidence", restarts)
        self.apply(guarded(key, self.right(key, None), suspicion=found, deaths=deaths, tried=CheckpointKey(key)))

    @rule(key=KEYS, which=st.integers(0, 3))
    def rewind(self, key: int, which: int) -> None:
        """To one of the candidates or the beginning; counts as the service finds them."""
        row, reader = self.row(key), self.readers[0]
        if row is None:
            return
        keys = reader.candidates(row.key, True)
        target = reader.checkpoint(keys[which]) if which < len(keys) else None
        seq, position = (target.seq, target.journal_position) if target is not None else (0, 0)
        upto = max(row.next_position, position)
        done, failed = reader.journal_counts(row.key, position)
        change = rewind(
            key,
            target.key if target is not None else None,
            (seq, row.next_seq - 1),
            (position, upto),
            (done, failed),
            row.epoch,
        )
        self.apply(change)

    @rule(key=KEYS)
    def name_a_member(self, key: int) -> None:
        row = self.row(key)
        if row is not None and (key, row.epoch, MEMBER) not in self.memory._committed.members:
            self.apply(guarded(key, row.epoch, member=MEMBER))

    @rule(keys=st.lists(KEYS.map(CheckpointKey), max_size=3).map(tuple), how=st.integers(0, 3), request=MAYBE_REQUEST)
    def move(self, keys: Any, how: int, request: Any) -> None:
        field = ("to_trash", "from_trash", "pins", "unpins")[how]
        event = EventRow("moved", UID, None, "a", (("how", how),))
        self.apply(replace(Change(self.at, UID, request, events=(event,)), **{field: keys}))

    @rule()
    def repeat(self) -> None:
        """The last batch again, as after a lost connection; what has no request id is judged anew."""
        self.both(lambda catalog: outcomes(catalog, [change for change in self.last if change.request is not None]))

    @rule(lists=st.lists(CHUNKS, min_size=1, max_size=2), key=KEYS, deltas=st.booleans())
    def save_large(self, lists: list[list[int]], key: int, deltas: bool) -> None:
        row = self.row(key)
        seq = row.next_seq if row is not None else 1

        # As a save does, which holds what it stands on: only what may be shared is a base.
        usable = [n for n in range(1, 6) if deltas and self.readers[0].find_chunk(UID, chunk_id(n)) is not None]

        def act(catalog: Catalog) -> object:
            with catalog.transaction():
                pack = catalog.add_pack(f"pack {self.at}", self.at)
                bodies = [self.body(catalog, pack, numbers, usable) for numbers in lists]
                parts = tuple(part(body) for body in bodies)
                note = NotePlace(pack, 20_000, 33)
                change = save(key, seq, self.right(key, None), small=None, parts=parts, note=note)
                return bodies, outcomes(catalog, [change])

        self.at += 1
        self.both(act)

    def body(self, catalog: Catalog, pack: PackKey, numbers: Sequence[int], usable: Sequence[int]) -> BodyKey:
        bases = {n: max([one for one in usable if one < n], default=None) for n in numbers}
        chunks = [
            NewChunk(
                chunk_id(n),
                152 + n * 1000 + self.at % 1000,
                10 + n,
                20,
                0 if base is None else 3,
                chunk_id(base) if base else None,
            )
            for n, base in bases.items()
        ]
        keys = dict(zip(bases, catalog.add_chunks(UID, pack, chunks, self.at), strict=True))
        return catalog.add_body(UID, bytes(numbers), 20 * len(numbers), [keys[n] for n in numbers])

    # Maintenance

    @rule(patience=st.integers(0, 60), limit=st.integers(1, 4))
    def clean(self, patience: int, limit: int) -> None:
        self.at += 30

        for cursor, keys in self.due(limit):
            told = [reader.doomed(keys, self.at, patience, ()) for reader in self.readers]

            def act(catalog: Catalog, keys: Sequence[CheckpointKey] = keys) -> object:
                return catalog.condemn(keys, self.at, patience, self.at)

            moved = self.both(act)
            assert told == [moved, moved], cursor

    def due(self, limit: int) -> Iterator[tuple[object, Sequence[CheckpointKey]]]:
        cursor: tuple[int, int] | None = DUE_FROM_START
        while cursor is not None:
            first, second = (reader.due(self.at, cursor, limit) for reader in self.readers)
            assert first == second
            yield cursor, first.keys
            cursor = first.cursor

    @rule(keys=st.lists(KEYS.map(CheckpointKey), max_size=4, unique=True), gone=st.sets(KEYS.map(CheckpointKey)))
    def condemn(self, keys: list[CheckpointKey], gone: set[CheckpointKey]) -> None:
        """Some, whatever their time says, as a rule of a process or a want of room has it."""
        self.at += 1
        first, second = (reader.doomed(keys, self.at, 0, gone) for reader in self.readers)
        assert first == second
        self.both(lambda catalog: catalog.condemn(keys, self.at, 0, None))

    @rule(which=st.integers(0, 3), missing=st.integers(0, 2), tight=st.booleans())
    def compact(self, which: int, missing: int, tight: bool) -> None:
        """Records of a pack go to a new one, but for some that couldn't be copied; deltas stand by themselves there."""
        self.at += 1
        reader = self.readers[0]
        packs = sorted(reader.packs())
        if which >= len(packs):
            return
        source = packs[which]
        chunks = [one.row for one in reader.placed(source, 0, 99) if not one.condemned]
        records: list[ChunkRow | PlacedNote] = list(chunks)
        records = (records + list(reader.notes(source, 0, 99)))[missing:]
        moves = [
            Move(one, 152 + n * 900, one.stored_bytes + 1, 1 if tight and isinstance(one, ChunkRow) else _encoding(one))
            for n, one in enumerate(records)
        ]

        def act(catalog: Catalog) -> object:
            with catalog.transaction():
                target = catalog.add_pack(f"pack {self.at}", self.at, 3, tight=tight)
                moved = catalog.move(source, target, moves, self.at)
            again = catalog.move(source, target, moves, self.at)
            return target, moved, again

        assert self.both(act)[2] == 0

    @rule(age=st.integers(0, 60), held=st.lists(st.integers(1, 5)), limit=st.integers(1, 4))
    def empty(self, age: int, held: list[int], limit: int) -> None:
        ids = frozenset(bytes([n]) * 32 for n in held)

        def act(catalog: Catalog) -> object:
            counts = []
            more = True
            while more:
                count, more = catalog.empty_trash(self.at - age, limit)
                counts.append(count)
            while catalog.sweep(ids, self.at, limit):
                pass
            while catalog.drop_journal(limit):
                pass
            catalog.trim(5, self.at - age)
            dead = sorted(catalog.dead_packs())
            for key, _ in dead:
                catalog.drop_pack(key)
            return counts, dead

        self.both(act)

    # Killing

    @rule(inside=st.booleans())
    def kill(self, inside: bool) -> None:
        """The files as they lie, in the middle of a transaction or between two."""
        if inside:
            try:
                with self.sqlite.transaction():
                    outcomes(self.sqlite, [take("c"), save(1, 99, self.right(1, None))])
                    self.copy()
                    raise _Crash
            except _Crash:
                pass
        else:
            self.copy()
        self.readers[1].close()
        self.sqlite.close()
        self.sqlite = open_catalog(self.directory / f"life{self.lives}" / "catalog.db", LINEAGE, CHUNK_KEY, NOW)
        self.readers = (self.readers[0], self.sqlite.reader())
        assert self.sqlite.quick_check() == []

    def copy(self) -> None:
        source = self.directory / (f"life{self.lives}" if self.lives else ".")
        self.lives += 1
        target = self.directory / f"life{self.lives}"
        target.mkdir()
        for name in ("catalog.db", "catalog.db-wal"):
            shutil.copy(source / name, target / name)

    # Comparing

    @invariant()
    def every_question_has_the_same_answer(self) -> None:
        first, second = (everything(reader) for reader in self.readers)
        for question, answer in first.items():
            assert second[question] == answer, question

    @invariant()
    def what_is_kept_ahead_is_what_a_recount_finds(self) -> None:
        recount(self.directory / (f"life{self.lives}" if self.lives else ".") / "catalog.db")


def chunk_id(number: int) -> bytes:
    return bytes([number]) * 32


def _encoding(one: ChunkRow | PlacedNote) -> int:
    return one.encoding if isinstance(one, ChunkRow) else 0


def outcomes(catalog: Catalog, batch: Sequence[Change]) -> list[object]:
    return [type(one) if isinstance(one, CkptdError) else one for one in catalog.apply(batch)]


def everything(reader: CatalogReader) -> dict[str, Any]:
    """Answers to questions of every kind, over all that there is."""
    keys = [ProcessKey(key) for key in range(1, 12)]
    filters = [
        Filter(),
        Filter(trash=True),
        Filter(uid=UID, limit=3),
        Filter(process=ProcessKey(1), limit=2),
        Filter(uid=UID, process_id="a"),
        Filter(process_id="a", tag="t"),
        Filter(tag="u", before=CheckpointKey(4)),
        Filter(status="active", since=NOW + 3),
        Filter(status="failed"),
        Filter(status="expired", type=CheckpointType.CUSTOM),
        Filter(status="completed", until=NOW + 40),
    ]
    rows = [row.key for wanted in filters[:2] for row in reader.checkpoints(wanted)]
    contents = {key: reader.content(key) for key in rows}
    found: dict[str, Any] = {str(wanted): reader.checkpoints(wanted) for wanted in filters}
    found |= {
        "processes": [reader.process_by_key(key) for key in keys],
        "current": [reader.process(uid, name) for uid in (UID, UID + 1) for name in NAMES],
        "held": reader.held(),
        "listed": reader.processes(None, (State.RUNNING, State.FAILED), None, 9, 3),
        "counts": reader.checkpoint_counts(keys),
        "numbers": [reader.find_checkpoint(uid, "a", seq) for uid in (UID, None) for seq in range(1, 9)],
        "aliases": [reader.find_alias(uid, name) for uid in (UID, None) for name in ("best", "last")],
        "tags": reader.tags(rows),
        "dependencies": reader.dependencies(list(rows)),
        "contents": [(one.manifest, one.small, [list(some) for some in one.bodies]) for one in contents.values()],
        "chunks": [reader.body_chunks(body) for one in contents.values() for some in one.bodies for body in some],
        "shared": [reader.find_chunk(UID, chunk_id(n)) for n in range(1, 6)],
        "chains": [reader.chain(ChunkKey(key)) for key in range(1, 12)],
        "packs": reader.packs(),
        "placed": [reader.placed(pack, 0, 9) for pack in sorted(reader.packs())],
        "notes": [reader.notes(pack, 0, 9) for pack in sorted(reader.packs())],
        "pack rows": reader.pack_rows(),
        "bodies": [(row.key, row.plain_bytes, tuple(row.chunks)) for row in reader.bodies(0, 99)],
        "keys": reader.checkpoint_keys(1, 99),
        "standing": [reader.standing_on([ChunkKey(key)]) for key in range(1, 5)],
        "damage": reader.damage(9),
        "audit": reader.audit(),
        "events": reader.events(2, UID, None, 9),
        "last event": reader.last_event(),
        "totals": [reader.totals(uid) for uid in (None, UID, UID + 1)],
        "lives": [reader.lives(after, 2) for after in (None, *keys[:3])],
        "surveys": [reader.survey(key, before, 2) for key in keys[:4] for before in (None, 3)],
        "abandoned": reader.nearly_abandoned(NOW, NOW + 50, 20, 10),
    }
    for key in keys:
        found[f"history of {key}"] = (
            reader.candidates(key, False),
            reader.candidates(key, True),
            reader.journal(key, -1, 4, False),
            reader.journal(key, 2, 99, True),
            reader.journal_counts(key, 3),
            reader.journal_counts(key, 1 << 40),
            reader.records(key, 1, 3),
            reader.cuts(key),
            reader.done_digests(key, b"\x40", 9),
            reader.suspects(key),
        )
    return found


@contextmanager
def _opened(path: Path) -> Any:
    connection = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READONLY)
    try:
        yield connection
    finally:
        connection.close()


RECOUNTS = {
    "checkpoints of a process": (
        "SELECT k,checkpoints FROM process",
        "SELECT k,(SELECT count(*) FROM checkpoint WHERE process=p.k AND place!=1) FROM process p",
    ),
    "counters by status": (
        "SELECT uid,value,n FROM counter WHERE dim=0 AND n!=0",
        "SELECT uid,CASE state WHEN 4 THEN 1 WHEN 5 THEN 2 ELSE 0 END s,count(*) FROM checkpoint c JOIN process p "
        "ON p.k=c.process WHERE place!=1 GROUP BY 1,2",
    ),
    "counters by type": (
        "SELECT uid,value,n FROM counter WHERE dim=1 AND n!=0",
        "SELECT uid,type,count(*) FROM checkpoint c JOIN process p ON p.k=c.process WHERE place!=1 GROUP BY 1,2",
    ),
    "counters by place": (
        "SELECT uid,value,n,logical,stored FROM counter WHERE dim=2 AND (n!=0 OR logical!=0 OR stored!=0)",
        "SELECT uid,place,count(*),sum(logical),sum(coalesce(length(small),0)) FROM checkpoint c "
        "JOIN process p ON p.k=c.process GROUP BY 1,2",
    ),
    "references to bodies": (
        "SELECT k,refs FROM body",
        "SELECT k,(SELECT count(*) FROM part WHERE body=b.k) FROM body b",
    ),
    "live bytes of packs": (
        "SELECT k,live FROM pack",
        "SELECT k,(SELECT coalesce(sum(stored+100),0) FROM chunk WHERE pack=p.k)"
        "+(SELECT coalesce(sum(stored+100),0) FROM note WHERE pack=p.k) FROM pack p",
    ),
    "states of chunks": (
        "SELECT k,state=0 FROM chunk",
        "SELECT k,refs>0 FROM chunk",
    ),
    "depths of deltas": (
        "SELECT k,depth FROM chunk",
        "SELECT k,coalesce((SELECT depth+1 FROM chunk b WHERE b.k=c.base),0) FROM chunk c",
    ),
    "newest records": (
        "SELECT process,ordinal,digest,pos,kind FROM journal_item",
        "SELECT process,ordinal,digest,max(pos),kind FROM journal GROUP BY 1,2,3",
    ),
    "heads": (
        "SELECT k,head FROM process",
        "SELECT k,(SELECT c.k FROM checkpoint c WHERE process=p.k AND place!=1 AND NOT EXISTS(SELECT 1 FROM journal_cut x "
        "WHERE x.process=p.k AND seq>after_seq AND seq<=upto_seq) ORDER BY seq DESC LIMIT 1) FROM process p",
    ),
    "aliases": (
        "SELECT id,uid,checkpoint FROM alias WHERE checkpoint IN (SELECT k FROM checkpoint WHERE place!=1)",
        "SELECT alias,uid,c.k FROM checkpoint c JOIN process p ON p.k=c.process WHERE place!=1 AND alias IS NOT NULL",
    ),
    "rows without their owner": (
        "SELECT 0 WHERE 0",
        "SELECT checkpoint FROM part WHERE checkpoint NOT IN (SELECT k FROM checkpoint) UNION ALL "
        "SELECT checkpoint FROM tag WHERE checkpoint NOT IN (SELECT k FROM checkpoint) UNION ALL "
        "SELECT checkpoint FROM dependency WHERE checkpoint NOT IN (SELECT k FROM checkpoint) UNION ALL "
        "SELECT checkpoint FROM alias WHERE checkpoint NOT IN (SELECT k FROM checkpoint) UNION ALL "
        "SELECT body FROM part WHERE body NOT IN (SELECT k FROM body) UNION ALL "
        "SELECT pack FROM chunk WHERE pack NOT IN (SELECT k FROM pack) UNION ALL "
        "SELECT base FROM chunk WHERE base NOT IN (SELECT k FROM chunk) UNION ALL "
        "SELECT process FROM journal WHERE process NOT IN (SELECT k FROM process)",
    ),
}
"""What is kept so that nobody has to count, and how it would be counted."""


def recount(path: Path) -> None:
    with _opened(path) as connection:
        for what, (kept, counted) in RECOUNTS.items():
            assert sorted(connection.execute(kept)) == sorted(connection.execute(counted)), what
        listed = Counter(
            key for (packed,) in connection.execute("SELECT chunks FROM body") for key in unpack_keys(packed)
        )
        listed.update(key for (key,) in connection.execute("SELECT base FROM chunk WHERE base IS NOT NULL"))
        assert dict(connection.execute("SELECT k,refs FROM chunk WHERE refs>0")) == listed, "references to chunks"


Catalogs.TestCase.settings = settings(
    max_examples=25, stateful_step_count=40, suppress_health_check=[HealthCheck.too_slow]
)
TestCatalogs = Catalogs.TestCase
