"""Whose the store is and what it lies on."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from ckptd.errors import StartRefused
from ckptd.store.medium import Space, file_system, judge, occupy, space

MOUNTS = """\
22 27 0:21 / /proc rw,relatime - proc proc rw
27 1 254:0 / / rw,relatime shared:1 - ext4 /dev/vda rw
30 27 0:30 / /srv rw - nfs4 server:/export rw
31 30 0:31 / /srv/disk rw - xfs /dev/vdb rw
32 27 0:32 / /mnt/my\\040disk rw - fuse.sshfs host: rw
33 27 0:33 / /over rw - tmpfs tmpfs rw
34 27 0:34 / /over rw - btrfs /dev/vdc rw
"""


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("/var/lib/ckptd", "ext4"),
        ("/srv", "nfs4"),
        ("/srv/store", "nfs4"),
        ("/srv/disk/store", "xfs"),
        ("/srvelse", "ext4"),
        ("/mnt/my disk/store", "fuse.sshfs"),
        ("/over/store", "btrfs"),
    ],
)
def test_the_file_system_is_that_of_the_innermost_mount(path: str, kind: str) -> None:
    assert file_system(Path(path), MOUNTS) == kind


@pytest.mark.parametrize("kind", ["nfs", "nfs4", "cifs", "9p", "fuse", "fuse.sshfs", "fuseblk", "virtiofs"])
def test_where_syncs_mean_nothing_no_store_is_opened(kind: str) -> None:
    with pytest.raises(StartRefused, match=f"/srv/store lies on {kind}") as refused:
        judge(Path("/srv/store"), kind)
    assert refused.value.exit_status == 78
    assert "ext4 or xfs" in (refused.value.hint or "")


@pytest.mark.parametrize(
    ("kind", "says"),
    [("ext4", None), ("xfs", None), ("tmpfs", "reboot"), ("overlay", "container"), ("f2fs", "power cuts")],
)
def test_what_a_file_system_doesnt_promise_is_named(kind: str, says: str | None) -> None:
    warning = judge(Path("/srv/store"), kind)
    assert warning is None if says is None else says in (warning or "")


def test_a_store_is_made_where_it_is_missing_for_its_owner_alone(tmp_path: Path) -> None:
    medium = occupy(tmp_path / "some" / "where")
    assert medium.path.stat().st_mode & 0o777 == 0o700
    assert not medium.vanished()
    medium.release()


HOLD = "import sys; from pathlib import Path; from ckptd.store.medium import occupy; occupy(Path(sys.argv[1])); print('has it', flush=True); sys.stdin.read()"


def test_a_store_has_one_daemon_until_that_ends_in_whatever_way(tmp_path: Path) -> None:
    store = tmp_path / "store"
    other = subprocess.Popen([sys.executable, "-c", HOLD, str(store)], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    with other:
        assert other.stdout is not None
        assert other.stdout.readline() == b"has it\n"
        with pytest.raises(StartRefused, match=rf"another daemon \(pid {other.pid}\) has the store") as refused:
            occupy(store)
        assert refused.value.exit_status == 75
        other.kill()
    occupy(store).release()


def test_a_store_that_is_removed_or_replaced_has_vanished(tmp_path: Path) -> None:
    medium = occupy(tmp_path / "store")
    (tmp_path / "store").rename(tmp_path / "moved")
    assert medium.vanished()
    (tmp_path / "store").mkdir()
    assert medium.vanished()
    medium.release()


def test_a_file_is_no_store(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for path in (tmp_path / "file", tmp_path / "file" / "store"):
        with pytest.raises(StartRefused) as refused:
            occupy(path)
        assert refused.value.exit_status == 78


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_directory_that_we_cant_write_to_is_refused(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with pytest.raises(StartRefused, match="can't be used"):
        occupy(tmp_path / "store")


def test_space_is_that_of_the_file_system(tmp_path: Path) -> None:
    found = space(tmp_path)
    assert isinstance(found, Space)
    assert 0 < found.free_bytes <= found.total_bytes
