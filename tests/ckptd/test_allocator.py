"""What the C library is told; in a process of its own, because it is for good."""

import subprocess
import sys

PROGRAM = """
import threading
from ckptd import allocator
assert allocator.settle() is True
taken = [threading.Thread(target=lambda: bytearray(1 << 20)) for _ in range(20)]
for one in taken:
    one.start()
for one in taken:
    one.join()
print("settled")
"""


def test_glibc_takes_the_values_and_threads_go_on() -> None:
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=False, timeout=60)
    assert (done.returncode, done.stdout.strip(), done.stderr) == (0, "settled", "")
