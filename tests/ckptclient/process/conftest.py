"""What the tests of the handle leave behind is ended here."""

from collections.abc import Iterator

import pytest

from tests.ckptclient.process.scripted import made


@pytest.fixture(autouse=True)
def _no_thread_is_left() -> Iterator[None]:
    yield
    for process in made:
        process._outbox.close()
        if process._turns is not None:
            process._turns.close()
    made.clear()
