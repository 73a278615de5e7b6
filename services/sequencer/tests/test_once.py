"""A message that stands at the end of its topic is not put there again."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import pytest

from leadflow import topics
from leadflow.codec import Codec
from leadflow.kafka.port import Outgoing
from sequencer.once import OncePerMessage

CODEC = Codec()


class Kept:
    """A producer that keeps what it is given."""

    def __init__(self) -> None:
        self.sent: list[Outgoing] = []

    async def send(self, batch: Sequence[Outgoing]) -> None:
        self.sent += batch

    async def close(self) -> None:
        """Nothing to let go."""


Effects = Callable[[], list[Outgoing]]


@pytest.fixture
def effects(words: Any) -> Effects:
    """What follows from a new lead: an enrollment and a first message, with the same ids each
    time that it is decided."""

    def decided() -> list[Outgoing]:
        story = words.story()
        story.publish("touch", words.step("hello"))
        told = story.when("LeadCreated")
        assert "MessageQueued" in words.types(told)
        return [
            Outgoing(
                topics.MESSAGES.name
                if each.TYPE == "MessageQueued"
                else topics.ENROLLMENT_EVENTS.name,
                each.lead_id.encode(),
                CODEC.encode(each),
            )
            for each in told
        ]

    return decided


async def looked(there: list[Outgoing]) -> tuple[Any, Kept]:
    """One that has seen these at the ends of partitions 0 and 1."""

    def last_records(
        topic: str, partitions: Sequence[int], depth: int
    ) -> Iterator[tuple[bytes, bytes | None]]:
        assert (topic, list(partitions)) == (topics.MESSAGES.name, [0, 1])
        return iter([(each.key or b"", each.value) for each in there])

    kept = Kept()
    effects = OncePerMessage(kept, CODEC, last_records)
    await effects.look([0, 1])
    return effects, kept


def of_topic(records: list[Outgoing], name: str) -> list[Outgoing]:
    return [each for each in records if each.topic == name]


async def test_only_the_message_that_is_there_is_left_out(effects: Effects) -> None:
    there = of_topic(effects(), topics.MESSAGES.name)
    producer, kept = await looked(there)
    again = effects()
    await producer.send(again)
    assert kept.sent == of_topic(again, topics.ENROLLMENT_EVENTS.name)
    assert len(kept.sent) == len(again) - 1


async def test_another_message_of_the_same_lead_goes_out(effects: Effects, words: Any) -> None:
    story = words.story()
    story.publish("other", words.step("hello"))
    (other,) = words.queued(story.when("LeadCreated"))
    there = [Outgoing(topics.MESSAGES.name, words.LEAD.encode(), CODEC.encode(other))]
    producer, kept = await looked(there)
    batch = effects()
    await producer.send(batch)
    assert kept.sent == batch


async def test_what_cannot_be_read_at_the_end_of_the_topic_hinders_nothing(
    effects: Effects, words: Any
) -> None:
    there = [Outgoing(topics.MESSAGES.name, words.LEAD.encode(), b"\xc3\x01broken")]
    producer, kept = await looked(there)
    batch = effects()
    await producer.send(batch)
    assert kept.sent == batch


async def test_the_next_look_forgets_what_the_one_before_saw(effects: Effects) -> None:
    there = of_topic(effects(), topics.MESSAGES.name)
    producer, kept = await looked(there)
    there.clear()
    await producer.look([0, 1])
    batch = effects()
    await producer.send(batch)
    assert kept.sent == batch
