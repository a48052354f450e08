"""`manager.storage`: checkpoints by their ids, as programs of the original name them; owns what a checkpoint looks like there.

Not for: processes (`manager`).
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import fields
from datetime import timedelta
from enum import Enum
from typing import Any

from ckptclient import calls
from ckptclient.config import (
    CheckpointMetadata,
    CheckpointStatus,
    CheckpointType,
    ProcessingState,
    micros,
    moment,
)
from ckptclient.errors import BadRequest
from ckptclient.payload import decode_value, encode
from ckptclient.process import Content, Job, Stored, stored
from ckptclient.results import CheckpointInfo, SavedInfo
from ckptclient.sync import Client
from ckptclient.wire import limits, params

PAGE_COUNT = limits.page_count_max // 2
"""Checkpoints in a page: each may have 64 tags, and a page must fit a frame."""


class CheckpointStorage:
    """Checkpoints of this user, whatever process they belong to."""

    def __init__(self, client: Client) -> None:
        self._client = client

    def save_checkpoint(self, metadata: CheckpointMetadata, data: object) -> str:
        """Save data under the id that the metadata names; returns where it lies. The same id again replaces it.

        `metadata.size_bytes` is set. Raises `Encoding`, HELD where another worker holds the process, NO_SPACE.
        """
        parts = stored(encode(plain(data)))
        metadata.size_bytes = sum(len(part.data) for part in parts)
        request = params.Save(
            request=calls.UNNUMBERED,
            process_id=metadata.process_id,
            task_id=metadata.task_id,
            type=metadata.checkpoint_type.value,
            has_state=False,
            description=metadata.description,
            tags=tuple(metadata.tags),
            ttl_seconds=None if metadata.ttl_hours is None else metadata.ttl_hours * 3600.0,
            depends=tuple(metadata.dependencies),
            alias=metadata.checkpoint_id,
            created_at=micros(metadata.created_at),
        )
        self.make(request, parts)
        return f"{self.storage_path}#{metadata.checkpoint_id}"

    def make(self, request: params.Save, parts: Sequence[Stored]) -> SavedInfo:
        """Make a checkpoint of a process that nobody holds, or this program."""
        return Job(request, parts).send(self._client)

    def load_checkpoint(self, checkpoint_id: str) -> tuple[CheckpointMetadata, Any]:
        """A checkpoint's metadata and data; where it has progress alone, the data is that, as a dict.

        Raises `UnknownCheckpoint` (a FileNotFoundError too), DAMAGED (a ValueError too).
        """
        found = self._client.call(calls.get(checkpoint_id, lend=True))
        content = Content(self._client, found, found.parts, found.descriptors)
        if content.has_document:
            return metadata_of(found), content.state()
        progress = content.progress()
        return metadata_of(found), progress if progress is None else plain(state_of(found, progress))

    def list_checkpoints(
        self,
        process_id: str | None = None,
        task_id: str | None = None,
        checkpoint_type: CheckpointType | str | None = None,
        status: CheckpointStatus | str | None = None,
    ) -> list[CheckpointMetadata]:
        """Checkpoints that match all that is given, newest first."""
        return [metadata_of(one) for one in self.find(process_id, task_id, checkpoint_type, status)]

    def find(
        self,
        process_id: str | None = None,
        task_id: str | None = None,
        checkpoint_type: CheckpointType | str | None = None,
        status: CheckpointStatus | str | None = None,
    ) -> Iterator[CheckpointInfo]:
        """The same, page by page, with everything that the daemon says of each."""
        after: int | None = None
        while True:
            page = self._client.call(
                calls.checkpoints(
                    params.ListCheckpoints(
                        process_id=process_id,
                        task_id=task_id,
                        type=None if checkpoint_type is None else word_of(CheckpointType, checkpoint_type),
                        status=None if status is None else word_of(CheckpointStatus, status),
                        limit=PAGE_COUNT,
                        after=after,
                    )
                )
            )
            yield from page.checkpoints
            if page.next is None:
                return
            after = page.next

    def delete_checkpoint(self, checkpoint_id: str) -> bool:
        """Put a checkpoint into the trash; False where there is none."""
        return self._client.call(calls.delete(checkpoint_id))

    def cleanup_expired_checkpoints(self) -> int:
        """Expire what is due now; the number of checkpoints that were."""
        return self._client.call(calls.cleanup()).expired

    def get_storage_stats(self) -> dict[str, Any]:
        """Counts by status and type, sizes in bytes and MB, and the store's path."""
        stats = self._client.call(calls.stats())
        size = stats.total_size_bytes
        return {
            "status_counts": {one.value: stats.status_counts.get(one.value, 0) for one in CheckpointStatus},
            "type_counts": {one.value: stats.type_counts.get(one.value, 0) for one in CheckpointType},
            "total_size_bytes": size,
            "total_size_mb": round(size / (1 << 20), 2),
            "storage_path": stats.storage_path,
        }

    @property
    def storage_path(self) -> str:
        """Where the daemon keeps its store."""
        return self._client.call(calls.stats()).storage_path


def metadata_of(info: CheckpointInfo) -> CheckpointMetadata:
    """A checkpoint's metadata as the original has it."""
    created_at = moment(info.created_at)
    lives = moment(info.expires_at) - created_at if info.expires_at is not None else None
    return CheckpointMetadata(
        checkpoint_id=info.checkpoint_id,
        checkpoint_type=CheckpointType(info.type),
        created_at=created_at,
        process_id=info.process_id,
        task_id=info.task_id,
        description=info.description,
        tags=list(info.tags),
        dependencies=list(info.depends),
        size_bytes=info.size_bytes,
        compression=info.stored_bytes < info.size_bytes,
        ttl_hours=None if lives is None else lives / timedelta(hours=1),
        status=CheckpointStatus(info.status),
    )


def state_of(info: CheckpointInfo, progress: Mapping[str, Any]) -> ProcessingState:
    """Where a process stood at a checkpoint: from the part that the daemon adds to each."""
    packed = progress["metadata"]
    metadata = decode_value(packed) if packed else {}
    return ProcessingState(
        process_id=info.process_id,
        task_id=info.task_id,
        current_step=progress["step"],
        total_steps=progress["total"] or 0,
        completed_steps=progress["completed"],
        start_time=moment(info.created_at),
        last_update=moment(progress["updated_at"]),
        current_batch=progress["batch"],
        metadata=metadata if isinstance(metadata, dict) else {"metadata": metadata},
    )


def plain(data: object) -> object:
    """Data as it is stored: a `ProcessingState` becomes the dict of its fields, its items a list."""
    if not isinstance(data, ProcessingState):
        return data
    values = {field.name: getattr(data, field.name) for field in fields(data)}
    return values | {name: list(values[name]) for name in ("processed_items", "failed_items")}


def word_of(kind: type[Enum], given: Enum | str) -> str:
    """A type or status as the protocol names it; raises `BadRequest`."""
    try:
        return str(kind(given).value)
    except ValueError:
        accepted = ", ".join(str(one.value) for one in kind)
        raise BadRequest(f"{given!r} is no {kind.__name__}", hint=f"accepted: {accepted}") from None
