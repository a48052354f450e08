"""Where settings come from, who wins, how every fault is named, and what a reload takes over."""

import hashlib
import os
from collections.abc import Mapping
from pathlib import Path

import pytest
from hypothesis import given, strategies as st

from ckptclient.errors import ConfigError
from ckptd.config import Problem, changes, find_file, load
from ckptd.settings.table import Mode
from ckptd.settings.tree import Grant, StoreLimit

ENVIRON = {"HOME": "/home/anna"}


def written(directory: Path, text: str) -> Path:
    path = directory / "ckptd.toml"
    path.write_text(text, encoding="utf-8")
    return path


def problems(path: Path | None, environ: Mapping[str, str] = ENVIRON, flags: Mapping[str, str] = {}) -> list[Problem]:
    with pytest.raises(ConfigError) as caught:
        load(path, environ, flags)
    found = caught.value.details["problems"]
    assert isinstance(found, list)
    return [Problem(**one) for one in found]


def digest(store: str) -> str:
    return hashlib.sha256(store.encode()).hexdigest()[:16]


TEMPORARY = f"/tmp/ckptd-{os.getuid()}/ckptd-"
ANNAS = digest("/home/anna/.local/share/ckptd")
XDG = {"XDG_DATA_HOME": "/data", "XDG_RUNTIME_DIR": "/run/user/7", "XDG_CONFIG_HOME": "/conf"}


@pytest.mark.parametrize(
    ("mode", "environ", "store", "socket", "limit"),
    [
        ("node", {}, "/var/lib/ckptd", "/run/ckptd/ckptd.sock", StoreLimit(share=0.8)),
        ("node", XDG, "/var/lib/ckptd", "/run/ckptd/ckptd.sock", StoreLimit(share=0.8)),
        ("private", XDG, "/data/ckptd", f"/run/user/7/ckptd-{digest('/data/ckptd')}.sock", StoreLimit(bytes_max=10**10)),
        ("private", ENVIRON, "/home/anna/.local/share/ckptd", f"{TEMPORARY}{ANNAS}.sock",
         StoreLimit(bytes_max=10**10)),
        ("private", {**ENVIRON, "XDG_DATA_HOME": "relative"}, "/home/anna/.local/share/ckptd",
         f"{TEMPORARY}{ANNAS}.sock", StoreLimit(bytes_max=10**10)),
    ],
)  # fmt: skip
def test_defaults(mode: Mode, environ: dict[str, str], store: str, socket: str, limit: StoreLimit) -> None:
    config = load(None, environ, {}, mode=mode)
    assert (config.store.path, config.socket, config.store.limit) == (Path(store), Path(socket), limit)
    assert {origin.source for origin in config.origins.values()} == {"default"}


def test_defaults_of_the_design() -> None:
    config = load(None, {}, {})
    assert (config.checkpoint.interval_seconds, config.checkpoint.progress_share) == (300, 0.05)
    assert (config.cleanup.interval_seconds, config.retention.ttl_seconds) == (3600, 86400)
    assert (config.retention.completed_ttl_seconds, config.retention.trash_seconds) == (168 * 3600, 86400)
    assert (config.process.lease_seconds, config.process.grace_seconds, config.process.attempts_max) == (60, 30, 3)
    assert (config.store.inline_bytes_max, config.store.compression_level) == (4096, 3)


FILE = "[retention]\nttl = '1 h'\n"
OURS = {"CKPTD_RETENTION_TTL": "2 h"}


@pytest.mark.parametrize(
    ("file", "environ", "flags", "seconds", "source"),
    [
        ("", {}, {}, 86400, "default"),
        (FILE, {}, {}, 3600, "FILE line 2"),
        (FILE, OURS, {}, 7200, "environment CKPTD_RETENTION_TTL"),
        (FILE, OURS, {"retention.ttl": "3 h"}, 10800, "flag --set retention.ttl"),
        ("", OURS, {}, 7200, "environment CKPTD_RETENTION_TTL"),
    ],
)
def test_the_nearer_wins(
    tmp_path: Path, file: str, environ: dict[str, str], flags: dict[str, str], seconds: float, source: str
) -> None:
    path = written(tmp_path, file)
    config = load(path, environ, flags)
    assert config.retention.ttl_seconds == seconds
    assert config.origins["retention.ttl"].source == source.replace("FILE", str(path))


@pytest.mark.parametrize(
    ("environ", "key", "text", "source"),
    [
        ({"CHECKPOINT_STORAGE_PATH": "/srv/c"}, "store.path", "/srv/c", "CHECKPOINT_STORAGE_PATH"),
        ({"CHECKPOINT_MAX_SIZE_GB": "10.0"}, "store.limit", "10 GB", "CHECKPOINT_MAX_SIZE_GB"),
        ({"CHECKPOINT_MAX_SIZE_GB": "0.5"}, "store.limit", "500 MB", "CHECKPOINT_MAX_SIZE_GB"),
        ({"CHECKPOINT_COMPRESSION": "False"}, "store.compression", "false", "CHECKPOINT_COMPRESSION"),
        ({"CHECKPOINT_BACKUP_PATH": "/srv/b"}, "archive.path", "/srv/b", "CHECKPOINT_BACKUP_PATH"),
        ({"CKPTD_STORE_PATH": "/a", "CHECKPOINT_STORAGE_PATH": "/b"}, "store.path", "/a", "CKPTD_STORE_PATH"),
        ({"CKPTD_ROLES_ADMINS": "user:a, group:b"}, "roles.admins", "user:a,group:b", "CKPTD_ROLES_ADMINS"),
        ({"CKPTD_LOG_LEVEL": "debug"}, "log.level", "debug", "CKPTD_LOG_LEVEL"),
        ({"CKPTD_ARCHIVE_PATH": ""}, "archive.path", "", "CKPTD_ARCHIVE_PATH"),
    ],
)
def test_the_environment(environ: dict[str, str], key: str, text: str, source: str) -> None:
    origin = load(None, environ, {}).origins[key]
    assert (origin.text, origin.source) == (text, f"environment {source}")


def test_other_variables_are_left_alone() -> None:
    others = {"CKPTD_AUTOSTART": "0", "CKPTD_PORT": "tcp://10.0.0.1:80", "CKPTD_SERVICE_HOST": "x", "PATH": "/bin"}
    assert load(None, others, {}) == load(None, {}, {})


def test_a_path_given_by_hand_starts_where_one_stands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert load(None, {}, {"store.path": "here"}).store.path == tmp_path / "here"
    assert load(None, {"CHECKPOINT_STORAGE_PATH": "./here"}, {}).store.path == tmp_path / "here"


WRONG = """\
socket = "ckptd.sock"
retention.ttl = 24

[store]
limit = 80
inlin = "4 KiB"
reserve = { max = 1 }

[process]   # comment
  attempts_max = 0

[storage]
path = "/srv"
"""


def test_all_faults_at_once_each_by_name(tmp_path: Path) -> None:
    path = written(tmp_path, WRONG)
    found = problems(
        path, {"CKPTD_LOG_LEVEL": "loud", "CKPTD_STORE_PAHT": "/a"}, {"retention.trash": "1", "ttl": "1 h"}
    )
    at = {problem.key: problem for problem in found}
    assert {key: (one.source.removeprefix(f"{path} "), one.value) for key, one in at.items()} == {
        "socket": ("line 1", "'ckptd.sock'"),
        "retention.ttl": ("line 2", "24"),
        "store.limit": ("line 5", "80"),
        "store.inlin": ("line 6", "'4 KiB'"),
        "store.reserve": ("line 7", "{'max': 1}"),
        "process.attempts_max": ("line 10", "0"),
        "storage": ("line 12", "{'path': '/srv'}"),
        "log.level": ("environment CKPTD_LOG_LEVEL", "'loud'"),
        "CKPTD_STORE_PAHT": ("environment", "/a"),
        "retention.trash": ("flag --set retention.trash", "'1'"),
        "ttl": ("flag --set ttl", "'1 h'"),
    }
    assert at["store.limit"].accepted.startswith('a share of the file system ("80 %")')
    assert at["log.level"].accepted == 'one of "debug", "info", "warning", "error"'
    assert "did you mean store.inline?" in at["store.inlin"].hint
    assert "did you mean store?" in at["storage"].hint
    assert "did you mean retention.ttl?" in at["ttl"].hint
    assert "did you mean CKPTD_STORE_PATH?" in at["CKPTD_STORE_PAHT"].hint


def test_a_value_that_is_overridden_is_checked_too(tmp_path: Path) -> None:
    found = problems(written(tmp_path, "[retention]\nttl = 24\n"), {}, {"retention.ttl": "24 h"})
    assert [problem.key for problem in found] == ["retention.ttl"]


@pytest.mark.parametrize(
    ("text", "keys"),
    [
        ("[limits]\nconnections_max = 10\noperator_slots = 10\n", "limits.operator_slots, limits.connections_max"),
        ("[store]\npath = '/srv/a'\n[archive]\npath = '/srv/a/b'\n", "archive.path, store.path"),
        ("[store]\npath = '/srv/a'\n[archive]\npath = '/srv/a'\n", "archive.path, store.path"),
        ("[store]\npath = '/srv/a'\n[archive]\npath = '/srv'\n", "archive.path, store.path"),
    ],
)
def test_what_must_hold_between_settings(tmp_path: Path, text: str, keys: str) -> None:
    (problem,) = problems(written(tmp_path, text))
    assert problem.key == keys
    assert "line 2" in problem.source
    assert problem.accepted


def test_siblings_are_apart(tmp_path: Path) -> None:
    load(written(tmp_path, "[store]\npath = '/srv/a'\n[archive]\npath = '/srv/ab'\n"), {}, {})


@pytest.mark.parametrize(
    ("content", "hint"),
    [
        (None, "No such file"),
        (b"[store\n", "line 1"),
        (b"a = 1\na = 2\n", "line 2"),
        (b"socket = '\xff'\n", "utf-8"),
    ],
)
def test_a_file_that_cannot_be_read(tmp_path: Path, content: bytes | None, hint: str) -> None:
    path = tmp_path / "ckptd.toml"
    if content is not None:
        path.write_bytes(content)
    (problem,) = problems(path)
    assert (problem.key, problem.source) == ("--config", str(path))
    assert hint in problem.hint


def test_the_error_itself_says_what_is_wrong(tmp_path: Path) -> None:
    path = written(tmp_path, "[log]\nlevel = 'loud'\nformat = 'xml'\n")
    with pytest.raises(ConfigError, match=r"log\.level = 'loud' \(.* line 2\); accepted: one of .*\(and 1 more\)"):
        load(path, {}, {})


LOCATED = [
    ('[ store ]\n"limit" = 5\n', "line 2"),
    ("store . limit = 5\n", "line 1"),
    ("\n\nstore = { limit = 5 }\n", "line 3"),
    ("# [store]\n[log]\n[store]\n#limit=1\nlimit=5\n", "line 5"),
]


@pytest.mark.parametrize(("text", "line"), LOCATED)
def test_a_fault_is_located_however_it_is_written(tmp_path: Path, text: str, line: str) -> None:
    (problem,) = problems(written(tmp_path, text))
    assert (problem.key, problem.source.rpartition("toml ")[2]) == ("store.limit", line)


@pytest.mark.parametrize("text", ["store = 5\n", "[[store]]\n[[store]]\n", "[socket]\npath='/a'\n", "[store.path]\n"])
def test_a_table_where_a_value_belongs_and_the_reverse(tmp_path: Path, text: str) -> None:
    assert len(problems(written(tmp_path, text))) == 1


def test_a_home_that_nobody_has_matters_only_where_it_is_needed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.path.expanduser", lambda path: path)  # no HOME, no entry in the user database
    given_paths = {"store.path": "/srv/a", "socket": "/srv/s"}
    assert load(None, {}, given_paths, mode="private").store.path == Path("/srv/a")
    with pytest.raises(ConfigError, match=r"store.path = '~/.local/share"):
        load(None, {}, {}, mode="private")


def test_a_private_socket_belongs_to_its_store(tmp_path: Path) -> None:
    (tmp_path / "store").mkdir()
    (tmp_path / "link").symlink_to("store")
    sockets = {
        load(None, XDG, {"store.path": str(tmp_path / name)}, mode="private").socket for name in ("store", "link", "x")
    }
    assert sockets == {Path(f"/run/user/7/ckptd-{digest(str(tmp_path / name))}.sock") for name in ("store", "x")}


def test_which_file_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ckptd.config.NODE_FILE", tmp_path / "ckptd.toml")
    environ = {"XDG_CONFIG_HOME": str(tmp_path / "conf")}
    assert (find_file("node", environ), find_file("private", environ)) == (None, None)
    written(tmp_path, "")
    (tmp_path / "conf" / "ckptd").mkdir(parents=True)
    private = written(tmp_path / "conf" / "ckptd", "")
    assert (find_file("node", environ), find_file("private", environ)) == (tmp_path / "ckptd.toml", private)


def test_a_file_that_is_hidden_from_us_is_not_passed_over(tmp_path: Path) -> None:
    (tmp_path / "ckptd").symlink_to("ckptd")  # a loop, because nothing is hidden from root, who may run this
    found = find_file("private", {"XDG_CONFIG_HOME": str(tmp_path)})
    assert found == tmp_path / "ckptd" / "ckptd.toml"
    assert problems(found)[0].hint == "Too many levels of symbolic links"


def test_a_reload_takes_over_what_it_can_and_names_the_rest() -> None:
    old = load(None, {}, {})
    new = load(None, {"CKPTD_STORE_PATH": "/new", "CKPTD_RETENTION_TTL": "1 h", "CKPTD_ROLES_ADMINS": "user:a"}, {})
    change = changes(old, new)
    assert (change.reloaded, change.restart) == (("retention.ttl", "roles.admins"), ("store.path",))
    assert change.config.store.path == old.store.path
    assert change.config.origins["store.path"].source == "default"
    assert change.config.retention.ttl_seconds == 3600
    assert change.config.roles.admins == (Grant("user", "a"),)


def test_the_same_said_otherwise_is_no_change() -> None:
    old, new = load(None, {}, {"retention.ttl": "24 h"}), load(None, {"CKPTD_RETENTION_TTL": "1 d"}, {})
    change = changes(old, new)
    assert (change.reloaded, change.restart) == ((), ())
    assert change.config == old == new
    assert change.config.origins["retention.ttl"].source == "environment CKPTD_RETENTION_TTL"


@given(st.dictionaries(st.sampled_from(["store", "log.x", "Socket", "x.y"]) | st.text(max_size=5), st.text(max_size=9)))
def test_unknown_flags_are_each_named_and_raise_nothing_else(flags: dict[str, str]) -> None:
    unknown = flags | {"nothing": "0"}
    found = problems(None, {}, unknown)
    assert {problem.key for problem in found} == set(unknown)
