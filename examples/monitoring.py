"""What the system says of itself: health, the processes at work, and storage. A figure that isn't known is None."""

from ckptclient import CheckpointType, setup_checkpoint_system


def main() -> None:
    """Do a little, then look at it."""
    manager, monitor = setup_checkpoint_system()
    manager.register_process("monitored", "monitoring", total_steps=10)
    manager.update_process_progress("monitored", completed_steps=4, current_step="step 4")
    manager.create_checkpoint("monitored", "monitoring", CheckpointType.CUSTOM, {"answer": 42})

    report = monitor.get_health_report()
    print(f"System Status: {report['status']}")
    print(f"Health Score: {report['health_score']}/100")
    print(f"Issues: {report['issues']}")
    print(f"Recommendations: {report['recommendations']}")

    stats = manager.get_system_stats()
    print(f"Active processes: {stats['active_processes']}")
    for process_id, details in stats["process_details"].items():
        print(f"  {process_id}: {details['progress']:.0f} %, {details['current_step']}")
    print(f"Checkpoints by type: {stats['storage']['type_counts']}")
    manager.complete_process("monitored")
    monitor.stop_monitoring()
    manager.stop_background_tasks()


if __name__ == "__main__":
    main()
