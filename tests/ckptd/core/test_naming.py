"""Ids that people read have one reading."""

import pytest
from hypothesis import given, strategies as st

from ckptd.core import naming
from ckptd.core.change import CheckpointType as Type
from ckptd.core.naming import Reference

NASTY = st.lists(st.sampled_from([*(kind.word for kind in Type), "a", "_", "7", "@latest", "@3", "/", "é"]), min_size=1)
PROCESS_IDS = st.text(min_size=1, max_size=30) | NASTY.map("_".join)


@given(PROCESS_IDS, st.sampled_from(Type), st.integers(0, 2**63 - 1))
def test_reads_back_whatever_the_process_is_called(process_id: str, kind: Type, seq: int) -> None:
    assert naming.parse(naming.checkpoint_id(process_id, kind, seq)) == (process_id, kind, seq)


@given(st.text() | PROCESS_IDS)
def test_what_is_read_is_what_was_written(text: str) -> None:
    parsed = naming.parse(text)
    assert parsed is None or naming.checkpoint_id(*parsed) == text
    referred = naming.reference(text)
    if referred is not None:
        assert f"{referred.process_id}@{'latest' if referred.seq is None else referred.seq}" == text


def test_no_word_is_the_tail_of_another() -> None:
    words = [kind.word for kind in Type]
    assert not [(a, b) for a in words for b in words if a != b and a.endswith(f"_{b}")]


@pytest.mark.parametrize(
    ("text", "parsed"),
    [
        ("train_custom_1", ("train", Type.CUSTOM, 1)),
        ("train_custom_0", ("train", Type.CUSTOM, 0)),
        ("a_batch_progress_model_state_12", ("a_batch_progress", Type.MODEL_STATE, 12)),
        ("custom_custom_1", ("custom", Type.CUSTOM, 1)),
        ("__custom_1", ("_", Type.CUSTOM, 1)),
        ("", None),
        ("_", None),
        ("train", None),
        ("custom_1", None),
        ("_custom_1", None),
        ("train_custom_", None),
        ("train_custom", None),
        ("train_custom_01", None),
        ("train_custom_+1", None),
        ("train_custom_1 ", None),
        ("train_custom_1_0", None),
        ("train_custom_٣", None),
        ("train_CUSTOM_1", None),
        ("train_state_1", None),
        ("train_custom_9223372036854775807", ("train", Type.CUSTOM, 2**63 - 1)),
        ("train_custom_9223372036854775808", None),
        ("train_custom_" + "1" * 10_000, None),
    ],
)
def test_parse(text: str, parsed: tuple[str, Type, int] | None) -> None:
    assert naming.parse(text) == parsed


@pytest.mark.parametrize(
    ("text", "referred"),
    [
        ("train@latest", Reference("train", None)),
        ("train@7", Reference("train", 7)),
        ("train@0", Reference("train", 0)),
        ("anna@home@3", Reference("anna@home", 3)),
        ("anna/train@latest", Reference("anna/train", None)),
        ("train@", None),
        ("@latest", None),
        ("train@newest", None),
        ("train@-1", None),
        ("train@07", None),
        ("train@" + "9" * 5000, None),
        ("train", None),
        ("latest", None),
        ("", None),
    ],
)
def test_reference(text: str, referred: Reference | None) -> None:
    assert naming.reference(text) == referred


@pytest.mark.parametrize(
    ("text", "split"),
    [
        ("anna/train", ("anna", "train")),
        ("anna/eu/crawl", ("anna", "eu/crawl")),
        ("1000/train", ("1000", "train")),
        ("train", (None, "train")),
        ("/train", (None, "/train")),
        ("anna/", (None, "anna/")),
        ("", (None, "")),
    ],
)
def test_split_user(text: str, split: tuple[str | None, str]) -> None:
    assert naming.split_user(text) == split
