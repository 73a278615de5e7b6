"""Effects, then state, then the offset; one after the other for a lead, and never past a hole."""

import asyncio
from typing import Any

import pytest

from leadflow.errors import BrokerError
from leadflow.kafka.port import Message
from sequencer import rowcodec
from sequencer.model import Decision
from sequencer.pipeline import FIRING

from .piping import CODEC, COMMANDS, PLACE, Bench


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
