"""Effects, then state, then the offset; one after the other for a lead, and never past a hole."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest

from leadflow.codec import Codec
from leadflow.errors import BrokerError, DeadLetterError
from leadflow.kafka.dead_letters import DeadLetters
from leadflow.kafka.murmur2 import partition_of
from leadflow.kafka.port import Headers, Message, Outgoing, TopicPartition
from sequencer import rowcodec
from sequencer.due import DueIndex
from sequencer.model import Decision
from sequencer.pipeline import FIRING, Pipeline
from sequencer.processor import LeadProcessor

CODEC = Codec()
PLACE = TopicPartition("lead-events", 0)
COMMANDS = TopicPartition("enrollment-commands", 0)
TICKS = TopicPartition("sequencer-ticks", 0)


class StillClock:
    def __init__(self, now: Any) -> None:
        self.time = now

    def now(self) -> Any:
        return self.time

    def monotonic(self) -> float:
        return 0.0

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(0)


class Broker:
    """Notes what becomes durable, in order; may be told to wait or to fail."""

    def __init__(self) -> None:
        self.log: list[str] = []
        self.sent: list[Outgoing] = []
        self.gate = asyncio.Event()
        self.gate.set()
        self.refuse: set[str] = set()

    async def send(self, batch: Sequence[Outgoing]) -> None:
        await self.gate.wait()
        for each in batch:
            if each.topic in self.refuse:
                raise BrokerError("not acknowledged")
            self.sent.append(each)
            self.log.append(each.topic)

    async def close(self) -> None: ...


class FakeRows:
    name = "leads-changelog"

    def __init__(self, broker: Broker) -> None:
        self.rows: dict[bytes, bytes] = {}
        self.partitions: set[int] = set()
        self.broker = broker
        self._last_after = ("", 0)

    def get(self, partition: int, key: bytes) -> bytes | None:
        return self.rows.get(key)

    def last_row_after(self, topic: str) -> None:
        """No row is taken any more once a record of that topic was sent."""
        self._last_after = (topic, len(self.broker.sent))

    async def put(self, partition: int, key: bytes, row: bytes) -> None:
        await self.broker.gate.wait()
        topic, start = self._last_after
        if any(each.topic == topic for each in self.broker.sent[start:]):
            raise BrokerError("dead")
        if self.name in self.broker.refuse:
            raise BrokerError("not acknowledged")
        self.rows[key] = row
        self.partitions.add(partition)
        self.broker.log.append("row")

    async def delete(self, partition: int, key: bytes) -> None:
        await self.broker.gate.wait()
        del self.rows[key]
        self.broker.log.append("no row")


class Bench:
    """A pipeline over fakes."""

    def __init__(self, story: Any, words: Any) -> None:
        self.broker = Broker()
        self.rows = FakeRows(self.broker)
        self.clock = StillClock(words.at(0))
        self.setting = story.setting
        self.index = DueIndex()
        self.partitions = 1
        self.pipeline = self.made({PLACE: 0, COMMANDS: 0, TICKS: 7})
        self.offset = 0

    def made(self, places: dict[TopicPartition, int]) -> Pipeline:
        processor = LeadProcessor(
            codec=CODEC,
            rows=self.rows,
            producer=self.broker,
            dead_letters=DeadLetters("sequencer", self.broker, self.clock),
            due=self.index,
            setting=self.setting,
            clock=self.clock,
            partitions=self.partitions,
        )
        pipeline = Pipeline(processor, self.index)
        pipeline.offsets.start(places)
        return pipeline

    def successor(self, places: dict[TopicPartition, int]) -> Pipeline:
        """Who goes on after a death, with the rows that there are."""
        self.rows.last_row_after("")
        self.index = DueIndex()
        return self.made(places)

    async def feed(self, value: bytes, key: bytes, headers: Headers = (("h", b"1"),)) -> None:
        message = Message("lead-events", 0, self.offset, key, value, headers, -1)
        self.offset += 1
        await self.pipeline.event(message)

    async def happens(self, event: Any) -> None:
        await self.feed(CODEC.encode(event), event.lead_id.encode())

    def committable(self) -> int | None:
        return self.pipeline.offsets.committable().get(PLACE)


@pytest.fixture
async def bench(story: Any, words: Any) -> Bench:
    story.publish("one", words.step("hello"), words.step("later", 60))
    return Bench(story, words)


async def test_effects_come_before_the_row_and_the_row_before_the_offset(
    bench: Bench, story: Any
) -> None:
    bench.broker.gate.clear()
    await bench.happens(story.event("LeadCreated"))
    await asyncio.sleep(0)
    assert bench.broker.log == []
    assert bench.committable() is None
    bench.broker.gate.set()
    await bench.pipeline.drain()
    assert bench.broker.log == [
        "enrollment-events",
        "enrollment-events",
        "enrollment-events",
        "messages",
        "enrollment-events",
        "row",
    ]
    assert bench.committable() == 1
    assert bench.index.due(0, rowcodec.to_ms(bench.clock.time) + 60 * 60_000)


async def test_events_of_a_lead_wait_for_each_other(bench: Bench, story: Any) -> None:
    bench.broker.gate.clear()
    await bench.happens(story.event("LeadCreated"))
    await bench.happens(story.event("ReplyReceived", 1))
    bench.broker.gate.set()
    await bench.pipeline.drain()
    last = CODEC.decode(bench.broker.sent[-1].value)
    assert last.TYPE == "EnrollmentStopped"
    assert bench.committable() == 2


async def test_what_came_of_a_lead_in_the_meantime_is_decided_together_and_written_once(
    bench: Bench, story: Any
) -> None:
    bench.broker.gate.clear()
    await bench.happens(story.event("LeadCreated"))
    await asyncio.sleep(0)
    for revision in (2, 3, 4):
        await bench.happens(story.event("LeadUpdated", revision, revision=revision))
    bench.broker.gate.set()
    await bench.pipeline.drain()
    assert bench.broker.log.count("row") == 2
    (row,) = (rowcodec.decode(key, value) for key, value in bench.rows.rows.items())
    assert row.profile_revision == 4
    assert bench.committable() == 4


async def test_what_is_fetched_together_is_decided_together(bench: Bench, story: Any) -> None:
    await bench.happens(story.event("LeadCreated"))
    await bench.happens(story.event("LeadUpdated", 1, revision=2))
    await bench.pipeline.drain()
    assert bench.broker.log.count("row") == 1
    assert bench.committable() == 2


async def test_what_is_told_rests_on_what_is_written(bench: Bench, story: Any) -> None:
    await bench.happens(story.event("LeadCreated"))
    await bench.happens(story.event("LeadUpdated", 1, revision=2))
    await bench.happens(story.event("ReplyReceived", 2))
    await bench.pipeline.drain()
    assert bench.broker.log[-3:] == ["row", "enrollment-events", "row"]
    assert bench.broker.log.count("row") == 2
    assert CODEC.decode(bench.broker.sent[-1].value).TYPE == "EnrollmentStopped"


async def test_who_dies_between_effects_and_row_has_told_nothing_that_another_order_would_undo(
    bench: Bench, story: Any, words: Any
) -> None:
    """A consent comes before a command that is older: a successor takes them by their times."""
    story.publish("asked", words.step("hi"), trigger=("manual", ""))
    bench.clock.time = words.at(5)
    await bench.happens(story.event("LeadCreated"))
    await bench.happens(story.event("ConsentChanged", 1, channel="email", granted=False))
    await bench.pipeline.drain()
    told = len(bench.broker.sent)
    granted = story.event("ConsentChanged", 3, channel="email", granted=True)
    command = story.event("EnrollRequested", 2, sequence_id="acme.asked")
    key = words.LEAD.encode()
    consent = Message(PLACE.topic, 0, 2, key, CODEC.encode(granted), (), -1)
    enroll = Message(COMMANDS.topic, 0, 0, key, CODEC.encode(command), (), -1)

    bench.rows.last_row_after("messages")
    for message in (consent, enroll):
        await bench.pipeline.event(message)
    await bench.pipeline.drain()
    assert isinstance(bench.pipeline.failed.exception(), BrokerError)
    successor = bench.successor({PLACE: 2, COMMANDS: 0})
    for message in (enroll, consent):
        await successor.event(message)
    await successor.drain()
    types = [CODEC.decode(each.value).TYPE for each in bench.broker.sent[told:]]
    assert types.count("StepFired") == 2
    assert "StepSkipped" not in types


async def test_a_lane_that_is_cancelled_ends_the_pipeline_and_waits_for_nobody(
    bench: Bench, story: Any
) -> None:
    bench.broker.gate.clear()
    await bench.happens(story.event("LeadCreated"))
    await bench.happens(story.event("ReplyReceived", 1))
    for _ in range(2):
        await asyncio.sleep(0)
    (lane,) = bench.pipeline._lanes.values()
    assert lane.task is not None
    lane.task.cancel()
    await asyncio.wait_for(bench.pipeline.drain(), 10)
    assert bench.pipeline.failed.cancelled()
    assert bench.committable() is None


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


@pytest.mark.parametrize("poison", [False, True])
async def test_a_timer_that_came_too_soon_is_put_back(
    bench: Bench, story: Any, words: Any, poison: bool
) -> None:
    await bench.happens(story.event("LeadCreated"))
    await bench.pipeline.drain()
    now_ms, later_ms = (rowcodec.to_ms(words.at(each)) for each in (0, 60))
    bench.index.put(0, words.LEAD.encode(), now_ms, held=False)
    bench.pipeline.tick(Message("sequencer-ticks", 0, 7, b"0", b"tick", (), -1), now_ms)
    await asyncio.sleep(0)
    if poison:
        await bench.feed(b"poison", words.LEAD.encode())
    await bench.pipeline.drain()
    assert bench.broker.log[-1] == ("sequencer-dlq" if poison else "row")
    assert bench.broker.log.count("row") == 1
    assert bench.index.due(0, later_ms)


@pytest.mark.parametrize("refused", ["messages", "leads-changelog"])
async def test_what_the_broker_does_not_take_ends_the_pipeline_without_a_commit(
    bench: Bench, story: Any, refused: str
) -> None:
    bench.broker.refuse.add(refused)
    await bench.happens(story.event("LeadCreated"))
    await bench.happens(story.event("ReplyReceived", 1))
    await bench.pipeline.drain()
    assert isinstance(bench.pipeline.failed.exception(), BrokerError)
    assert bench.rows.rows == {}
    assert bench.committable() is None


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


async def test_a_record_in_a_foreign_partition_is_buried_and_touches_no_row(
    bench: Bench, story: Any, words: Any
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
    await bench.pipeline.drain()
    (letter,) = (each for each in bench.broker.sent if each.topic == "sequencer-dlq")
    headers = dict(letter.headers)
    assert headers["dlq-reason"].startswith(b"wrong_partition")
    assert headers["dlq-partition"] == str(wrong).encode()
    assert bench.rows.partitions == {right}
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


async def test_a_tick_fires_what_is_due_on_its_partition(
    bench: Bench, story: Any, words: Any
) -> None:
    await bench.happens(story.event("LeadCreated"))
    await bench.pipeline.drain()
    bench.clock.time = words.at(60)
    tick = Message("sequencer-ticks", 0, 7, b"0", b"tick", (), -1)
    bench.pipeline.tick(tick, rowcodec.to_ms(words.at(60)))
    await asyncio.sleep(0)
    await bench.pipeline.drain()
    assert [each.TYPE for each in map(CODEC.decode, (s.value for s in bench.broker.sent[-3:]))] == [
        "StepFired",
        "MessageQueued",
        "EnrollmentCompleted",
    ]
    assert not bench.index.due(0, rowcodec.to_ms(words.at(60)))


async def test_what_was_read_before_a_new_deal_is_not_begun_after_it(
    bench: Bench, story: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench.pipeline._room = asyncio.Semaphore(1)
    bench.broker.gate.clear()
    await bench.happens(story.event("LeadCreated"))
    waiting = asyncio.ensure_future(bench.happens(story.event("ReplyReceived", 1)))
    await asyncio.sleep(0)
    draining = asyncio.ensure_future(bench.pipeline.drain())
    await asyncio.sleep(0)
    bench.broker.gate.set()
    await draining
    await waiting
    assert "EnrollmentStopped" not in [CODEC.decode(s.value).TYPE for s in bench.broker.sent]
    assert bench.committable() == 1


async def test_nothing_is_begun_once_nothing_is_taken_any_more(bench: Bench, story: Any) -> None:
    """What waits for its cause is handed on one by one, in the middle of a drain too: one that
    began after the drain would write a row that somebody else owns by then."""
    bench.broker.gate.clear()
    await bench.happens(story.event("LeadCreated"))
    bench.pipeline.offsets.close()
    await bench.happens(story.event("LeadCreated", lead_id="another"))
    bench.broker.gate.set()
    await bench.pipeline.drain()
    await bench.happens(story.event("ReplyReceived", 1))
    assert bench.pipeline._lanes == {}
    assert bench.rows.rows.keys() == {bench.broker.sent[0].key}
    assert bench.committable() == 1


async def test_a_resume_that_comes_while_a_held_row_is_on_its_way_is_not_missed(
    bench: Bench, story: Any
) -> None:
    story.pause("everything")
    bench.broker.gate.clear()
    await bench.happens(story.event("LeadCreated"))
    await asyncio.sleep(0)
    story.resume("everything")
    assert bench.index.take_held() == []
    bench.broker.gate.set()
    await bench.pipeline.drain()
    assert bench.index.due(0, rowcodec.to_ms(bench.clock.time))


async def test_a_burst_of_what_is_due_leaves_room_for_events(
    bench: Bench, story: Any, words: Any
) -> None:
    leads = [f"lead-{number}" for number in range(FIRING + 50)]
    for lead in leads:
        await bench.happens(story.event("LeadCreated", lead_id=lead))
    await bench.pipeline.drain()
    bench.clock.time = words.at(60)
    bench.broker.gate.clear()
    begun = len(bench.pipeline._lanes)
    tick = Message("sequencer-ticks", 0, 7, b"0", b"tick", (), -1)
    bench.pipeline.tick(tick, rowcodec.to_ms(words.at(60)))
    for _ in range(FIRING):
        await asyncio.sleep(0)
    assert len(bench.pipeline._lanes) - begun == FIRING
    await asyncio.wait_for(bench.happens(story.event("LeadCreated", 60, lead_id="another")), 1)
    assert len(bench.pipeline._lanes) - begun == FIRING + 1
    bench.broker.gate.set()
    for _ in range(20 * FIRING):
        await asyncio.sleep(0)
    await bench.pipeline.drain()
    sent = [CODEC.decode(each.value) for each in bench.broker.sent]
    completed = {each.lead_id for each in sent if each.TYPE == "EnrollmentCompleted"}
    assert completed == set(leads)


async def test_a_row_that_is_forgotten_is_deleted_and_nothing_of_it_is_due(
    bench: Bench, story: Any, words: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    await bench.happens(story.event("LeadCreated"))
    await bench.pipeline.drain()
    monkeypatch.setattr(
        "sequencer.processor.fire", lambda row, *_: Decision(row, (), changed=False, gone=True)
    )
    bench.clock.time = words.at(60)
    tick = Message("sequencer-ticks", 0, 7, b"0", b"tick", (), -1)
    bench.pipeline.tick(tick, rowcodec.to_ms(words.at(60)))
    await asyncio.sleep(0)
    await bench.pipeline.drain()
    assert bench.broker.log[-1] == "no row"
    assert bench.rows.rows == {}
    assert not bench.index.due(0, rowcodec.to_ms(words.at(10**6)))


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
