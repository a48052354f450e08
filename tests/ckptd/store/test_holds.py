"""Holds: counted, per namespace, and none begins while a sweep decides."""

import threading

import pytest

from ckptd.store.holds import Holds
from tests.waiting import wait_until

A, B = b"a" * 32, b"b" * 32


def held(holds: Holds) -> frozenset[bytes]:
    with holds.settled() as found:
        return found


def test_a_chunk_is_held_until_its_last_save_lets_go() -> None:
    holds = Holds()
    holds.hold(1, A)
    holds.hold(1, A)
    holds.hold(1, B)
    holds.release(1, [A, B])
    assert held(holds) == {A}
    holds.release(1, [A])
    assert held(holds) == frozenset()


def test_namespaces_hold_for_themselves() -> None:
    holds = Holds()
    holds.hold(1, A)
    holds.hold(2, A)
    holds.release(2, [A])
    assert held(holds) == {A}
    with pytest.raises(KeyError):
        holds.release(2, [A])


def test_no_hold_begins_while_a_sweep_decides() -> None:
    holds = Holds()
    began = threading.Event()

    def save() -> None:
        began.set()
        holds.hold(1, A)

    thread = threading.Thread(target=save)
    with holds.settled() as found:
        thread.start()
        assert began.wait(20)
        assert found == frozenset()
        assert thread.is_alive(), "waits for the sweep"
    thread.join(20)
    wait_until(lambda: held(holds) == {A})
