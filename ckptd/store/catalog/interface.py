"""What a catalog must do; owns the terms *catalog* and *outcome*.

Obligations of every backend (one suite, `tests/ckptd/store/catalog/conformance.py`, is run by all):

* `Catalog.apply` is called by one thread alone, the committer's. It applies a batch of changes in their order in one
  transaction, which is durable when the call returns. Each change is judged on the state that the changes before it
  left, and either applied whole or refused whole; a refusal is an outcome and harms no neighbour.
* A change with a request id that was answered before is not applied again: its outcome is the first answer. Of each
  session the last 64 answers are kept; what is older is UnknownOutcome, never applied.
* The answer of a change with several parts is the checkpoint's, else the claim's, else that of the first field in order.
* A guard's epoch is compared in the same transaction as the write; a lower one is Fenced, a different lineage too.
* A full disk raises NoSpace and a foreign lock Busy, both after a complete roll-back. Any other error of the medium
  raises StoreFailed: the outcome is unknown, and the caller ends the daemon.
* `CatalogReader` may be used by any thread, one at a time each; it sees what was committed before the call, and never
  needs a write. What can't be read raises Damaged.
* One number never names two checkpoints of a process id: numbers and positions go on over incarnations and rewinds, and
  the current row of an id stays, whatever else of it is gone.
* Nothing in here grows with the size of what it frees: what deletes takes a bound and says whether more is left.
"""

from collections.abc import Callable, Container, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from ckptclient.errors import CkptdError
from ckptd.core.change import Answer, Change, CheckpointRow, CheckpointType, ManifestPart, NotePlace, ProcessRow
from ckptd.core.ids import BodyKey, CheckpointKey, ChunkKey, PackKey, ProcessKey
from ckptd.core.journal import Cut
from ckptd.core.process_table import State

Outcome = Answer | CkptdError


@dataclass(frozen=True, slots=True)
class ChunkRow:
    """Where one chunk lies and what it decodes to; for a delta, with which chunk and how many stand behind it."""

    key: ChunkKey
    id: bytes
    pack: PackKey
    offset: int
    stored_bytes: int
    plain_bytes: int
    encoding: int
    base: ChunkKey | None = None
    depth: int = 0


@dataclass(frozen=True, slots=True)
class NewChunk:
    """A chunk whose bytes are already synced, about to become a row (state ZERO until something refers to it).

    `base` is the id of the chunk in its namespace that it is the difference to, if it is one; whoever brings it holds both.
    """

    id: bytes
    offset: int
    stored_bytes: int
    plain_bytes: int
    encoding: int
    base: bytes | None = None


@dataclass(frozen=True, slots=True)
class Content:
    """A checkpoint's manifest, its bytes where they lie inline, else the bodies of each part in order.

    `archive` is the name of its file where it lies in the archive, and nothing of it here.
    """

    manifest: bytes
    small: bytes | None
    bodies: Sequence[Sequence[BodyKey]]
    archive: str | None = None


@dataclass(frozen=True, slots=True)
class JournalRow:
    """One record of the result journal."""

    position: int
    kind: int
    ordinal: int | None
    item: bytes
    result: bytes | None
    at: int


@dataclass(frozen=True, slots=True)
class Suspect:
    """An item that was in hand at deaths, with how often."""

    item: bytes
    ordinal: int | None
    attempts: int
    evidence: str


@dataclass(frozen=True, slots=True)
class Event:
    """One row of the ring."""

    seq: int
    at: int
    kind: str
    process_id: str
    uid: int
    data: Mapping[str, object]


@dataclass(frozen=True, slots=True)
class Proof:
    """The last drill of a process: its newest checkpoint that was read whole, and how many it had to walk past.

    `tried_at` is when; `proven_at`, `checkpoint` and `seq` are None where none of its checkpoints is whole.
    """

    process: ProcessKey
    tried_at: int
    proven_at: int | None
    checkpoint: CheckpointKey | None
    seq: int | None
    damaged: int


@dataclass(frozen=True, slots=True)
class BackupRow:
    """A backup that this store knows of; `checksum` is its manifest's, None until it is complete.

    `ended` without a checksum is one that failed or was given up. `drilled_at` is when a drill of it went well.
    """

    key: int
    at: int
    ended: bool
    checksum: bytes | None
    drilled_at: int | None


@dataclass(frozen=True, slots=True)
class Filter:
    """Which checkpoints; None filters nothing. `uid` None is every user's. Newest first, from before `before`."""

    uid: int | None = None
    process: ProcessKey | None = None
    process_id: str | None = None
    task_id: str | None = None
    type: CheckpointType | None = None
    tag: str | None = None
    status: str | None = None
    since: int | None = None
    until: int | None = None
    trash: bool = False
    before: CheckpointKey | None = None
    limit: int = 100


@dataclass(frozen=True, slots=True)
class Totals:
    """Counters of one user or of all; `by_type` and `by_status` count what isn't in the trash.

    `stored_bytes` is what lies inline, trash and all; of all users, with the packs, which aren't counted by user.
    """

    checkpoints: int
    logical_bytes: int
    stored_bytes: int
    trash: int
    by_type: Mapping[str, int]
    by_status: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Life:
    """One incarnation with checkpoints, as retention sees it; `left_at` is since when nobody holds it, or its last word."""

    key: ProcessKey
    uid: int
    process_id: str
    state: State
    is_current: bool
    left_at: int
    abandon_after: int | None
    policy: bytes


@dataclass(frozen=True, slots=True)
class Surveyed:
    """One live checkpoint as retention sees it; `restorable` says that no rewind set it aside."""

    key: CheckpointKey
    seq: int
    restorable: bool
    has_state: bool
    pinned: bool
    expires_at: int | None
    logical_bytes: int
    own_bytes: int
    metadata: bytes


@dataclass(frozen=True, slots=True)
class Due:
    """A slice of those whose time is over, and where the next slice goes on (None: nothing is left)."""

    keys: Sequence[CheckpointKey]
    cursor: tuple[int, int] | None


DUE_FROM_START = (0, 0)
"""The cursor of a first slice."""


@dataclass(frozen=True, slots=True)
class Placed:
    """A chunk that lies in a pack, whose namespace it is of, and whether it is on its way out."""

    row: ChunkRow
    namespace: int
    condemned: bool


@dataclass(frozen=True, slots=True)
class BodyRow:
    """An immutable list of chunks, by their keys."""

    key: BodyKey
    hash: bytes
    plain_bytes: int
    chunks: Sequence[ChunkKey]


@dataclass(frozen=True, slots=True)
class PackRow:
    """A pack. `looked_at` is when the scrub was last through with it, or when it was begun.

    `bytes` is its length; `live_bytes` are those of its records that the catalog refers to, headers too. `lifetime` is its
    lifetime class, and `tight` whether the optimizer wrote it.
    """

    key: PackKey
    name: str
    looked_at: int
    begun_at: int
    bytes: int
    live_bytes: int
    lifetime: int
    tight: bool


@dataclass(frozen=True, slots=True)
class PlacedNote:
    """The record of a checkpoint that lies in a pack."""

    checkpoint: CheckpointKey
    offset: int
    stored_bytes: int


@dataclass(frozen=True, slots=True)
class Move:
    """A record was copied: what it was when it was copied, and where the copy lies.

    A chunk's copy may be encoded in another way, as long as that needs no base; else `encoding` is its row's.
    """

    source: ChunkRow | PlacedNote
    offset: int
    stored_bytes: int
    encoding: int


@dataclass(frozen=True, slots=True)
class Damage:
    """A place in a pack that can't be read as it was written: `size_bytes` from `offset` on, found at `at`.

    `chunk` is the chunk that the catalog has there, None where it has none. `how` is what was seen, in words.
    """

    pack: PackKey
    offset: int
    size_bytes: int
    chunk: ChunkKey | None
    how: str
    at: int


@dataclass(frozen=True, slots=True)
class Undercount:
    """A chunk or body (by its `id` or `hash`) that has `by` fewer references in its row than a recount finds."""

    key: int
    name: bytes
    by: int


@dataclass(frozen=True, slots=True)
class Audit:
    """What of a catalog doesn't agree with the rest of it, in words, and which counts of references are too low."""

    faults: Sequence[str] = ()
    chunks: Sequence[Undercount] = ()
    bodies: Sequence[Undercount] = ()


class CatalogReader(Protocol):
    """Reads; see the module for who may call when."""

    def process(self, uid: int, process_id: str) -> ProcessRow | None:
        """The current incarnation."""

    def process_by_key(self, key: ProcessKey) -> ProcessRow | None:
        """One incarnation."""

    def held(self) -> Sequence[ProcessRow]:
        """Every process in state running: what the table is rebuilt from at start."""

    def processes(
        self, uid: int | None, states: Sequence[State], task_id: str | None, after: int | None, limit: int
    ) -> Sequence[ProcessRow]:
        """Current incarnations, newest key first, from before key `after`."""

    def nearly_abandoned(self, since: int, until: int, abandoned_after: int, ahead: int) -> Sequence[ProcessRow]:
        """Unfinished processes without a holder, `ahead` of whose abandonment lies after `since` and not after `until`.

        Microseconds all; `abandoned_after` as in `Catalog.expire`.
        """

    def checkpoint_counts(self, keys: Sequence[ProcessKey]) -> Mapping[ProcessKey, int]:
        """How many checkpoints each has, those in the trash left out."""

    def checkpoint(self, key: CheckpointKey) -> CheckpointRow | None:
        """One checkpoint."""

    def find_checkpoint(self, uid: int | None, process_id: str, seq: int) -> CheckpointRow | None:
        """By number; seq goes on over incarnations."""

    def find_alias(self, uid: int | None, alias: str) -> CheckpointRow | None:
        """By an id that a caller chose."""

    def checkpoints(self, wanted: Filter) -> Sequence[CheckpointRow]:
        """A page."""

    def content(self, key: CheckpointKey) -> Content:
        """What a checkpoint is made of."""

    def tags(self, keys: Sequence[CheckpointKey]) -> Mapping[CheckpointKey, Sequence[str]]:
        """Tags of each."""

    def dependencies(self, keys: Sequence[CheckpointKey]) -> Mapping[CheckpointKey, Sequence[CheckpointKey]]:
        """What each needs; those that need nothing are left out."""

    def candidates(self, process: ProcessKey, with_state: bool) -> Sequence[CheckpointKey]:
        """Restorable ones newest first, at most 64: live or archived, in no rewind's shadow."""

    def lives(self, after: ProcessKey | None, limit: int) -> Sequence[Life]:
        """Incarnations that have checkpoints outside the trash, by key, from after `after`."""

    def survey(self, process: ProcessKey, before: int | None, limit: int) -> Sequence[Surveyed]:
        """Live checkpoints of one incarnation newest first, from before the number `before`."""

    def due(self, now: int, cursor: tuple[int, int], limit: int) -> Due:
        """A slice of the live ones whose time is over, unless pinned; latest end first, from after `cursor`."""

    def doomed(
        self, keys: Sequence[CheckpointKey], now: int, abandoned_after: int, gone: Container[CheckpointKey]
    ) -> Sequence[CheckpointKey]:
        """Those of `keys` that `Catalog.condemn` would move, one after the other, were `gone` in the trash already."""

    def unproven(self, tried_before: int, after: ProcessKey, limit: int) -> Sequence[ProcessKey]:
        """Current incarnations with a checkpoint whose last drill was before a time, or never; ascending, behind a key."""

    def proofs(self, keys: Sequence[ProcessKey]) -> Mapping[ProcessKey, Proof]:
        """The last drill of each; those that had none are left out."""

    def broken(self, limit: int) -> Sequence[ProcessRow]:
        """Current incarnations whose last drill walked past a checkpoint or found none whole."""

    def body_chunks(self, body: BodyKey) -> Sequence[ChunkRow]:
        """The chunks of a body in order."""

    def find_chunk(self, namespace: int, id: bytes) -> ChunkRow | None:
        """A chunk that may be shared: LIVE or ZERO, and not quarantined."""

    def is_quarantined(self, namespace: int, id: bytes) -> bool:
        """Whether a chunk is there whose place is known to be damaged: it must be brought anew, and whole."""

    def chain(self, key: ChunkKey) -> Sequence[ChunkRow]:
        """A chunk, the one that it is the difference to, and so on; empty where it is gone, at most DEPTH_MAX + 1."""

    def packs(self) -> Mapping[PackKey, str]:
        """Key to file name of every pack that isn't gone."""

    # What looks after what is stored

    def placed(self, pack: PackKey, begin: int, limit: int) -> Sequence[Placed]:
        """Chunks that lie in a pack from an offset on, in order of their offsets."""

    def pack_rows(self) -> Sequence[PackRow]:
        """Every pack, those first that were looked at longest ago."""

    def notes(self, pack: PackKey, begin: int, limit: int) -> Sequence[PlacedNote]:
        """Records of checkpoints that lie in a pack from an offset on, in order of their offsets."""

    def bodies(self, after: int, limit: int) -> Sequence[BodyRow]:
        """A page of bodies, by their keys."""

    def checkpoint_keys(self, after: int, limit: int) -> Sequence[CheckpointKey]:
        """A page of checkpoints, those in the trash too, by their keys."""

    def standing_on(self, chunks: Sequence[ChunkKey]) -> Sequence[ChunkKey]:
        """These, and every chunk that is a difference to one of them, or to one that is."""

    def checkpoints_of(self, bodies: Sequence[BodyKey]) -> Sequence[CheckpointKey]:
        """Checkpoints that refer to one of these bodies, by their keys."""

    def damage(self, limit: int) -> Sequence[Damage]:
        """What is quarantined and not repaired, oldest first."""

    def damaged_bodies(self) -> Sequence[BodyKey]:
        """Bodies that can't be read for what is quarantined, by their keys; as `Catalog.quarantine` was told."""

    def audit(self) -> Audit:
        """Everything that is kept so that nobody has to count, counted: in one view, as long as it takes."""

    def journal(self, process: ProcessKey, after: int, limit: int, failed_only: bool) -> Sequence[JournalRow]:
        """A page in journal order: of each item the newest record, unless a rewind set that one aside."""

    def journal_counts(self, process: ProcessKey, before: int) -> tuple[int, int]:
        """(done, failed) items whose newest record lies before a position and was not set aside."""

    def records(self, process: ProcessKey, first: int, count: int) -> Sequence[tuple[int, int, int]]:
        """(position, kind, ordinal) of the newest record of each of `count` ordinals from `first`, by position.

        Also what was set aside: `journal.bitmaps` wants it with `cuts`.
        """

    def cuts(self, process: ProcessKey) -> Sequence[Cut]:
        """What rewinds set aside."""

    def done_digests(self, process: ProcessKey, after: bytes, limit: int) -> Sequence[tuple[bytes, int]]:
        """(digest, kind) ascending, without what was set aside."""

    def suspects(self, process: ProcessKey) -> Sequence[Suspect]:
        """Items that were in hand at deaths."""

    def events(self, since: int, uid: int | None, process_id: str | None, limit: int) -> Sequence[Event]:
        """After a sequence number, in order."""

    def last_event(self) -> int:
        """The newest sequence number, 0 where there is none."""

    def totals(self, uid: int | None) -> Totals:
        """From counters, not from a scan."""

    def archivable(self, before: int, after: int, limit: int) -> Sequence[CheckpointRow]:
        """Checkpoints of completed processes that were made before a time and may move to the archive, by key from `after`.

        Not those that are pinned, nor those that were asked back.
        """

    def archived_due(self, now: int, limit: int) -> Sequence[CheckpointKey]:
        """Archived checkpoints whose time is over, and that nothing outside of the trash depends on."""

    def archive_files(self, kept: bool, after: int, limit: int) -> Sequence[tuple[int, str]]:
        """(key, name) of files in the archive by key from `after`: those that a checkpoint needs, or those left over."""

    def backups(self, limit: int) -> Sequence[BackupRow]:
        """Backups that were begun, newest first."""

    def setting(self, key: str) -> int | bytes | str | None:
        """A row of the store's own table."""

    def close(self) -> None:
        """Give the connection back."""


class CatalogCopies(Protocol):
    """Copies of a catalog as files of their own, for backups. Whatever fails is said as an error and harms no store.

    NoSpace for a full disk, Damaged where the source can't be read, Unavailable for anything else.
    """

    def copy(self, catalog: Path, target: Path, told: Callable[[int, int], None]) -> None:
        """Copy a catalog that a daemon may be writing, as it is at one moment; nobody waits for it.

        `target` must not exist; it isn't synced. `told` hears (done, all), in the backend's own unit.
        """

    def copy_cold(self, catalog: Path, target: Path) -> None:
        """Copy a catalog that nobody writes, and write nothing beside it."""

    def look(self, copy: Path) -> AbstractContextManager[CatalogReader]:
        """Read a copy; also on a medium that can't be written."""

    def check(self, copy: Path) -> Sequence[str]:
        """What is wrong with a copy; empty when nothing."""

    def renew(self, copy: Path, lineage: bytes, at: int) -> None:
        """Make a copy the catalog of a store that begins now: a new lineage, nobody holds a process, no backup runs."""


class Catalog(Protocol):
    """Writes; the committer's thread alone, but for `reader`."""

    lineage: bytes
    chunk_key: bytes
    """The key of chunk ids: random for each store, so that ids say nothing outside it."""

    def reader(self) -> CatalogReader:
        """A reader of its own for one thread."""

    def transaction(self) -> AbstractContextManager[None]:
        """All that is called inside the block is one transaction, durable when the block ends."""

    def apply(self, batch: Sequence[Change]) -> Sequence[Outcome]:
        """Apply in order, durable on return; see the module."""

    def add_pack(self, name: str, at: int, lifetime: int = 0, *, tight: bool = False) -> PackKey:
        """Name a new pack of a lifetime class; durable on return."""

    def add_chunks(self, namespace: int, pack: PackKey, chunks: Sequence[NewChunk], at: int) -> Sequence[ChunkKey]:
        """Rows in state ZERO for chunks whose bytes are synced; one that is there and usable keeps its row.

        A delta is a reference to its base from here on until its row is gone; its depth is the base's and one more.
        """

    def add_body(self, namespace: int, hash: bytes, plain_bytes: int, chunks: Sequence[ChunkKey]) -> BodyKey:
        """An immutable list of chunks with no reference yet; the same list again is the same body."""

    def condemn(
        self, keys: Sequence[CheckpointKey], now: int, abandoned_after: int, ended_by: int | None
    ) -> Sequence[CheckpointKey]:
        """Move those to the trash, in this order, that are live and that nothing protects; which they were.

        Protected is what its process would recover from, what is pinned, and what something that isn't in the trash
        depends on; with `ended_by` also what has its time still before it then. `abandoned_after` (microseconds) is how
        long an unfinished process without a holder protects its newest state, unless its own policy says otherwise; 0
        is for ever. What depends on others has to stand before them. A slice has some hundred keys.
        """

    def empty_trash(self, before: int, limit: int) -> tuple[int, bool]:
        """Drop checkpoints that went to the trash before a time; (how many, whether more is left)."""

    def sweep(self, held: frozenset[bytes], now: int, limit: int) -> bool:
        """Free bodies and chunks without references, except chunk ids that are held; whether more is left.

        A chunk dies in two transactions at least: condemned, and then gone. Only then its base has a reference less.
        """

    def move(self, source: PackKey, target: PackKey, moves: Sequence[Move], at: int) -> int:
        """Let the rows of records that were copied name their copies in the pack `target`; how many of them did.

        A row that says something else by now is left alone: the copy is dead bytes then. Keys stay as they are, so that
        bodies, deltas and holds mean the same chunk. A chunk that was a delta and is none in its copy lets go of its base.
        """

    def settle(self, pack: PackKey) -> None:
        """A pack is as tight as the optimizer can make it: it was looked at, and nothing is to be gained."""

    def dead_packs(self, limit: int = 1000) -> Sequence[tuple[PackKey, str]]:
        """Some packs that nothing refers to and no backup holds; their files may be unlinked, and then `drop_pack`.

        In one slice: whoever appends between the question and the answer would lose what he appended.
        """

    def drop_pack(self, pack: PackKey) -> None:
        """Forget a pack whose file is gone."""

    def begin_archive(self, name: str, checkpoint: CheckpointKey) -> int:
        """The key of a file that is about to be written for a checkpoint; until `archived` it is left over."""

    def archived(self, archive: int, size_bytes: int, checksum: bytes) -> bool:
        """The file is whole: the checkpoint moves there, and its bytes here lose their references.

        False where it can't move any more, deleted or no longer of a completed process; the file is left over then.
        """

    def unarchived(
        self,
        checkpoint: CheckpointKey,
        manifest: bytes,
        checksum: bytes,
        parts: Sequence[ManifestPart],
        small: bytes | None,
        note: NotePlace | None,
    ) -> bool:
        """The checkpoint lies here again, as a save of these parts would; its file is left over. False where it isn't archived."""

    def drop_archive(self, archive: int) -> None:
        """Forget a file that is gone."""

    def begin_backup(self, at: int) -> int:
        """A backup's key. Until it has ended, packs that there are now or come meanwhile aren't `dead_packs`."""

    def end_backup(self, backup: int, checksum: bytes | None) -> bool:
        """Let its packs go; with the checksum of its manifest it is complete. False where it had ended."""

    def abandon_backups(self) -> int:
        """End every backup that an earlier daemon began; how many."""

    def drilled(self, checksum: bytes, at: int) -> None:
        """A drill of the backup with this manifest went well."""

    def drop_journal(self, limit: int) -> bool:
        """Drop records, then rows, of earlier incarnations that have no checkpoint left; whether more is left."""

    def prove(self, proofs: Sequence[Proof]) -> None:
        """Remember drills, and of each checkpoint that was read whole, when."""

    def trim(self, events_kept: int, requests_before: int) -> None:
        """Keep the newest events, and the answers of sessions that may still ask."""

    def quarantine(self, damage: Sequence[Damage], bodies: Mapping[ChunkKey, Sequence[BodyKey]]) -> int:
        """Mark places as damaged, with the bodies that each chunk there is needed for; how many weren't yet.

        A chunk there is shared no more: a save that brings its bytes writes them anew, and its row, with all that
        refers to it, gets the new place. A chunk that lies elsewhere by now is left as it is.
        """

    def release(self, pack: PackKey, offsets: Sequence[int]) -> None:
        """Places of a pack that were quarantined and can be read again."""

    def scrubbed(self, pack: PackKey, at: int) -> None:
        """The scrub was through with a pack at a time."""

    def raise_references(self, audit: Audit) -> None:
        """Add what is missing to the counts that are too low. One that is too high costs room, and stays."""

    def set(self, key: str, value: int | bytes | str) -> None:
        """A row of the store's own table."""

    def checkpoint_wal(self, idle: bool) -> None:
        """Called between batches: a moment for what a backend must tidy; `idle` says that nothing waits."""

    def shrink_log(self) -> None:
        """Called when nobody has written for a while: give back what a backend's log takes on disk."""

    def quick_check(self, *, thorough: bool = False) -> Sequence[str]:
        """What is wrong with the catalog's file; empty when nothing. By any thread; nobody who saves waits for it.

        `thorough` compares indexes with tables too, which takes several times as long.
        """

    def close(self) -> None:
        """End cleanly."""
