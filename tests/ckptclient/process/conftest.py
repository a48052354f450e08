"""What the tests of the handle leave behind is ended here."""

from collections.abc import Iterator

import pytest

from tests.ckptclient.process.scripted import made


@pytest.fixture(autouse=True)
def _no_thread_is_left() -> Iterator[None]:
    yield
    for process in made:
        process._outbox.close()
        turns = process._turns() if process._turns is not None else None
        if turns is not None:
            turns.close()
    made.clear()
