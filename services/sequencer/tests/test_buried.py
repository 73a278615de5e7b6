"""What the sequencer cannot do is a dead letter, whole and with its reason; the rest moves on."""

from dataclasses import replace
from typing import Any

import pytest

from leadflow.errors import DeadLetterError
from leadflow.kafka.murmur2 import partition_of
from leadflow.kafka.port import Message, TopicPartition
from sequencer import rowcodec

from .piping import CODEC, PLACE, Bench


async def test_of_what_is_decided_together_only_who_makes_a_row_unwritable_is_buried(
    bench: Bench, story: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    encode = rowcodec.encode

    def picky(row: Any) -> bytes:
        if row.profile.first_name == "unwritable":
            raise ValueError("no such row")
        return encode(row)

    monkeypatch.setattr(rowcodec, "encode", picky)
    await bench.happens(story.event("LeadCreated"))
    await bench.happens(story.event("LeadUpdated", 1, first_name="unwritable", revision=2))
    await bench.happens(story.event("ReplyReceived", 2))
    await bench.pipeline.drain()
    letters = [each for each in bench.broker.sent if each.topic == "sequencer-dlq"]
    assert [dict(each.headers)["dlq-offset"] for each in letters] == [b"1"]
    (row,) = (rowcodec.decode(key, value) for key, value in bench.rows.rows.items())
    assert (row.profile_revision, row.live) == (1, ())
    assert len({each.value for each in bench.broker.sent}) == len(bench.broker.sent)
    assert bench.committable() == 3


async def test_a_poison_record_is_buried_whole_and_traffic_moves_on(
    bench: Bench, story: Any, words: Any
) -> None:
    await bench.feed(b"\x00poison", words.LEAD.encode())
    await bench.happens(story.event("LeadCreated"))
    await bench.pipeline.drain()
    letter = bench.broker.sent[0]
    assert (letter.topic, letter.key, letter.value) == (
        "sequencer-dlq",
        words.LEAD.encode(),
        b"\x00poison",
    )
    headers = dict(letter.headers)
    assert headers["h"] == b"1"
    assert headers["dlq-offset"] == b"0"
    assert "messages" in bench.broker.log
    assert bench.committable() == 2


async def test_a_record_under_a_foreign_key_is_buried(bench: Bench, story: Any) -> None:
    await bench.feed(CODEC.encode(story.event("LeadCreated")), b"somebody-else")
    await bench.pipeline.drain()
    assert bench.broker.log == ["sequencer-dlq"]
    assert dict(bench.broker.sent[0].headers)["dlq-error"] == b"RecordRefused"


@pytest.mark.parametrize("at_once", [True, False])
async def test_a_record_in_a_foreign_partition_is_buried_and_touches_no_row(
    bench: Bench, story: Any, words: Any, at_once: bool
) -> None:
    """A stop in the right partition would not find the row that such a record makes."""
    key = words.LEAD.encode()
    right, wrong = partition_of(key, 12), (partition_of(key, 12) + 5) % 12
    bench.partitions = 12
    bench.pipeline = bench.made({TopicPartition(PLACE.topic, each): 0 for each in (right, wrong)})
    for number, (kind, partition) in enumerate(
        [("LeadCreated", right), ("LeadUpdated", wrong), ("ReplyReceived", right)]
    ):
        value = CODEC.encode(story.event(kind, number))
        offset = 0 if number < 2 else 1
        message = Message(PLACE.topic, partition, offset, key, value, (), -1)
        await bench.pipeline.event(message)
        if not at_once:
            await bench.pipeline.drain()
    await bench.pipeline.drain()
    (letter,) = (each for each in bench.broker.sent if each.topic == "sequencer-dlq")
    headers = dict(letter.headers)
    assert headers["dlq-reason"].startswith(b"wrong_partition")
    assert headers["dlq-partition"] == str(wrong).encode()
    assert bench.rows.home == {key: right}
    told = [each.value for each in bench.broker.sent if each is not letter]
    assert CODEC.decode(told[-1]).TYPE == "EnrollmentStopped"


async def test_who_makes_a_row_that_no_topic_takes_is_buried_and_traffic_moves_on(
    bench: Bench, story: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sequencer.processor.MAX_BYTES", 2_000)
    await bench.happens(story.event("LeadCreated"))
    await bench.happens(story.event("LeadUpdated", 1, first_name="A" * 3_000, revision=2))
    await bench.happens(story.event("ReplyReceived", 2))
    await bench.pipeline.drain()
    (letter,) = (each for each in bench.broker.sent if each.topic == "sequencer-dlq")
    headers = dict(letter.headers)
    assert headers["dlq-offset"] == b"1"
    assert headers["dlq-reason"].startswith(b"too_large")
    (row,) = (rowcodec.decode(key, value) for key, value in bench.rows.rows.items())
    assert (row.profile_revision, row.live) == (1, ())
    assert bench.committable() == 3


async def test_who_makes_a_message_that_no_topic_takes_is_buried_and_nothing_of_it_is_told(
    bench: Bench, story: Any, words: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    story.publish("large", replace(words.step("hello"), body="x" * 3_000))
    value = CODEC.encode(story.event("LeadCreated"))
    monkeypatch.setattr("leadflow.codec.MAX_BYTES", 2_000)
    await bench.feed(value, words.LEAD.encode())
    await bench.happens(story.event("LeadCreated", lead_id="another", stage="contacted"))
    await bench.pipeline.drain()
    assert bench.broker.log == ["sequencer-dlq", "row"]
    assert dict(bench.broker.sent[0].headers)["dlq-reason"].startswith(b"too_large")
    assert bench.committable() == 2


async def test_when_even_the_dead_letter_topic_refuses_nothing_is_skipped(
    bench: Bench, story: Any
) -> None:
    bench.broker.refuse.add("sequencer-dlq")
    await bench.feed(b"poison", b"lead")
    await bench.pipeline.drain()
    assert isinstance(bench.pipeline.failed.exception(), DeadLetterError)
    assert bench.committable() is None


async def test_a_dead_letter_of_another_service_that_is_replayed_changes_nothing_here(
    bench: Bench, story: Any
) -> None:
    created = story.event("LeadCreated")
    value, key = CODEC.encode(created), created.lead_id.encode()
    await bench.feed(value, key, (("replay-for", b"crm-sync"),))
    await bench.pipeline.drain()
    assert (bench.broker.log, bench.committable()) == ([], 1)
    await bench.feed(value, key, (("replay-for", b"sequencer"),))
    await bench.pipeline.drain()
    assert bench.broker.log[-1] == "row"
