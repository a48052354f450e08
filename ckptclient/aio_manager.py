"""`AsyncCheckpointManager` and its handle: the same methods as coroutines.

Each call runs on a worker thread, so that the loop never waits for the daemon. A turn of `track` runs on the loop's
own thread, where the state that it may save belongs; it waits for the disk only with `flush="item"`. Not for: a
protocol driver of its own; whoever wants bare calls on a loop takes `AsyncClient`.
"""

import asyncio
import functools
from collections.abc import AsyncIterator, Callable, Coroutine, Iterable
from types import TracebackType
from typing import Any, Concatenate, Literal, ParamSpec, Self, TypeVar

from ckptclient.config import CheckpointConfig, ProcessingState
from ckptclient.manager import CheckpointManager, StoragePath
from ckptclient.process import OnUnavailable, Process, Result
from ckptclient.storage import CheckpointStorage

P = ParamSpec("P")
T = TypeVar("T")


def _of_manager(
    method: Callable[Concatenate[CheckpointManager, P], T],
) -> Callable[Concatenate["AsyncCheckpointManager", P], Coroutine[Any, Any, T]]:
    @functools.wraps(method)
    async def call(self: "AsyncCheckpointManager", /, *args: P.args, **kwargs: P.kwargs) -> T:
        return await asyncio.to_thread(method, self.sync, *args, **kwargs)

    return call


def _of_storage(
    method: Callable[Concatenate[CheckpointStorage, P], T],
) -> Callable[Concatenate["AsyncCheckpointStorage", P], Coroutine[Any, Any, T]]:
    @functools.wraps(method)
    async def call(self: "AsyncCheckpointStorage", /, *args: P.args, **kwargs: P.kwargs) -> T:
        return await asyncio.to_thread(method, self.sync, *args, **kwargs)

    return call


def _of_process(
    method: Callable[Concatenate[Process, P], T],
) -> Callable[Concatenate["AsyncProcess", P], Coroutine[Any, Any, T]]:
    @functools.wraps(method)
    async def call(self: "AsyncProcess", /, *args: P.args, **kwargs: P.kwargs) -> T:
        return await asyncio.to_thread(method, self.sync, *args, **kwargs)

    return call


class AsyncCheckpointStorage:
    """`CheckpointStorage` as coroutines."""

    def __init__(self, sync: CheckpointStorage) -> None:
        self.sync = sync

    save_checkpoint = _of_storage(CheckpointStorage.save_checkpoint)
    load_checkpoint = _of_storage(CheckpointStorage.load_checkpoint)
    list_checkpoints = _of_storage(CheckpointStorage.list_checkpoints)
    delete_checkpoint = _of_storage(CheckpointStorage.delete_checkpoint)
    cleanup_expired_checkpoints = _of_storage(CheckpointStorage.cleanup_expired_checkpoints)
    get_storage_stats = _of_storage(CheckpointStorage.get_storage_stats)


class AsyncCheckpointManager:
    """`CheckpointManager` as coroutines; `sync` is the one beneath."""

    def __init__(
        self,
        storage_path: StoragePath | CheckpointConfig | None = None,
        *,
        socket_path: StoragePath | None = None,
        on_unavailable: OnUnavailable = "block",
        timeout: float = 60.0,
    ) -> None:
        """As `CheckpointManager`; connects at the first call."""
        self.sync = CheckpointManager(
            storage_path, socket_path=socket_path, on_unavailable=on_unavailable, timeout=timeout
        )
        self.storage = AsyncCheckpointStorage(self.sync.storage)
        self.add_checkpoint_callback = self.sync.add_checkpoint_callback

    @property
    def active_processes(self) -> dict[str, ProcessingState]:
        """The processes that this manager holds, with their live states."""
        return self.sync.active_processes

    register_process = _of_manager(CheckpointManager.register_process)
    update_process_progress = _of_manager(CheckpointManager.update_process_progress)
    complete_process = _of_manager(CheckpointManager.complete_process)
    fail_process = _of_manager(CheckpointManager.fail_process)
    recover_process = _of_manager(CheckpointManager.recover_process)
    create_checkpoint = _of_manager(CheckpointManager.create_checkpoint)
    load_checkpoint = _of_manager(CheckpointManager.load_checkpoint)
    list_checkpoints = _of_manager(CheckpointManager.list_checkpoints)
    delete_checkpoint = _of_manager(CheckpointManager.delete_checkpoint)
    get_system_stats = _of_manager(CheckpointManager.get_system_stats)
    start_background_tasks = _of_manager(CheckpointManager.start_background_tasks)
    stop_background_tasks = _of_manager(CheckpointManager.stop_background_tasks)
    close = _of_manager(CheckpointManager.close)
    _process = _of_manager(CheckpointManager.process)

    async def process(self, process_id: str, **terms: Any) -> "AsyncProcess":
        """As `CheckpointManager.process`: `async with await manager.process("id") as process:`."""
        return AsyncProcess(await self._process(process_id, **terms))

    async def results(self, process_id: str) -> AsyncIterator[Result]:
        """As `CheckpointManager.results`."""
        async for one in _threaded(self.sync.results(process_id)):
            yield one

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        await self.close()


class AsyncProcess:
    """`Process` as coroutines; what never waits (`advance`, `record`, `fail_item`) is a plain call."""

    def __init__(self, sync: Process) -> None:
        self.sync = sync
        self.advance, self.record, self.fail_item = sync.advance, sync.record, sync.fail_item
        self.on_checkpoint = sync.on_checkpoint

    save = _of_process(Process.save)
    restore = _of_process(Process.restore)
    flush = _of_process(Process.flush)
    complete = _of_process(Process.complete)
    member_token = _of_process(Process.member_token)

    @property
    def state(self) -> ProcessingState:
        """The live state."""
        return self.sync.state

    @property
    def should_stop(self) -> bool:
        """Whether to end after the item in hand."""
        return self.sync.should_stop

    async def track(
        self,
        items: Iterable[T],
        key: Callable[[T], object] | None = None,
        state: object = None,
        flush: Literal["batch", "item"] = "batch",
        retry_failed: bool = False,
    ) -> AsyncIterator[T]:
        """As `Process.track`, for `async for`."""
        for item in await asyncio.to_thread(self.sync.track, items, key, state, flush, retry_failed):
            yield item

    async def results(self) -> AsyncIterator[Result]:
        """As `Process.results`."""
        async for one in _threaded(await asyncio.to_thread(self.sync.results)):
            yield one

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> bool:
        return await asyncio.to_thread(self.sync.__exit__, kind, error, where)


async def _threaded(results: Iterable[T]) -> AsyncIterator[T]:
    """An iterator that reads pages, without the loop waiting for them."""
    over: Any = object()
    iterator = iter(results)
    while (one := await asyncio.to_thread(next, iterator, over)) is not over:
        yield one
