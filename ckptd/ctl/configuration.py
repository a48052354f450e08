"""Verbs about the configuration: what counts and where it comes from, whether a file can be used, taking it over."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ckptclient import calls, results
from ckptd import config as gathering
from ckptd.ctl import shown
from ckptd.ctl.answer import Answer, Column, Lines, Mark, Table, done
from ckptd.ctl.session import Session

if TYPE_CHECKING:
    from ckptd.settings.table import Mode

_DEFAULT = "default"


def _mark(setting: results.SettingInfo) -> Mark:
    return "dim" if setting.source == _DEFAULT else ""


COLUMNS: Sequence[Column[results.SettingInfo]] = (
    Column("key", lambda s, _: s.key, lambda s: s.key, 0, width_min=24, mark=_mark),
    Column("value", lambda s, _: s.value or '""', lambda s: s.value, 0, width_min=10, mark=_mark),
    Column("source", lambda s, _: s.source, lambda s: s.source, 0, width_min=10, mark=_mark),
)


def show(session: Session, *, changed: bool) -> Answer:
    """The settings in force, each with its source."""
    found = session.call(calls.config_show()).settings
    wanted = [one for one in found if not changed or one.source != _DEFAULT]
    settings = [{"key": one.key, "value": one.value, "source": one.source} for one in wanted]
    return Answer({"settings": settings}, (Table(COLUMNS, wanted, "every setting has its default"),))


def check(session: Session, *, file: str | None, private: bool) -> Answer:
    """Whether a configuration can be used; asks no daemon."""
    mode: Mode = "private" if private else "node"
    path = Path(file) if file else gathering.find_file(mode, session.world.environ)
    config = gathering.load(path, session.world.environ, {}, mode=mode)
    given = sum(origin.source != _DEFAULT for origin in config.origins.values())
    what = str(path) if path else "no file"
    line = f"{what}: ok, {shown.counted(given, 'setting')} of {len(config.origins)} changed"
    return done(line, file=str(path) if path else None, mode=mode, changed_count=given)


def reload(session: Session) -> Answer:
    """Have the daemon read its configuration again."""
    reloaded = session.call(calls.config_reload())
    lines = [f"changed: {', '.join(reloaded.changed) or 'nothing'}"]
    if reloaded.restart:
        lines.append(f"waits for a restart: {', '.join(reloaded.restart)}")
    return Answer({"changed": list(reloaded.changed), "restart": list(reloaded.restart)}, (Lines("\n".join(lines)),))
