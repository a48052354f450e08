"""What is worth which encoding: the thresholds, from both sides."""

import pytest

from ckptd.core.encoding import delta_pays, may_follow, shrinks


@pytest.mark.parametrize(("stored", "plain", "worth"), [(969, 1000, True), (970, 1000, False), (0, 0, False)])
def test_compression_has_to_save_something(stored: int, plain: int, worth: bool) -> None:
    assert shrinks(stored, plain) is worth


@pytest.mark.parametrize(("delta", "whole", "pays"), [(749, 1000, True), (750, 1000, False), (1, 0, False)])
def test_a_delta_has_to_save_more(delta: int, whole: int, pays: bool) -> None:
    assert delta_pays(delta, whole) is pays


@pytest.mark.parametrize(("depth", "depth_max", "may"), [(0, 0, False), (0, 1, True), (1, 1, False), (9, 3, False)])
def test_a_chain_has_an_end(depth: int, depth_max: int, may: bool) -> None:
    assert may_follow(depth, depth_max) is may
