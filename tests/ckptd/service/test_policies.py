"""service.policies: whose rules count, and the figure in an application's metadata."""

from dataclasses import replace

import msgpack
import numpy as np
import pytest

from ckptclient.errors import BadRequest
from ckptclient.payload import encode_value
from ckptclient.wire import params as p
from ckptd.config import load
from ckptd.core.retention import NO_RULES, Best, Rules
from ckptd.service import policies
from ckptd.service.users import user_name
from ckptd.settings.policies import parse_policy
from ckptd.settings.tree import Retention


def retention(*texts: str) -> Retention:
    return replace(load(None, {}, {}, mode="private").retention, policies=tuple(parse_policy(text) for text in texts))


CONFIGURED = retention("train-*: last=3", "0/etl: highest=f1 best=2 ttl=7d", "*: every=5")


@pytest.mark.parametrize(
    ("own", "uid", "name", "rules"),
    [
        (p.Policy(), 1, "train-7", Rules(last=3)),
        (p.Policy(ttl_seconds=5.0), 1, "train-7", Rules(last=3)),
        (p.Policy(keep_last=9), 1, "train-7", Rules(last=9)),
        (p.Policy(best_metric="loss"), 1, "x", Rules(best=Best("loss"))),
        (p.Policy(best_metric="loss", best_highest=True, best_count=3), 1, "x", Rules(best=Best("loss", True, 3))),
        (p.Policy(), 1, "etl", Rules(every=5)),
    ],
)
def test_a_process_s_own_rules_go_before_the_configuration_s(own: p.Policy, uid: int, name: str, rules: Rules) -> None:
    assert policies.rules_of(msgpack.packb(own.pack()), CONFIGURED, uid, name) == rules


def test_a_glob_may_name_the_user() -> None:
    name = user_name(0)
    configured = retention(f"{name}/etl: highest=f1 best=2 ttl=7d", "train: last=2")
    assert policies.rules_of(b"", configured, 0, "etl") == Rules(best=Best("f1", True, 2))
    assert policies.ttl_seconds(configured, 0, "etl") == 7 * 86_400.0
    assert policies.rules_of(b"", configured, 12_345, "etl") == NO_RULES
    assert (policies.ttl_seconds(configured, 0, "train"), policies.ttl_seconds(configured, 0, "other")) == (None, None)


@pytest.mark.parametrize(
    ("value", "metric"),
    [
        ({"loss": 0.5}, 0.5),
        ({"loss": 3}, 3.0),
        ({"loss": np.float32(0.25)}, 0.25),
        ({"loss": np.float64(0.25)}, 0.25),
        ({"loss": np.int8(-3)}, -3.0),
        ({"loss": np.float16(0.5)}, 0.5),
        ({"loss": True}, None),
        ({"loss": "0.5"}, None),
        ({"loss": None}, None),
        ({"loss": (0.5,)}, None),
        ({"other": 0.5}, None),
        ({}, None),
        (0.5, None),
    ],
)
def test_a_metric(value: object, metric: float | None) -> None:
    assert policies.metric_of(encode_value(value), "loss") == metric


def test_a_metric_that_lies_deeper() -> None:
    metadata = encode_value({"eval": {"loss": 0.5, 3: 1}, "eval.f1": 0.9})
    assert policies.metric_of(metadata, "eval.loss") == 0.5
    assert policies.metric_of(metadata, "eval.f1") == 0.9
    assert policies.metric_of(metadata, "eval") is None
    assert policies.metric_of(metadata, "eval.loss.x") is None


@pytest.mark.parametrize(
    "garbage", [b"", b"\xc1", b"\x81", b"\xc7\x00", b"\x93\xd4\x011\xa3<f4\xc4\x01\x00", bytes(range(256))]
)
def test_garbage_has_no_metric(garbage: bytes) -> None:
    assert policies.metric_of(garbage, "loss") is None


@pytest.mark.parametrize("wrong", [p.Policy(best_highest=True), p.Policy(best_count=2)])
def test_rules_that_say_nothing_are_refused(wrong: p.Policy) -> None:
    with pytest.raises(BadRequest, match="metric"):
        policies.check(wrong)
    policies.check(None)
    policies.check(p.Policy(keep_last=1))
