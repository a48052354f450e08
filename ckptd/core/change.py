"""One frozen value with all that one mutation does; owns the term *change*.

Every mutation becomes a `Change`, is applied by the committer in one transaction, and answers an `Answer` or an error.
Results and the progress that they mean are atomic by construction: they are fields of one value. The order inside is
fixed: the request id is looked up, the guard is checked, then everything is written. What the service checked
earlier was advisory.
"""

from collections.abc import Mapping
from enum import IntEnum

from ckptd.core.ids import BodyKey, CheckpointKey, Epoch, Holder, PackKey, ProcessKey, RequestId
from ckptd.core.process_table import Act, Mode, State
from ckptd.core.values import value

Answer = tuple[int | str | bytes | None, ...]
"""What is kept under a request id, so that a repetition answers the same. The kind of change says what stands where."""


class CheckpointType(IntEnum):
    """Stored as its number; the wire and users have the lower-case name, `word`."""

    word: str

    PROCESSING_STATE = 0
    BATCH_PROGRESS = 1
    MODEL_STATE = 2
    QUEUE_STATE = 3
    SYSTEM_STATE = 4
    CUSTOM = 5

    def __init__(self, _number: int) -> None:
        self.word = self._name_.lower()


class Place(IntEnum):
    """Where a checkpoint is in its life."""

    LIVE = 0
    TRASH = 1
    ARCHIVED = 2


@value
class Guard:
    """Whose right is checked in the transaction: the epoch must be the row's, or the change is refused as fenced.

    `epoch` None is an operator's or ownerless act: no epoch is checked. `expected_head` is a compare-and-set.
    """

    process: ProcessKey
    epoch: Epoch | None
    member: bytes | None = None
    expected_head: CheckpointKey | None = None
    outsider: bool = False
    """No token stands behind it: the epoch is that of the process as it was found, which a repetition may find otherwise."""

    @property
    def signed(self) -> bool:
        """Whether the epoch is a token's."""
        return self.epoch is not None and not self.outsider


@value
class ProgressNow:
    """Where a process stands, whole: what the row gets. `speed` is `cadence`'s packed memory of recent speed.

    Of `done` and `failed` the row keeps its own count: a change with a `Rewind` sets them, journal appends raise them.
    """

    total: int | None
    completed: int
    step: str
    batch: str | None
    metadata: bytes
    done: int
    failed: int
    speed: bytes
    at: int


@value
class Claim:
    """Take a process: a new row, or a higher epoch on one that exists.

    `process` None makes a row. `seen_epoch` must still be the row's epoch, else Conflict: somebody was faster.
    `holder` None is a fence: the epoch rises and nobody holds. An ownerless row (`process` and `holder` None, `act`
    SAVE) has epoch 0. Answer: (process key, epoch).
    """

    uid: int
    process_id: str
    process: ProcessKey | None
    seen_epoch: Epoch | None
    holder: Holder | None
    act: Act
    incarnation: bytes = b""
    task_id: str = ""
    description: str = ""
    fingerprint: bytes | None = None
    schema_version: int = 0
    policy: bytes = b""
    abandon_after: int | None = None
    retires: ProcessKey | None = None
    """The earlier incarnation, whose row stops being the current one."""


@value
class ManifestPart:
    """One part of a checkpoint as its manifest has it; `bodies` is empty where the bytes lie inline.

    `archived` is where they lie instead: the name of a file in the archive, and the how-manieth part of it.
    """

    name: str
    form: bytes
    size_bytes: int
    hash: bytes
    bodies: tuple[BodyKey, ...] = ()
    archived: tuple[str, int] | None = None


@value
class NotePlace:
    """Where the record lies that says in a pack what checkpoint this is: pack, offset, and its stored bytes."""

    pack: PackKey
    offset: int
    stored_bytes: int


@value
class NewCheckpoint:
    """A checkpoint to make visible. Answer: (seq, created_at).

    `seq` was given at admission, so that numbers have the order of the calls; gaps are legal. `small` has the parts'
    bytes end to end, when they lie inline.
    """

    seq: int
    type: CheckpointType
    created_at: int
    expires_at: int | None
    task_id: str
    description: str
    metadata: bytes
    tags: tuple[str, ...]
    depends: tuple[CheckpointKey, ...]
    manifest: bytes
    checksum: bytes
    parts: tuple[ManifestPart, ...]
    small: bytes | None
    logical_bytes: int
    own_bytes: int
    journal_position: int
    has_state: bool
    schema_version: int
    alias: str | None = None
    note: NotePlace | None = None


@value
class JournalRecord:
    """One item's end. `ordinal` is its place in the sequence or None; `digest` the key's where it has none."""

    kind: int
    ordinal: int | None
    digest: bytes | None
    item: bytes
    result: bytes | None


@value
class JournalAppend:
    """Records from `position` on, in order. Answer: (position after the last, items done, items failed).

    The counts are kept by the transaction, so that a repetition isn't counted twice.

    `clears` are items that were under suspicion and are no longer: they have an end.
    """

    position: int
    records: tuple[JournalRecord, ...]
    clears: tuple[bytes, ...] = ()


@value
class Rewind:
    """A checkpoint's state was put back: what came after it in journal and checkpoints is set aside.

    `checkpoint` None is the beginning: a stateful process without any state to put back.
    """

    checkpoint: CheckpointKey | None
    after_seq: int
    upto_seq: int
    after_position: int
    upto_position: int


@value
class Suspicion:
    """An item was in hand, announced alone, when its worker died: one more attempt, with the evidence."""

    item: bytes
    ordinal: int | None
    evidence: str
    restarts: bool
    """Whether the count begins anew, because something was recorded since."""


@value
class EventRow:
    """Something that happened, for operators: a death, a fence, an expiry. `data` is plain and small."""

    kind: str
    uid: int
    process: ProcessKey | None
    process_id: str
    data: tuple[tuple[str, int | str | None], ...] = ()


@value
class Change:
    """All that one mutation does. Absent fields do nothing.

    The answer is the checkpoint's where there is one, else the claim's, else that of the first field that gives one.
    """

    at: int
    uid: int
    request: RequestId | None = None
    guard: Guard | None = None
    claim: Claim | None = None
    checkpoint: NewCheckpoint | None = None
    journal: JournalAppend | None = None
    rewind: Rewind | None = None
    member: bytes | None = None
    act: Act | None = None
    mode: Mode | None = None
    sequence: bytes | None = None
    progress: ProgressNow | None = None
    suspicion: Suspicion | None = None
    deaths: int | None = None
    tried: CheckpointKey | None = None
    """The worker died before it showed that the restore of this checkpoint went well: one more attempt."""
    proven: CheckpointKey | None = None
    """A restore was confirmed: this checkpoint's attempts are forgotten."""
    to_trash: tuple[CheckpointKey, ...] = ()
    from_trash: tuple[CheckpointKey, ...] = ()
    revived_until: int | None = None
    """What comes out of the trash lives until then at least, or the next look would end it; None is for ever."""
    pins: tuple[CheckpointKey, ...] = ()
    unpins: tuple[CheckpointKey, ...] = ()
    events: tuple[EventRow, ...] = ()


@value
class ProcessRow:
    """A process as the catalog has it."""

    key: ProcessKey
    uid: int
    process_id: str
    incarnation: bytes
    epoch: Epoch
    state: State
    task_id: str
    description: str
    holder: Holder | None
    progress: ProgressNow
    fingerprint: bytes | None
    schema_version: int
    policy: bytes
    sequence: bytes
    mode: Mode
    head: CheckpointKey | None
    next_seq: int
    next_position: int
    deaths: int
    registered_at: int
    ended_at: int | None


_STATUS: Mapping[Place, Mapping[State, str]] = {
    Place.LIVE: {State.COMPLETED: "completed", State.FAILED: "failed"},
    Place.TRASH: dict.fromkeys(State, "expired"),
    Place.ARCHIVED: dict.fromkeys(State, "archived"),
}
"""What a checkpoint's place and its process's state make of it; what is missing is active."""


@value
class CheckpointRow:
    """A checkpoint as the catalog has it, with what its process says of it."""

    key: CheckpointKey
    process: ProcessKey
    uid: int
    process_id: str
    process_state: State
    seq: int
    epoch: Epoch
    type: CheckpointType
    place: Place
    created_at: int
    expires_at: int | None
    ended_at: int | None
    pinned: bool
    logical_bytes: int
    own_bytes: int
    journal_position: int
    attempts: int
    has_state: bool
    schema_version: int
    checksum: bytes
    task_id: str
    description: str
    metadata: bytes
    alias: str | None
    proven_at: int | None = None

    @property
    def checkpoint_id(self) -> str:
        """The id that users see: `{process_id}_{type}_{seq}`, or the one that the caller chose."""
        return self.alias or f"{self.process_id}_{self.type.word}_{self.seq}"

    @property
    def status(self) -> str:
        """Derived from place and process, so that completing a process updates one row and not all its checkpoints."""
        return _STATUS[self.place].get(self.process_state, "active")
