"""What OPERATIONS.md and SECURITY.md say of units, methods, statuses and log lines is so."""

import re
from pathlib import Path
from typing import Final

import pytest

from ckptd import cli, daemon
from ckptd.rpc.methods import SURFACE
from ckptd.service.caller import Role
from ckptd.store import medium
from tests.systemd.installation import ROOT
from tests.systemd.instance import Instance

OPERATIONS: Final = (ROOT / "docs" / "OPERATIONS.md").read_text(encoding="utf-8")
SECURITY: Final = (ROOT / "docs" / "SECURITY.md").read_text(encoding="utf-8")
DROP_INS: Final = re.findall(r"```ini\n(.*?)```", OPERATIONS, re.DOTALL)


def rows(text: str, heading: str) -> list[list[str]]:
    """The cells of the table that follows a heading, without its head."""
    table = text.split(f"{heading}\n", 1)[1].split("\n|", 1)[1].split("\n\n", 1)[0]
    return [[cell.strip() for cell in line.strip("| ").split(" | ")] for line in table.splitlines()[2:]]


def sources() -> str:
    return "\n".join(path.read_text(encoding="utf-8") for path in Path(ROOT, "ckptd").rglob("*.py"))


def test_the_methods_of_each_role_are_the_tables() -> None:
    told = {
        row[0]: set(re.findall(r"`([a-z]+\.[a-z]+)`", row[3])) for row in rows(SECURITY, "## Roles") if len(row) > 3
    }
    found = {
        role.name.lower(): {one.name for one in SURFACE if one.role is role} for role in (Role.OPERATOR, Role.ADMIN)
    }
    assert told == found


def test_the_exit_statuses_are_those_of_the_code() -> None:
    told = {int(row[0]) for row in rows(OPERATIONS, "### Exit statuses of ckptd")}
    assert told == {0, 1, cli.EX_USAGE, daemon.EX_IOERR, medium.EX_TEMPFAIL, cli.EX_CONFIG}


def test_every_log_line_that_is_explained_exists() -> None:
    events = [name for row in rows(OPERATIONS, "## The log") for name in re.findall(r"`([^`]+)`", row[0])]
    assert len(events) > 10
    code = sources()
    assert [name for name in events if f'"{name}"' not in code and name != "bug"] == []


def test_every_place_inside_the_documents_exists() -> None:
    for text in (OPERATIONS, SECURITY):
        for target, anchor in re.findall(r"\]\(([A-Za-z_]+\.(?:md|toml))?#?([a-z-]*)\)", text):
            document = (ROOT / "docs" / target).read_text(encoding="utf-8") if target else text
            headings = {
                re.sub(r"[^a-z0-9 -]", "", one.lower()).replace(" ", "-")
                for one in re.findall(r"^#+ (.*)$", document, re.MULTILINE)
            }
            assert not anchor or anchor in headings, (target, anchor)


@pytest.mark.xdist_group("systemd")
def test_every_drop_in_is_understood_and_the_daemon_serves_with_it(instance: Instance) -> None:
    assert len(DROP_INS) == 4
    for number, text in enumerate(DROP_INS):
        instance.drop_in(f"{number}.conf", text)
    instance.run("install", "-d", "-o", "ckptd", "-g", "ckptd", "-m", "0700", "/srv/ckptd", "/mnt/backup/ckptd")
    instance.configure('[store]\npath = "/srv/ckptd"\n')
    verified = instance.attempt("systemd-analyze", "verify", "ckptd.service")
    assert (verified.returncode, verified.stderr) == (0, "")
    assert instance.ask("who")["daemon"] == instance.main_pid()
    assert instance.show("StatusText").startswith("serving /srv/ckptd")
