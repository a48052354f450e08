"""A member records and counts; it holds nothing."""

import pytest

from ckptclient.errors import BadRequest, Fenced
from ckptclient.payload import decode_value
from ckptclient.process import Member
from ckptclient.results import Tick
from tests.ckptclient.process.scripted import ScriptedDaemon

TOKEN = f"job:with:colons:{(b'h' * 64).hex()}"


def test_it_records_by_value_and_returns_when_that_is_durable() -> None:
    daemon = ScriptedDaemon()
    member = Member(daemon, TOKEN)
    assert member.process_id == "job:with:colons"
    member.record(["a", 1], {"r": 2})
    member.fail_item("b", ValueError("why"))
    kinds = [(kind, place, decode_value(item), decode_value(result)) for kind, place, item, result in daemon.rows()]
    assert kinds == [(0, -1, ["a", 1], {"r": 2}), (1, -1, "b", "ValueError: why")]
    assert daemon.of("journal.append")[0]["token"] == b"m" * 64  # its own
    assert [one["progress"]["completed"] for one in daemon.of("journal.append")] == [1, 2]
    member.close()


def test_it_may_batch_and_leaving_sends_the_rest() -> None:
    daemon = ScriptedDaemon()
    with Member(daemon, TOKEN) as member:
        for item in range(5):
            member.record(item, flush="batch")
    assert len(daemon.rows()) == 5


def test_it_hears_that_it_should_stop_and_that_it_is_fenced() -> None:
    member = Member(ScriptedDaemon(), TOKEN)
    heard = []
    for stop in (False, True, False):
        member.hear(Tick(due=False, reason=None, stop=stop, stop_reason=None))
        heard.append(member.should_stop)
    assert heard == [False, True, True]
    member.cut_off(Fenced("epoch 2"))
    with pytest.raises(Fenced):
        member.record(1)


@pytest.mark.parametrize("token", ["", "p", "p:xyz"])
def test_what_is_no_token_is_refused(token: str) -> None:
    with pytest.raises(BadRequest, match="token"):
        Member(ScriptedDaemon(), token)
