"""What a session has under way: numbers, room, order, and what a lost connection does to it."""

import pytest

from ckptclient import calls
from ckptclient.errors import BadRequest, Busy, CkptdError, Draining, Fenced, TimedOut, Unreachable
from ckptclient.flight import Backoff, Flight, Flights, checked
from ckptclient.wire import limits
from ckptclient.wire.messages import Reply, error_to_wire


def answer(flights: Flights, flight: Flight[int], result: object = None, error: CkptdError | None = None) -> None:
    flights.settle(Reply(flight.id, error_to_wire(error) if error else None, result))


def test_mutations_are_numbered_in_order_and_reads_are_not() -> None:
    flights = Flights()
    submitted = [calls.fence("a"), calls.ping(), calls.fence("b"), calls.fence("c").bind(1)]
    assert [flights.begin(call).call.number for call in submitted] == [1, None, 2, 1]
    assert flights.next_request() == 3


def test_a_flight_lands_with_the_value_that_its_reply_means() -> None:
    flights = Flights()
    first, second = flights.begin(calls.ping()), flights.begin(calls.ping())
    answer(flights, second, {"now": 2})
    assert (first.done, second.done, second.answer()) == (False, True, 2)
    answer(flights, first, {"now": 1})
    assert first.answer() == 1
    assert not flights.under_way()


def test_a_flight_lands_with_the_error_rebuilt() -> None:
    flights = Flights()
    flight = flights.begin(calls.ping())
    answer(flights, flight, error=Fenced("a newer epoch exists", hint="stop", details={"epoch": 4}))
    with pytest.raises(Fenced, match="a newer epoch exists") as caught:
        flight.answer()
    assert (caught.value.hint, caught.value.details) == ("stop", {"epoch": 4})


def test_a_reply_that_can_not_be_read_is_the_flights_error() -> None:
    flights = Flights()
    flight = flights.begin(calls.ping())
    answer(flights, flight, {"now": "noon"})
    with pytest.raises(CkptdError, match="without a usable now"):
        flight.answer()


def test_a_reply_to_a_forgotten_flight_is_ignored() -> None:
    flights = Flights()
    flight = flights.begin(calls.ping())
    flights.forget(flight)
    answer(flights, flight, {"now": 1})
    assert not flight.done


def test_no_number_runs_further_ahead_than_answers_are_kept() -> None:
    flights = Flights()
    first = flights.begin(calls.fence("p"))
    for _ in range(limits.request_ids_kept - 1):
        assert flights.room(calls.fence("p"))
        answer(flights, flights.begin(calls.fence("p")), {"epoch": 1})
    assert not flights.room(calls.fence("p"))
    assert flights.room(calls.ping())
    assert flights.room(calls.fence("p").bind(1))
    answer(flights, first, {"epoch": 1})
    assert flights.room(calls.fence("p"))


def test_a_forgotten_mutation_holds_nobody_up() -> None:
    flights = Flights()
    flights.forget(flights.begin(calls.fence("p")))
    for _ in range(limits.request_ids_kept + 1):
        assert flights.room(calls.fence("p"))
        answer(flights, flights.begin(calls.fence("p")), {"epoch": 1})


def test_the_daemons_bound_holds_for_reads_too() -> None:
    flights = Flights()
    flights.requests_max = 2
    first = flights.begin(calls.ping())
    assert flights.room(calls.ping())
    flights.begin(calls.ping())
    assert not flights.room(calls.ping())
    answer(flights, first, {"now": 1})
    assert flights.room(calls.ping())


def test_after_a_loss_everything_unanswered_waits_in_its_old_order() -> None:
    flights = Flights()
    flown = [flights.begin(calls.fence(name)) for name in "abcd"]
    answer(flights, flown[1], {"epoch": 1})
    before = [flown[index].request() for index in (0, 2, 3)]
    flights.lost()
    assert [flight.request() for flight in flights.under_way()] == before


def test_what_is_tied_to_a_connection_ends_with_it() -> None:
    flights = Flights()
    tied = flights.begin(calls.close_upload(1, flights.connection))
    free = flights.begin(calls.ping())
    flights.lost()
    assert (tied.done, free.done) == (True, False)
    late = flights.begin(calls.close_upload(1, 0))
    for flight in (tied, late):
        with pytest.raises(Unreachable, match="belongs to a connection that was lost") as caught:
            flight.answer()
        assert caught.value.details == {"connection": 0, "request": None}
    assert not flights.begin(calls.close_upload(1, flights.connection)).done


@pytest.mark.parametrize(("error", "again"), [(Busy("b"), True), (Draining("d"), True), (Fenced("f"), False)])
def test_what_is_refused_for_a_moment_goes_again_under_its_number(error: CkptdError, again: bool) -> None:
    flights = Flights()
    flight = flights.begin(calls.fence("p"))
    answer(flights, flight, error=error)
    assert flight.refused_for_a_moment is again
    if again:
        flights.again(flight)
        assert (flight.done, flight.tries, flight.call.number) == (False, 1, 1)
        answer(flights, flight, {"epoch": 9})
        assert flight.answer() == 9


@pytest.mark.parametrize(
    ("sent", "kind", "hint"), [(True, TimedOut, "may still happen"), (False, Unreachable, "nothing happened")]
)
def test_late_says_whether_it_may_happen(sent: bool, kind: type[CkptdError], hint: str) -> None:
    flight = Flights().begin(calls.ping())
    flight.sent = sent
    error = flight.late(2.0, "; looked at x")
    assert type(error) is kind
    assert "within 2 s; looked at x" in error.message
    assert hint in (error.hint or "")


def test_cut_off_says_whether_it_may_have_happened() -> None:
    flight = Flights().begin(calls.fence("p"))
    nobody = Unreachable("no daemon answers")
    assert flight.cut_off(nobody) is nobody
    flight.sent = True
    cut = flight.cut_off(nobody)
    assert cut.message == "process.fence was sent and not answered; no daemon answers"
    assert cut.details == {"request": 1}


def test_message_ids_begin_again_at_the_end() -> None:
    flights = Flights()
    flights._next_id = limits.message_id_max
    assert [flights.begin(calls.ping()).id for _ in range(2)] == [limits.message_id_max, 1]


@pytest.mark.parametrize(
    ("tries", "jitter", "seconds"),
    [(0, 1.0, 0.01), (0, 0.0, 0.005), (1, 1.0, 0.02), (3, 0.5, 0.06), (7, 1.0, 1.0), (10_000, 1.0, 1.0)],
)
def test_pauses_double_up_to_a_bound(tries: int, jitter: float, seconds: float) -> None:
    assert Backoff(first_seconds=0.01, last_seconds=1.0).pause(tries, jitter) == pytest.approx(seconds)


def test_an_unknown_choice_is_refused() -> None:
    with pytest.raises(BadRequest, match="on_unavailable is 'wait'"):
        checked("wait")  # type: ignore[arg-type]
