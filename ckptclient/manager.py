"""`CheckpointManager`: the names of the original system, and the door to the handle.

A manager is a client of one daemon and the processes that this program holds there. It decides nothing: registrations
carry what the program asks for, and the daemon answers. Not for: what a process does (`process`).
"""

import os
from collections.abc import Iterator, Mapping, Sequence
from datetime import timedelta
from functools import partial
from types import TracebackType
from typing import Any, Literal, Self, TypeAlias

from ckptclient import calls
from ckptclient.callbacks import Callback, Callbacks
from ckptclient.config import (
    CheckpointConfig,
    CheckpointMetadata,
    CheckpointStatus,
    CheckpointType,
    Keep,
    ProcessingState,
)
from ckptclient.errors import BadRequest, NotFound
from ckptclient.holds import Holds, warn
from ckptclient.payload import encode
from ckptclient.process import (
    Content,
    Hold,
    Member,
    OnChange,
    OnUnavailable,
    Process,
    Result,
    Terms,
    check_level,
    results,
    stored,
)
from ckptclient.process.live import packed_metadata
from ckptclient.registration import daemon_settings, policy_of, registration
from ckptclient.storage import CheckpointStorage, plain, state_of, word_of
from ckptclient.sync import Client
from ckptclient.wire import params

StoragePath: TypeAlias = str | os.PathLike[str]


class CheckpointManager:
    """The processes that this program holds, and all checkpoints of its user. Thread-safe."""

    def __init__(
        self,
        storage_path: StoragePath | CheckpointConfig | None = None,
        *,
        socket_path: StoragePath | None = None,
        on_unavailable: OnUnavailable = "block",
        timeout: float = 60.0,
    ) -> None:
        """A path, or a configuration that has one, means the daemon that owns that store: it is started where none runs.

        Otherwise the node's daemon is used, else the user's own. `timeout` in seconds for each call.
        """
        given = isinstance(storage_path, CheckpointConfig)
        self.config = (
            storage_path if isinstance(storage_path, CheckpointConfig) else CheckpointConfig.from_environment()
        )
        path = self.config.storage_path if isinstance(storage_path, CheckpointConfig) else storage_path
        self._asks = self.config if given else None
        self._warned = False
        self._on_unavailable = on_unavailable
        settings = daemon_settings(self.config) if given else ()
        self._connect = partial(Client, socket_path, storage_path=path, settings=settings, timeout=timeout)
        self._clients: dict[str, Client] = {}
        self._callbacks = Callbacks()
        self._holds = Holds(self._callbacks)
        self._client = self._client_of(on_unavailable)
        self.active_processes = self._holds.states
        """The processes that this manager holds, with their live states."""
        self.storage = CheckpointStorage(self._client)
        self.auto_checkpoint_interval = self.config.auto_checkpoint_interval
        self.cleanup_interval = self.config.cleanup_interval

    def _client_of(self, on_unavailable: OnUnavailable) -> Client:
        """The connection for processes that wait for a daemon, or that for those which don't."""
        if on_unavailable not in ("block", "raise", "spool"):
            raise BadRequest(f"on_unavailable is {on_unavailable!r}", hint="accepted: block, raise, spool")
        kind: Literal["block", "raise"] = "raise" if on_unavailable == "raise" else "block"
        if kind not in self._clients:
            client = self._connect(on_unavailable=kind)
            client.on_reconnect(self._holds.reattach)
            self._clients[kind] = client
        return self._clients[kind]

    @property
    def client(self) -> Client:
        """The connection beneath, for calls that have no method here."""
        return self._client

    @property
    def clients(self) -> tuple[Client, ...]:
        """All connections: one more where a process asked for another `on_unavailable` than the manager's."""
        return tuple(self._clients.values())

    # The handle

    def process(
        self,
        process_id: str,
        *,
        task_id: str = "",
        total_steps: int | None = None,
        description: str = "",
        fresh: bool = False,
        takeover: bool = False,
        on_change: OnChange = "refuse",
        fingerprint: object = None,
        schema_version: int = 0,
        checkpoint_interval: float | Literal["auto"] | None = None,
        checkpoint_progress: float | None = None,
        ttl_hours: float | None = None,
        abandon_after: float | timedelta | None = None,
        keep: Keep | None = None,
        state_bytes: int = 0,
        on_unavailable: OnUnavailable | None = None,
    ) -> Process:
        """Hold a process: a new one, or the resumption of an unfinished one; `fresh` begins a new life of it.

        `checkpoint_interval` in seconds or "auto", `checkpoint_progress` in percent of the total, `abandon_after` in
        seconds, `keep` which checkpoints: each in place of the node's setting. `fingerprint` is any value that stands for code, configuration
        and input; `on_change` says what another one than at the beginning means ("refuse", "warn", "restart").
        `state_bytes` announces the size of the states, so that what can never fit is refused at once.

        Raises HELD where another worker holds it (`takeover` fences that one), CONFLICT for a changed fingerprint.
        """
        asked = registration(
            process_id,
            task_id=task_id,
            total_steps=total_steps,
            description=description,
            takeover=takeover,
            on_change=on_change,
            fingerprint=fingerprint,
            schema_version=schema_version,
            policy=policy_of(self._asks, checkpoint_interval, checkpoint_progress, ttl_hours, abandon_after, keep),
            state_bytes=state_bytes,
        )
        terms = Terms(
            task_id=task_id,
            on_change=on_change,
            on_unavailable=on_unavailable or self._on_unavailable,
            schema_version=schema_version,
            ttl_hours=ttl_hours,
        )
        client = self._client_of(terms.on_unavailable)
        process = Process(
            client, client.call(asked(fresh)), terms, self._holds.told, again=lambda: client.call(asked(True))
        )
        self._holds.add(process)
        return process

    def member(self, token: str) -> Member:
        """Work on a process that another OS process holds; the token is what its `member_token()` gave."""
        member = Member(self._client, token, on_unavailable=self._on_unavailable)
        self._holds.members.add(member)
        return member

    def results(self, process_id: str) -> Iterator[Result]:
        """A process's results in journal order, whoever holds it, and after its end; raises `UnknownProcess`."""
        return results(self._client, process_id)

    # Processes, as the original names them

    def register_process(
        self, process_id: str, task_id: str, total_steps: int, description: str = ""
    ) -> ProcessingState:
        """Hold a process and make its initial checkpoint; an unfinished one is resumed where it stood.

        Returns its live state. Raises HELD where another worker holds it.
        """
        policy = policy_of(self._asks)
        asked = registration(
            process_id, task_id=task_id, total_steps=total_steps, description=description, policy=policy
        )
        registered = self._client.call(asked(False))
        hold = self._holds.add(Hold(self._client, registered, self._terms(task_id), self._holds.told))
        if not registered.resumed:
            hold.join(hold.checkpoint("initial checkpoint"))
        return hold.state

    def update_process_progress(
        self,
        process_id: str,
        completed_steps: int | None = None,
        current_step: str | None = None,
        metadata: Mapping[str, object] | None = None,
        auto_checkpoint: bool = True,
    ) -> ProcessingState:
        """Report progress; metadata is merged. A checkpoint is made where one is due (each 5 %), unless not wanted.

        Returns the live state. Raises `UnknownProcess` (a ValueError too) for one that this manager doesn't hold.
        """
        hold = self._holds.find(process_id)
        hold.automatic = False
        hold.update(
            completed=completed_steps,
            step=current_step,
            metadata=metadata,
        )
        if auto_checkpoint and hold.report().due:
            hold.join(hold.checkpoint("automatic"))
        hold.automatic = auto_checkpoint
        return hold.state

    def complete_process(self, process_id: str, final_data: object = None) -> str:
        """End a process as completed; joins its saves and raises what failed. Returns the last checkpoint's id.

        That checkpoint's data is `{"state": ..., "final_data": ...}`. Raises `UnknownProcess`.
        """
        hold = self._holds.find(process_id)
        data = stored(encode({"state": plain(hold.state), "final_data": final_data}))
        return hold.end("completed", parts=data, description="final checkpoint").checkpoint_id

    def fail_process(self, process_id: str, error: object = None) -> str:
        """End a process as failed, with an error checkpoint, whose id is returned; it can be recovered."""
        words = f"{type(error).__name__}: {error}" if isinstance(error, BaseException) else str(error or "")
        return self._holds.find(process_id).fail(words).checkpoint_id

    def recover_process(self, process_id: str, takeover: bool = False) -> ProcessingState | None:
        """Take a process over after an interruption: its state as of the newest checkpoint that holds one, live.

        None where there is nothing to recover. Raises HELD where another worker holds it (`takeover` fences that one).
        """
        try:
            registered = self._client.call(calls.recover(process_id, takeover=takeover))
        except NotFound:
            return None
        task_id = registered.checkpoint.task_id if registered.checkpoint is not None else ""
        hold = Hold(self._client, registered, self._terms(task_id), self._holds.told)
        state = self._newest_state(process_id)
        if state is None:
            hold.abandon("interrupted")
            return None
        hold.stand_at(state)
        return self._holds.add(hold).state

    def _newest_state(self, process_id: str) -> ProcessingState | None:
        for info in self.storage.find(process_id):
            found = self._client.call(calls.get(info.checkpoint_id))
            progress = Content(self._client, found, found.parts).progress()
            if progress is not None:
                return state_of(found, progress)
        return None

    # Checkpoints

    def create_checkpoint(
        self,
        process_id: str,
        task_id: str,
        checkpoint_type: CheckpointType | str,
        data: object,
        description: str = "",
        tags: Sequence[str] | None = None,
        ttl_hours: float | None = 24,
        dependencies: Sequence[str] = (),
        durability: Literal["memory", "disk"] = "disk",
        metadata: Mapping[str, object] | None = None,
    ) -> str:
        """Make a checkpoint and wait for it; returns its id. The process need not be registered.

        `ttl_hours` may be a fraction. Raises `Encoding` with the path of what can't be stored, HELD, NO_SPACE.
        """
        check_level(durability)
        kind, encoded = word_of(CheckpointType, checkpoint_type), encode(plain(data))
        hold = self._holds.get(process_id)
        if hold is not None:
            job = hold.put(
                type=kind,
                task_id=task_id,
                parts=hold.ready(encoded),
                description=description,
                tags=tags or (),
                ttl_hours=ttl_hours,
                depends=dependencies,
                metadata=metadata,
            )
            return hold.join(job).checkpoint_id
        request = params.Save(
            request=calls.UNNUMBERED,
            process_id=process_id,
            task_id=task_id,
            type=kind,
            has_state=False,
            description=description,
            tags=tuple(tags or ()),
            ttl_seconds=None if ttl_hours is None else ttl_hours * 3600.0,
            depends=tuple(dependencies),
            metadata=None if metadata is None else packed_metadata(metadata),
        )
        parts = stored(encoded)
        info = self.storage.make(request, parts)
        self._holds.created("created", process_id, request, info, sum(len(part.data) for part in parts))
        return info.checkpoint_id

    def load_checkpoint(self, checkpoint_id: str) -> tuple[CheckpointMetadata, Any]:
        """As `storage.load_checkpoint`."""
        return self.storage.load_checkpoint(checkpoint_id)

    def list_checkpoints(
        self,
        process_id: str | None = None,
        task_id: str | None = None,
        checkpoint_type: CheckpointType | str | None = None,
        status: CheckpointStatus | str | None = None,
    ) -> list[CheckpointMetadata]:
        """As `storage.list_checkpoints`."""
        return self.storage.list_checkpoints(process_id, task_id, checkpoint_type, status)

    def delete_checkpoint(self, checkpoint_id: str) -> bool:
        """As `storage.delete_checkpoint`."""
        return self.storage.delete_checkpoint(checkpoint_id)

    # The rest

    def add_checkpoint_callback(self, event_type: str, callback: Callback) -> None:
        """Have a function, or coroutine function, called on a thread of the client: `callback(id, event_type, metadata)`.

        Event types: "created", for each checkpoint that this manager makes, and "completed", for the last one of a
        process. What it raises is logged.
        """
        self._callbacks.add(event_type, callback)

    def get_system_stats(self) -> dict[str, Any]:
        """Storage statistics and the processes that this manager holds."""
        details = {
            process_id: {
                "task_id": state.task_id,
                "progress": state.progress_percentage,
                "current_step": state.current_step,
                "start_time": state.start_time.isoformat(),
                "estimated_completion": state.estimated_completion.isoformat() if state.estimated_completion else None,
            }
            for process_id, state in tuple(self.active_processes.items())
        }
        return {
            "storage": self.storage.get_storage_stats(),
            "active_processes": len(details),
            "process_details": details,
        }

    def start_background_tasks(self) -> None:
        """Cleanup is the daemon's and reports go by themselves, so this only warns of settings that don't count here.

        Harmless when repeated. Raises UNREACHABLE where no daemon answers.
        """
        if self._asks is not None and not self._warned:
            self._warned = True
            limit, wanted = self._client.call(calls.status()).limit_bytes, round(self._asks.max_storage_size_gb * 1e9)
            if limit != wanted:
                has = "no limit" if limit is None else f"a limit of {limit:,} bytes"
                warn(
                    f"the daemon's store has {has}, whatever max_storage_size_gb says: the limit is the daemon's to set"
                )

    def stop_background_tasks(self) -> None:
        """Wait until callbacks were told of everything that happened. Harmless when repeated."""
        self._callbacks.join()

    def close(self) -> None:
        """Send what is waiting and end the connection. Processes still held are let go as interrupted, by their lease."""
        try:
            for one in self._holds.all():
                one.close()
            self._callbacks.join()
        finally:
            for client in self.clients:
                client.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        self.close()

    def _terms(self, task_id: str) -> Terms:
        return Terms(task_id=task_id, on_unavailable=self._on_unavailable)
