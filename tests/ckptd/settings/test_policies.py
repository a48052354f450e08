"""settings.policies: what is written is what is read, and what is wrong is refused."""

import pytest

from ckptd.settings.policies import POLICIES, format_policy, parse_policy
from ckptd.settings.tree import NamedPolicy


@pytest.mark.parametrize(
    ("text", "policy"),
    [
        ("train-*: last=3", NamedPolicy("train-*", 3, 0, None, False, 1, None)),
        ("anna/*: last=3 every=10", NamedPolicy("anna/*", 3, 10, None, False, 1, None)),
        ("*: lowest=eval.loss", NamedPolicy("*", 0, 0, "eval.loss", False, 1, None)),
        ("*: highest=f1 best=5", NamedPolicy("*", 0, 0, "f1", True, 5, None)),
        ("backup: last=7 ttl=30d", NamedPolicy("backup", 7, 0, None, False, 1, 30 * 86_400.0)),
        ("a: b: ttl=0", None),
    ],
)
def test_a_policy(text: str, policy: NamedPolicy | None) -> None:
    if policy is None:
        with pytest.raises(ValueError, match="not a word"):
            parse_policy(text)
        return
    assert parse_policy(text) == policy
    assert parse_policy(format_policy(policy)) == policy


@pytest.mark.parametrize(
    "wrong",
    ["", "last=3", "p:", ": last=3", "p: last", "p: last=0", "p: last=x", "p: first=3", "p: last=1 last=2", "p: best=2", "p: lowest=a highest=b", "p: ttl=soon", 7],
)  # fmt: skip
def test_what_is_no_policy(wrong: object) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - the kind's own words are what an operator reads
        POLICIES.parse([wrong])


def test_from_the_environment() -> None:
    found = POLICIES.parse(POLICIES.from_text("a*: last=1, b: every=2"))
    assert [one.glob for one in found] == ["a*", "b"]
    assert POLICIES.format(found) == "a*: last=1,b: every=2"
