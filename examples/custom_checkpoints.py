"""Checkpoints of one's own making: any state, of any type, with tags and a time to live."""

from ckptclient import CheckpointManager, CheckpointType


def main() -> None:
    """Save two states that belong to no registered process, list them, load one back."""
    manager = CheckpointManager()
    model_checkpoint = manager.create_checkpoint(
        process_id="training_session_001",
        task_id="model_training",
        checkpoint_type=CheckpointType.MODEL_STATE,
        data={"epoch": 15, "loss": 0.0234, "accuracy": 0.9876},
        description="Model checkpoint at epoch 15",
        tags=["training", "epoch_15", "high_accuracy"],
        ttl_hours=168,  # a week
    )
    print(f"Created model checkpoint: {model_checkpoint}")
    batch_checkpoint = manager.create_checkpoint(
        process_id="batch_processor_001",
        task_id="daily_batch_processing",
        checkpoint_type=CheckpointType.BATCH_PROGRESS,
        data={"batch_id": "batch_2024_001", "processed_items": 5000, "current_position": "item_5023"},
        description="Batch processing checkpoint",
        tags=["batch", "daily_processing"],
    )
    print(f"Created batch checkpoint: {batch_checkpoint}")
    for listed in manager.storage.list_checkpoints(checkpoint_type=CheckpointType.MODEL_STATE):
        print(f"Listed: {listed.checkpoint_id}, {listed.description}, kept {listed.ttl_hours:g} h")
    _, data = manager.storage.load_checkpoint(model_checkpoint)
    print(f"Loaded: {data}")


if __name__ == "__main__":
    main()
