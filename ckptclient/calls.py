"""Every request as a value, one function per method; owns the term *call*. Sans-I/O, shared by both drivers.

A call knows its parameters, how its answer is read, whether it changes something and how long it may take; `flight`
carries it. The number that makes a mutation idempotent is attached when the call is first submitted (`bind`), and in
one place only, so that whatever is sent again is sent under the same one. Not for: turning states into parts
(`payload`), nor judging parameters: the daemon names the one it refuses.
"""

from collections.abc import Callable
from typing import Generic, TypeVar, cast

from ckptclient import results
from ckptclient.results import nothing, only
from ckptclient.version import __version__
from ckptclient.wire import limits, params
from ckptclient.wire.fields import Params

T_co = TypeVar("T_co", covariant=True)

VERSIONS = (limits.PROTOCOL_VERSION,)
"""The protocol versions that this release speaks."""

UNNUMBERED = 0
"""What stands for a request's number until it is bound; the daemon would refuse it."""


class Call(Generic[T_co]):
    """One request to be made, and the way from its reply to a value. Written to once, when it is made."""

    __slots__ = ("connection", "method", "mutates", "number", "params", "passes", "read", "timeout_seconds")

    def __init__(
        self,
        method: str,
        params: Params,
        read: Callable[[object], T_co],
        mutates: bool = False,
        timeout_seconds: float | None = None,
        connection: int | None = None,
        number: int | None = None,
        passes: bool = False,
    ) -> None:
        """`timeout_seconds`: its own time limit; None takes the client's.

        `connection` is the one connection (the driver's count) on which it means something, that of its upload; None:
        any. `number` is the request number of a mutation that was submitted before. `passes`: descriptors may ride with
        the reply; the reader finds them in it and owns them.
        """
        self.method = method
        self.params = params
        self.read = read
        self.mutates = mutates
        self.timeout_seconds = timeout_seconds
        self.connection = connection
        self.number = number
        self.passes = passes

    def bind(self, number: int) -> "Call[T_co]":
        """The same call under a request number: the first submission's, for whoever repeats it by hand."""
        limit, connection = self.timeout_seconds, self.connection
        return Call(self.method, self.params, self.read, self.mutates, limit, connection, number, self.passes)

    def packed(self) -> dict[str, object]:
        """The parameters as they cross."""
        packed = cast("dict[str, object]", self.params.pack())
        if self.mutates:
            packed["request"] = self.number or UNNUMBERED
        return packed


def hello(session: bytes) -> Call[results.Welcome]:
    """Begin a connection; raises VERSION where no version is common. The drivers make this call by themselves."""
    greeting = params.Hello(versions=VERSIONS, client=f"ckptclient {__version__}", session=session)
    return Call("hello", greeting, results.Welcome.read)


def ping() -> Call[int]:
    """The daemon's time."""
    return Call("ping", params.Nothing(), only("now", int))


def register(
    process_id: str,
    *,
    task_id: str = "",
    progress: params.Progress | None = None,
    description: str = "",
    fresh: bool = False,
    takeover: bool = False,
    fingerprint: bytes | None = None,
    schema_version: int = 0,
    on_change: str = "refuse",
    policy: params.Policy | None = None,
    state_bytes: int = 0,
) -> Call[results.Registered]:
    """Become the holder of a process, or resume it; raises HELD, CONFLICT (a changed fingerprint), NO_SPACE."""
    request = params.Register(
        request=UNNUMBERED,
        process_id=process_id,
        task_id=task_id,
        progress=progress,
        description=description,
        fresh=fresh,
        takeover=takeover,
        fingerprint=fingerprint,
        schema_version=schema_version,
        on_change=on_change,
        policy=policy,
        state_bytes=state_bytes,
    )
    return Call("process.register", request, results.Registered.read, mutates=True)


def recover(process_id: str, *, takeover: bool = False) -> Call[results.Registered]:
    """Take over a process after an interruption; raises NOT_FOUND where there is nothing to recover, HELD."""
    request = params.Recover(request=UNNUMBERED, process_id=process_id, takeover=takeover)
    return Call("process.recover", request, results.Registered.read, mutates=True)


def attach(token: bytes) -> Call[results.Attached]:
    """Hold on to a process over a new connection; raises FENCED."""
    return Call("process.attach", params.Attach(token=token), results.Attached.read)


def advance(token: bytes, progress: params.Progress) -> Call[results.Tick]:
    """Report progress; raises FENCED."""
    return Call("process.progress", params.Advance(token=token, progress=progress), results.Tick.read)


def end(token: bytes, state: str, *, progress: params.Progress | None = None, error: str = "") -> Call[str]:
    """Let go of a process (`params.END_STATES`); answers its state. Raises FENCED."""
    request = params.End(request=UNNUMBERED, token=token, state=state, progress=progress, error=error)
    return Call("process.end", request, only("state", str), mutates=True)


def member(token: bytes) -> Call[bytes]:
    """A token for another OS process that works under this one's epoch; raises FENCED, CONFLICT (stateful)."""
    return Call("process.member", params.Member(request=UNNUMBERED, token=token), only("token", bytes), mutates=True)


def fence(process_id: str) -> Call[int]:
    """Raise the epoch so that whoever holds the process can't write any more; answers the new one."""
    request = params.MutateProcess(request=UNNUMBERED, process_id=process_id)
    return Call("process.fence", request, only("epoch", int), mutates=True)


def stop(process_id: str) -> Call[bool]:
    """Ask the holder to stop after its item in hand; answers whether there is one to ask."""
    return Call("process.stop", params.NamedProcess(process_id=process_id), only("asked", bool))


PROVE_SECONDS = 24 * 3600.0


def prove(process_id: str) -> Call[results.Proven]:
    """Read the newest checkpoint of a process whole, now; it takes as long as its bytes do. Raises NOT_FOUND."""
    request = params.NamedProcess(process_id=process_id)
    return Call("process.prove", request, results.Proven.read, timeout_seconds=PROVE_SECONDS)


def show(process_id: str) -> Call[results.ProcessInfo]:
    """One process; raises NOT_FOUND."""
    return Call("process.show", params.NamedProcess(process_id=process_id), results.ProcessInfo.read)


def processes(
    *, states: tuple[str, ...] = (), task_id: str | None = None, limit: int = 100, after: int | None = None
) -> Call[results.ProcessPage]:
    """A page of processes, last changed first."""
    request = params.ListProcesses(states=states, task_id=task_id, limit=limit, after=after)
    return Call("process.list", request, results.ProcessPage.read)


def append(
    token: bytes, records: tuple[params.Record, ...], *, progress: params.Progress | None = None
) -> Call[results.Appended]:
    """Record items durably, with the progress that they mean; raises FENCED, NO_SPACE."""
    request = params.AppendRecords(request=UNNUMBERED, token=token, records=records, progress=progress)
    return Call("journal.append", request, results.Appended.read, mutates=True)


def records(
    process_id: str, *, after: int = -1, limit: int = 500, failed_only: bool = False
) -> Call[results.RecordPage]:
    """A page of the result journal; raises NOT_FOUND."""
    request = params.ReadRecords(process_id=process_id, after=after, limit=limit, failed_only=failed_only)
    return Call("journal.read", request, results.RecordPage.read)


def ordinals(token: bytes, *, first: int = 0, count: int = 1 << 22) -> Call[results.Ordinals]:
    """Which places of the sequence are recorded."""
    return Call("journal.ordinals", params.DoneOrdinals(token=token, first=first, count=count), results.Ordinals.read)


def digests(token: bytes, *, after: bytes = b"", limit: int = 50_000) -> Call[results.Digests]:
    """A page of which keyed items are recorded."""
    return Call("journal.digests", params.DoneDigests(token=token, after=after, limit=limit), results.Digests.read)


def sequence(
    token: bytes,
    digest: bytes,
    length: int,
    *,
    prefix_digest: bytes | None = None,
    prefix_length: int = 0,
    stateful: bool = False,
) -> Call[results.SequenceInfo]:
    """Say which sequence the ordinals mean; raises CONFLICT where it changed and that is refused, FENCED."""
    request = params.Sequence(
        request=UNNUMBERED,
        token=token,
        digest=digest,
        length=length,
        prefix_digest=prefix_digest,
        prefix_length=prefix_length,
        stateful=stateful,
    )
    return Call("journal.sequence", request, results.SequenceInfo.read, mutates=True)


def announce(token: bytes, ordinal: int, item: bytes) -> Call[None]:
    """Name the item in hand before it begins."""
    return Call("item.announce", params.Announce(token=token, ordinal=ordinal, item=item), nothing)


def open_upload(parts: tuple[params.PartPlan, ...], connection: int) -> Call[int]:
    """Begin an upload on the connection that is there (the driver's `connection`); answers its number.

    It ends with the connection: this and every other call that is tied to it then raises UNREACHABLE with
    `details["connection"]`. Open another, and save under the request number that the lost `save` was bound to.
    """
    return Call("upload.open", params.OpenUpload(parts=parts), only("upload", int), connection=connection)


def stage_parts(parts: tuple[params.PartPlan, ...], connection: int) -> Call[results.Staged]:
    """The same, in a staging buffer where one can be had (`wire.layout` says where each part goes)."""
    request = params.OpenUpload(parts=parts, staging=True)
    return Call("upload.open", request, results.Staged.read, connection=connection, passes=True)


def release_buffer(buffer: int, connection: int) -> Call[bool]:
    """Give an idle staging buffer back; False where the daemon knows no such one."""
    return Call("staging.release", params.ReleaseBuffer(buffer=buffer), only("released", bool), connection=connection)


def write_part(upload: int, part: int, offset: int, data: bytes, connection: int) -> Call[None]:
    """Send a piece of a part (`limits.piece_bytes_max` at most)."""
    request = params.WritePart(upload=upload, part=part, offset=offset, data=data)
    return Call("part.write", request, nothing, connection=connection)


def close_upload(upload: int, connection: int) -> Call[None]:
    """Forget an upload that will not be saved."""
    return Call("upload.close", params.CloseUpload(upload=upload), nothing, connection=connection)


def save(request: params.Save, connection: int | None = None, number: int | None = None) -> Call[results.SavedInfo]:
    """Make a checkpoint; raises FENCED, CONFLICT (another head), HELD, NO_SPACE, QUOTA, READ_ONLY.

    The parameters have `request=UNNUMBERED`; with an upload, `connection` is the one that it was opened on. `number`
    as in `Call.bind`.
    """
    return Call("checkpoint.save", request, results.SavedInfo.read, True, None, connection, number)


def stage_save(request: params.Stage, connection: int, number: int) -> Call[results.Admitted]:
    """Have a checkpoint made of an upload; answered once the daemon has its bytes. `wait` tells when it is on disk."""
    return Call("checkpoint.stage", request, results.Admitted.read, True, None, connection, number)


def get(checkpoint_id: str, *, data: bool = True, lend: bool = False) -> Call[results.CheckpointContent]:
    """One checkpoint with its parts, small ones with their bytes; raises NOT_FOUND, DAMAGED.

    With `lend` the large ones come in memory that is mapped by the descriptor in the result, which is the caller's.
    """
    request = params.GetCheckpoint(checkpoint_id=checkpoint_id, data=data, lend=lend)
    return Call("checkpoint.get", request, results.CheckpointContent.read, passes=lend)


def read_part(checkpoint_id: str, part: int, offset: int, length: int) -> Call[bytes]:
    """A piece of one part's plain bytes; raises NOT_FOUND, DAMAGED."""
    request = params.ReadPart(checkpoint_id=checkpoint_id, part=part, offset=offset, length=length)
    return Call("checkpoint.read", request, only("data", bytes))


def restore(token: bytes, *, lend: bool = False) -> Call[results.Restored]:
    """Put the newest restorable state back; raises FENCED, DAMAGED where every one is. `lend` as in `get`."""
    request = params.Restore(request=UNNUMBERED, token=token, lend=lend)
    return Call("checkpoint.restore", request, results.Restored.read, mutates=True, passes=lend)


def checkpoints(request: params.ListCheckpoints) -> Call[results.CheckpointPage]:
    """A page of checkpoints, newest first."""
    return Call("checkpoint.list", request, results.CheckpointPage.read)


def delete(checkpoint_id: str) -> Call[bool]:
    """Put a checkpoint into the trash; answers whether there was one."""
    return _mutate_checkpoint("checkpoint.delete", checkpoint_id, "deleted")


def pin(checkpoint_id: str) -> Call[bool]:
    """Exempt a checkpoint from expiry; raises NOT_FOUND."""
    return _mutate_checkpoint("checkpoint.pin", checkpoint_id, "pinned")


def unpin(checkpoint_id: str) -> Call[bool]:
    """Let a checkpoint expire again; raises NOT_FOUND."""
    return _mutate_checkpoint("checkpoint.unpin", checkpoint_id, "pinned")


def archive(checkpoint_id: str) -> Call[results.Archived]:
    """Move a completed process's checkpoint to the archive."""
    return _archiving("checkpoint.archive", checkpoint_id)


def unarchive(checkpoint_id: str) -> Call[results.Archived]:
    """Bring an archived checkpoint back into the store."""
    return _archiving("checkpoint.unarchive", checkpoint_id)


def _archiving(method: str, checkpoint_id: str) -> Call[results.Archived]:
    request = params.MutateCheckpoint(request=UNNUMBERED, checkpoint_id=checkpoint_id)
    # A large one takes its time.
    return Call(method, request, results.Archived.read, mutates=True, timeout_seconds=600.0)


def revive(checkpoint_id: str) -> Call[results.Revived]:
    """Take a checkpoint out of the trash; raises NOT_FOUND where it is gone for good."""
    request = params.MutateCheckpoint(request=UNNUMBERED, checkpoint_id=checkpoint_id)
    return Call("checkpoint.revive", request, results.Revived.read, mutates=True)


def _mutate_checkpoint(method: str, checkpoint_id: str, answer: str) -> Call[bool]:
    request = params.MutateCheckpoint(request=UNNUMBERED, checkpoint_id=checkpoint_id)
    return Call(method, request, only(answer, bool), mutates=True)


def wait(checkpoint_id: str, *, level: str = "disk", timeout_seconds: float | None = None) -> Call[str]:
    """Wait until a checkpoint is durable at a level; answers its id, raises what its save failed with, NOT_FOUND.

    The id is another one where the save was a repetition of one that had been made.
    """
    request = params.WaitCheckpoint(checkpoint_id=checkpoint_id, level=level)
    return Call("checkpoint.wait", request, only("checkpoint_id", str), timeout_seconds=timeout_seconds)


def status() -> Call[results.StoreStatus]:
    """The daemon and its store at a glance."""
    return Call("store.status", params.Nothing(), results.StoreStatus.read)


def stats() -> Call[results.StoreStats]:
    """Checkpoints by status and type."""
    return Call("store.stats", params.Nothing(), results.StoreStats.read)


def cleanup(
    *, dry_run: bool = False, confirm_clock: bool = False, confirm_policy: bool = False
) -> Call[results.Cleaned]:
    """Expire and purge what is due now, or say what would go; raises DENIED where a worker confirms."""
    request = params.Cleanup(
        request=UNNUMBERED, dry_run=dry_run, confirm_clock=confirm_clock, confirm_policy=confirm_policy
    )
    return Call("store.cleanup", request, results.Cleaned.read, mutates=True)


def verify(*, deep: bool = False, place: tuple[int, ...] = ()) -> Call[results.Verified]:
    """A slice of a look at everything that is stored; go on with `place=next` until that is None."""
    request = params.Verify(deep=deep, place=place)
    # A recount of a large catalog takes its time.
    return Call("store.verify", request, results.Verified.read, timeout_seconds=600.0)


def damage() -> Call[results.DamageReport]:
    """What is known to be damaged, and how far the scrub is."""
    return Call("store.damage", params.Nothing(), results.DamageReport.read)


def scrub(act: str, *, source: str | None = None) -> Call[results.Steered]:
    """Begin a look at everything now (`start`), stop it (`pause`), go on (`resume`); `repair` from a backup."""
    request = params.Scrub(request=UNNUMBERED, act=act, source=source)
    # A repair takes as long as its bytes.
    timeout = 600.0 if act == "repair" else None
    return Call("store.scrub", request, results.Steered.read, mutates=True, timeout_seconds=timeout)


def backup_begin() -> Call[results.BackupBegun]:
    """Have every pack held while a backup is copied from the store's files; an operator's call."""
    return Call("backup.begin", params.Mutate(request=UNNUMBERED), results.BackupBegun.read, mutates=True)


def backup_end(backup: int, checksum: bytes | None, name: str, path: str) -> Call[results.BackupEnded]:
    """A backup is complete, or with no checksum has failed: its packs may go."""
    ended = params.EndBackup(request=UNNUMBERED, backup=backup, checksum=checksum, name=name, path=path)
    return Call("backup.end", ended, results.BackupEnded.read, mutates=True)


def health() -> Call[results.HealthReport]:
    """How the daemon and its store do: the score, what it is made of, and what would raise it."""
    return Call("health.report", params.Nothing(), results.HealthReport.read)


def config_show() -> Call[results.Settings]:
    """The settings in force; an operator's call."""
    return Call("config.show", params.Nothing(), results.Settings.read)


def config_reload() -> Call[results.Reloaded]:
    """Read the configuration again; an operator's call. Raises CONFIG with every problem."""
    return Call("config.reload", params.Mutate(request=UNNUMBERED), results.Reloaded.read, mutates=True)


EVENTS_GRACE_SECONDS = 10.0


def events(
    since: int = -1, *, process_id: str | None = None, limit: int = 200, wait_seconds: float = 0.0
) -> Call[results.EventPage]:
    """Events after a sequence number; with `wait_seconds` (60 at most) the first that comes is waited for."""
    request = params.ReadEvents(since=since, process_id=process_id, limit=limit, wait_seconds=wait_seconds)
    limit_seconds = wait_seconds + EVENTS_GRACE_SECONDS if wait_seconds else None
    return Call("events.read", request, results.EventPage.read, timeout_seconds=limit_seconds)
