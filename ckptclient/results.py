"""What the daemon answers, as frozen values; owns the shapes of the results as `wire.params` owns those of the requests.

A class is one map (or array) of `docs/PROTOCOL.md`, compiled to a table when it is first read. A key that this release
doesn't know is ignored, one that may be nil may be missing, anything else that is missing or of another type is a
`ProtocolError`. Times are microseconds since 1970, UTC. Not for: what the application is given; that is the handle's.
"""

from collections.abc import Callable, Hashable, Mapping
from functools import cache
from types import NoneType, UnionType
from typing import ClassVar, Self, TypeVar, Union, cast, dataclass_transform, get_args, get_origin, get_type_hints

from ckptclient.errors import ProtocolError
from ckptclient.wire.shapes import Shape

T = TypeVar("T")
A = TypeVar("A", bound="Answer")
Read = Callable[[object], object]


@dataclass_transform(frozen_default=True, kw_only_default=True)
def answer(kind: type[A]) -> type[A]:
    """Mark a class of results: its annotations say what each value is."""
    return kind


class Answer(Shape):
    """Base of every result: built by `read` from a decoded reply.

    Where it crosses as an array, elements that a newer daemon adds behind those known are ignored.
    """

    _table: ClassVar[tuple[tuple[str, type | None, bool, Read], ...] | None] = None
    """For each field: the type that is taken as it is, whether nil may stand for it, and what reads anything else."""
    _met: ClassVar[dict[tuple[object, ...], tuple[tuple[str, Read], ...]]] = {}
    """Maps that were read before, by their keys and the types of their values: what of them is not taken as it is."""

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        cls._met = {}

    @classmethod
    def read(cls, raw: object) -> Self:
        """Build the value; raises `ProtocolError` that names the field where `raw` is something else."""
        if cls.as_array and type(raw) is list:
            raw = dict(zip(cls.names, raw, strict=False))
        if type(raw) is not dict:
            raise ProtocolError(f"the daemon answered something else than a {cls.__name__}")
        made = cls.__new__(cls)
        values = made.__dict__
        # Replies of a kind look alike: one comparison stands for a look at each field.
        looks = (*raw, *map(type, raw.values()))
        built = cls._met.get(looks)
        if built is not None:
            values.update(raw)
        else:
            values.update({name: raw.get(name) for name in cls.names})
            built = cls._to_build(values)
            if raw.keys() == values.keys():
                cls._met[looks] = built
        for name, read in built:
            try:
                values[name] = read(values[name])
            except TypeError:
                state = "a wrong" if name in raw else "no"
                raise ProtocolError(f"the daemon answered a {cls.__name__} with {state} {name}") from None
        return made

    @classmethod
    def _to_build(cls, values: Mapping[str, object]) -> tuple[tuple[str, Read], ...]:
        if "_table" not in cls.__dict__:
            hints = get_type_hints(cls)
            cls._table = tuple((name, _plain(hints[name]), *_reader(hints[name])) for name in cls.names)
        return tuple(
            (name, read)
            for name, plain, nullable, read in cls._table or ()
            if type(values[name]) is not plain and not (nullable and values[name] is None)
        )


def only(name: str, kind: type[T]) -> Callable[[object], T]:
    """A reader for a reply of which one key is wanted."""
    _, read = _reader(cast("Hashable", kind))

    def take(raw: object) -> T:
        try:
            return cast("T", read(cast("dict[str, object]", raw)[name]))
        except (TypeError, KeyError):
            raise ProtocolError(f"the daemon answered without a usable {name}") from None

    return take


def nothing(_raw: object) -> None:
    """A reader for a reply that says only that it was done."""


@cache
def _reader(hint: object) -> tuple[bool, Read]:
    """Whether nil is accepted, and the function that checks and builds; it raises TypeError at anything else."""
    origin, arguments = get_origin(hint), get_args(hint)
    if origin in (Union, UnionType):
        (inner,) = (one for one in arguments if one is not NoneType)
        return True, _reader(inner)[1]
    if hint is object:
        return True, _anything
    if origin is tuple:
        item = _reader(arguments[0])[1]
        # Of a page's many arrays most are empty.
        return False, lambda value: tuple(map(item, value)) if _expect(list, value) else ()
    if isinstance(hint, type) and issubclass(hint, Answer):
        return False, hint.read
    if hint is float:
        return False, lambda value: float(cast("float", value)) if type(value) is int else _expect(float, value)
    kind = dict if origin is not None else cast("type", hint)
    return False, lambda value: value if type(value) is kind else _expect(kind, value)


_PLAIN = (bool, bytes, int, str)


def _plain(hint: object) -> type | None:
    """The type of a field, nil aside, whose values need no more than to be of it."""
    kinds = [one for one in get_args(hint) or (hint,) if one is not NoneType]
    return kinds[0] if len(kinds) == 1 and kinds[0] in _PLAIN else None


def _anything(value: object) -> object:
    return value


def _expect(kind: type, value: object) -> object:
    if type(value) is kind:
        return value
    raise TypeError


@answer
class Bounds(Answer):
    """What the daemon accepts on one connection."""

    frame_bytes_max: int
    requests_max: int


@answer
class Welcome(Answer):
    """The answer to hello."""

    version: int
    server: str
    lineage: bytes
    role: str
    uid: int
    limits: Bounds
    pid: int


@answer
class Tick(Answer):
    """What the daemon asks of a holder: a checkpoint (`reason`: progress, interval or asked), or to stop."""

    due: bool
    reason: str | None
    stop: bool
    stop_reason: str | None


@answer
class ProgressInfo(Answer):
    """Where a process stands; `eta` is a time, `per_second` the recent speed in steps."""

    total: int | None
    completed: int
    step: str
    batch: str | None
    metadata: bytes
    done: int
    failed: int
    percent: float | None
    updated_at: int
    eta: int | None
    per_second: float | None


@answer
class JournalInfo(Answer):
    """How far the result journal goes, and how many items it has as done and failed."""

    position: int
    done: int
    failed: int


@answer
class PolicyInfo(Answer):
    """The policy in force for a process: what it asked for over what the node has."""

    interval_seconds: float | None
    auto: bool | None
    progress_percent: float | None
    ttl_seconds: float | None
    abandon_after_seconds: float | None
    keep_last: int | None
    keep_every: int | None
    best_metric: str | None
    best_highest: bool | None
    best_count: int | None


@answer
class CheckpointInfo(Answer):
    """One checkpoint, without its parts."""

    checkpoint_id: str
    process_id: str
    user: str
    task_id: str
    seq: int
    epoch: int
    type: str
    status: str
    created_at: int
    expires_at: int | None
    pinned: bool
    size_bytes: int
    stored_bytes: int
    has_state: bool
    journal_position: int
    schema_version: int
    checksum: bytes
    description: str
    tags: tuple[str, ...]
    metadata: bytes
    depends: tuple[str, ...]
    attempts: int
    proven_at: int | None


@answer
class PartInfo(Answer):
    """One part of a checkpoint; `data` comes along while the parts together fit in a frame."""

    as_array: ClassVar[bool] = True
    name: str
    form: bytes
    size_bytes: int
    data: bytes | None


@answer
class CheckpointContent(CheckpointInfo):
    """One checkpoint with its parts; `descriptors` has the memory of those that were lent."""

    parts: tuple[PartInfo, ...]
    descriptors: tuple[int, ...] | None = None


@answer
class Skipped(Answer):
    """A checkpoint that recovery walked back over, and why."""

    as_array: ClassVar[bool] = True
    checkpoint_id: str
    why: str


@answer
class SetAside(Answer):
    """An item that killed its worker too often."""

    as_array: ClassVar[bool] = True
    item: bytes
    attempts: int
    evidence: object


@answer
class Registered(Answer):
    """The right to write for a process, and everything that is needed to go on with it."""

    token: bytes
    process_id: str
    epoch: int
    incarnation: bytes
    resumed: bool
    mode: str
    state: str
    progress: ProgressInfo
    checkpoint: CheckpointInfo | None
    state_checkpoint: CheckpointInfo | None
    skipped: tuple[Skipped, ...]
    warnings: tuple[str, ...]
    journal: JournalInfo
    sequence: bytes | None
    careful: bool
    set_aside: tuple[SetAside, ...]
    lease_seconds: float
    policy: PolicyInfo
    registered_at: int
    schema_version: int
    changed: bool


@answer
class Attached(Answer):
    """A process held on to over a new connection."""

    epoch: int
    state: str
    due: Tick


@answer
class HolderInfo(Answer):
    """Who holds a process; `alive` is nil where the kernel can't tell."""

    pid: int
    alive: bool | None
    since: int


@answer
class ProcessInfo(Answer):
    """One process as an operator sees it."""

    process_id: str
    user: str
    uid: int
    task_id: str
    description: str
    state: str
    mode: str
    epoch: int
    progress: ProgressInfo
    holder: HolderInfo | None
    checkpoints: int
    last_checkpoint: CheckpointInfo | None
    registered_at: int
    ended_at: int | None
    deaths: int
    journal: JournalInfo
    proven_at: int | None
    proven_seq: int | None


@answer
class Proven(Answer):
    """A drill of one process: which checkpoint is whole (None: none is), and what was walked past."""

    process_id: str
    user: str
    checkpoint_id: str | None
    seq: int | None
    proven_at: int | None
    size_bytes: int
    seconds: float
    damaged: tuple[Skipped, ...]


@answer
class ProcessPage(Answer):
    """Some processes; `next` goes into `after` for those behind them."""

    processes: tuple[ProcessInfo, ...]
    next: int | None


@answer
class Appended(Answer):
    """Records that are durable: the journal's position behind them."""

    position: int
    due: Tick


@answer
class RecordInfo(Answer):
    """One item's end: kind 0 done, 1 failed; ordinal -1 where it is known by its key."""

    as_array: ClassVar[bool] = True
    position: int
    kind: int
    ordinal: int
    item: bytes
    result: bytes | None
    at: int


@answer
class RecordPage(Answer):
    """Some records in journal order; `next` goes into `after` for those behind them."""

    records: tuple[RecordInfo, ...]
    next: int | None


@answer
class Ordinals(Answer):
    """Which places of a sequence are recorded, from `first` on: two bitmaps, least significant bit first."""

    first: int
    done: bytes
    failed: bytes


@answer
class Digests(Answer):
    """Which keyed items are recorded: 16 bytes each, ascending; `failed` is a bitmap over them."""

    digests: bytes
    failed: bytes
    next: bytes | None


@answer
class SequenceInfo(Answer):
    """How the sequence compares with the one before (no, appended, changed), and the mode in force."""

    changed: str
    mode: str


@answer
class SavedInfo(Answer):
    """A checkpoint that was made, and the durability it has."""

    checkpoint_id: str
    seq: int
    created_at: int
    expires_at: int | None
    level: str
    due: Tick | None


@answer
class Revived(Answer):
    """A checkpoint out of the trash: whether it was in there, its id now, and until when it lives."""

    revived: bool
    checkpoint_id: str
    expires_at: int | None


@answer
class Admitted(SavedInfo):
    """A checkpoint that is being made behind the answer: `position` is its place in the result journal."""

    position: int


@answer
class Staged(Answer):
    """An upload in a staging buffer; `buffer` None where none could be had, and it takes pieces instead.

    `descriptors` has the buffer's where this connection didn't have it yet; `dropped` are buffers that are gone.
    """

    upload: int
    buffer: int | None
    dropped: tuple[int, ...]
    descriptors: tuple[int, ...] | None = None


@answer
class Restored(Answer):
    """The newest state that could be put back, or `found` false."""

    found: bool
    checkpoint: CheckpointInfo | None
    parts: tuple[PartInfo, ...]
    skipped: tuple[Skipped, ...]
    journal: JournalInfo
    progress: ProgressInfo
    descriptors: tuple[int, ...] | None = None


@answer
class CheckpointPage(Answer):
    """Some checkpoints, newest first; `next` goes into `after` for those behind them."""

    checkpoints: tuple[CheckpointInfo, ...]
    next: int | None


@answer
class StoreStatus(Answer):
    """The daemon and its store at a glance; `read_only` says why, where it is."""

    version: str
    pid: int
    uptime_seconds: float
    store_path: str
    lineage: bytes
    read_only: str | None
    connections: int
    processes: Mapping[str, object]
    checkpoints: int
    limit_bytes: int | None
    used_bytes: int
    free_bytes: int
    commits: Mapping[str, object]
    last_cleanup: int | None
    damaged: int | None
    """Places of packs that are quarantined; None of a daemon that doesn't say."""


@answer
class StoreStats(Answer):
    """Checkpoints counted by status and by type: the caller's own, an operator's all."""

    status_counts: Mapping[str, object]
    type_counts: Mapping[str, object]
    total_size_bytes: int
    storage_path: str


@answer
class EndingInfo(Answer):
    """One checkpoint that a cleanup would end, and why."""

    as_array: ClassVar[bool] = True
    checkpoint_id: str
    user: str
    why: str
    size_bytes: int
    stored_bytes: int


@answer
class Cleaned(Answer):
    """What a cleanup did, or would do; `waits` says in words what somebody has to confirm before anything expires."""

    expired: int
    purged: int
    freed_bytes: int
    waits: tuple[str, ...]
    endings: tuple[EndingInfo, ...]


@answer
class Archived(Answer):
    """Where a checkpoint lies after it was to be moved, and the id that it is known by."""

    archived: bool
    checkpoint_id: str


@answer
class BackupBegun(Answer):
    """A backup's number; every pack is held for it."""

    backup: int


@answer
class BackupEnded(Answer):
    """Whether its packs were held until now."""

    held: bool


@answer
class HealthComponent(Answer):
    """One component's part in the health score; `points` is what it takes off, 0 while its value is within bounds."""

    name: str
    value: float
    unit: str
    threshold: float
    severe: float
    weight: int
    points: int
    sentence: str
    processes: tuple[str, ...]


@answer
class TrendInfo(Answer):
    """Where a figure is heading; nil where there is too little to go by, or nothing moves."""

    name: str
    now: float
    change: float
    span_seconds: float
    per_day: float | None
    seconds_until_zero: float | None


@answer
class RecommendationInfo(Answer):
    """What would help: a command, the figure that says so, and what it would give."""

    component: str | None
    process: str | None
    command: str
    why: str
    gain: str


@answer
class HealthReport(Answer):
    """How the daemon and its store do: 100 minus the points of the components."""

    at: int
    score: int
    level: str
    components: tuple[HealthComponent, ...]
    trends: tuple[TrendInfo, ...]
    recommendations: tuple[RecommendationInfo, ...]


@answer
class HitInfo(Answer):
    """A checkpoint that can't be read whole."""

    as_array: ClassVar[bool] = True
    user: str
    process_id: str
    checkpoint_id: str


@answer
class FindingInfo(Answer):
    """One thing that isn't as it was written; `pack` is empty and `offset` 0 where it isn't a place in a pack."""

    message: str
    pack: str
    offset: int
    size_bytes: int
    chunk: bytes
    checkpoints: tuple[HitInfo, ...]


@answer
class Verified(Answer):
    """A slice of a look at everything; `next` is where to go on, nil at the end."""

    stage: str
    findings: tuple[FindingInfo, ...]
    read_bytes: int
    total_bytes: int
    next: tuple[int, ...] | None


@answer
class DamageInfo(Answer):
    """A place in a pack that can't be read as it was written."""

    as_array: ClassVar[bool] = True
    pack: str
    offset: int
    size_bytes: int
    how: str
    found_at: int


@answer
class DamageReport(Answer):
    """What is quarantined, which checkpoints that hits, and how far the scrub is."""

    paused: bool
    oldest_at: int | None
    listed_at: int | None
    period_seconds: float
    faults: int
    damage: tuple[DamageInfo, ...]
    checkpoints: tuple[HitInfo, ...]


@answer
class Steered(Answer):
    """Whether the scrub is paused now."""

    paused: bool


@answer
class SettingInfo(Answer):
    """One setting in force, and where it came from."""

    as_array: ClassVar[bool] = True
    key: str
    value: str
    source: str


@answer
class Settings(Answer):
    """All settings in force."""

    settings: tuple[SettingInfo, ...]


@answer
class Reloaded(Answer):
    """Which settings a reload changed, and which wait for a restart."""

    changed: tuple[str, ...]
    restart: tuple[str, ...]


@answer
class EventInfo(Answer):
    """Something that happened."""

    as_array: ClassVar[bool] = True
    seq: int
    at: int
    kind: str
    process_id: str | None
    user: str | None
    data: Mapping[str, object]


@answer
class EventPage(Answer):
    """Some events; `last` goes into `since` for those behind them."""

    events: tuple[EventInfo, ...]
    last: int
