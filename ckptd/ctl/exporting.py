"""The verb `export`: one checkpoint from the daemon into one file. The file's bytes are `ckptd.store.export`'s."""

from pathlib import Path

from ckptclient import calls, results
from ckptclient.errors import BadRequest, CkptdError, Conflict
from ckptclient.version import __version__
from ckptclient.wire import params
from ckptd.ctl import documents, naming, payloads, shown
from ckptd.ctl.answer import Answer, done
from ckptd.ctl.progressing import Bar
from ckptd.ctl.session import PAGE, Session
from ckptd.store.durable import publishing
from ckptd.store.export import Description, ExportedPart, write_export

PROGRESS_PART = "progress"
"""The part that the daemon adds to a process's checkpoint."""


def export(session: Session, *, id: str, file: str, force: bool, level: int) -> Answer:
    """Write the checkpoint to a file, whole or not at all."""
    path = Path(file)
    if path.exists() and not (force and path.is_file()):
        raise Conflict(
            f"{path} is there already", hint="name another file" + (", or add --force" if path.is_file() else "")
        )
    info = naming.checkpoint(session, id)
    total = sum(part.size_bytes for part in info.parts)
    try:
        with Bar(session, f"exporting {info.process_id}@{info.seq}", total) as bar, publishing(path) as out:
            parts = [
                (
                    ExportedPart(part.name, part.form, part.size_bytes),
                    bar.through(payloads.pieces(session, info, index)),
                )
                for index, part in enumerate(info.parts)
            ]
            digest = write_export(out, _description(session, info), parts, level)
            file_bytes = out.tell()
    except OSError as error:
        if isinstance(error, CkptdError):  # some of ours are both
            raise
        raise BadRequest(
            f"{path} can't be written: {error.strerror}", hint="make room, or name another place"
        ) from error
    answer = done(
        f"exported {info.checkpoint_id} to {path}: {shown.size(total)} in {shown.size(file_bytes)}",
        checkpoint_id=info.checkpoint_id,
        file=str(path),
        size_bytes=total,
        file_bytes=file_bytes,
        has_state=info.has_state,
        sha256=digest.hex(),
    )
    return Answer(answer.document, answer.blocks, () if info.has_state else _notes(session, info))


def _notes(session: Session, info: results.CheckpointContent) -> list[str]:
    """What a checkpoint without the application's state lacks, and which one has it: `latest` is often one without."""
    of = naming.qualified_process(session, info)
    page = session.call(calls.checkpoints(params.ListCheckpoints(process_id=of, limit=PAGE)))
    newest = next((f"{one.process_id}@{one.seq}" for one in page.checkpoints if one.has_state), None)
    return [f"it holds progress alone, not the application's state{f'; {newest} has that' if newest else ''}"]


def _description(session: Session, info: results.CheckpointContent) -> Description:
    welcome = session.daemon.welcome
    assert welcome is not None, "the daemon has answered"
    return Description(
        process_id=info.process_id,
        checkpoint_id=info.checkpoint_id,
        seq=info.seq,
        type=info.type,
        created_at=info.created_at,
        has_state=info.has_state,
        epoch=info.epoch,
        user=info.user,
        task_id=info.task_id,
        description=info.description,
        tags=info.tags,
        depends=info.depends,
        metadata=info.metadata,
        progress=_progress(session, info),
        schema_version=info.schema_version,
        journal_position=info.journal_position,
        checksum=info.checksum,
        lineage=welcome.lineage,
        exported_at=session.world.clock.now(),
        writer=f"ckptd {__version__}",
    )


def _progress(session: Session, info: results.CheckpointContent) -> bytes:
    """Where the process stood, for who reads the description alone."""
    for index, part in enumerate(info.parts):
        form = documents.value(part.form)
        if part.name == PROGRESS_PART and isinstance(form, dict) and form.get("kind") == PROGRESS_PART:
            return b"".join(payloads.pieces(session, info, index))
    return b""
