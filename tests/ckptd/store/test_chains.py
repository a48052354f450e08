"""The memory of chunks that were read or saved last: bounded in bytes, the oldest goes. Chains: `test_deltas`."""

from ckptd.store.chains import Chains
from tests.ckptd.store.saving import memory_packs


def chains(kept_bytes_max: int = 100) -> Chains:
    return Chains(memory_packs(), b"k" * 32, kept_bytes_max)


def kept(memory: Chains) -> list[bytes]:
    return [name for name in (b"a", b"b", b"c", b"d") if memory.kept(name) is not None]


def test_what_was_not_asked_for_longest_makes_room() -> None:
    memory = chains()
    for name in (b"a", b"b", b"c"):
        memory.keep(name, bytes(30))
    assert memory.kept(b"a") == bytes(30)
    memory.keep(b"d", bytes(30))
    assert kept(memory) == [b"a", b"c", b"d"]
    memory.keep(b"b", bytes(80))
    assert kept(memory) == [b"b"]


def test_what_is_larger_than_all_the_room_drives_nobody_out() -> None:
    memory = chains()
    memory.keep(b"a", bytes(30))
    memory.keep(b"b", bytes(101))
    assert kept(memory) == [b"a"]


def test_the_same_again_counts_once() -> None:
    memory = chains()
    for _ in range(9):
        memory.keep(b"a", bytes(60))
    memory.keep(b"b", bytes(40))
    assert kept(memory) == [b"a", b"b"]


def test_an_id_belongs_to_its_store() -> None:
    assert chains().id_of(b"x") != Chains(memory_packs(), b"o" * 32).id_of(b"x")
