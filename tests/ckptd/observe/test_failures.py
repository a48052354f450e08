"""Counting the ends of a failed store."""

from pathlib import Path

import pytest

from ckptd.observe.failures import COUNT_MAX, WINDOW_SECONDS, Failures, place
from tests.fakes import EPOCH

WINDOW = round(WINDOW_SECONDS * 1_000_000)


def noted(path: Path, *ages_seconds: float) -> Failures:
    failures = Failures(path)
    for age in ages_seconds:
        assert failures.note(EPOCH - round(age * 1_000_000), f"failed {age:g} s ago")
    return failures


@pytest.mark.parametrize(
    ("ages", "says"),
    [
        ((), None),
        ((4, 3, 2, 1), None),
        ((5, 4, 3, 2, 1), "the store failed 5 times within 10 minutes, at last: failed 1 s ago"),
        ((600, 4, 3, 2, 1), "the store failed 5 times within 10 minutes, at last: failed 1 s ago"),
        ((601, 4, 3, 2, 1), None),
        ((4, 3, 2, 1, -100), None),  # the clock was set back since
    ],
)
def test_a_start_writes_no_more_after_so_many_failures_in_a_while(
    tmp_path: Path, ages: tuple[float, ...], says: str | None
) -> None:
    assert noted(tmp_path / "failures", *ages).verdict(EPOCH) == says


def test_what_is_over_is_not_kept(tmp_path: Path) -> None:
    failures = noted(tmp_path / "failures", *range(WINDOW * 3, WINDOW * 3 + 50))
    failures.note(EPOCH, "now")
    assert failures.path.read_text().count("\n") == 1


def test_a_clean_end_begins_anew(tmp_path: Path) -> None:
    failures = noted(tmp_path / "failures", *([1] * COUNT_MAX))
    failures.forget()
    assert failures.verdict(EPOCH) is None
    failures.forget()


def test_a_line_break_in_a_reason_is_no_failure_of_its_own(tmp_path: Path) -> None:
    failures = Failures(tmp_path / "failures")
    failures.note(EPOCH, f"a\n{EPOCH} b")
    assert failures.path.read_text().count("\n") == 1


@pytest.mark.parametrize("content", [b"", b"\xff\xfe", b"no number\n", b"123", b"99999999999999999999999 far away\n"])
def test_whatever_lies_there_is_no_reason_not_to_start(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "failures").write_bytes(content * COUNT_MAX)
    assert Failures(tmp_path / "failures").verdict(EPOCH) is None


def test_a_place_that_cant_be_written_counts_nothing_and_says_so(tmp_path: Path) -> None:
    failures = Failures(tmp_path / "missing" / "failures")
    assert not failures.note(EPOCH, "why")
    assert failures.verdict(EPOCH) is None
    failures.forget()


@pytest.mark.parametrize(
    ("environ", "where"),
    [
        ({}, "/run/user/1000/ckptd-0a.sock.failures"),
        ({"RUNTIME_DIRECTORY": "/run/ckptd/daemon"}, "/run/ckptd/daemon/failures"),
        ({"RUNTIME_DIRECTORY": "/run/ckptd/daemon:/run/more"}, "/run/ckptd/daemon/failures"),
    ],
)
def test_the_place_is_where_the_store_is_not(environ: dict[str, str], where: str) -> None:
    assert place(Path("/run/user/1000/ckptd-0a.sock"), environ) == Path(where)
