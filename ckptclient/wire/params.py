"""The parameters of every method, one frozen class each; owns the vocabulary of the requests.

`ckptclient.calls` packs them, the daemon's table of methods unpacks them, and `docs/PROTOCOL.md` is compared with
them by a test. A mutating method carries `request`, the session's own rising number, which makes a repetition after
a lost connection or a restart of the daemon answer what the first attempt did.
"""

from typing import Annotated, ClassVar

from ckptclient.wire import limits
from ckptclient.wire.fields import Bin, Choice, Flag, Int, Many, Nested, Number, Params, Text, parameters

RequestNumber = Annotated[int, Int(1)]
Token = Annotated[bytes, Bin(64, 48)]
"""Lineage, process and epoch (48 bytes), and the member (16 more) where a member speaks. Opaque to clients."""

ProcessId = Annotated[str, Text(limits.process_id_bytes_max, 1)]
"""Unique for a user. An operator names another user's as `user/process`."""

CheckpointId = Annotated[str, Text(limits.checkpoint_id_bytes_max, 1)]
TaskId = Annotated[str, Text(limits.task_id_bytes_max)]
Word = Annotated[str, Text(limits.tag_bytes_max, 1)]
Step = Annotated[str, Text(limits.description_bytes_max, lines=True)]
Prose = Annotated[str, Text(limits.description_bytes_max, lines=True)]
Packed = Annotated[bytes, Bin(limits.metadata_bytes_max)]
"""A value that the application encoded; the daemon keeps it and never looks inside."""

Count = Annotated[int, Int()]
Micros = Annotated[int, Int()]
"""A time: microseconds since 1970, UTC."""

Limit = Annotated[int, Int(1, limits.page_count_max)]
KeepCount = Annotated[int, Int(1, 1_000_000)]
Seconds = Annotated[float, Number(0.0, 1e10)]
Bool = Annotated[bool, Flag()]
TYPES = (
    "processing_state",
    "batch_progress",
    "model_state",
    "queue_state",
    "system_state",
    "custom",
)
CheckpointKind = Annotated[str, Choice(TYPES)]
END_STATES = ("completed", "paused", "interrupted", "failed")
EndState = Annotated[str, Choice(END_STATES)]
Digest = Annotated[bytes, Bin(32, 1)]
LEVELS = ("memory", "disk")
Level = Annotated[str, Choice(LEVELS)]
"""A durability: `memory` survives the worker, `disk` the daemon and the machine."""


@parameters
class Hello(Params):
    """First on every connection: which protocol, which client, which session."""

    versions: Annotated[tuple[int, ...], Many(Int(1, 1 << 16), 16)]
    client: Annotated[str, Text(128)]
    session: Annotated[bytes, Bin(limits.session_bytes, limits.session_bytes)]
    capabilities: Annotated[tuple[str, ...], Many(Text(64, 1), 32)] = ()


@parameters
class Nothing(Params):
    """No parameters."""


@parameters
class Policy(Params):
    """What a process asks for in place of the node's settings; nil leaves the setting."""

    interval_seconds: Seconds | None = None
    auto: Bool = False
    progress_percent: Annotated[float, Number(0.0, 100.0)] | None = None
    ttl_seconds: Seconds | None = None
    abandon_after_seconds: Seconds | None = None
    keep_last: KeepCount | None = None
    keep_every: KeepCount | None = None
    best_metric: Annotated[str, Text(limits.tag_bytes_max, 1)] | None = None
    best_highest: Bool = False
    best_count: KeepCount = 1


@parameters
class Progress(Params):
    """Where a process stands. Absolute values, so that a repetition changes nothing; nil leaves what is there.

    `metadata` replaces what is there: merging is the client's. A member's `completed` counts its own part only.
    """

    total: Count | None = None
    completed: Count | None = None
    step: Step | None = None
    batch: Step | None = None
    metadata: Packed | None = None


@parameters
class Register(Params):
    """Become the holder of a process: a new one, a new life of a completed one, or the resumption of another."""

    request: RequestNumber
    process_id: ProcessId
    task_id: TaskId = ""
    progress: Annotated[Progress, Nested(Progress)] | None = None
    description: Prose = ""
    fresh: Bool = False
    takeover: Bool = False
    fingerprint: Digest | None = None
    schema_version: Annotated[int, Int(0, 1 << 31)] = 0
    on_change: Annotated[str, Choice(("refuse", "warn", "restart"))] = "refuse"
    policy: Annotated[Policy, Nested(Policy)] | None = None
    state_bytes: Count = 0


@parameters
class Recover(Params):
    """Take over a process after an interruption; NOT_FOUND where there is nothing to recover."""

    request: RequestNumber
    process_id: ProcessId
    takeover: Bool = False


@parameters
class Attach(Params):
    """Hold on under the same epoch over a new connection."""

    token: Token


@parameters
class Advance(Params):
    """Report progress; the reply says whether a checkpoint is due and whether to stop."""

    token: Token
    progress: Annotated[Progress, Nested(Progress)]


@parameters
class End(Params):
    """Let go of a process: completed, paused, interrupted or failed."""

    request: RequestNumber
    token: Token
    state: EndState
    progress: Annotated[Progress, Nested(Progress)] | None = None
    error: Annotated[str, Text(limits.error_bytes_max, lines=True)] = ""


@parameters
class Member(Params):
    """A token for another OS process that works under the holder's epoch."""

    request: RequestNumber
    token: Token


@parameters
class NamedProcess(Params):
    """One process by its id."""

    process_id: ProcessId


@parameters
class MutateProcess(Params):
    """One process by its id, and something is done to it."""

    request: RequestNumber
    process_id: ProcessId


@parameters
class ListProcesses(Params):
    """Processes, last changed first; nil filters nothing."""

    states: Annotated[tuple[str, ...], Many(Text(32, 1), 8)] = ()
    task_id: TaskId | None = None
    limit: Limit = 100
    after: Count | None = None


RECORD_KINDS = {0: "done", 1: "failed"}


@parameters
class Record(Params):
    """One item's end: how, its place in the sequence (-1: known by its key), item, and result or error."""

    as_array: ClassVar[bool] = True
    kind: Annotated[int, Int(0, 1)]
    ordinal: Annotated[int, Int(-1, (1 << 40) - 1)]
    item: Annotated[bytes, Bin(limits.item_bytes_max)]
    result: Annotated[bytes, Bin(limits.result_bytes_max)] | None


@parameters
class AppendRecords(Params):
    """Append to the result journal, in the transaction of the progress that the records mean."""

    request: RequestNumber
    token: Token
    records: Annotated[tuple[Record, ...], Many(Nested(Record), limits.records_count_max)]
    progress: Annotated[Progress, Nested(Progress)] | None = None


@parameters
class ReadRecords(Params):
    """A page of the journal in its order, without what was set aside."""

    process_id: ProcessId
    after: Annotated[int, Int(-1)] = -1
    limit: Limit = 500
    failed_only: Bool = False


@parameters
class DoneOrdinals(Params):
    """Which places of a sequence are recorded: two bitmaps, least significant bit first."""

    token: Token
    first: Annotated[int, Int(0, (1 << 40) - 1)] = 0
    count: Annotated[int, Int(8, 1 << 22)] = 1 << 22


@parameters
class DoneDigests(Params):
    """Which keyed items are recorded: the first 16 bytes of each key's SHA-256, ascending."""

    token: Token
    after: Annotated[bytes, Bin(limits.digest_bytes)] = b""
    limit: Annotated[int, Int(1, 50_000)] = 50_000


@parameters
class Sequence(Params):
    """Say which sequence the ordinals mean; what `on_change` says happens when it is another than before."""

    request: RequestNumber
    token: Token
    digest: Digest
    length: Count
    prefix_digest: Digest | None = None
    prefix_length: Count = 0
    stateful: Bool = False


@parameters
class Announce(Params):
    """Name the item in hand before it begins, so that one which kills its worker is known."""

    token: Token
    ordinal: Annotated[int, Int(-1, (1 << 40) - 1)]
    item: Annotated[bytes, Bin(limits.item_bytes_max)]


@parameters
class PartData(Params):
    """One part inside the frame: its name, its form (a map that the client's payload encoder wrote), its bytes."""

    as_array: ClassVar[bool] = True
    name: Annotated[str, Text(limits.part_name_bytes_max, 1)]
    form: Annotated[bytes, Bin(limits.form_bytes_max)]
    data: Annotated[bytes, Bin(limits.piece_bytes_max)]


@parameters
class PartPlan(Params):
    """One part that will come in pieces."""

    as_array: ClassVar[bool] = True
    name: Annotated[str, Text(limits.part_name_bytes_max, 1)]
    form: Annotated[bytes, Bin(limits.form_bytes_max)]
    size_bytes: Count


@parameters
class OpenUpload(Params):
    """Begin an upload: parts that are too large for a frame. It belongs to the connection and ends with it.

    With `staging` the daemon may answer with shared memory to put them into.
    """

    parts: Annotated[tuple[PartPlan, ...], Many(Nested(PartPlan), limits.parts_count_max)]
    staging: Bool = False


@parameters
class ReleaseBuffer(Params):
    """Give an idle staging buffer back."""

    buffer: Annotated[int, Int(1)]


@parameters
class WritePart(Params):
    """A piece of one part of an upload, in any order."""

    upload: Annotated[int, Int(1)]
    part: Count
    offset: Count
    data: Annotated[bytes, Bin(limits.piece_bytes_max, 1)]


@parameters
class CloseUpload(Params):
    """Forget an upload that will not be saved."""

    upload: Annotated[int, Int(1)]


@parameters
class Save(Params):
    """Make a checkpoint. With a token, of the process held; without, of `process_id` that nobody holds.

    Parts come inside the frame, or as an `upload`. `has_state` tells an application's state from progress alone.
    `alias` is an id that the caller chose. `ends` lets go of the process in the same transaction.
    """

    request: RequestNumber
    token: Token | None = None
    process_id: ProcessId | None = None
    task_id: TaskId | None = None
    type: CheckpointKind = "processing_state"
    parts: Annotated[tuple[PartData, ...], Many(Nested(PartData), limits.parts_count_max)] = ()
    upload: Annotated[int, Int(1)] | None = None
    has_state: Bool = True
    description: Prose = ""
    tags: Annotated[tuple[str, ...], Many(Text(limits.tag_bytes_max, 1), limits.tags_count_max)] = ()
    ttl_seconds: Seconds | None = None
    depends: Annotated[
        tuple[str, ...],
        Many(Text(limits.checkpoint_id_bytes_max, 1), limits.dependencies_count_max),
    ] = ()
    metadata: Packed | None = None
    progress: Annotated[Progress, Nested(Progress)] | None = None
    expected_head: CheckpointId | None = None
    alias: CheckpointId | None = None
    created_at: Micros | None = None
    ends: EndState | None = None
    error: Annotated[str, Text(limits.error_bytes_max, lines=True)] = ""
    cost_seconds: Seconds = 0.0


@parameters
class Stage(Save):
    """A save of an upload that is answered once the daemon has its bytes, and persisted behind the answer.

    Whoever has to repeat one says with `position` which place in the journal it was given.
    """

    position: Count | None = None


@parameters
class GetCheckpoint(Params):
    """One checkpoint with its parts, by id, alias, `PROCESS@SEQ` or `PROCESS@latest`. Small parts come along.

    With `lend` the others come in shared memory, laid out in their order.
    """

    checkpoint_id: CheckpointId
    data: Bool = True
    lend: Bool = False


@parameters
class ReadPart(Params):
    """A piece of one part's plain bytes, verified."""

    checkpoint_id: CheckpointId
    part: Count
    offset: Count = 0
    length: Annotated[int, Int(1, limits.piece_bytes_max)] = limits.piece_bytes_max


@parameters
class Restore(Params):
    """Put the newest restorable state back: what was recorded after it is set aside in a stateful process.

    `lend` as in `checkpoint.get`.
    """

    request: RequestNumber
    token: Token
    lend: Bool = False


@parameters
class ListCheckpoints(Params):
    """Checkpoints, newest first; nil filters nothing. `after` is the previous page's `next`."""

    process_id: ProcessId | None = None
    task_id: TaskId | None = None
    type: CheckpointKind | None = None
    tag: Word | None = None
    status: Annotated[str, Choice(("active", "completed", "failed", "expired", "archived"))] | None = None
    since: Micros | None = None
    until: Micros | None = None
    trash: Bool = False
    limit: Limit = 100
    after: Count | None = None


@parameters
class MutateCheckpoint(Params):
    """One checkpoint, and something is done to it."""

    request: RequestNumber
    checkpoint_id: CheckpointId


@parameters
class WaitCheckpoint(Params):
    """Reply once the checkpoint is durable at the level named."""

    checkpoint_id: CheckpointId
    level: Level = "disk"


@parameters
class ReadEvents(Params):
    """Events after a sequence number; with `wait_seconds`, the reply waits for the first that comes."""

    since: Annotated[int, Int(-1)] = -1
    process_id: ProcessId | None = None
    limit: Limit = 200
    wait_seconds: Annotated[float, Number(0.0, 60.0)] = 0.0


@parameters
class Cleanup(Params):
    """Expire, purge and give space back; or say what would go. An operator may confirm what expiry waits for."""

    request: RequestNumber
    dry_run: Bool = False
    confirm_clock: Bool = False
    confirm_policy: Bool = False


@parameters
class Verify(Params):
    """A slice of a look at everything that is stored; `place` is where the last one said to go on."""

    deep: Bool = False
    place: Annotated[tuple[int, ...], Many(Int(), 3)] = ()


SCRUB_ACTS = ("start", "pause", "resume", "repair")
ScrubAct = Annotated[str, Choice(SCRUB_ACTS)]


@parameters
class Scrub(Params):
    """The background look at everything shall begin now, stop, or go on; or what is damaged be fetched from `source`."""

    request: RequestNumber
    act: ScrubAct
    source: Annotated[str, Text(4096, 1)] | None = None


@parameters
class Mutate(Params):
    """Something is done to the store as a whole."""

    request: RequestNumber


@parameters
class EndBackup(Params):
    """A backup that was begun has ended; without a checksum it failed."""

    request: RequestNumber
    backup: Count
    checksum: Annotated[bytes, Bin(32, 32)] | None = None
    name: Annotated[str, Text(64)] = ""
    path: Annotated[str, Text(4096)] = ""
