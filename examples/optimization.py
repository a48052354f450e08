"""Storage: what a cleanup freed, and what can be said of how well it is used. A figure that isn't known is None."""

from ckptclient import CheckpointConfig, CheckpointManager, CheckpointOptimizer, CheckpointType


def main() -> None:
    """Fill a little, then optimize and analyze."""
    config = CheckpointConfig(max_storage_size_gb=5.0, compression_enabled=True, backup_enabled=True)
    manager = CheckpointManager(config)
    for number in range(20):
        manager.create_checkpoint(
            "filler", "optimization", CheckpointType.CUSTOM, {"text": "checkpoint " * 1000 * number}
        )
    optimizer = CheckpointOptimizer(config)

    results = optimizer.optimize_storage()
    print("Optimization Results:")
    print(f"  Actions taken: {results['actions_taken']}")
    print(f"  Space freed: {results['space_freed_mb']:.2f} MB")
    print(f"  Checkpoints archived: {results['checkpoints_archived']}")
    print(f"  Checkpoints compressed: {results['checkpoints_compressed']}")

    analysis = optimizer.analyze_performance()
    print("\nPerformance Analysis:")
    print(f"  Storage efficiency: {analysis['storage_efficiency']}")
    print(f"  Recommendations: {analysis['recommendations']}")


if __name__ == "__main__":
    main()
