"""Records of a partition are taken in the order of their times until its past is handled."""

from __future__ import annotations

from leadflow.kafka.port import Message, TopicPartition
from sequencer.causes import WAITING_LIMIT, CausesFirst

EVENTS, COMMANDS, RESULTS = TOPICS = ("events", "commands", "results")


def at(topic: str, offset: int, ms: int, partition: int = 0) -> Message:
    return Message(topic, partition, offset, b"lead", b"", (), ms)


def places(**offsets: int) -> dict[TopicPartition, int]:
    return {TopicPartition(topic, 0): offset for topic, offset in offsets.items()}


def behind(starts: dict[TopicPartition, int], ends: dict[TopicPartition, int]) -> CausesFirst:
    causes = CausesFirst(TOPICS)
    causes.start(starts, ends)
    return causes


def order(causes: CausesFirst, *messages: Message) -> list[tuple[str, int]]:
    """What comes back, in the order in which it does."""
    taken = []
    for message in messages:
        if causes.is_behind(message.partition):
            causes.put(message)
        else:
            taken.append((message.topic, message.offset))
        while (each := causes.pop(message.partition)) is not None:
            taken.append((each.topic, each.offset))
    return taken


def test_an_answer_that_is_read_before_its_cause_waits_for_it() -> None:
    causes = behind(
        places(events=5, commands=0, results=0), places(events=7, commands=1, results=0)
    )
    taken = order(causes, at(COMMANDS, 0, 300), at(EVENTS, 5, 100), at(EVENTS, 6, 400))
    assert taken == [(EVENTS, 5), (COMMANDS, 0), (EVENTS, 6)]


def test_what_is_written_after_the_takeover_waits_for_what_was_there_before() -> None:
    causes = behind(
        places(events=5, commands=0, results=0), places(events=6, commands=0, results=0)
    )
    taken = order(causes, at(RESULTS, 0, 900), at(COMMANDS, 0, 800), at(EVENTS, 5, 100))
    assert taken == [(EVENTS, 5), (COMMANDS, 0), (RESULTS, 0)]


def test_at_the_same_time_the_event_goes_before_its_answer() -> None:
    causes = behind(
        places(events=0, commands=0, results=0), places(events=1, commands=1, results=1)
    )
    taken = order(causes, at(RESULTS, 0, 100), at(COMMANDS, 0, 100), at(EVENTS, 0, 100))
    assert taken == [(EVENTS, 0), (COMMANDS, 0), (RESULTS, 0)]


def test_a_topic_keeps_its_own_order_whatever_its_times_say() -> None:
    causes = behind(
        places(events=0, commands=0, results=0), places(events=2, commands=1, results=0)
    )
    taken = order(causes, at(EVENTS, 0, 500), at(EVENTS, 1, 100), at(COMMANDS, 0, 300))
    assert taken == [(COMMANDS, 0), (EVENTS, 0), (EVENTS, 1)]


def test_a_partition_without_a_past_is_not_behind() -> None:
    causes = behind(
        places(events=5, commands=3, results=0), places(events=5, commands=3, results=0)
    )
    assert not causes.is_behind(0)


def test_a_partition_is_behind_until_its_past_is_handled_and_then_no_more() -> None:
    causes = behind(
        places(events=0, commands=0, results=0), places(events=2, commands=0, results=0)
    )
    order(causes, at(EVENTS, 0, 100))
    assert causes.is_behind(0)
    order(causes, at(EVENTS, 1, 200))
    assert not causes.is_behind(0)


def test_what_waits_is_forgotten_when_partitions_are_dealt_out_anew() -> None:
    causes = behind(
        places(events=0, commands=0, results=0), places(events=1, commands=0, results=0)
    )
    causes.put(at(COMMANDS, 0, 100))
    causes.forget()
    assert causes.pop(0) is None
    assert not causes.is_behind(0)


def test_no_more_wait_than_memory_has_been_set_aside_for() -> None:
    causes = behind(
        places(events=0, commands=0, results=0), places(events=1, commands=0, results=0)
    )
    many = [at(RESULTS, number, 100) for number in range(WAITING_LIMIT + 1)]
    assert order(causes, *many) == [(RESULTS, 0)]
    assert order(causes, at(EVENTS, 0, 50))[:2] == [(EVENTS, 0), (RESULTS, 1)]


def test_what_waits_in_a_busy_partition_takes_no_room_from_another() -> None:
    causes = CausesFirst(TOPICS)
    starts = {TopicPartition(EVENTS, number): 0 for number in (0, 1)}
    causes.start(starts, dict.fromkeys(starts, 1))
    for number in range(WAITING_LIMIT + 1):
        causes.put(at(RESULTS, number, 100))
    assert order(causes, at(COMMANDS, 0, 300, partition=1)) == []
    assert order(causes, at(EVENTS, 0, 100, partition=1)) == [(EVENTS, 0), (COMMANDS, 0)]


def test_what_was_there_at_the_takeover_is_awaited_until_it_was_handled() -> None:
    causes = behind(
        places(events=0, commands=2, results=0), places(events=1, commands=4, results=0)
    )
    assert causes.awaited() == places(events=1, commands=4)
    order(causes, at(EVENTS, 0, 100), at(COMMANDS, 2, 200))
    assert causes.awaited() == places(commands=4)
    order(causes, at(COMMANDS, 3, 300))
    assert causes.awaited() == {}
