"""The daemon's life under the manager: begun by a client, watched, restarted, reloaded, stopped; nothing is lost."""

import json
import os
from typing import Any

import pytest

from tests.systemd.instance import OUT, SECONDS, Instance
from tests.waiting import wait_until

pytestmark = pytest.mark.xdist_group("systemd")

STORE_LOCKED = 75
BAD_CONFIGURATION = 78


TELLS_HOW = (6, 15)
"""The kernel from which on a pidfd does."""


def kernel() -> tuple[int, int]:
    major, minor = os.uname().release.split(".")[:2]
    return int(major), int(minor)


def acknowledged(instance: Instance, name: str) -> list[dict[str, Any]]:
    """What a worker noted as saved; the last line may be half written."""
    path = instance.out / name
    text = path.read_text() if path.exists() else ""
    return [json.loads(line) for line in text.splitlines(keepends=True) if line.endswith("\n")]


def saves_on(instance: Instance, name: str, *, more: int = 20) -> None:
    """Wait until the worker has noted so many saves beyond those that it has by now."""
    goal = len(acknowledged(instance, name)) + more
    wait_until(lambda: len(acknowledged(instance, name)) >= goal, SECONDS)


def assert_nothing_lost(instance: Instance, process_id: str, name: str) -> dict[str, Any]:
    """Every acknowledged save is there, with its own content."""
    shown: dict[str, Any] = instance.ask("show", process_id)
    saved = {one["checkpoint"]: one["number"] for one in acknowledged(instance, name)}
    assert saved
    found = shown["checkpoints"]
    assert {checkpoint: found.get(checkpoint) for checkpoint in saved} == saved
    return shown


def test_the_first_client_starts_it(instance: Instance) -> None:
    assert instance.show("ActiveState") == "inactive"
    assert instance.ask("who")["daemon"] == instance.main_pid()
    assert instance.show("ActiveState") == "active"
    assert instance.event("ready") is not None


def test_start_returns_when_it_serves(instance: Instance) -> None:
    instance.systemctl("start", "ckptd.service")
    assert instance.show("ActiveState") == "active"
    assert instance.event("ready") is not None, "READY=1 comes after the store is open"
    assert instance.show("StatusText").startswith("serving /var/lib/ckptd")
    assert instance.run("stat", "--format=%U %G %a", "/var/lib/ckptd") == "ckptd ckptd 700"


def test_a_stopped_daemon_is_killed_by_the_watchdog_and_comes_back(instance: Instance) -> None:
    instance.override("WatchdogSec=1")
    worker = instance.worker("save", "watched", f"{OUT}/log")
    epoch = json.loads(worker.line())["epoch"]
    pid = instance.main_pid()
    instance.signal("STOP", pid)
    instance.wait_restarted(pid)
    assert instance.said("Watchdog timeout (limit 1s)!")
    assert instance.said("Fatal Python error: Aborted"), "the log has where its threads stood"
    assert instance.show("NRestarts") == "1"
    saves_on(instance, "log")
    worker.finish()
    assert assert_nothing_lost(instance, "watched", "log")["epoch"] == epoch


def test_a_daemon_that_works_keeps_the_watchdog_content(instance: Instance) -> None:
    instance.override("WatchdogSec=400ms")
    worker = instance.worker("save", "watched", f"{OUT}/log")
    worker.line()
    pid, first = instance.main_pid(), instance.show("WatchdogTimestampMonotonic")
    for _ in range(3):
        wait_until(lambda seen=first: instance.show("WatchdogTimestampMonotonic") != seen, SECONDS)  # type: ignore[misc]
        first = instance.show("WatchdogTimestampMonotonic")
    worker.finish()
    assert (instance.main_pid(), instance.show("NRestarts")) == (pid, "0")


def test_workers_go_on_by_themselves_after_a_kill(instance: Instance) -> None:
    workers = {name: instance.worker("save", name, f"{OUT}/{name}") for name in ("one", "two")}
    begun = {name: json.loads(worker.line()) for name, worker in workers.items()}
    for kills in range(1, 3):
        saves_on(instance, "one")
        pid = instance.main_pid()
        instance.signal("KILL", pid)
        instance.wait_restarted(pid)
        assert instance.show("NRestarts") == str(kills)
        for name in workers:
            saves_on(instance, name)
    for worker in workers.values():
        worker.finish()
    for name, first in begun.items():
        shown = assert_nothing_lost(instance, name, name)
        assert shown["epoch"] == first["epoch"], "a restart of the daemon interrupts nobody"
        assert shown["deaths"] == 0


def test_a_death_while_no_daemon_runs_is_learnt_from_the_descriptor_store(instance: Instance) -> None:
    worker = instance.worker("hold", "orphan")
    pid = json.loads(worker.line())["pid"]
    wait_until(lambda: instance.show("NFileDescriptorStore") == "1", SECONDS)
    daemon = instance.main_pid()
    instance.run("sh", "-c", f"kill -KILL {daemon}; kill -KILL {pid}")
    instance.wait_restarted(daemon)
    worker.end()
    wait_until(lambda: instance.ask("deaths", "orphan"), SECONDS)
    assert instance.ask("show", "orphan")["state"] == "interrupted"
    death = instance.ask("deaths", "orphan")[0]
    assert death["pid"] == pid
    assert death["how"] == "by SIGKILL" or kernel() < TELLS_HOW, "only a kept pidfd tells how a process ended"
    wait_until(lambda: instance.show("NFileDescriptorStore") == "0", SECONDS)


def test_a_stop_ends_within_its_deadline_with_everything_on_disk(instance: Instance) -> None:
    worker = instance.worker("save", "stopped", f"{OUT}/log")
    worker.line()
    saves_on(instance, "log")
    instance.systemctl("stop", "ckptd.socket", "ckptd.service")
    assert (instance.show("Result"), instance.show("ExecMainStatus")) == ("success", "0")
    assert instance.event("stopped") is not None
    worker.end()
    instance.systemctl("start", "ckptd.socket")
    assert_nothing_lost(instance, "stopped", "log")


def test_the_socket_survives_a_stop_and_starts_the_next(instance: Instance) -> None:
    first = instance.ask("who")["daemon"]
    instance.systemctl("stop", "ckptd.service")
    assert instance.show("ActiveState", "ckptd.socket") == "active"
    assert instance.run("stat", "--format=%U %G %a %F", "/run/ckptd/ckptd.sock") == "root ckptd 660 socket"
    assert instance.ask("who")["daemon"] != first


def test_a_reload_takes_over_what_it_can_and_names_the_rest(instance: Instance) -> None:
    instance.ask("who")
    pid = instance.main_pid()
    instance.configure('[retention]\nttl = "7 h"\n[limits]\nconnections_max = 100\n')
    instance.systemctl("reload", "ckptd.service")
    wait_until(lambda: instance.event("the configuration was reloaded"), SECONDS)
    told = instance.event("the configuration was reloaded")
    assert told is not None
    assert (told["changed"], told["needs_restart"]) == (["retention.ttl"], ["limits.connections_max"])
    assert instance.main_pid() == pid
    assert instance.show("ActiveState") == "active"


def test_a_reload_of_a_bad_configuration_changes_nothing(instance: Instance) -> None:
    instance.ask("who")
    pid = instance.main_pid()
    instance.configure('[retention]\nttl = "soon"\n')
    instance.systemctl("reload", "ckptd.service")
    wait_until(lambda: instance.event("the configuration was not reloaded"), SECONDS)
    assert instance.ask("who")["daemon"] == pid


def test_a_second_daemon_on_the_store_is_refused(instance: Instance) -> None:
    instance.ask("who")
    second = instance.attempt("/opt/ckptd/bin/ckptd", "--store", "/var/lib/ckptd", "--socket", "/run/ckptd/other.sock")
    assert second.returncode == STORE_LOCKED
    assert "another daemon" in second.stderr


def test_a_configuration_that_is_refused_is_not_tried_for_ever(instance: Instance) -> None:
    instance.override("TriggerLimitIntervalSec=60s", unit="ckptd.socket")  # however slowly a busy machine starts it
    instance.systemctl("restart", "ckptd.socket")
    instance.configure('[retention]\nttl = "soon"\n')
    assert instance.attempt("systemctl", "start", "ckptd.service").returncode != 0
    assert instance.show("ActiveState") == "failed"
    assert (instance.show("ExecMainStatus"), instance.show("NRestarts")) == (str(BAD_CONFIGURATION), "0")
    assert instance.said("retention.ttl = ")
    waiting = instance.worker("who")  # its connection starts the daemon again and again, until the socket gives up
    wait_until(lambda: instance.show("Result", "ckptd.socket") == "trigger-limit-hit", SECONDS)
    waiting.end()
    instance.configure("")
    instance.systemctl("reset-failed", "ckptd.service", "ckptd.socket")
    instance.systemctl("start", "ckptd.socket")
    assert instance.ask("who")["daemon"] == instance.main_pid()
