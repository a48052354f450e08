"""What a person writes becomes an id: unique prefixes, `PROCESS@latest`, `PROCESS@SEQ`, `latest`.

A full id always means itself. Whoever names something that isn't there, or that could be several things, is told so;
an empty answer would be taken for "nothing to worry about".
"""

from ckptclient import calls, results
from ckptclient.errors import BadRequest, NotFound, UnknownCheckpoint, UnknownProcess
from ckptclient.wire import params
from ckptd.ctl.session import Session, paged

LATEST = "latest"
_NAMED_MAX = 5


def process(session: Session, named: str) -> results.ProcessInfo:
    """The process of an id, `user/id` or a unique prefix of either; raises NOT_FOUND, USAGE where it is ambiguous."""
    try:
        return session.call(calls.show(named))
    except NotFound:
        return session.call(calls.show(_by_prefix(session, named)))


def _by_prefix(session: Session, named: str) -> str:
    found = {
        _full(info, named): None
        for info in processes(session)[0]
        if info.process_id.startswith(named) or f"{info.user}/{info.process_id}".startswith(named)
    }
    if len(found) > 1:
        some = ", ".join(list(found)[:_NAMED_MAX]) + (", ..." if len(found) > _NAMED_MAX else "")
        raise BadRequest(f"{named} is the beginning of {len(found)} processes", hint=f"say which: {some}")
    if not found:
        raise UnknownProcess(f"no process {named}", hint="ckptctl ps lists them", details={"what": "process"})
    return next(iter(found))


def _full(info: results.ProcessInfo, named: str) -> str:
    return info.process_id if info.process_id.startswith(named) else f"{info.user}/{info.process_id}"


def processes(
    session: Session, limit: int = 0, *, states: tuple[str, ...] = (), task_id: str | None = None
) -> tuple[list[results.ProcessInfo], bool]:
    """Processes (0: all), last changed first, and whether there are more."""

    def read(after: int | None, many: int) -> tuple[tuple[results.ProcessInfo, ...], int | None]:
        page = session.call(calls.processes(states=states, task_id=task_id, limit=many, after=after))
        return page.processes, page.next

    return paged(read, limit)


def checkpoint(session: Session, named: str) -> results.CheckpointContent:
    """The checkpoint, with its parts but not their bytes; raises NOT_FOUND, USAGE where a prefix is ambiguous."""
    if named == LATEST:
        return _latest(session)
    try:
        return session.call(calls.get(named, data=False))
    except NotFound:
        if not named.rpartition("@")[0]:
            raise
    return session.call(calls.get(spelled_out(session, named), data=False))


def spelled_out(session: Session, named: str) -> str:
    """`PROCESS@SEQ` with the whole id of the process: the daemon knows no others."""
    process_id, _, which = named.rpartition("@")
    return f"{qualified(session, process(session, process_id))}@{which}"


def _latest(session: Session) -> results.CheckpointContent:
    page = session.call(calls.checkpoints(params.ListCheckpoints(limit=1)))
    if not page.checkpoints:
        raise UnknownCheckpoint("there is no checkpoint", hint="ckptctl ls lists them", details={"what": "checkpoint"})
    return session.call(calls.get(qualified(session, page.checkpoints[0]), data=False))


def qualified(session: Session, info: results.ProcessInfo | results.CheckpointInfo) -> str:
    """The id by which the caller names it to the daemon: an operator says `user/id` of what is somebody else's.

    So it is for an operator's own whose id has a slash, because the first slash would end a user's name.
    """
    name = info.process_id if isinstance(info, results.ProcessInfo) else info.checkpoint_id
    return f"{info.user}/{name}" if session.is_operator and ("/" in name or info.user != session.user) else name


def numbered(session: Session, info: results.CheckpointInfo) -> str:
    """The name of a checkpoint that never comes to mean another one, as an id that its maker chose may while it is read."""
    return f"{qualified_process(session, info)}@{info.seq}"


def qualified_process(session: Session, info: results.CheckpointInfo) -> str:
    """The process of a checkpoint, as `qualified` names one."""
    user = f"{info.user}/" if session.is_operator and ("/" in info.process_id or info.user != session.user) else ""
    return f"{user}{info.process_id}"
