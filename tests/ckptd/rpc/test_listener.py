"""The socket: whose it is, who may open it, what is left of it."""

import asyncio
import errno
import os
import socket
import stat
from pathlib import Path

import pytest

from ckptd.errors import StartRefused
from ckptd.rpc.limits import Bounds
from ckptd.rpc.listener import Listener, adopt, bind
from ckptd.rpc.peer import Roles
from ckptd.service.caller import Caller
from tests.ckptd.rpc.serving import RawClient, Serving, frame, open_descriptors, route, serving
from tests.waiting import wait_until_async


def ping(_caller: Caller, _params: object) -> dict[str, object]:
    return {}


def test_a_socket_is_for_its_owner_alone(tmp_path: Path) -> None:
    listening, made = bind(tmp_path / "new" / "s.sock", "")
    assert stat.S_IMODE((tmp_path / "new" / "s.sock").stat().st_mode) == 0o600
    assert stat.S_IMODE((tmp_path / "new").stat().st_mode) == 0o700
    assert not os.get_inheritable(listening.fileno())
    made.remove()
    listening.close()
    assert list((tmp_path / "new").iterdir()) == []


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to give a file to another group")
def test_a_socket_may_be_for_a_group(tmp_path: Path) -> None:
    listening, _made = bind(tmp_path / "s.sock", "daemon")
    found = (tmp_path / "s.sock").stat()
    assert (stat.S_IMODE(found.st_mode), found.st_gid) == (0o660, 1)
    listening.close()


def test_a_group_that_doesnt_exist_leaves_the_socket_to_its_owner(tmp_path: Path) -> None:
    listening, _made = bind(tmp_path / "s.sock", "no-such-group")
    assert stat.S_IMODE((tmp_path / "s.sock").stat().st_mode) == 0o600
    listening.close()


def test_what_a_killed_daemon_left_is_replaced(tmp_path: Path) -> None:
    path = tmp_path / "s.sock"
    bind(path, "")[0].close()
    assert path.exists()
    listening, made = bind(path, "")
    made.remove()
    listening.close()


def test_another_daemons_socket_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "s.sock"
    listening, made = bind(path, "")
    with pytest.raises(StartRefused, match="another daemon listens") as refused:
        bind(path, "")
    assert refused.value.exit_status == 75
    # One whose file was replaced meanwhile removes nothing.
    path.unlink()
    other, _ = bind(path, "")
    made.remove()
    assert path.exists()
    listening.close()
    other.close()


def test_what_is_no_socket_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "s.sock").write_text("precious")
    with pytest.raises(StartRefused, match="is no socket") as refused:
        bind(tmp_path / "s.sock", "")
    assert refused.value.exit_status == 78
    assert (tmp_path / "s.sock").read_text() == "precious"


def test_a_directory_in_which_others_may_replace_things_is_refused(tmp_path: Path) -> None:
    shared = tmp_path / "shared"
    shared.mkdir()
    shared.chmod(0o777)
    with pytest.raises(StartRefused, match="not safe"):
        bind(shared / "s.sock", "")
    shared.chmod(0o1777)  # with the sticky bit they may not
    bind(shared / "s.sock", "")[0].close()


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to make another's directory")
def test_another_users_directory_is_refused(tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir(0o700)
    os.chown(other, 1, 1)
    with pytest.raises(StartRefused, match="not safe"):
        bind(other / "s.sock", "")


def test_only_a_listening_socket_is_adopted(tmp_path: Path) -> None:
    listening, _made = bind(tmp_path / "s.sock", "")
    ours, theirs = socket.socketpair()
    with ours, theirs, (tmp_path / "file").open("wb") as file:
        assert adopt(file.fileno()) is None
        assert adopt(ours.fileno()) is None
        ours.getsockname()  # it is as it was: its owner closes it
    adopted = adopt(listening.detach())
    assert adopted is not None
    assert adopted.getsockname() == str(tmp_path / "s.sock")
    adopted.close()


async def test_a_socket_of_systemds_outlives_us_with_its_file(tmp_path: Path) -> None:
    """Its connections wait for the next daemon; asyncio's server would have removed the file."""
    path = tmp_path / "s.sock"
    systemds, _ = bind(path, "")
    async with serving(tmp_path / "own") as served:
        passed = adopt(os.dup(systemds.fileno()))
        assert passed is not None
        listener = Listener(served.hub, passed, served.listener.roles)
        listener.open()
        client = RawClient(path)
        assert (await client.hello())["version"] == 1
        listener.close()
        waiting = RawClient(path)
        successor = adopt(os.dup(systemds.fileno()))
        assert successor is not None
        second = Listener(served.hub, successor, served.listener.roles)
        second.open()
        assert (await waiting.hello())["version"] == 1
        second.close()
        client.close()
        waiting.close()
    systemds.close()


async def test_who_is_turned_away_is_told_why(tmp_path: Path) -> None:
    async with serving(tmp_path, route("ping", ping), connections_max=3, operator_slots=1) as served:
        inside = [await served.client() for _ in range(3)]
        beyond = await served.client(hello=False)
        refusal = await beyond.hello()
        assert (refusal["code"], refusal["retryable"]) == ("BUSY", True)
        assert await beyond.receive() is None
        assert len(served.said) == 3
        inside[0].close()
        await wait_until_async(lambda: served.hub.slots.taken == 2)
        another = await served.client()
        assert await another.call("ping") == {}
        assert served.hub.metrics.snapshot()["connections_refused_total"] == 1
        for one in (beyond, another, *inside):
            one.close()


async def test_only_so_many_are_told_why(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ckptd.limits.refusals_count_max", 1)
    async with serving(tmp_path, connections_max=2, operator_slots=0) as served:
        inside = [await served.client() for _ in range(2)]
        silent = await served.client(hello=False)
        await wait_until_async(lambda: served.hub.refusals == 1)
        before = open_descriptors()
        beyond = RawClient(served.path)
        assert await beyond.receive() is None
        assert open_descriptors() == before + 1  # the client's own end
        silent.close()
        await wait_until_async(lambda: served.hub.refusals == 0)
        for one in (beyond, *inside):
            one.close()


async def test_a_shortage_of_descriptors_is_waited_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ckptd.limits.accept_pause_seconds", 0.01)

    class Short:
        """A listening socket whose first accepts find no descriptor."""

        def __init__(self, real: socket.socket) -> None:
            self.real, self.failures = real, 3

        def accept(self) -> tuple[socket.socket, object]:
            if self.failures:
                self.failures -= 1
                raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))
            return self.real.accept()

        def __getattr__(self, name: str) -> object:
            return getattr(self.real, name)

    async with Serving(tmp_path / "own" / "s.sock", [], Bounds()) as served:
        real, made = bind(tmp_path / "s.sock", "")
        short = Short(real)
        listener = Listener(served.hub, short, Roles((), (), os.geteuid()), made)  # type: ignore[arg-type]
        listener.open()
        client = RawClient(tmp_path / "s.sock")
        assert (await client.hello())["version"] == 1
        assert short.failures == 0
        listener.close()
        client.close()


async def test_a_peer_that_gave_up_while_it_waited_is_no_matter(tmp_path: Path) -> None:
    async with serving(tmp_path, route("ping", ping)) as served:
        for _ in range(100):
            hasty = RawClient(served.path)
            hasty.socket.send(frame([0, 1, "hello", {}]))
            hasty.close()
        client = await served.client()
        assert await client.call("ping") == {}
        client.close()
        await wait_until_async(lambda: not served.hub.sessions)
        assert asyncio.get_running_loop().is_running()
