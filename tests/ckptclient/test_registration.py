"""What a program asks for: parameters of the registration, policy, settings of a private daemon."""

from datetime import timedelta
from typing import Any

import pytest

from ckptclient.config import CheckpointConfig, Keep
from ckptclient.errors import BadRequest, ConfigError
from ckptclient.registration import daemon_settings, policy_of, registration
from ckptclient.wire.params import Policy


def test_a_fingerprint_is_any_value_and_equal_values_are_equal() -> None:
    def fingerprint(value: object) -> object:
        return registration("p", fingerprint=value)(False).packed().get("fingerprint")

    assert fingerprint({"lr": 0.1}) == fingerprint({"lr": 0.1})
    assert len({fingerprint(one) for one in ("a", b"a", ["a"], ("a",))}) == 4
    assert fingerprint(None) is None


def test_fresh_is_asked_for_at_the_call() -> None:
    asked = registration("p", total_steps=5)
    assert asked(True).packed()["fresh"] is True
    assert "fresh" not in asked(False).packed()


@pytest.mark.parametrize("total", [-1, 1.5, "many", True])
def test_a_total_is_a_count(total: Any) -> None:
    with pytest.raises(BadRequest, match="total_steps"):
        registration("p", total_steps=total)


@pytest.mark.parametrize(
    ("config", "asked", "policy"),
    [
        (None, {}, None),
        (None, {"interval": 5}, Policy(interval_seconds=5.0)),
        (None, {"interval": "auto", "progress_percent": 10}, Policy(auto=True, progress_percent=10.0)),
        (None, {"ttl_hours": 0.5}, Policy(ttl_seconds=1800.0)),
        (None, {"abandon_after": timedelta(days=1)}, Policy(abandon_after_seconds=86400.0)),
        (None, {"abandon_after": 7}, Policy(abandon_after_seconds=7.0)),
        (None, {"keep": Keep(last=3, every=10)}, Policy(keep_last=3, keep_every=10)),
        (None, {"keep": Keep(best="loss")}, Policy(best_metric="loss")),
        (
            None,
            {"keep": Keep(best="f1", highest=True, count=2)},
            Policy(best_metric="f1", best_highest=True, best_count=2),
        ),
        (CheckpointConfig(), {}, Policy(interval_seconds=300.0, ttl_seconds=86400.0)),
        (CheckpointConfig(), {"interval": "auto", "ttl_hours": 1}, Policy(auto=True, ttl_seconds=3600.0)),
    ],
)
def test_what_is_given_goes_before_what_the_configuration_says(
    config: CheckpointConfig | None, asked: dict[str, Any], policy: Policy | None
) -> None:
    assert policy_of(config, **asked) == policy


@pytest.mark.parametrize(
    "wrong", [{"last": 0}, {"every": -1}, {"best": "f1", "count": 0}, {"highest": True}, {"count": 2}, {"last": 1.5}]
)
def test_what_can_not_be_kept_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match=next(iter(wrong)) if "best" not in wrong else "count"):
        Keep(**wrong)


def test_another_word_than_auto_is_refused() -> None:
    with pytest.raises(BadRequest, match="sometimes"):
        policy_of(None, "sometimes")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("config", "settings"),
    [
        (CheckpointConfig(), ()),
        (CheckpointConfig(max_storage_size_gb=0.5), (("store.limit", "500000000 B"),)),
        (CheckpointConfig(compression_enabled=False), (("store.compression", "false"),)),
        (CheckpointConfig(cleanup_interval=60), (("cleanup.interval", "60 s"),)),
        (CheckpointConfig(backup_path="/b"), (("archive.path", "/b"),)),
        (CheckpointConfig(backup_path="/b", backup_enabled=False), ()),
    ],
)
def test_a_private_daemon_is_told_what_differs(config: CheckpointConfig, settings: tuple[tuple[str, str], ...]) -> None:
    assert daemon_settings(config) == settings
