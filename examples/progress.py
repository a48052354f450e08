"""A process that says where it stands; checkpoints follow by themselves, one for each 5 % of progress."""

import asyncio

from ckptclient import setup_checkpoint_system


async def process_with_checkpoints() -> None:
    """Register, report progress ten times, complete."""
    manager, monitor = setup_checkpoint_system()
    try:
        process_id = "data_processing_001"
        state = manager.register_process(
            process_id=process_id,
            task_id="batch_processing",
            total_steps=100,
            description="Processing large dataset",
        )
        print(f"Registered process: {process_id}")
        for step in range(0, 101, 10):
            manager.update_process_progress(
                process_id=process_id,
                completed_steps=step,
                current_step=f"Processing batch {step // 10 + 1}",
                metadata={"current_batch": step // 10 + 1, "items_processed": step * 10},
            )
            print(f"Progress: {state.progress_percentage:.0f}% - {state.current_step}")
            await asyncio.sleep(0.05)
        final_checkpoint = manager.complete_process(
            process_id=process_id, final_data={"result": "success", "total_items": 1000}
        )
        print(f"Process completed with checkpoint: {final_checkpoint}")
    finally:
        manager.stop_background_tasks()
        monitor.stop_monitoring()


if __name__ == "__main__":
    asyncio.run(process_with_checkpoints())
