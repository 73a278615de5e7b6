"""What may be committed."""

from leadflow.kafka.port import TopicPartition
from sequencer.offsets import Offsets

PLACE = TopicPartition("lead-events", 3)


def test_nothing_is_committed_past_a_record_that_is_not_done() -> None:
    offsets = Offsets()
    offsets.start({PLACE: 5})
    first, second, third = (offsets.begin(PLACE, offset) for offset in (5, 6, 7))
    second.done = third.done = True
    assert offsets.committable() == {}
    first.done = True
    assert offsets.committable() == {PLACE: 8}
    assert offsets.unfinished() == 0


def test_what_the_broker_has_is_not_committed_again() -> None:
    offsets = Offsets()
    offsets.start({PLACE: 5})
    offsets.begin(PLACE, 5).done = True
    offsets.committed(offsets.committable())
    assert offsets.committable() == {}
    offsets.begin(PLACE, 6)
    assert offsets.committable() == {}
    assert offsets.unfinished() == 1


def test_when_nothing_is_taken_any_more_what_has_begun_is_still_committed() -> None:
    offsets = Offsets()
    offsets.start({PLACE: 5})
    reading = offsets.begin(PLACE, 5)
    offsets.close()
    assert offsets.next(PLACE) is None
    reading.done = True
    assert offsets.committable() == {PLACE: 6}


def test_after_a_new_deal_earlier_readings_count_no_more() -> None:
    offsets = Offsets()
    offsets.start({PLACE: 5})
    stale = offsets.begin(PLACE, 5)
    offsets.forget()
    assert offsets.next(PLACE) is None
    offsets.start({PLACE: 5})
    again = offsets.begin(PLACE, 5)
    stale.done = True
    assert offsets.committable() == {}
    again.done = True
    assert offsets.committable() == {PLACE: 6}


def test_the_next_record_is_the_one_after_the_last_begun() -> None:
    offsets = Offsets()
    offsets.start({PLACE: 5})
    assert offsets.next(PLACE) == 5
    offsets.begin(PLACE, 5)
    assert offsets.next(PLACE) == 6


def test_a_record_that_has_arrived_and_waits_is_neither_asked_for_again_nor_committed() -> None:
    offsets = Offsets()
    offsets.start({PLACE: 5})
    offsets.taken(PLACE, 5)
    offsets.taken(PLACE, 6)
    assert offsets.next(PLACE) == 7
    offsets.begin(PLACE, 5).done = True
    assert offsets.next(PLACE) == 7
    assert offsets.committable() == {PLACE: 6}
