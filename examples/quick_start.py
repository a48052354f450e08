"""The quick start: a daemon is found, or started for you, and says how it is."""

from ckptclient import setup_checkpoint_system


def main() -> None:
    """Set up, and ask for the health."""
    manager, monitor = setup_checkpoint_system()
    print("Checkpoint system initialized successfully")
    health = monitor.get_health_report()
    print(f"System health: {health['status']} (score: {health['health_score']})")
    monitor.stop_monitoring()
    manager.stop_background_tasks()


if __name__ == "__main__":
    main()
