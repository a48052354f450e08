"""Where the socket is looked for, and a private daemon that is started once and shares nothing with its starter."""

import fcntl
import json
import os
import signal
import socket
import sys
import tempfile
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from ckptclient import calls, discovery
from ckptclient.discovery import NODE_SOCKET, Finder, NoDaemon, Place, places
from ckptclient.errors import Unreachable
from ckptclient.sync import Client
from tests.ckptclient.fake_daemon import FakeDaemon
from tests.ckptclient.stub_daemon import EXIT_RETRY
from tests.waiting import wait_until

ROOT = Path(__file__).parents[2]


@pytest.fixture
def short() -> Iterator[Path]:
    """A folder whose path leaves room in the 108 bytes of a socket's."""
    with tempfile.TemporaryDirectory(prefix="ck", dir="/tmp") as folder:
        yield Path(folder)


@pytest.fixture
def environ(short: Path) -> Mapping[str, str]:
    """A user's environment with a home and a runtime directory of its own."""
    (short / "run").mkdir(mode=0o700)
    return {"HOME": str(short / "home"), "XDG_RUNTIME_DIR": str(short / "run"), "PATH": os.environ["PATH"]}


def socket_name(store: object) -> str:
    (place,) = places({}, storage_path=str(store))
    return os.path.basename(place.path)


def test_the_first_place_that_is_said_decides(environ: Mapping[str, str], short: Path) -> None:
    run, env = short / "run", dict(environ)
    named = {"CKPTD_SOCKET": "/x.sock", "CHECKPOINT_STORAGE_PATH": "/srv/env"}
    own = short / "home/.local/share/ckptd"
    table: list[tuple[dict[str, str], dict[str, str], list[tuple[object, object]]]] = [
        (env | named, {"socket_path": "/y.sock", "storage_path": "/srv/a"}, [("/y.sock", None)]),
        (env | named, {"storage_path": "/srv/a"}, [("/x.sock", None)]),
        (
            env | {"CHECKPOINT_STORAGE_PATH": "/srv/env"},
            {"storage_path": "/srv/a"},
            [(run / socket_name("/srv/a"), "/srv/a")],
        ),
        (env | {"CHECKPOINT_STORAGE_PATH": "/srv/env"}, {}, [(run / socket_name("/srv/env"), "/srv/env")]),
        (env | {"CKPTD_SOCKET": ""}, {}, [(NODE_SOCKET, None), (run / socket_name(own), own)]),
        (
            env | {"XDG_DATA_HOME": "/srv/data"},
            {},
            [(NODE_SOCKET, None), (run / socket_name("/srv/data/ckptd"), "/srv/data/ckptd")],
        ),
        (env, {"storage_path": "/var/lib/ckptd/"}, [(NODE_SOCKET, None)]),
    ]
    for given, arguments, expected in table:
        found = [(place.path, place.store) for place in places(given, **arguments)]
        assert found == [(str(path), store and str(store)) for path, store in expected], arguments


def test_a_store_has_one_socket_however_it_is_written(
    environ: Mapping[str, str], short: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (short / "store").mkdir()
    (short / "link").symlink_to("store")
    monkeypatch.chdir(short)
    found = {places(environ, storage_path=path) for path in ("store", "./store/", "link", short / "store")}
    assert len({place.path for (place,) in found}) == 1
    assert {place.store for (place,) in found} == {str(short / "store")}


@pytest.mark.parametrize("why", ["unset", "missing", "of a length", "writable by others"])
def test_without_a_usable_runtime_directory_the_users_own_is_taken(short: Path, why: str) -> None:
    directory = short / ("x" * 100 if why == "of a length" else "run")
    if why != "missing":
        directory.mkdir(mode=0o700)
    if why == "writable by others":
        directory.chmod(0o777)
    environ = {} if why == "unset" else {"XDG_RUNTIME_DIR": str(directory)}
    (place,) = places(environ, storage_path=short)
    assert place.path == f"/tmp/ckptd-{os.geteuid()}/{socket_name(short)}"


def test_every_place_is_named_with_why_it_failed(short: Path, environ: Mapping[str, str]) -> None:
    stale = short / "stale"
    with socket.socket(socket.AF_UNIX) as gone:
        gone.bind(str(stale))
    for path, why in (
        (stale, "Connection refused"),
        (short / "none", "No such file or directory"),
        ("x" * 200, "File name too long"),
    ):
        with pytest.raises(Unreachable) as caught:
            Finder(path, environ=environ).attempt()
        assert f"looked at {path} (as it was given): {why}" in caught.value.message
        assert caught.value.retryable


def test_a_busy_daemon_is_not_passed_by(
    short: Path, environ: Mapping[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    node = short / "node.sock"
    monkeypatch.setattr(discovery, "NODE_SOCKET", str(node))
    started: list[Place] = []
    monkeypatch.setattr(discovery, "start_private", lambda place, *_: started.append(place))
    with socket.socket(socket.AF_UNIX) as full, socket.socket(socket.AF_UNIX) as first:
        full.bind(str(node))
        full.listen(0)
        first.connect(str(node))
        with pytest.raises(Unreachable, match="Resource temporarily unavailable"):
            Finder(environ=environ).attempt()
    assert not started


def test_a_node_s_daemon_between_two_lives_is_waited_for(
    short: Path, environ: Mapping[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    node = short / "node.sock"
    monkeypatch.setattr(discovery, "NODE_SOCKET", str(node))
    started: list[Place] = []
    monkeypatch.setattr(discovery, "start_private", lambda place, *_: started.append(place))
    with socket.socket(socket.AF_UNIX) as gone:
        gone.bind(str(node))
    with pytest.raises(Unreachable, match="Connection refused") as caught:
        Finder(environ=environ).attempt()
    assert caught.value.retryable
    assert not started  # else its work would be in two stores


def test_the_daemon_that_was_found_is_the_one_that_is_looked_for_again(
    short: Path, environ: Mapping[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    node = short / "node.sock"
    monkeypatch.setattr(discovery, "NODE_SOCKET", str(node))
    finder = Finder(environ=environ)
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(node))
        listening.listen()
        finder.attempt().close()
    with pytest.raises(Unreachable, match="Connection refused") as caught:
        finder.attempt()
    assert "the user's own" not in caught.value.message
    assert not finder.starting


def test_a_private_daemon_can_be_forbidden(short: Path, environ: Mapping[str, str]) -> None:
    finder = Finder(storage_path=short / "store", environ={**environ, "CKPTD_AUTOSTART": "0"})
    with pytest.raises(Unreachable, match="no daemon answers") as caught:
        finder.attempt()
    assert (caught.value.retryable, finder.starting, os.listdir(short)) == (True, False, ["run"])


def test_what_a_private_daemon_lacks_is_said_at_once(
    short: Path, environ: Mapping[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(discovery, "DAEMON_NEEDS", ("os", "no_such_library"))
    with pytest.raises(NoDaemon, match="a private one needs no_such_library; looked at") as caught:
        Finder(storage_path=short / "store", environ=environ).attempt()
    assert "pip install 'ckptd[daemon]'" in str(caught.value)
    assert not caught.value.retryable


@pytest.fixture
def stub(short: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Private daemons are stubs; answers the store, and ends what was started for it."""
    program = short / "python"
    program.write_text(
        f'#!/bin/sh\nPYTHONPATH={ROOT} exec {sys.executable} {ROOT}/tests/ckptclient/stub_daemon.py "$@"\n'
    )
    program.chmod(0o700)
    monkeypatch.setattr(sys, "executable", str(program))
    store = short / "store"
    yield store
    for fact in facts_of(store):
        os.kill(fact["pid"], signal.SIGTERM)
        wait_until(partial(ended, fact["pid"]))


def facts_of(store: Path) -> list[dict[str, Any]]:
    if not (store / "facts").exists():
        return []
    return [json.loads(line) for line in (store / "facts").read_text().splitlines()]


def ended(pid: int) -> bool:
    """Whether it is gone, or waits for whoever is its parent now to see that."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
        return state == "Z" and len(os.listdir(f"/proc/{pid}/task")) == 1  # no thread of it has the socket any more
    except OSError:
        return True


def client_for(store: Path, environ: Mapping[str, str], settings: tuple[tuple[str, str], ...] = ()) -> Client:
    return Client(finder=Finder(storage_path=store, settings=settings, environ=environ), on_unavailable="raise")


def test_a_private_daemon_shares_nothing_with_its_starter(stub: Path, environ: Mapping[str, str]) -> None:
    inherited, other = os.pipe()
    os.set_inheritable(inherited, True)
    try:
        given = {**environ, "NOTIFY_SOCKET": "/run/systemd/notify"}
        with client_for(stub, given, (("store.limit", "10 GB"),)) as client:
            assert client.call(calls.ping()) == 7
    finally:
        os.close(inherited)
        os.close(other)
    (facts,) = facts_of(stub)
    assert (facts["module"], facts["set"]) == (["-m", "ckptd"], ["store.limit=10 GB"])
    assert (facts["cwd"], facts["notify"]) == ("/", None)
    assert os.getsid(0) != facts["session"] != facts["pid"]
    assert facts["group"] != os.getpgrp()
    log = environ["XDG_RUNTIME_DIR"] + "/" + socket_name(stub).removesuffix(".sock") + ".log"
    descriptors = facts["descriptors"]
    assert [descriptors.pop(name) for name in "012"] == ["/dev/null", log, log]
    assert [path for path in descriptors.values() if path.startswith(("pipe:", "socket:"))] == []
    assert not ended(facts["pid"])
    parent = Path(f"/proc/{facts['pid']}/stat").read_text().rpartition(")")[2].split()[1]
    assert int(parent) != os.getpid()


def test_many_that_find_no_daemon_end_at_the_same_one(stub: Path, environ: Mapping[str, str]) -> None:
    def work(_worker: int) -> int:
        with client_for(stub, environ) as client:
            return client.call(calls.ping())

    with ThreadPoolExecutor(20) as pool:
        assert list(pool.map(work, range(20))) == [7] * 20
    assert len(facts_of(stub)) == 1


def test_who_finds_the_store_locked_waits_for_the_other(stub: Path, environ: Mapping[str, str], short: Path) -> None:
    stub.mkdir()
    with (stub / "lock").open("w") as lock, ThreadPoolExecutor() as pool:
        fcntl.flock(lock, fcntl.LOCK_EX)
        client = client_for(stub, environ)
        waiting = pool.submit(client.call, calls.ping())
        finder = client._finder
        wait_until(lambda: finder._starter is not None and finder._starter.returncode == EXIT_RETRY)
        with FakeDaemon(short / "run" / socket_name(stub)):
            assert waiting.result(20) == 7
        client.close()


def test_a_daemon_that_was_killed_is_started_again_over_its_socket(stub: Path, environ: Mapping[str, str]) -> None:
    with client_for(stub, environ) as client:
        assert client.call(calls.ping()) == 7
        (facts,) = facts_of(stub)
        pid = facts["pid"]
        os.kill(pid, signal.SIGKILL)
        wait_until(partial(ended, pid))
        assert client.call(calls.ping()) == 7
    (stub / "facts").write_text(json.dumps(facts_of(stub)[1]) + "\n")


def test_a_daemon_that_can_not_start_says_why_at_once(stub: Path, environ: Mapping[str, str]) -> None:
    stub.mkdir()
    (stub / "fails").touch()
    with Client(finder=Finder(storage_path=stub, environ=environ)) as client:
        with pytest.raises(NoDaemon, match=r"ended with 78: store.limit is not a size"):
            client.call(calls.ping())
        (stub / "fails").unlink()
        assert client.call(calls.ping()) == 7
