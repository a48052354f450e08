"""Large states over shared memory, with a real daemon: copied once, repeated when a daemon dies, restored by mapping."""

import os
import signal
from typing import Any

import pytest

from ckptclient import calls
from ckptclient.errors import NoSpace
from ckptclient.payload import Part
from ckptclient.staging import IDLE_SECONDS, Staging
from tests.daemon import RunningDaemon, daemon, running  # noqa: F401 - a fixture
from tests.fakes import FakeClock

MIB = 1 << 20


def state(seed: int, size_bytes: int = 5 * MIB) -> dict[str, Any]:
    """A state whose large buffer no other seed has; incompressible, so that every byte counts."""
    block = bytes((seed * 31 + n * 7) % 251 for n in range(4096))
    return {"seed": seed, "weights": bytearray(block * (size_bytes // 4096)), "note": "small"}


def mapped(pid: int) -> int:
    """Bytes of staging buffers that a process has mapped."""
    with open(f"/proc/{pid}/maps", encoding="ascii") as maps:
        spans = [line.split()[0].split("-") for line in maps if "memfd:ckptd-staging" in line]
    return sum(int(end, 16) - int(begin, 16) for begin, end in spans)


def test_a_large_state_comes_back_and_is_the_readers_own(daemon: RunningDaemon) -> None:  # noqa: F811
    manager = daemon.manager()
    with manager.process("p", total_steps=2) as process:
        saved = process.save(state(1))
        assert saved.wait("memory") == saved.wait("disk") == "p_processing_state_1"
    with manager.process("p", total_steps=2) as process:
        for _ in range(2):
            restored: Any = process.restore()
            assert restored == state(1)
            restored["weights"][:3] = b"own"
        process.complete()


def test_what_is_changed_after_save_is_not_in_it(daemon: RunningDaemon) -> None:  # noqa: F811
    manager = daemon.manager()
    with manager.process("p") as process:
        changing = state(1)
        saved = [process.save(changing)]
        for seed in (2, 3, 4):
            changing["weights"][:] = state(seed)["weights"]
            changing["seed"] = seed
            saved.append(process.save(changing))
        ids = [one.wait() for one in saved]
        for seed, checkpoint_id in enumerate(ids, 1):
            assert manager.load_checkpoint(checkpoint_id)[1] == state(seed)


def test_buffers_stay_mapped_for_the_next_save_and_no_more_than_are_needed(daemon: RunningDaemon) -> None:  # noqa: F811
    manager = daemon.manager()
    with manager.process("p") as process:
        process.save(state(0)).wait()
        one_buffer = mapped(os.getpid())
        assert 5 * MIB < one_buffer <= 6 * MIB
        for seed in range(5):
            process.save(state(seed)).wait()
            assert mapped(os.getpid()) == one_buffer, "always the same"
        for saved in [process.save(state(seed)) for seed in (7, 8, 9, 10)]:
            saved.wait()
        assert mapped(os.getpid()) <= 2 * one_buffer, "saves don't outrun the disk"


def test_the_queue_does_not_wait_for_the_disk(daemon: RunningDaemon) -> None:  # noqa: F811
    manager = daemon.manager()
    with manager.process("p", total_steps=8) as process:
        large = process.save(state(1, 64 * MIB))
        process.advance(3)
        assert process.report().stop is False, "progress is taken while the save is on its way"
        assert large.wait() == "p_processing_state_1"


def test_a_save_survives_the_death_of_the_daemon_that_had_it(daemon: RunningDaemon) -> None:  # noqa: F811
    manager = daemon.manager()
    with manager.process("p", total_steps=9) as process:
        for seed in range(3):
            saved = process.save(state(seed, 48 * MIB))
            saved.wait("memory")
            daemon.kill()  # before it can have written so much
            assert not saved.done()
            process.advance(1)
            daemon.start()
            assert manager.load_checkpoint(saved.wait("disk"))[1] == state(seed, 48 * MIB)
        process.complete()


def test_a_worker_that_is_killed_after_the_answer_has_saved(daemon: RunningDaemon) -> None:  # noqa: F811
    manager = daemon.manager()
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            process = daemon.manager().process("child")
            saved = process.save(state(7, 32 * MIB)).wait("memory")
            os.write(write, saved.encode())
        finally:
            os.kill(os.getpid(), signal.SIGKILL)
    os.close(write)
    checkpoint_id = os.read(read, 100).decode()
    os.close(read)
    os.waitpid(child, 0)
    assert checkpoint_id, "the child was answered"
    client = daemon.client()
    client.call(calls.wait(checkpoint_id))
    assert manager.load_checkpoint(checkpoint_id)[1] == state(7, 32 * MIB)


def test_a_failed_save_is_raised_at_the_next_call_and_by_its_handle() -> None:
    with running() as small:
        small.settings["store.limit"] = "16 MB"
        small.restart()
        with pytest.raises(NoSpace), small.manager().process("p") as process:
            process.save(state(1, 64 * MIB)).wait()


def test_without_shared_memory_it_crosses_in_pieces() -> None:
    with running() as one:
        one.settings["staging.share"] = "0"
        one.restart()
        manager = one.manager()
        with manager.process("p") as process:
            saved = process.save(state(3))
            assert manager.load_checkpoint(saved.wait())[1] == state(3)
        assert mapped(os.getpid()) == 0


def test_what_was_idle_for_long_is_given_back(daemon: RunningDaemon, monkeypatch: pytest.MonkeyPatch) -> None:  # noqa: F811
    clock = FakeClock()
    monkeypatch.setattr("ckptclient.clock.monotonic", clock.monotonic)
    client = daemon.client()
    staging = Staging(client)
    laid = staging.lay([Part("state", {"kind": "document"}, b"x" * MIB)])
    assert laid is not None
    client.call(calls.close_upload(laid.upload, laid.connection))
    del laid
    clock.tick(IDLE_SECONDS - 1)
    staging.tidy()
    assert mapped(os.getpid()) == MIB
    clock.tick(2)
    staging.tidy()
    assert mapped(os.getpid()) == 0
    assert client.call(calls.release_buffer(1, client.connection)) is False, "the daemon has closed it already"
