"""What each verb asks of the daemon and what people read, on canned replies."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import cast

import pytest

from ckptclient.errors import Conflict, Damaged, NoSpace, UnknownProcess, Unreachable
from ckptclient.wire import limits
from ckptd.ctl.verbs import VERBS
from tests.ckptd.ctl import canned
from tests.ckptd.ctl.fakes import no_checkpoint, run, screen

NO_PROCESS = UnknownProcess("no process", details={"what": "process"})

CASES: list[tuple[str, list[str], list[str]]] = [
    # words, methods asked, texts that stand in the answer
    ("status", ["store.status", "process.list"], ["✓ ckptd 0.1.0, pid 4321, up 1 d 2 h", "6.1 GB used of 10.0 GB", "1 running, 1 interrupted", "6 m 40 s (etl-nightly)", "✓ etl-nightly"]),
    ("health", ["health.report"], ["✓ 92 of 100, healthy", "-8", "anna/etl-nightly", "ckptctl show etl-nightly"]),
    ("ps", ["process.list"], ["✓ etl-nightly", "████████░░  83.9 %", "1 h", "6 m 40 s", "pid 8812", "✗ crawl-eu", "fetch\\x1b[31m"]),
    ("show etl-nightly", ["process.show"], ["✓ running", "839 of 1,000", "836 done, 3 failed", "pid 8812"]),
    ("show etl-nightly@7", ["checkpoint.get"], ["etl-nightly_processing_state_7", "1.4 MB, 90.0 kB of it", "notes.txt", "file"]),
    ("show latest", ["checkpoint.list", "checkpoint.get"], ["etl-nightly_processing_state_7"]),
    ("ls", ["checkpoint.list"], ["etl-nightly@7", "1.4 MB", "23 h", "6 m 40 s", "nightly"]),
    ("ls etl", ["process.show", "checkpoint.list"], ["etl-nightly@7"]),
    ("results etl-nightly", ["process.show", "journal.read"], ["✓ done", "a.py", '{"lines": 17}', "✗ failed", "SyntaxError: line 3", '["key", 2]']),
    ("events", ["events.read", "events.read"], ["registered", "interrupted", "crawl-eu", "how=SIGKILL"]),
    ("cat etl-nightly@7 notes.txt", ["checkpoint.get", "checkpoint.read"], ["hello\n"]),
    ("cat etl-nightly@7 state --format json", ["checkpoint.get", "checkpoint.read"], ['"n": 7']),
    ("pin etl-nightly@7", ["checkpoint.get", "checkpoint.pin"], ["pinned etl-nightly_processing_state_7\n"]),
    ("archive etl-nightly@7", ["checkpoint.get", "checkpoint.archive"], ["archived etl-nightly_processing_state_7\n"]),
    ("unarchive etl-nightly@7", ["checkpoint.get", "checkpoint.unarchive"], ["back from the archive: etl-nightly_"]),
    ("unpin etl-nightly@7", ["checkpoint.get", "checkpoint.unpin"], ["unpinned etl-nightly_processing_state_7\n"]),
    ("revive etl-nightly@7", ["checkpoint.revive"], ["revived etl-nightly_processing_state_7, kept until"]),
    ("expire etl-nightly@7 --yes", ["checkpoint.get", "checkpoint.delete"], ["expired 1 checkpoint (1.4 MB)"]),
    ("expire etl-nightly@7 --dry-run", ["checkpoint.get"], ["would expire 1 checkpoint (1.4 MB)"]),
    ("fence etl-nightly --yes", ["process.show", "process.fence"], ["fenced etl-nightly: epoch 4\n"]),
    ("fence etl-nightly --dry-run", ["process.show"], ["would fence etl-nightly at epoch 3: pid 8812"]),
    ("stop etl-nightly", ["process.show", "process.stop"], ["asked etl-nightly to stop\n"]),
    ("wait etl-nightly --for running", ["process.show", "process.show"], ["etl-nightly is running\n"]),
    ("top", ["store.status", "process.list", *["events.read"] * 9, "health.report", "store.status", "process.list", "events.read", "health.report"],
        ["health 92 ✓ healthy -8 rpo", "at risk 6 m 41 s (etl-nightly)", "✓ etl-nightly  anna  running", "✗ crawl-eu", "how SIGKILL"]),
    ("history etl-nightly", ["process.show", "events.read", "checkpoint.list"],
        ["● 1 save", "✓ registered", "running, epoch 3, 83.9 %"]),
    ("drill", ["process.list", "process.prove", "process.prove"], ["✓ proven", "etl-nightly_processing_state_7", "1.4 MB"]),
    ("drill etl-nightly", ["process.show", "process.prove"], ["✓ proven"]),
    ("verify", ["store.verify", "store.verify"], ["✓ whole: 4.4 MB of packs read"]),
    ("verify etl-nightly@7", ["checkpoint.get", *["checkpoint.read"] * 3], ["✓ etl-nightly_processing_state_7 is whole"]),
    ("scrub", ["store.damage"], ["! 1 place", "its stored bytes aren't those", "etl-nightly_processing_state_7", "everything within 30 d"]),
    ("scrub repair --from /srv/backup", ["store.scrub", "store.damage"], ["! 1 place"]),
    ("scrub pause", ["store.scrub", "store.damage"], ["! 1 place"]),
    ("cleanup", ["store.cleanup"], ["4 expired, 9 purged, 18.0 MB freed"]),
    ("cleanup --dry-run", ["store.cleanup"], ["would expire 1 checkpoint, with 90.0 kB", "superseded"]),
    ("config show", ["config.show"], ["store.path", "/srv/ckptd", "line 4", "log.level"]),
    ("config show --changed", ["config.show"], ["store.path"]),
    ("config reload", ["config.reload"], ["changed: log.level\n", "waits for a restart: store.path\n"]),
    ("config check", [], ["no file: ok, 0 settings of"]),
    ("explain NO_SPACE", [], ["NO_SPACE", "ckptctl cleanup", "13: no space"]),
    ("explain store.limit", [], ["NO_SPACE", 'default       "80 %"', "CKPTD_STORE_LIMIT"]),
    ("explain 7", [], ["UNREACHABLE"]),
    ("explain", [], ["error codes", "exit codes", "settings", "FENCED", "roles.admins"]),
    ("completion bash", [], ["_CKPTCTL_COMPLETE=bash_complete"]),
    ("completion zsh", [], ["#compdef ckptctl"]),
    ("completion fish", [], ["--command ckptctl"]),
    ("version", [], ["ckptctl 0.1.0\n"]),
    ("--version", [], ["ckptctl 0.1.0\n"]),
]  # fmt: skip


@pytest.mark.parametrize(("words", "methods", "texts"), CASES, ids=[case[0] for case in CASES])
def test_a_verb_asks_this_and_shows_that(words: str, methods: list[str], texts: list[str]) -> None:
    ran = run(*words.split())
    assert (ran.code, ran.err) == (0, "")
    assert ran.daemon.methods() == methods
    assert [text for text in texts if text not in ran.out] == []


def test_every_verb_is_tried() -> None:
    tried = {case[0] for case in CASES} | {
        "put x",
        "restore x",
        "export x",
        "import x",
        "import-original x",
        "rebuild-catalog x",
    }
    tried |= {"selftest crash x", "backup run x", "backup ls x", "backup verify x", "backup restore x x"}
    assert [verb.name for verb in VERBS if not any(words.startswith(verb.name) for words in tried)] == []


def test_a_daemon_is_let_go_of() -> None:
    assert run("ps").daemon.closed


PARAMETERS: list[tuple[str, str, dict[str, object]]] = [
    ("ps --state failed --state paused --task t --limit 7", "process.list", {"states": ["failed", "paused"], "task_id": "t", "limit": 8}),
    ("ls anna/etl --type custom --tag a --status active --since 2h --limit 5", "checkpoint.list",
        {"process_id": "anna/etl-nightly", "type": "custom", "tag": "a", "status": "active", "since": canned.NOW - 2 * canned.HOUR, "limit": 6}),
    ("ls --trash --until 2025-06-15T12:00:00Z", "checkpoint.list", {"trash": True, "until": 1_749_988_800_000_000, "limit": 101}),
    ("results etl --failed --after 4 --limit 3", "journal.read", {"process_id": "anna/etl-nightly", "failed_only": True, "after": 4, "limit": 4}),
]  # fmt: skip


@pytest.mark.parametrize(("words", "method", "expected"), PARAMETERS, ids=[case[0] for case in PARAMETERS])
def test_options_become_parameters(words: str, method: str, expected: dict[str, object]) -> None:
    asked = [parameters for name, parameters in run(*words.split()).daemon.asked if name == method]
    assert asked == [expected]


def test_a_worker_names_its_own_processes_without_a_user() -> None:
    assert run("stop", "etl", role="worker").daemon.asked[-1] == ("process.stop", {"process_id": "etl-nightly"})


# --- names ---


def by_exact_name(packed: Mapping[str, object]) -> object:
    return canned.process() if packed["process_id"] in ("etl-nightly", "anna/etl-nightly") else NO_PROCESS


@pytest.mark.parametrize("named", ["etl", "etl-nightly", "anna/etl", "anna/"])
def test_a_process_is_known_by_a_unique_prefix(named: str) -> None:
    ran = run("stop", named, replies={"process.show": by_exact_name})
    assert ran.out == "asked etl-nightly to stop\n"


def test_a_prefix_of_several_is_refused_with_their_names() -> None:
    several = {"processes": [canned.process(), canned.process(process_id="etl-daily")], "next": None}
    ran = run("stop", "etl", replies={"process.show": by_exact_name, "process.list": several})
    assert (ran.code, ran.out) == (2, "")
    assert "etl is the beginning of 2 processes [USAGE]" in ran.err
    assert "etl-nightly, etl-daily" in ran.err
    assert "process.stop" not in ran.daemon.methods()


def test_a_missing_process_is_no_empty_list() -> None:
    ran = run("ls", "nix", replies={"process.show": NO_PROCESS})
    assert (ran.code, ran.out) == (4, "")
    assert "no process nix [NOT_FOUND]" in ran.err


def test_a_checkpoint_of_a_prefix() -> None:
    ran = run("pin", "etl@7", replies={"checkpoint.get": no_checkpoint("etl@7"), "process.show": by_exact_name})
    assert ran.code == 0
    assert ("checkpoint.get", {"checkpoint_id": "anna/etl-nightly@7", "data": False}) in ran.daemon.asked


def test_the_latest_of_nothing_is_no_checkpoint() -> None:
    ran = run("pin", "latest", replies={"checkpoint.list": {"checkpoints": [], "next": None}})
    assert (ran.code, ran.out) == (4, "")


def test_show_says_that_nothing_has_the_name() -> None:
    ran = run("show", "nix", replies={"process.show": NO_PROCESS, "checkpoint.get": no_checkpoint("nix")})
    assert (ran.code, ran.out) == (4, "")
    assert "no process and no checkpoint nix" in ran.err


# --- what destroys asks ---


@pytest.mark.parametrize("words", ["expire etl-nightly@7", "fence etl-nightly"])
def test_what_destroys_needs_a_yes_without_a_terminal(words: str) -> None:
    ran = run(*words.split())
    assert (ran.code, ran.out) == (2, "")
    assert "--yes" in ran.err
    assert not {"checkpoint.delete", "process.fence"} & set(ran.daemon.methods())


@pytest.mark.parametrize(("answer", "code"), [(True, 0), (False, 2)])
def test_what_destroys_asks_on_a_terminal(answer: bool, code: int) -> None:
    questions: list[str] = []

    def ask(question: str) -> bool:
        questions.append(question)
        return answer

    ran = run("expire", "etl-nightly@7", asks=lambda: True, ask=ask)
    assert ran.code == code
    assert questions == ["expire 1 checkpoint (1.4 MB): etl-nightly@7?"]
    assert ("checkpoint.delete" in ran.daemon.methods()) is answer


def test_nobody_is_asked_about_a_process_that_nobody_holds() -> None:
    ran = run("fence", "crawl-eu", replies={"process.show": canned.INTERRUPTED})
    assert (ran.code, ran.out) == (0, "fenced crawl-eu: epoch 4\n")


def test_nothing_expires_where_one_of_several_is_missing() -> None:
    ran = run(
        "expire",
        "etl-nightly@7",
        "etl-nightly@9",
        "--yes",
        replies={"checkpoint.get": no_checkpoint("etl-nightly@9"), "process.show": NO_PROCESS},
    )
    assert ran.code == 4
    assert "checkpoint.delete" not in ran.daemon.methods()


def test_several_of_which_some_fail_are_told_apart() -> None:
    outcomes = iter([{"pinned": True}, Conflict("it is in the trash")])
    ran = run("pin", "etl-nightly@7", "etl-nightly@7", replies={"checkpoint.pin": lambda _: next(outcomes)})
    assert (ran.code, ran.out) == (3, "")
    assert "error: 1 of 2 failed [PARTIAL]" in ran.err
    assert "  etl-nightly_processing_state_7: it is in the trash [CONFLICT]" in ran.err


# --- waiting and following ---


def test_wait_ends_when_the_state_comes() -> None:
    states = iter(["running", "running", "completed"])
    ran = run(
        "wait",
        "etl-nightly",
        "--for",
        "completed",
        replies={"process.show": lambda _: canned.process(state=next(states))},
    )
    assert (ran.code, ran.out) == (0, "etl-nightly is completed\n")
    assert ran.daemon.methods() == ["process.show", "process.show", "events.read", "process.show"]


def test_wait_has_an_end() -> None:
    ran = run("wait", "etl-nightly", "--for", "completed", "--timeout", "0")
    assert (ran.code, ran.out) == (8, "")
    assert "etl-nightly is running and not completed after 0 s [TIMEOUT]" in ran.err


def test_wait_outlives_a_restart_of_the_daemon() -> None:
    shown = iter(
        [
            canned.process(),
            Unreachable("no daemon answers"),
            Unreachable("no daemon answers"),
            canned.process(state="completed"),
        ]
    )
    ran = run("wait", "etl-nightly", "--for", "completed", replies={"process.show": lambda _: next(shown)})
    assert (ran.code, ran.out) == (0, "etl-nightly is completed\n")
    assert ran.err == "the daemon is away; waiting for it\n"


def test_follow_goes_on_from_what_was_shown() -> None:
    def read(packed: Mapping[str, object]) -> object:
        if packed.get("since") == 13:
            raise KeyboardInterrupt
        if packed["wait_seconds"]:
            return {"events": [[13, canned.NOW, "completed", "etl-nightly", "anna", {}]], "last": 13}
        return canned.events_since(packed)

    ran = run("events", "--follow", replies={"events.read": read})
    assert ran.code == 130
    lines = ran.out.splitlines()
    assert [line.split()[2] for line in lines[1:]] == ["registered", "interrupted", "completed"]
    assert {line.index("  anna") for line in lines if "anna" in line} == {lines[0].index("  USER")}
    assert [parameters.get("since", -1) for _, parameters in ran.daemon.asked] == [-1, 12, 12, 13]


def test_watch_appends_snapshots_where_nobody_looks_on() -> None:
    turns = iter([0, 0])
    ran = run("ls", "--watch", "etl", "--no-header", sleep=lambda seconds: _end_after(turns, seconds))
    assert ran.code == 130
    assert ran.out.count("etl-nightly@7") == 3
    assert "\x1b" not in ran.out


def test_watch_redraws_in_place_on_a_terminal() -> None:
    ran = run(
        "ps",
        "--watch=3s",
        terminal=screen(80),
        environ={"NO_COLOR": "1"},
        sleep=lambda seconds: _end_after(iter(()), seconds),
    )
    assert ran.out.startswith("\x1b[2J\x1b[HPROCESS")
    assert ran.out.endswith("\x1b[J")


def test_watch_stays_within_the_screen() -> None:
    many = {"processes": [canned.process()] * 50, "next": None}
    ran = run(
        "ps",
        "--watch",
        terminal=screen(80),
        replies={"process.list": many},
        sleep=lambda seconds: _end_after(iter(()), seconds),
    )
    assert ran.out.count("\n") == 23


def _end_after(turns: Iterator[int], seconds: float) -> None:
    assert seconds in (2.0, 3.0)
    if next(turns, None) is None:
        raise KeyboardInterrupt


@pytest.mark.parametrize(
    ("words", "numbers"),
    [
        ("--since 11", [12]),
        ("--since 50s", [12]),
        ("--since 1h", [11, 12]),
        ("--limit 1", [12]),
        ("etl --limit 0", [11, 12]),
    ],
)
def test_which_events(words: str, numbers: list[int]) -> None:
    ran = run("events", "--columns", "seq", "--no-header", *words.split())
    assert [int(line) for line in ran.out.splitlines()] == numbers


# --- much ---


def test_pages_are_put_together() -> None:
    def page(packed: Mapping[str, object]) -> object:
        first = packed.get("after") is None
        return {"checkpoints": [canned.checkpoint(seq=1 if first else 2)], "next": 40 if first else None}

    ran = run("ls", "--limit", "0", replies={"checkpoint.list": page})
    assert [line.split()[0] for line in ran.out.splitlines()[1:]] == ["etl-nightly@1", "etl-nightly@2"]


def test_a_cut_list_says_so_on_stderr() -> None:
    two = {"checkpoints": [canned.checkpoint(), canned.checkpoint(seq=6)], "next": 40}
    ran = run("ls", "--limit", "1", replies={"checkpoint.list": two})
    assert (ran.out.count("@"), ran.err) == (1, "the newest 1; --limit 0 shows all\n")
    assert run("ls", "--limit", "1").err == ""


@pytest.mark.parametrize(
    ("words", "reply", "text"),
    [
        ("ps", {"process.list": {"processes": [], "next": None}}, "no processes\n"),
        ("ps --state failed", {"process.list": {"processes": [], "next": None}}, "no failed processes\n"),
        ("ls", {"checkpoint.list": {"checkpoints": [], "next": None}}, "no checkpoints\n"),
        (
            "ls etl-nightly --trash",
            {"checkpoint.list": {"checkpoints": [], "next": None}},
            "no checkpoints of etl-nightly in the trash\n",
        ),
        (
            "results etl-nightly --failed",
            {"journal.read": {"records": [], "next": None}},
            "etl-nightly has no failed results\n",
        ),
        ("events", {"events.read": {"events": [], "last": 0}}, "no events\n"),
    ],
)
def test_nothing_is_said_in_words(words: str, reply: Mapping[str, object], text: str) -> None:
    ran = run(*words.split(), replies=reply)
    assert (ran.code, ran.out) == (0, text)


def test_a_full_store_is_warned_about() -> None:
    ran = run("status", replies={"store.status": {**canned.STATUS, "used_bytes": 9_900_000_000, "read_only": "EROFS"}})
    assert "! the store is read-only: EROFS; the store is nearly at its limit" in ran.out


def test_damage_is_warned_about() -> None:
    ran = run("status", replies={"store.status": {**canned.STATUS, "damaged": 3}})
    assert "! 3 places of what is stored are damaged: ckptctl scrub" in ran.out


# --- payloads ---


def test_restore_writes_every_part_under_a_name_that_a_file_can_have(tmp_path: Path) -> None:
    ran = run("restore", "etl-nightly@7", str(tmp_path / "out"))
    assert ran.code == 0
    assert {path.name: path.read_bytes() for path in (tmp_path / "out").iterdir()} == {
        "state": canned.STATE[0][2], "notes.txt": b"hello\n", "state%2F0": b"\x00\xff" * 10,
    }  # fmt: skip


def test_restore_overwrites_only_when_told(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    refused = run("restore", "etl-nightly@7", str(tmp_path))
    assert (refused.code, refused.out, (tmp_path / "notes.txt").read_text()) == (6, "", "mine")
    assert run("restore", "etl-nightly@7", str(tmp_path), "--force").code == 0
    assert (tmp_path / "notes.txt").read_text() == "hello\n"


def test_restore_keeps_what_is_whole_and_names_what_is_not(tmp_path: Path) -> None:
    def read(packed: Mapping[str, object]) -> object:
        return Damaged("a chunk does not match its id") if packed["part"] == 1 else {"data": b"x"}

    ran = run("restore", "etl-nightly@7", str(tmp_path), replies={"checkpoint.read": read})
    assert (ran.code, ran.out) == (9, "")
    assert "  part notes.txt: a chunk does not match its id" in ran.err
    assert sorted(path.name for path in tmp_path.iterdir()) == ["state", "state%2F0"]


@pytest.mark.parametrize("pieces", [1, 8, 9, 20])
def test_pieces_come_in_their_order(pieces: int) -> None:
    def read(packed: Mapping[str, object]) -> object:
        return {"data": b"%d;" % cast("int", packed.get("offset", 0))}

    part = ["big", canned.parts(canned.FILES)[0][1], (pieces - 1) * limits.piece_bytes_max + 1, None]
    ran = run(
        "cat",
        "x@1",
        "big",
        replies={"checkpoint.get": {**canned.checkpoint(), "parts": [part]}, "checkpoint.read": read},
    )
    assert ran.out == "".join(f"{index * limits.piece_bytes_max};" for index in range(pieces))


def test_restore_needs_a_directory(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    ran = run("restore", "etl-nightly@7", str(tmp_path / "file"))
    assert (ran.code, ran.out, (tmp_path / "file").read_text()) == (2, "", "mine")


def test_a_part_that_no_file_can_be_called_is_said(tmp_path: Path) -> None:
    long = canned.parts([("n" * 300, {"kind": "file"}, b"x")])
    ran = run("restore", "x@1", str(tmp_path), replies={"checkpoint.get": {**canned.checkpoint(), "parts": long}})
    assert (ran.code, ran.out) == (2, "")
    assert "File name too long" in ran.err


def test_restore_leaves_no_half_of_a_file(tmp_path: Path) -> None:
    sent = iter([{"data": b"state"}])
    gone = Unreachable("no daemon answers")
    ran = run("restore", "etl-nightly@7", str(tmp_path), replies={"checkpoint.read": lambda _: next(sent, gone)})
    assert (ran.code, ran.out) == (7, "")
    assert [path.name for path in tmp_path.iterdir()] == ["state"]


def test_put_sends_small_files_inside_the_save(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("A")
    (tmp_path / "b.txt").write_text("")
    ran = run("put", "backup", str(tmp_path / "a.txt"), str(tmp_path / "b.txt"), "--tag", "x", "--ttl", "2 h")
    assert (ran.code, ran.out) == (0, "saved backup_custom_1: 2 files, 1 B\n")
    (_, saved), *_ = ran.daemon.asked
    assert [part[0::2] for part in saved["parts"]] == [["a.txt", b"A"], ["b.txt", b""]]  # type: ignore[attr-defined]
    assert (saved["process_id"], saved["type"], saved["tags"], saved["ttl_seconds"]) == (
        "backup",
        "custom",
        ["x"],
        7200.0,
    )


def test_put_uploads_large_files_in_pieces(tmp_path: Path) -> None:
    (tmp_path / "big").write_bytes(b"x" * 2_500_000)
    ran = run("put", "backup", str(tmp_path / "big"))
    assert ran.code == 0
    assert ran.daemon.methods() == ["ping", "upload.open", "part.write", "part.write", "part.write", "checkpoint.save"]
    pieces = [parameters["data"] for method, parameters in ran.daemon.asked if method == "part.write"]
    assert b"".join(cast("list[bytes]", pieces)) == b"x" * 2_500_000
    assert ran.daemon.asked[-1][1]["upload"] == 5


@pytest.mark.parametrize(
    ("names", "text"),
    [
        (["gone"], "gone can't be read: No such file"),
        (["."], "is a directory"),
        (["a", "sub/a"], "two of the files are called a"),
    ],
)
def test_put_refuses_before_it_sends(names: list[str], text: str, tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    for name in ("a", "sub/a"):
        (tmp_path / name).write_text(name)
    ran = run("put", "backup", *(str(tmp_path / name) for name in names))
    assert (ran.code, ran.out, ran.daemon.asked) == (2, "", [])
    assert text in ran.err


def test_a_file_that_is_not_as_long_as_it_says_is_not_saved() -> None:
    ran = run("put", "backup", "/proc/version")  # the kernel calls it empty, and it is not
    assert (ran.code, ran.out, ran.daemon.asked) == (6, "", [])
    assert "/proc/version changed while it was read" in ran.err


def test_a_daemons_refusal_passes_through(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("A")
    full = NoSpace("checkpoint save refused: the store is full", hint="ckptctl status")
    ran = run("put", "backup", str(tmp_path / "a"), replies={"checkpoint.save": full})
    assert (ran.code, ran.out) == (13, "")
    assert ran.err == (
        "error: checkpoint save refused: the store is full [NO_SPACE]\n  ckptctl status\n  more: ckptctl explain NO_SPACE\n"
    )


def test_cat_names_the_parts_that_there_are() -> None:
    ran = run("cat", "etl-nightly@7", "nix")
    assert (ran.code, ran.out) == (4, "")
    assert "its parts: state, notes.txt, state/0" in ran.err


def test_a_terminal_is_shown_text_and_no_bytes() -> None:
    assert run("cat", "etl-nightly@7", "notes.txt", terminal=screen(80)).out == "hello\n"
    ran = run("cat", "etl-nightly@7", "state/0", terminal=screen(80))
    assert (ran.code, ran.out) == (2, "")
    assert "ckptctl cat etl-nightly@7 state/0 --format json, or > FILE" in ran.err


def test_what_can_not_be_read_leaves_nothing_on_stdout() -> None:
    ran = run("cat", "etl-nightly@7", "notes.txt", replies={"checkpoint.read": Damaged("a chunk is damaged")})
    assert (ran.code, ran.out) == (9, "")


def test_a_checkpoint_of_files_has_no_state_to_decode() -> None:
    named_state = canned.parts([("state", {"kind": "file"}, b"x"), *canned.FILES])
    ran = run(
        "cat",
        "etl-nightly@7",
        "state",
        "--format",
        "json",
        replies={"checkpoint.get": {**canned.checkpoint(), "parts": named_state}},
    )
    assert '"base64"' in ran.out


def test_a_drill_that_meets_damage_names_it_and_ends_in_its_exit_code() -> None:
    past = [["etl-nightly_processing_state_7", "a chunk is damaged"]]
    found = iter(
        [
            {**canned.PROVEN, "damaged": past},
            {**canned.PROVEN, "checkpoint_id": None, "seq": None, "proven_at": None, "damaged": past},
        ]
    )
    ran = run("drill", replies={"process.prove": lambda _: next(found)})
    assert ran.code == 9
    assert ("! older one" in ran.out, "✗ damaged" in ran.out) == (True, True)
    assert "etl-nightly: etl-nightly_processing_state_7: a chunk is damaged" in ran.err
