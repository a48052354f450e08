"""ruff and mypy, as pyproject.toml sets them: right code passes, and one planted fault per rule is refused."""

import json
from pathlib import Path

import pytest

from tests.contracts import right_code
from tests.contracts.tools import run

# All faults are planted at once, each in a file of its own: the tools then run once.
pytestmark = pytest.mark.xdist_group("lint")

DEF = 'def go() -> None:\n    """Go."""\n'
ASYNC = 'async def go() -> None:\n    """Go."""\n'
BRANCHES = "".join(f"    if x == {n}:\n        return {n + 1}\n" for n in range(12))

# what it is | where (a number is put in for {}) | code that must be refused | the body after the module's docstring
RUFF = [
    ("a stray create_task", "ckptd/room{}.py", "TID251", f"import asyncio\n\n\n{ASYNC}    asyncio.create_task(go())\n"),
    (
        "a task without a reference",
        "ckptd/room{}.py",
        "RUF006",
        f"import asyncio\n\n\n{ASYNC}    asyncio.create_task(go())\n",
    ),
    ("wait_for", "ckptclient/room{}.py", "TID251", f"import asyncio\n\n\n{ASYNC}    await asyncio.wait_for(go(), 1)\n"),
    ("a clock read outside clock", "ckptd/room{}.py", "TID251", "import time\n\nX = time.monotonic()\n"),
    ("fsync outside store.durable", "ckptd/store/room{}.py", "TID251", f"import os\n\n\n{DEF}    os.fsync(3)\n"),
    (
        "rename outside store.durable",
        "ckptd/store/room{}.py",
        "TID251",
        f"import os\n\n\n{DEF}    os.rename('a', 'b')\n",
    ),
    ("pickle", "ckptd/room{}.py", "TID251", "import pickle\n\nX = pickle.HIGHEST_PROTOCOL\n"),
    ("loading a pickle", "ckptd/room{}.py", "S301", "import pickle\n\nX = pickle.loads(b'')\n"),
    ("randomness of its own", "ckptclient/room{}.py", "TID251", "import random\n\nX = random.random()\n"),
    ("an id of its own", "ckptclient/room{}.py", "TID251", "import uuid\n\nX = uuid.uuid4()\n"),
    (
        "a test that sleeps",
        "tests/test_room{}.py",
        "TID251",
        "import time\n\n\ndef test_it() -> None:\n    time.sleep(1)\n",
    ),
    ("a parent-relative import", "ckptd/core/room{}.py", "TID252", "from ..clock import now\n\nX = now\n"),
    ("a public function unexplained", "ckptd/room{}.py", "D103", "def go() -> None:\n    return\n"),
    ("a public class unexplained", "ckptd/room{}.py", "D101", "class Lease:\n    epoch = 1\n"),
    (
        "a branchy function",
        "ckptd/room{}.py",
        "C901",
        f'def go(x: int) -> int:\n    """Go."""\n{BRANCHES}    return 0\n',
    ),
    ("a function over a screen", "ckptd/room{}.py", "PLR0915", DEF + "    x = 0\n" + "    x += 1\n" * 45),
    ("commented-out code", "ckptd/room{}.py", "ERA001", "# x = go(1)\nX = 1\n"),
    ("something put off", "ckptd/room{}.py", "FIX002", "# TODO: later\nX = 1\n"),
    ("print", "ckptd/room{}.py", "T201", "print(1)\n"),
    ("an f-string in a log call", "ckptd/room{}.py", "G004", 'import logging\n\nlogging.getLogger("a").info(f"{1}")\n'),
    (
        "a blind except",
        "ckptd/room{}.py",
        "BLE001",
        f"{DEF}    try:\n        go()\n    except Exception:\n        return\n",
    ),
    (
        "raise without from",
        "ckptd/room{}.py",
        "B904",
        f"{DEF}    try:\n        go()\n    except OSError:\n        raise KeyError\n",
    ),
    ("eval", "ckptd/room{}.py", "S307", 'X = eval("1")\n'),
    ("a naive datetime", "ckptd/room{}.py", "DTZ005", "import datetime\n\nX = datetime.datetime.now()\n"),
    ("a blocking sleep in a coroutine", "ckptd/room{}.py", "ASYNC251", f"import time\n\n\n{ASYNC}    time.sleep(1)\n"),
    (
        "a blocking open in a coroutine",
        "ckptd/room{}.py",
        "ASYNC230",
        f'{ASYNC}    with open("x") as f:\n        f.read()\n',
    ),
    ("another module's private", "ckptd/room{}.py", "SLF001", "from ckptd.core import lease\n\nX = lease._secret\n"),
    ("a folder that is no package", "ckptd/loose{}/a.py", "INP001", "X = 1\n"),
    ("an untyped function", "ckptd/room{}.py", "ANN001", 'def go(x) -> None:\n    """Go."""\n'),
]

LEASE = "from ckptd.core.lease import Epoch, Lease, Verdict, check\n\n"
OVERRIDE = "class A:\n    def go(self) -> None: ...\n\n\nclass B(A):\n    def go(self) -> None: ...\n"
MYPY = [
    ("an untyped function", "ckptd/room{}.py", "no-untyped-def", "def go(x):\n    return x\n"),
    ("a bare int for an Epoch", "ckptd/room{}.py", "arg-type", LEASE + "X = check(Lease(Epoch(1)), 3)\n"),
    ("a write to a frozen value", "ckptd/room{}.py", "misc", LEASE + "Lease(Epoch(1)).epoch = Epoch(2)\n"),
    ("Any inside core", "ckptd/core/room{}.py", "explicit-any", "from typing import Any\n\nX: Any = 1\n"),
    ("Any inside the wire", "ckptclient/wire/room{}.py", "explicit-any", "from typing import Any\n\nX: Any = 1\n"),
    (
        "unreachable code",
        "ckptd/room{}.py",
        "unreachable",
        "def go(x: int) -> int:\n    if isinstance(x, int):\n        return 1\n    return 2\n",
    ),
    (
        "a name set on one path only",
        "ckptd/room{}.py",
        "possibly-undefined",
        "def go(x: bool) -> int:\n    if x:\n        y = 1\n    return y\n",
    ),
    (
        "a state forgotten",
        "ckptd/room{}.py",
        "exhaustive-match",
        LEASE + "def go(v: Verdict) -> None:\n    match v:\n        case Verdict.FENCED:\n            return\n",
    ),
    ("an override not marked", "ckptd/room{}.py", "explicit-override", OVERRIDE),
    ("a bare ignore", "ckptd/room{}.py", "ignore-without-code", 'X: int = "a"  # type: ignore\n'),
    (
        "an awaitable dropped",
        "ckptd/room{}.py",
        "unused-awaitable",
        "import asyncio\n\n\nasync def go() -> None:\n    asyncio.get_running_loop().create_future()\n",
    ),
    ("an untyped test", "tests/test_room{}.py", "no-untyped-def", "def test_it(x):\n    assert x\n"),
]

Table = list[tuple[str, str, str, str]]


def planted(table: Table) -> dict[str, str]:
    """Give each row a file of its own; a package's `__init__` comes with it where the rule wants none."""
    files = {place.format(number): f'"""A room."""\n\n{body}' for number, (_, place, _, body) in enumerate(table)}
    packages = {"ckptd/store/__init__.py": '"""Store."""\n', "ckptclient/wire/__init__.py": '"""Wire."""\n'}
    return packages | files


@pytest.fixture(scope="module")
def ruff_found(tmp_path_factory: pytest.TempPathFactory) -> set[tuple[str, str]]:
    folder = tmp_path_factory.mktemp("ruff")
    right_code.write(folder, planted(RUFF) | {"ckptd/bare.py": "X = 1\n"})
    result = run(folder, "ruff", "check", "--no-cache", "--output-format=json")
    return {(str(Path(row["filename"]).relative_to(folder)), row["code"]) for row in json.loads(result.stdout)}


@pytest.fixture(scope="module")
def mypy_found(tmp_path_factory: pytest.TempPathFactory) -> set[tuple[str, str]]:
    folder = tmp_path_factory.mktemp("mypy")
    right_code.write(folder, planted(MYPY))
    result = run(folder, "mypy", "--no-incremental", "--cache-dir=/dev/null", "--output=json")
    return {(row["file"], row["code"]) for row in map(json.loads, result.stdout.splitlines())}


@pytest.mark.parametrize(("number", "what"), [(number, row[0]) for number, row in enumerate(RUFF)])
def test_ruff_refuses(number: int, what: str, ruff_found: set[tuple[str, str]]) -> None:
    _, place, code, _ = RUFF[number]
    assert (place.format(number), code) in ruff_found, what


def test_ruff_refuses_a_module_without_a_docstring(ruff_found: set[tuple[str, str]]) -> None:
    assert ("ckptd/bare.py", "D100") in ruff_found


@pytest.mark.parametrize(("number", "what"), [(number, row[0]) for number, row in enumerate(MYPY)])
def test_mypy_refuses(number: int, what: str, mypy_found: set[tuple[str, str]]) -> None:
    _, place, code, _ = MYPY[number]
    assert (place.format(number), code) in mypy_found, what


@pytest.mark.parametrize(
    "command",
    [("ruff", "check", "--no-cache"), ("ruff", "format", "--check", "--no-cache"), ("mypy", "--cache-dir=/dev/null")],
)
def test_right_code_passes(command: tuple[str, ...], tmp_path: Path) -> None:
    right_code.write(tmp_path, {})
    result = run(tmp_path, *command)
    assert result.returncode == 0, result.stdout + result.stderr
