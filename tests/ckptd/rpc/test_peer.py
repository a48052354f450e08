"""Who is at the other end."""

import grp
import os
import pwd
import socket
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

import pytest

from ckptclient.errors import Denied
from ckptd.rpc import peer as peers
from ckptd.rpc.peer import Peer, Roles, boot_id, has_exited, identify, overflow_uid, start_time, stat_fields
from ckptd.service.caller import Role
from tests.waiting import wait_until

DAEMON_GROUP = grp.getgrnam("daemon").gr_gid
BIN_UID = pwd.getpwnam("bin").pw_uid


@dataclass(frozen=True)
class Grant:
    kind: str
    name: str


def test_the_kernel_says_who_is_there() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        found = identify(ours)
    assert (found.uid, found.gid, found.pid) == (os.geteuid(), os.getegid(), os.getpid())
    assert found.groups == {os.getegid(), *os.getgroups()}
    assert found.start == start_time(os.getpid())
    assert found.pidfd is not None
    assert not has_exited(found.pidfd)
    os.close(found.pidfd)


def test_a_peer_that_is_dead_by_now_has_no_name() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs, subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as child:
        pidfd = os.pidfd_open(child.pid)
        assert not has_exited(pidfd)
        child.kill()
        wait_until(lambda: has_exited(pidfd))  # a zombie until it is waited for
        assert (stat_fields(child.pid) or [b""])[0] == b"Z"
        os.close(pidfd)
    assert start_time(child.pid) is None


def test_a_peer_that_died_while_it_waited_to_be_accepted_has_no_name(tmp_path: Path) -> None:
    path = str(tmp_path / "s.sock")
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(path)
        listening.listen()
        script = f"import socket; socket.socket(socket.AF_UNIX).connect({path!r})"
        with subprocess.Popen([sys.executable, "-W", "ignore", "-c", script]) as child:
            pidfd = os.pidfd_open(child.pid)
            wait_until(lambda: has_exited(pidfd))
            os.close(pidfd)
            accepted, _ = listening.accept()
            with accepted:
                found = identify(accepted)
            assert (found.pid, found.uid) == (child.pid, os.geteuid())
            assert (found.start, found.pidfd) == (None, None)


def test_a_boot_has_a_name() -> None:
    boot = boot_id()
    assert boot is not None
    assert len(boot) == 16


def test_the_start_time_is_read_past_any_command() -> None:
    # The command of a process is what it likes, brackets and spaces included.
    script = "import ctypes; ctypes.CDLL(None).prctl(15, b'a) R (b 1 2', 0, 0, 0); print(1, flush=True); input()"
    with subprocess.Popen([sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
        assert child.stdout is not None
        before = start_time(child.pid)
        child.stdout.readline()
        assert start_time(child.pid) == before
        child.kill()


SPEAKS = """
import os, socket, sys
peer = socket.socket(socket.AF_UNIX)
peer.connect(sys.argv[1])
print(flush=True)
sys.stdin.read()
"""


@pytest.mark.root
@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to be somebody else")
def test_another_user_is_known_with_the_groups_that_he_had_when_he_connected() -> None:
    with tempfile.TemporaryDirectory() as directory, socket.socket(socket.AF_UNIX) as listening:
        path = Path(directory, "s.sock")
        Path(directory).chmod(0o755)
        listening.bind(str(path))
        path.chmod(0o666)
        listening.listen()
        listening.settimeout(30)
        # -I: nothing of ours needs to be readable for him.
        command = ["/usr/bin/env", "python3", "-I", "-c", SPEAKS, str(path)]
        nobody = {"user": 65534, "group": 65534, "extra_groups": [DAEMON_GROUP]}
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd="/", **nobody) as child:  # type: ignore[call-overload]
            accepted, _ = listening.accept()
            with accepted:
                found = identify(accepted)
            child.stdin.close()
    assert (found.uid, found.gid, found.pid) == (65534, 65534, child.pid)
    assert found.groups == {65534, DAEMON_GROUP}
    assert Roles([Grant("group", "daemon")], (), own_uid=0).of(found) is Role.OPERATOR
    assert found.pidfd is not None
    os.close(found.pidfd)


@pytest.mark.parametrize(
    ("uid_map", "refused"),
    [
        ("         0          0 4294967295\n", None),
        ("0 100000 65536\n", 65534),
        ("0 0 1\n65534 65534 1\n", 65534),
        ("", 65534),
    ],
)
def test_nobody_is_refused_only_where_nobody_may_be_anybody(uid_map: str, refused: int | None) -> None:
    assert overflow_uid(uid_map, "65534\n") == refused


def peer(uid: int, *groups: int) -> Peer:
    return Peer(uid, 12345, 1, frozenset(groups), None, None)


@pytest.mark.parametrize(
    ("who", "role"),
    [
        (peer(0), Role.ADMIN),
        (peer(999), Role.ADMIN),  # the daemon's own user
        (peer(BIN_UID), Role.ADMIN),
        (peer(BIN_UID, DAEMON_GROUP), Role.ADMIN),
        (peer(1000, DAEMON_GROUP), Role.OPERATOR),
        (peer(1000), Role.WORKER),
    ],
)
def test_roles_go_by_user_and_group(who: Peer, role: Role) -> None:
    roles = Roles([Grant("group", "daemon"), Grant("user", "no-such-user")], [Grant("user", "bin")], own_uid=999)
    assert roles.of(who) is role


def test_who_is_hidden_behind_the_namespace_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(peers, "refused_uid", lambda: 65534)
    roles = Roles((), (), own_uid=0)
    with pytest.raises(Denied, match="not mapped"):
        roles.of(peer(65534))
    assert roles.of(peer(1000)) is Role.WORKER
