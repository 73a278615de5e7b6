"""What may be committed."""

from leadflow.kafka.port import TopicPartition
from sequencer.offsets import Offsets

PLACE = TopicPartition("lead-events", 3)


def test_nothing_is_committed_past_a_record_that_is_not_done() -> None:
    offsets = Offsets()
    first, second, third = (offsets.begin(PLACE, offset) for offset in (5, 6, 9))
    second.done = third.done = True
    assert offsets.committable() == {PLACE: 5}
    first.done = True
    assert offsets.committable() == {PLACE: 10}
    assert offsets.unfinished() == 0


def test_what_the_broker_has_is_not_committed_again() -> None:
    offsets = Offsets()
    offsets.begin(PLACE, 5).done = True
    offsets.committed(offsets.committable())
    assert offsets.committable() == {}
    offsets.begin(PLACE, 6)
    assert offsets.committable() == {}
    assert offsets.unfinished() == 1


def test_after_a_new_deal_earlier_readings_count_no_more() -> None:
    offsets = Offsets()
    stale = offsets.begin(PLACE, 5)
    offsets.forget()
    again = offsets.begin(PLACE, 5)
    stale.done = True
    assert offsets.committable() == {PLACE: 5}
    again.done = True
    assert offsets.committable() == {PLACE: 6}
