"""A pipeline around the manager: each batch is a process, and an error leaves a checkpoint of what was done so far."""

import asyncio
from collections.abc import Sequence

from ckptclient import CheckpointManager, CheckpointType


class CheckpointedPipeline:
    """Squares numbers, in batches; it can't square a word."""

    def __init__(self) -> None:
        self.checkpoint_manager = CheckpointManager()

    async def process_item(self, item: object) -> int:
        """One item's work."""
        await asyncio.sleep(0)
        if not isinstance(item, int):
            raise TypeError(f"{item!r} is no number")
        return item * item

    async def process_batch(self, batch_id: str, data: Sequence[object]) -> str:
        """One batch; answers its final checkpoint."""
        process_id = f"pipeline_{batch_id}"
        manager = self.checkpoint_manager
        manager.register_process(process_id, "batch_processing", len(data), description=f"Processing batch {batch_id}")
        results: list[int] = []
        try:
            for number, item in enumerate(data, start=1):
                results.append(await self.process_item(item))
                manager.update_process_progress(
                    process_id,
                    completed_steps=number,
                    current_step=f"Processed item {number}",
                    metadata={"result": results[-1]},
                )
            return manager.complete_process(process_id, {"batch_id": batch_id, "items_processed": len(data)})
        except Exception as error:
            manager.create_checkpoint(
                process_id=process_id,
                task_id="batch_processing",
                checkpoint_type=CheckpointType.PROCESSING_STATE,
                data={"error": str(error), "failed_at_step": len(results), "partial_results": results},
                description=f"Error checkpoint for batch {batch_id}",
            )
            raise


async def main() -> None:
    """Two batches: one goes well, one doesn't."""
    pipeline = CheckpointedPipeline()
    print(f"Batch good: {await pipeline.process_batch('good', range(50))}")
    try:
        await pipeline.process_batch("bad", [1, 2, "three", 4])
    except TypeError as error:
        print(f"Batch bad: {error}")
    newest = pipeline.checkpoint_manager.storage.list_checkpoints(process_id="pipeline_bad")[0]
    _, data = pipeline.checkpoint_manager.storage.load_checkpoint(newest.checkpoint_id)
    print(f"{newest.description}: {data}")


if __name__ == "__main__":
    asyncio.run(main())
