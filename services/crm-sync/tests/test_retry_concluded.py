"""A record that fails in a retry topic for a reason that no retry can help leaves its queue."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from crm_sync import headers
from crm_sync.handler import RetryHandler, Tools
from crm_sync.model import Contact, Item, Origin, RetryPolicy, SyncRun, Waiting
from crm_sync.store import Leads
from crm_sync.sync import work_of
from crm_sync.work import LeadWork
from leadflow.errors import BrokerError, DatabaseDown, DeadLetterError
from leadflow.kafka.dead_letters import DeadLetters
from leadflow.kafka.loop import Received
from leadflow.kafka.port import Message, Outgoing

NOW = datetime(2026, 11, 21, 9, 0, tzinfo=UTC)
POLICY = RetryPolicy((timedelta(seconds=30), timedelta(minutes=5), timedelta(hours=1)), (3, 3, 24))


class World:
    """Store, broker, clock and synchronizer; `log` is what was done, in order."""

    def __init__(self, error: Exception) -> None:
        self.error = error
        self.queue: list[Waiting] = []
        self.log: list[tuple[str, Any]] = []
        self.broker_error: Exception | None = None

    def now(self) -> datetime:
        return NOW

    async def load(self, _: Any) -> Leads:
        return Leads({}, {"lead-1": list(self.queue)} if self.queue else {})

    async def run(
        self, contacts: dict[str, Contact], items: dict[str, list[Item]]
    ) -> list[LeadWork]:
        works = [work_of(None, mine) for mine in items.values()]
        if works:
            raise self.error
        return works

    async def send(self, batch: Sequence[Outgoing]) -> None:
        if self.broker_error is not None:
            raise self.broker_error
        self.log += [("sent", each) for each in batch]

    async def move(
        self, moved: Sequence[Waiting], finished: Sequence[str], runs: Sequence[SyncRun]
    ) -> None:
        self.log.append(("moved", (list(moved), list(finished), list(runs))))


def parked(world: World, record: Any, hop: int = 1) -> Received:
    """`record` waits, and this is its copy."""
    first = Message("lead-events", 3, 40, b"lead-1", b"bytes", (("trace", b"t"),), 0)
    entry = Waiting(record.event_id, "lead-1", Origin("lead-events", 3, 40), 0, NOW, 2, hop)
    world.queue.append(entry)
    copy = headers.waiting_copy(first, entry, "crm-sync-retry-30s", "CrmUnavailable", "down")
    message = Message(copy.topic, 3, 7, copy.key, copy.value, tuple(copy.headers), 0)
    return Received(message, record)


def handler(world: World) -> RetryHandler:
    fake: Any = world
    return RetryHandler(Tools(fake, fake, fake, DeadLetters("crm-sync", fake, fake), POLICY, fake))


async def test_it_is_dead_with_its_first_bytes_and_its_place_in_the_queue_is_free(
    records: Any,
) -> None:
    world = World(KeyError("ada@acme.example"))
    await handler(world).handle([parked(world, records.created(lead_id="lead-1"))])
    (first, letter), (second, (moved, finished, (run,))) = world.log
    assert (first, second) == ("sent", "moved")
    assert (letter.topic, letter.key, letter.value) == ("crm-sync-dlq", b"lead-1", b"bytes")
    told = dict(letter.headers)
    assert told["trace"] == b"t"
    assert (told["dlq-topic"], told["dlq-offset"]) == (b"lead-events", b"40")
    assert (told["dlq-error"], told["dlq-reason"]) == (b"KeyError", b"KeyError")
    assert "retry-topic" not in told
    assert (moved, finished) == ([], ["e1"])
    assert (run.event_id, run.result, run.attempts, run.reason) == ("e1", "dead", 3, "KeyError")


async def test_of_several_records_the_loop_finds_the_one(records: Any) -> None:
    world = World(KeyError("results"))
    batch = [parked(world, records.created(1)), parked(world, records.updated(2))]
    with pytest.raises(KeyError):
        await handler(world).handle(batch)
    assert world.log == []


async def test_what_may_pass_is_repeated(records: Any) -> None:
    world = World(DatabaseDown("gone"))
    with pytest.raises(DatabaseDown):
        await handler(world).handle([parked(world, records.created(lead_id="lead-1"))])
    assert world.log == []


async def test_without_a_dead_letter_its_place_is_kept_and_the_process_ends(records: Any) -> None:
    world = World(KeyError("results"))
    world.broker_error = BrokerError("gone")
    with pytest.raises(DeadLetterError):
        await handler(world).handle([parked(world, records.created(lead_id="lead-1"))])
    assert world.log == []


async def test_a_copy_that_was_processed_meanwhile_is_no_dead_letter(records: Any) -> None:
    world = World(KeyError("results"))
    mine = parked(world, records.created(lead_id="lead-1"))
    run = world.run

    async def meanwhile(*given: Any) -> list[LeadWork]:
        world.queue.clear()
        return await run(*given)

    world.run = meanwhile  # type: ignore[method-assign]
    await handler(world).handle([mine])
    assert world.log == [("moved", ([], [], []))]


async def test_an_approval_that_is_refused_when_it_is_due_leaves_its_place_to_what_waits_behind(
    records: Any,
) -> None:
    """It was parked by rules that took it: those of today bury it."""
    world = World(AssertionError("nothing is to be called"))
    refused = replace(records.reviewed("approved", "words"), text_hash="0" * 64)
    batch = [parked(world, refused), parked(world, records.created())]
    await handler(world).handle(batch)
    (_, letter), (_, copy), (last, (moved, finished, (run,))) = world.log
    assert (letter.topic, copy.topic, last) == ("crm-sync-dlq", "crm-sync-retry-30s", "moved")
    assert dict(letter.headers)["dlq-error"] == b"RecordRefused"
    assert finished == ["e1"]
    assert [(each.event_id, each.tier, each.hop) for each in moved] == [("e2", 0, 2)]
    assert (run.event_id, run.result) == ("e2", "waiting")
