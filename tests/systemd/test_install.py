"""What `make install-systemd` puts where, and that the units' figures and the daemon's go together. Needs no boot."""

import configparser
import subprocess
from pathlib import Path

import pytest

from ckptd import limits, sd
from ckptd.settings.table import BY_KEY
from tests.systemd.installation import ROOT

UNITS = ROOT / "systemd"
PLACES = {
    "usr/lib/systemd/system/ckptd.service": "ckptd.service",
    "usr/lib/systemd/system/ckptd.socket": "ckptd.socket",
    "usr/lib/sysusers.d/ckptd.conf": "ckptd.sysusers.conf",
    "usr/lib/tmpfiles.d/ckptd.conf": "ckptd.tmpfiles.conf",
}


def install(target: Path, *variables: str) -> dict[str, str]:
    """The installed files by their place under DESTDIR."""
    command = ["make", "--no-print-directory", "install-systemd", f"DESTDIR={target}", *variables]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    return {path.relative_to(target).as_posix(): path.read_text() for path in target.rglob("*") if path.is_file()}


def section(unit: str, name: str) -> dict[str, str]:
    """One section of a shipped unit; of what is given twice the last."""
    parser = configparser.ConfigParser(strict=False, interpolation=None, delimiters="=", comment_prefixes="#")
    parser.optionxform = str  # type: ignore[assignment,method-assign]
    parser.read(UNITS / unit)
    return dict(parser[name])


def test_everything_that_is_shipped_is_installed_as_it_is(tmp_path: Path) -> None:
    installed = install(tmp_path)
    assert installed == {place: (UNITS / source).read_text() for place, source in PLACES.items()}
    assert sorted(PLACES.values()) == sorted(path.name for path in UNITS.iterdir())
    assert {(tmp_path / place).stat().st_mode & 0o777 for place in installed} == {0o644}


def test_the_prefix_says_where_the_environment_is(tmp_path: Path) -> None:
    service = install(tmp_path, "PREFIX=/srv/checkpoints")["usr/lib/systemd/system/ckptd.service"]
    assert "\nExecStart=/srv/checkpoints/bin/ckptd\n" in service
    assert "/opt/ckptd" not in service


def test_the_socket_is_where_clients_look() -> None:
    assert section("ckptd.socket", "Socket")["ListenStream"] == BY_KEY["socket"].default
    assert section("ckptd.socket", "Socket")["SocketGroup"] == BY_KEY["socket_group"].default


def test_the_directories_are_the_settings_defaults() -> None:
    service = section("ckptd.service", "Service")
    assert f"/var/lib/{service['StateDirectory']}" == BY_KEY["store.path"].default
    socket_directory = Path(str(BY_KEY["socket"].default)).parent
    assert Path("/run", service["RuntimeDirectory"]) != socket_directory, "the manager would remove the socket with it"


def test_the_groups_that_the_settings_name_are_made() -> None:
    users = (UNITS / "ckptd.sysusers.conf").read_text()
    operators = BY_KEY["roles.operators"].default
    assert isinstance(operators, list)
    made = {line.split()[1] for line in users.splitlines() if line.startswith(("u ", "g "))}
    assert made == {BY_KEY["socket_group"].default, *(one.removeprefix("group:") for one in operators)}


@pytest.mark.parametrize(
    ("smaller", "larger"),
    [
        pytest.param(limits.stop_seconds_max, "TimeoutStopSec", id="a stop ends before it is cut off"),
        pytest.param(2 * sd.NOTIFY_SECONDS_MAX, "WatchdogSec", id="a manager that is slow to listen kills nobody"),
    ],
)
def test_times_go_together(smaller: float, larger: str) -> None:
    assert smaller < float(section("ckptd.service", "Service")[larger])


def test_the_default_number_of_connections_fits_the_descriptors() -> None:
    connections = BY_KEY["limits.connections_max"].default
    assert isinstance(connections, int)
    service = section("ckptd.service", "Service")
    assert int(service["LimitNOFILE"]) >= 4 * connections
    assert int(service["FileDescriptorStoreMax"]) >= 2 * connections


def test_a_crash_loop_never_reaches_a_limit() -> None:
    """At either limit the socket would be lost, and with it every worker that waits."""
    assert section("ckptd.service", "Unit")["StartLimitIntervalSec"] == "0"
    socket, service = section("ckptd.socket", "Socket"), section("ckptd.service", "Service")
    restarts = float(socket["TriggerLimitIntervalSec"].removesuffix("s")) / float(
        service["RestartSec"].removesuffix("s")
    )
    assert restarts < int(socket["TriggerLimitBurst"])
