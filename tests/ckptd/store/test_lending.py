"""A loan: laid out, final once sealed, and closed with its last reference."""

import mmap
import os

import pytest

from ckptd.store.lending import Loan
from tests.ckptd.rpc.serving import open_descriptors


def test_what_was_written_can_be_mapped_and_no_longer_changed() -> None:
    loan = Loan(8)
    loan.write(0, b"first")
    loan.write(5, b"3rd")
    fd = loan.seal()
    memory = mmap.mmap(fd, 0, mmap.MAP_PRIVATE, mmap.PROT_READ | mmap.PROT_WRITE)
    assert (memory[:5], memory[5:8]) == (b"first", b"3rd")
    memory[:5] = b"mine!"
    assert os.pread(fd, 5, 0) == b"first", "a private mapping is the reader's own"
    for change in (lambda: os.pwrite(fd, b"x", 0), lambda: os.ftruncate(fd, 0), lambda: mmap.mmap(fd, 0)):
        with pytest.raises(PermissionError):
            change()
    os.close(fd)


def test_it_is_closed_with_the_last_reference() -> None:
    before = open_descriptors()
    loan = Loan(1 << 20)
    write = loan.write
    del loan
    write(0, b"a thread that nobody waits for any more")
    assert open_descriptors() == before + 1
    del write
    assert open_descriptors() == before
