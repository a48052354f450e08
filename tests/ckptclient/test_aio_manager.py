"""The coroutine twin: the same methods, and the handle under `async with` and `async for`."""

import inspect

from ckptclient.aio_manager import AsyncCheckpointManager, AsyncCheckpointStorage
from ckptclient.manager import CheckpointManager
from ckptclient.storage import CheckpointStorage
from tests.daemon import RunningDaemon, shared_daemon  # noqa: F401


def public(kind: type) -> set[str]:
    return {name for name, _ in inspect.getmembers(kind, callable) if not name.startswith("_")}


def test_it_has_every_method_of_the_other() -> None:
    others = {"member", "add_checkpoint_callback"}  # a pool's worker is no coroutine; the other waits for nothing
    assert public(CheckpointManager) - public(AsyncCheckpointManager) == others
    assert public(CheckpointStorage) - public(AsyncCheckpointStorage) == {"make", "find"}


async def test_the_originals_names(shared_daemon: RunningDaemon) -> None:  # noqa: F811
    async with AsyncCheckpointManager(socket_path=shared_daemon.socket) as manager:
        await manager.start_background_tasks()
        state = await manager.register_process("aio", "t", 100)
        await manager.update_process_progress("aio", 50)
        assert manager.active_processes["aio"].progress_percentage == state.progress_percentage == 50.0
        created = await manager.create_checkpoint("aio", "t", "custom", {"a": 1})
        assert (await manager.load_checkpoint(created))[1] == {"a": 1}
        assert (await manager.storage.load_checkpoint(created))[1] == {"a": 1}
        final = await manager.complete_process("aio")
        assert (await manager.list_checkpoints("aio"))[0].checkpoint_id == final


async def test_the_handle(shared_daemon: RunningDaemon) -> None:  # noqa: F811
    async with AsyncCheckpointManager(socket_path=shared_daemon.socket) as manager:
        async with await manager.process("handle") as process:
            async for item in process.track(range(5)):
                process.record(item, item * 2)
                if item == 2:
                    break
        state: dict[str, int] = {}
        async with await manager.process("handle") as process:
            async for item in process.track(range(5)):
                process.record(item, item * 2)
            assert [one.value async for one in process.results()] == [0, 2, 4, 6, 8]
        async with await manager.process("stateful") as process:
            saved = await process.save({"a": 1})
            assert await saved == saved.checkpoint_id
            assert await process.restore("none") == "none"
        assert state == {}
        assert [one.item async for one in manager.results("handle")] == [0, 1, 2, 3, 4]
