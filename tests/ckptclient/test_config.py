"""The original's enums, data classes and settings."""

from dataclasses import asdict
from datetime import UTC, datetime, timedelta, timezone

import pytest

from ckptclient.config import (
    CheckpointConfig,
    CheckpointMetadata,
    CheckpointStatus,
    CheckpointType,
    ProcessingState,
    create_checkpoint_config,
    micros,
    moment,
)
from ckptclient.errors import ConfigError


def test_enum_values_are_the_lower_case_names() -> None:
    for one in (*CheckpointType, *CheckpointStatus):
        assert one.value == one.name.lower()
    assert {one.value for one in CheckpointStatus} == {"active", "completed", "failed", "expired", "archived"}
    assert len(CheckpointType) == 6


@pytest.mark.parametrize(
    ("at", "utc"),
    [
        ("2026-01-02T03:04:05", datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)),
        ("2026-01-02T03:04:05+02:00", datetime(2026, 1, 2, 1, 4, 5, tzinfo=UTC)),
        (datetime(2026, 1, 2), datetime(2026, 1, 2, tzinfo=UTC)),  # noqa: DTZ001 - what the original made
        (datetime(2026, 1, 2, tzinfo=timezone(timedelta(hours=1))), datetime(2026, 1, 1, 23, tzinfo=UTC)),
    ],
)
def test_metadata_parses_text_and_always_has_a_zone(at: datetime, utc: datetime) -> None:
    metadata = CheckpointMetadata("c", "model_state", at, "p", "t", status="archived")  # type: ignore[arg-type]
    assert metadata.checkpoint_type is CheckpointType.MODEL_STATE
    assert metadata.status is CheckpointStatus.ARCHIVED
    assert metadata.created_at == utc


def test_metadata_defaults_are_the_originals() -> None:
    metadata = CheckpointMetadata("c", CheckpointType.CUSTOM, datetime.now(UTC), "p", "t")  # noqa: TID251 - any time
    values = (metadata.version, metadata.tags, metadata.dependencies, metadata.size_bytes, metadata.compression)
    assert values == ("1.0", [], [], 0, True)
    assert (metadata.encryption, metadata.ttl_hours, metadata.status) == (False, 24, CheckpointStatus.ACTIVE)
    with pytest.raises(ValueError, match="nonsense"):
        CheckpointMetadata("c", "nonsense", metadata.created_at, "p", "t")  # type: ignore[arg-type]


def test_the_percentage_follows_from_the_steps() -> None:
    state = ProcessingState("p", "t", "initialized", 200, 0)
    assert state.progress_percentage == 0.0
    state.completed_steps = 50
    assert state.progress_percentage == asdict(state)["progress_percentage"] == 25.0
    assert ProcessingState("p", "t", "s", 0, 0, 12.5).progress_percentage == 12.5


def test_update_progress_takes_steps_and_estimates_the_end() -> None:
    state = ProcessingState("p", "t", "initialized", 10, 0)
    state.start_time -= timedelta(seconds=10)
    state.update_progress(5, "halfway")
    assert (state.completed_steps, state.current_step, state.progress_percentage) == (5, "halfway", 50.0)
    assert state.estimated_completion is not None
    assert state.estimated_completion - state.last_update == pytest.approx(
        timedelta(seconds=10), abs=timedelta(seconds=1)
    )
    state.update_progress(current_step="more")
    assert (state.completed_steps, state.current_step) == (5, "more")


def test_configuration_has_the_originals_defaults() -> None:
    config = CheckpointConfig()
    assert asdict(config) == {
        "storage_path": None,
        "auto_checkpoint_interval": 300,
        "cleanup_interval": 3600,
        "default_ttl_hours": 24,
        "max_storage_size_gb": 10.0,
        "compression_enabled": True,
        "encryption_enabled": False,
        "backup_enabled": True,
        "backup_path": None,
        "monitoring_enabled": True,
        "performance_tracking": True,
    }
    assert create_checkpoint_config() == config
    assert create_checkpoint_config("/s", 60, 5.0, False) == CheckpointConfig(
        "/s", 60, max_storage_size_gb=5.0, compression_enabled=False
    )


def test_every_wrong_setting_is_named_at_once() -> None:
    with pytest.raises(ConfigError, match="auto_checkpoint_interval") as caught:
        CheckpointConfig(auto_checkpoint_interval=0, max_storage_size_gb=float("inf"), default_ttl_hours="1")  # type: ignore[arg-type]
    assert len(caught.value.details["problems"]) == 3  # type: ignore[arg-type]


def test_the_originals_environment_is_read() -> None:
    environment = {"CHECKPOINT_MAX_SIZE_GB": "2.5", "CHECKPOINT_COMPRESSION": "False", "CHECKPOINT_BACKUP_PATH": "/b"}
    config = CheckpointConfig.from_environment(environment)
    assert (config.max_storage_size_gb, config.compression_enabled, config.backup_path) == (2.5, False, "/b")
    assert CheckpointConfig.from_environment({}) == CheckpointConfig()
    with pytest.raises(ConfigError, match="CHECKPOINT_MAX_SIZE_GB"):
        CheckpointConfig.from_environment({"CHECKPOINT_MAX_SIZE_GB": "much"})


@pytest.mark.parametrize("at", [0, 1, 1_795_599_231_502_408, 2**52 + 1])
def test_times_of_the_wire_survive_a_datetime(at: int) -> None:
    assert micros(moment(at)) == at
