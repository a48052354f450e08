"""Verbs about the daemon and its store as a whole: `status`, `version`."""

import platform

from ckptclient import __version__, calls, results
from ckptclient.wire import limits
from ckptd.ctl import documents, naming, processes, shown
from ckptd.ctl.answer import Answer, Block, Facts, Table, done
from ckptd.ctl.session import Session
from ckptd.ctl.shown import View

_STATES_NOW = ("running", "interrupted", "paused", "failed")
_WORDS_NOW = (*_STATES_NOW, "stalled")
"""A stalled process is a running one, as far as the daemon is asked for it."""

ROWS_MAX = 12
"""Of processes on the screen; those behind them have less to lose."""

_WARN_SHARE = 0.9
"""Of its limit, from which on a store is nearly full."""


def status(session: Session) -> Answer:
    """One screen: up, space, what runs, what a crash would cost at worst."""
    store = session.call(calls.status())
    found, _ = naming.processes(session, states=_STATES_NOW)
    view = session.view()
    ordered = processes.most_urgent_first(found, view.now)
    at_risk = [(risk, info) for info in ordered if (risk := documents.at_risk(info, view.now)) is not None]
    worst = max(at_risk, key=lambda one: one[0], default=None)
    counts = {state: sum(info.state == state for info in found) for state in _WORDS_NOW}
    document: documents.Document = {
        "daemon": documents.daemon(store),
        "store": documents.store(store),
        "process_counts": counts,
        "at_risk_worst": None if worst is None else {"process_id": worst[1].process_id, "user": worst[1].user, "seconds": worst[0]},
        "warnings": _warnings(store),
        "running": [documents.process(info, view.now) for info in ordered if info.state in ("running", "stalled")],
    }  # fmt: skip
    blocks: list[Block] = [Facts(_facts(store, counts, worst, view))]
    if ordered:
        blocks.append(Table(processes.columns(view.now), ordered[:ROWS_MAX]))
    more = len(ordered) - ROWS_MAX
    return Answer(document, blocks, (f"{more} more: ckptctl ps",) if more > 0 else ())


def _facts(
    store: results.StoreStatus, counts: dict[str, int], worst: tuple[float, results.ProcessInfo] | None, view: View
) -> list[tuple[str, str]]:
    warnings = _warnings(store)
    now = ", ".join(f"{number} {state}" for state, number in counts.items() if number) or "nobody works"
    used = f"{shown.size(store.used_bytes)} used"
    if store.limit_bytes:
        share = 100 * store.used_bytes / store.limit_bytes
        used = f"{shown.bar(share)} {used} of {shown.size(store.limit_bytes)}"
    risk = f"{shown.span(worst[0])} ({worst[1].process_id})" if worst else "nothing"
    return [
        ("daemon", f"✓ ckptd {store.version}, pid {store.pid}, up {shown.span(store.uptime_seconds)}"),
        ("store", store.store_path),
        ("health", "! " + "; ".join(warnings) if warnings else "✓ nothing to report"),
        ("space", f"{used}, {shown.size(store.free_bytes)} free on the file system"),
        ("checkpoints", shown.count(store.checkpoints)),
        ("processes", now),
        ("at risk", risk),
        ("connections", shown.count(store.connections)),
        ("last cleanup", view.both(store.last_cleanup)),
    ]


def _warnings(store: results.StoreStatus) -> list[str]:
    found: list[str] = []
    if store.read_only:
        found.append(f"the store is read-only: {store.read_only}")
    if store.limit_bytes and store.used_bytes >= store.limit_bytes * _WARN_SHARE:
        found.append("the store is nearly at its limit: saves will be refused there")
    if store.damaged:
        found.append(f"{shown.counted(store.damaged, 'place')} of what is stored are damaged: ckptctl scrub")
    return found


def version(_session: Session) -> Answer:
    """Which release this is; asks no daemon."""
    protocols = [limits.PROTOCOL_VERSION]
    return done(
        f"ckptctl {__version__}", version=__version__, protocol_versions=protocols, python=platform.python_version()
    )
