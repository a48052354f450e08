"""Callbacks: functions, plain or coroutine functions, that hear of every checkpoint made by this manager.

They run on a thread of the client, never inside a save; what they raise is reported and harms nothing.
"""

import threading

from ckptclient import CheckpointManager, CheckpointMetadata, CheckpointType

heard = threading.Semaphore(0)


def on_any(checkpoint_id: str, event_type: str, metadata: CheckpointMetadata) -> None:
    """Hears of all of them."""
    print(f"{event_type}: {checkpoint_id} ({metadata.checkpoint_type.value})", flush=True)
    heard.release()


async def on_model(checkpoint_id: str, event_type: str, metadata: CheckpointMetadata) -> None:
    """Sends a notification for the ones that matter."""
    if metadata.checkpoint_type == CheckpointType.MODEL_STATE:
        print(f"Model checkpoint created: {metadata.description}", flush=True)
    heard.release()


def main() -> None:
    """Two checkpoints, two listeners."""
    manager = CheckpointManager()
    manager.add_checkpoint_callback("created", on_any)
    manager.add_checkpoint_callback("created", on_model)
    manager.create_checkpoint("watched", "callbacks", CheckpointType.MODEL_STATE, {"epoch": 1}, description="epoch 1")
    manager.create_checkpoint("watched", "callbacks", CheckpointType.QUEUE_STATE, {"waiting": [3, 5]})
    for _ in range(4):
        heard.acquire(timeout=10)


if __name__ == "__main__":
    main()
