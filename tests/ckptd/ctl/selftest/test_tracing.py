"""A log of strace, as calls in order."""

import pytest

from ckptd.ctl.selftest.tracing import calls


def hexed(data: bytes) -> str:
    return "".join(f"\\x{byte:02x}" for byte in data)


def test_calls_of_several_threads_are_put_in_the_order_in_which_they_ended() -> None:
    log = [
        '7 10.000000 fdatasync(3 <unfinished ...>\n',
        f'8 10.000100 pwrite64(4, "{hexed(b"ab")}", 2, 4096) = 2 <0.000010>\n',
        "7 10.002000 <... fdatasync resumed>) = 0 <0.002000>\n",
    ]  # fmt: skip
    first, second = calls(log)
    assert (first.name, first.strings, first.result) == ("pwrite64", [b"ab"], 2)
    assert (first.number(0), first.number(-1)) == (4, 4096)
    assert (second.name, second.began, round(second.ended, 6)) == ("fdatasync", 10.0, 10.002)


@pytest.mark.parametrize(
    "line",
    [
        '7 10.000000 openat(AT_FDCWD, "\\x61", O_RDONLY) = -1 ENOENT (No such file or directory) <0.000010>',
        "7 10.000000 +++ exited with 0 +++",
        "7 10.000000 --- SIGCHLD ---",
        "7 10.002000 <... fsync resumed>) = 0 <0.002000>",
        "nonsense",
        "",
    ],
)
def test_what_failed_or_is_no_call_is_left_out(line: str) -> None:
    assert calls([line]) == []


def test_a_comma_or_quote_in_data_is_no_argument() -> None:
    (call,) = calls([f'7 1.0 pwrite64(4, "{hexed(b"1,2)")}", 4, 8) = 4 <0.1>'])
    assert (call.number(-1), call.strings) == (8, [b"1,2)"])
