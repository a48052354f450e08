"""Memory in which plain bytes are handed to a reader; owns the term *loan*.

A loan is a memfd that the daemon fills and seals for good before it passes it on, so that the reader may map it as its
own memory and nothing that is done to it comes back. It is closed with the last reference: threads that still fill it
after everybody gave up must not write into somebody else's descriptor.
"""

import fcntl
import os

from ckptclient.errors import Busy

_SEALS = fcntl.F_SEAL_WRITE | fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_SEAL


class Loan:
    """Room for so many bytes; what lies where is the caller's to say. Busy where there is no memory."""

    def __init__(self, size_bytes: int) -> None:
        self._fd = os.memfd_create("ckptd-loan", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
        try:
            os.ftruncate(self._fd, size_bytes)
        except OSError as error:
            raise Busy(f"{size_bytes} bytes of memory can't be had: {error.strerror}", hint="ask again") from error

    def write(self, at: int, data: bytes) -> None:
        """Put plain bytes in their place; from any thread."""
        view = memoryview(data)
        while view:
            written = os.pwrite(self._fd, view, at)
            view, at = view[written:], at + written

    def seal(self) -> int:
        """Make it final; the descriptor, which is the caller's from here on."""
        fcntl.fcntl(self._fd, fcntl.F_ADD_SEALS, _SEALS)
        return os.dup(self._fd)

    def __del__(self) -> None:
        os.close(self._fd)
