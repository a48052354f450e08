"""The client in JavaScript registers, saves, loads, is killed and recovers, with nothing but the documents in common."""

import json
import shutil
import subprocess
from pathlib import Path

import msgpack
import pytest

from ckptclient import calls, payload
from ckptclient.payload import Part
from ckptclient.sync import Client
from ckptclient.wire import params
from tests.waiting import wait_until

HERE = Path(__file__).parent
SECONDS = 60


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The scenarios beside the package that they need; where that can't be had, these tests are skipped."""
    for name in ("node", "npm"):
        if shutil.which(name) is None:
            pytest.skip(f"{name} is not installed")
    folder = tmp_path_factory.mktemp("interop")
    for name in ("package.json", "client.js", "scenario.js"):
        shutil.copy(HERE / name, folder)
    command = ["npm", "install", "--no-audit", "--no-fund", "--no-package-lock", "--loglevel=error"]
    installed = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=SECONDS, check=False)
    if installed.returncode:
        pytest.skip(f"npm can't get @msgpack/msgpack: {installed.stderr.strip().splitlines()[-1:]}")
    return folder / "scenario.js"


def start(program: Path, *arguments: object) -> "subprocess.Popen[str]":
    command = ["node", str(program), *map(str, arguments)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def run(program: Path, *arguments: object) -> object:
    """What a scenario said, once it has ended well."""
    node = start(program, *arguments)
    out, err = node.communicate(timeout=SECONDS)
    assert node.returncode == 0, err
    return json.loads(out)


def test_it_registers_saves_is_killed_and_recovers(program: Path, socket: Path) -> None:
    node = start(program, socket, "work")
    assert node.stdout is not None
    said = node.stdout.readline()
    node.kill()
    _, err = node.communicate(timeout=SECONDS)
    assert said, err
    assert json.loads(said) == {
        "epoch": 1,
        "resumed": False,
        "position": 3,
        "checkpoint": "interop_processing_state_1",
        "level": "disk",
    }
    with Client(socket) as client:
        wait_until(lambda: client.call(calls.show("interop")).state == "interrupted")
    assert run(program, socket, "recover") == {
        "epoch": 2,
        "resumed": True,
        "completed": 3,
        "step": 3,
        "losses": [0.5, None, "ünïcode"],
        "whole": True,
        "records": [[0, 0, 0, "a", {"loss": 0.5}], [1, 1, 1, "b", "it broke"], [2, 0, 2, "c", None]],
        "end": "completed",
    }


def test_a_repeated_mutation_is_applied_once(program: Path, socket: Path) -> None:
    assert run(program, socket, "repeat") == {"same": True, "count": 1}


def test_mistakes_are_answered_and_the_conversation_goes_on(program: Path, socket: Path) -> None:
    assert run(program, socket, "refused") == [
        ["USAGE", False],
        ["USAGE", False],
        ["NOT_FOUND", False],
        ["NOT_FOUND", False],
        None,
    ]


def test_each_client_reads_what_the_other_saved(program: Path, socket: Path) -> None:
    run(program, socket, "repeat")
    state = {"step": 7, "words": ["ä", None, True], "deep": {"loss": 0.25}}
    parts = tuple(
        params.PartData(name=part.name, form=msgpack.packb(part.form), data=bytes(part.data))
        for part in payload.encode(state)
    )
    with Client(socket) as client:
        saved = client.call(calls.save(params.Save(request=calls.UNNUMBERED, process_id="ours", parts=parts)))
        assert run(program, socket, "load", saved.checkpoint_id) == state
        theirs = client.call(calls.get("repeated_processing_state_1")).parts
    found = {one.name: Part(one.name, msgpack.unpackb(one.form), one.data or b"") for one in theirs}
    assert payload.decode(found) == {"step": 1}
