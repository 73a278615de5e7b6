"""The handlers against a CRM, a broker and a store in memory that fail at every step.

Two workers, crashes between any two effects, repeated batches, calls that fail, that are
carried out although they failed, or that are carried out much later: from any seed the
CRM ends equal to the log, nothing older follows something newer, and nothing waits.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from crm_sync import headers
from crm_sync.crm.base import ContactWrite, CrmError, CrmMissing, CrmUnavailable
from crm_sync.handler import RETRY_TOPICS, RetryHandler, SyncHandler, Tools
from crm_sync.model import DEFAULT_ACCOUNT, Contact, Note, RetryPolicy, SyncRun, Task, Waiting
from crm_sync.store import ContactTaken, Leads
from crm_sync.sync import Synchronizer
from crm_sync.verify import Finding, Folded, repair_of
from leadflow.errors import LeadflowError
from leadflow.kafka.dead_letters import DeadLetters
from leadflow.kafka.loop import Received
from leadflow.kafka.port import Message, Outgoing
from leadflow.records import LeadRecord

START = datetime(2026, 11, 21, 9, 0, tzinfo=UTC)
POLICY = RetryPolicy(
    (timedelta(seconds=30), timedelta(minutes=5), timedelta(hours=1)), attempts=(2, 2, 1000)
)
LEADS = ("lead-1", "lead-2", "lead-3")


class Crashed(LeadflowError):
    """The worker died here: whoever is next repeats what it had in hand."""

    retryable = True


@dataclass
class Chaos:
    """Chance, from a seed; `on` is False while everything may go well."""

    rng: random.Random
    on: bool = True

    def hits(self, share: float) -> bool:
        return self.on and self.rng.random() < share

    async def step(self) -> None:
        """Others may run now, and the worker may die."""
        for _ in range(self.rng.randint(0, 3)):
            await asyncio.sleep(0)
        if self.hits(0.02):
            raise Crashed


class MemoryClock:
    def __init__(self) -> None:
        self.at = START

    def now(self) -> datetime:
        return self.at

    def monotonic(self) -> float:
        return (self.at - START).total_seconds()

    async def sleep(self, seconds: float) -> None:
        self.at += timedelta(seconds=seconds)


class MemoryStore:
    """What `Store` promises, in dictionaries."""

    def __init__(self, chaos: Chaos) -> None:
        self._chaos = chaos
        self.contacts: dict[str, Contact] = {}
        self.waiting: dict[str, Waiting] = {}
        self.runs: dict[str, SyncRun] = {}

    async def load(self, lead_ids: Iterable[str]) -> Leads:
        await self._chaos.step()
        wanted = set(lead_ids)
        queues: dict[str, list[Waiting]] = {}
        for entry in self.waiting.values():
            if entry.lead_id in wanted:
                queues.setdefault(entry.lead_id, []).append(entry)
        return Leads({k: v for k, v in self.contacts.items() if k in wanted}, queues)

    async def save_contacts(self, contacts: Sequence[Contact]) -> list[Contact]:
        await self._chaos.step()
        for contact in contacts:
            stored = self.contacts.get(contact.lead_id)
            if (0 if stored is None else stored.version) != contact.version:
                raise ContactTaken
        saved = [replace(contact, version=contact.version + 1) for contact in contacts]
        self.contacts.update({contact.lead_id: contact for contact in saved})
        await self._chaos.step()
        return saved

    async def park(
        self, entries: Sequence[Waiting], finished: Sequence[str], runs: Sequence[SyncRun]
    ) -> None:
        await self._chaos.step()
        self._save_runs(runs, over=("written", "unchanged"))
        for entry in entries:
            run = self.runs.get(entry.event_id)
            if run is None or run.result not in ("written", "unchanged"):
                self.waiting.setdefault(entry.event_id, entry)
        self._forget(finished)
        await self._chaos.step()

    async def move(
        self, moved: Sequence[Waiting], finished: Sequence[str], runs: Sequence[SyncRun]
    ) -> None:
        await self._chaos.step()
        for entry in moved:
            present = self.waiting.get(entry.event_id)
            if present is not None and present.hop < entry.hop:
                self.waiting[entry.event_id] = entry
        self._forget(finished)
        self._save_runs(runs, over=("written", "unchanged", "dead"))
        await self._chaos.step()

    def _forget(self, finished: Sequence[str]) -> None:
        for event_id in finished:
            self.waiting.pop(event_id, None)

    def _save_runs(self, runs: Sequence[SyncRun], over: tuple[str, ...]) -> None:
        for run in runs:
            present = self.runs.get(run.event_id)
            if present is None or run.result != "waiting" or present.result not in over:
                self.runs[run.event_id] = run


class MemoryCrm:
    name = "memory"

    def __init__(self, chaos: Chaos) -> None:
        self._chaos = chaos
        self._keys: set[str] = set()
        self._late: list[ContactWrite] = []
        self.history: dict[str, list[dict[str, Any]]] = {}
        self.notes: dict[str, dict[str, str]] = {}

    async def upsert(self, writes: Sequence[ContactWrite]) -> list[str | CrmError]:
        await self._chaos.step()
        return [self._upsert(write) for write in writes]

    def _upsert(self, write: ContactWrite) -> str | CrmError:
        if self._chaos.hits(0.15):
            return CrmUnavailable("not carried out")
        if self._chaos.hits(0.1):
            self._late.append(write)
            return CrmUnavailable("carried out later")
        self._carry_out(write)
        if self._chaos.hits(0.1):
            return CrmUnavailable("carried out, and the answer lost")
        return write.external_id

    def carry_out_late_ones(self, share: float) -> None:
        self._chaos.rng.shuffle(self._late)
        for write in list(self._late):
            if self._chaos.rng.random() < share:
                self._late.remove(write)
                self._carry_out(write)

    def _carry_out(self, write: ContactWrite) -> None:
        if write.key not in self._keys:
            self._keys.add(write.key)
            self.history.setdefault(write.external_id, []).append(dict(write.fields))

    async def add_note(self, external_id: str, note: Note) -> None:
        await self._chaos.step()
        if self._chaos.hits(0.2):
            raise CrmUnavailable("not carried out")
        if external_id not in self.history:
            raise CrmMissing("no contact")
        self.notes.setdefault(external_id, {})[note.note_id] = note.text

    async def add_task(self, external_id: str, task: Task) -> None:
        await self.add_note(external_id, Note(task.task_id, task.title, task.at))

    async def close(self) -> None:
        pass


class MemoryLog:
    """Topics of one partition each, with one committed offset a topic."""

    def __init__(self, chaos: Chaos) -> None:
        self._chaos = chaos
        self.topics: dict[str, list[Message]] = {}
        self.committed: dict[str, int] = {}

    async def send(self, batch: Sequence[Outgoing]) -> None:
        for record in batch:
            await self._chaos.step()
            self.append(record.topic, record.key, record.value, record.headers)

    def append(self, topic: str, key: bytes | None, value: bytes | None, more: Any = ()) -> None:
        log = self.topics.setdefault(topic, [])
        log.append(Message(topic, 0, len(log), key, value, tuple(more), 0))

    def unread(self, topic: str) -> list[Message]:
        return self.topics.get(topic, [])[self.committed.get(topic, 0) :]

    async def close(self) -> None:
        pass


@dataclass
class Simulation:
    seed: int
    records: dict[str, LeadRecord]
    repairs: bool = False

    def __post_init__(self) -> None:
        self.chaos = Chaos(random.Random(self.seed))
        self.log = MemoryLog(self.chaos)
        self.store = MemoryStore(self.chaos)
        self.crm = MemoryCrm(self.chaos)
        self.clock = MemoryClock()
        self.synchronizer = Synchronizer(self.store, self.crm)  # type: ignore[arg-type]
        tools = Tools(
            store=self.store,  # type: ignore[arg-type]
            synchronizer=self.synchronizer,
            producer=self.log,
            dead_letters=DeadLetters("crm-sync", self.log, self.clock),
            policy=POLICY,
            clock=self.clock,
        )
        self.sync, self.retry = SyncHandler(tools), RetryHandler(tools)
        for event_id, record in self.records.items():
            topic = "lead-events" if hasattr(record, "revision") else "others"
            self.log.append(topic, record.lead_id.encode(), event_id.encode())

    def received(self, messages: Sequence[Message]) -> list[Received]:
        return [Received(each, self.records[(each.value or b"").decode()]) for each in messages]

    def due(self, topic: str) -> list[Message]:
        messages = []
        for message in self.log.unread(topic):
            at = headers.due_at(message)
            if at is not None and at > self.clock.now():
                break
            messages.append(message)
        return messages

    async def deliver(self, topics: Sequence[str]) -> None:
        """One batch of these topics; if the worker dies, its offsets are not committed."""
        handler = self.retry if topics[0] in RETRY_TOPICS else self.sync
        batch: list[Message] = []
        for topic in topics:
            found = self.due(topic)
            batch += found[: self.chaos.rng.randint(0, 6)] if self.chaos.on else found
        try:
            if batch:
                await handler.handle(self.received(batch))
            await self.chaos.step()
        except (Crashed, ContactTaken):
            return
        for message in batch:
            done = max(self.log.committed.get(message.topic, 0), message.offset + 1)
            self.log.committed[message.topic] = done

    async def repair(self, lead_id: str) -> None:
        """Write a lead again, as `verify --repair` does; whoever does it may die too."""
        try:
            found = await self.store.load([lead_id])
            contact = found.contacts.get(lead_id)
            if contact is None or lead_id in found.queues:
                return
            finding = Finding("differs", "acme", "default", lead_id)
            item = repair_of(finding, Folded("acme"), contact, DEFAULT_ACCOUNT)
            await self.synchronizer.run({lead_id: contact}, {lead_id: [item]})
        except (Crashed, ContactTaken):
            return

    async def run(self) -> None:
        jobs = (("lead-events", "others"), *((topic,) for topic in RETRY_TOPICS))
        for _ in range(150):
            # The same job may be drawn twice: a worker that does not know that it lost its
            # partitions, beside the one that got them.
            drawn = self.chaos.rng.choices(jobs, k=self.chaos.rng.randint(1, 4))
            repairs = [lead_id for lead_id in LEADS if self.repairs and self.chaos.hits(0.2)]
            await asyncio.gather(
                *(self.deliver(topics) for topics in drawn), *map(self.repair, repairs)
            )
            self.crm.carry_out_late_ones(share=0.1)
            self.clock.at += timedelta(seconds=self.chaos.rng.choice((1, 20, 200, 4000)))
        self.chaos.on = False
        self.crm.carry_out_late_ones(share=1)
        for _ in range(20):
            for topics in jobs:
                await self.deliver(topics)
            self.clock.at += timedelta(hours=1)
        if self.repairs:
            # A repair that failed leaves its write behind, and the next one settles it.
            for lead_id in LEADS:
                await self.repair(lead_id)


def story(records: Any, lead_id: str, number: int) -> list[LeadRecord]:
    def minute(count: int) -> datetime:
        return START + timedelta(minutes=count)

    made = [
        records.created(1, first_name="a"),
        records.updated(2, first_name="b"),
        records.qualified("hot"),
        records.sent("m1", minute(1)),
        records.stage(3, "contacted"),
        records.reviewed("approved", f"words {number}", summary_id=f"s-{number}"),
        records.sent("m2", minute(2)),
        records.updated(4, first_name="c", stage="contacted"),
        records.sent("m3", minute(3)),
        records.stage(5, "won"),
    ]
    return [replace(record, lead_id=lead_id) for record in made]


@pytest.mark.parametrize("repairs", [False, True])
@pytest.mark.parametrize("seed", range(60))
async def test_whatever_happens_the_crm_ends_equal_to_the_log_and_in_order(
    records: Any, seed: int, repairs: bool
) -> None:
    stories = [story(records, lead_id, number) for number, lead_id in enumerate(LEADS)]
    told = [record for step in zip(*stories, strict=True) for record in step]
    simulation = Simulation(seed, {record.event_id: record for record in told}, repairs)
    await simulation.run()

    for number, lead_id in enumerate(LEADS):
        history = simulation.crm.history[lead_id]
        last = history[-1]
        assert (last["first_name"], last["stage"], last["revision"]) == ("c", "won", 5)
        assert (last["temperature"], last["last_message_id"]) == ("hot", "m3")
        for name in ("revision", "last_message_at"):
            values = [contact[name] for contact in history if name in contact]
            assert values == sorted(values)
        assert simulation.crm.notes[lead_id] == {f"s-{number}": f"words {number}"}
    assert simulation.store.waiting == {}
    assert all(contact.pending is None for contact in simulation.store.contacts.values())
    assert "crm-sync-dlq" not in simulation.log.topics
    assert {run.result for run in simulation.store.runs.values()} <= {"written", "unchanged"}


async def test_a_later_record_of_a_parked_lead_goes_behind_it_without_a_call(records: Any) -> None:
    first, later = records.created(1), records.updated(2)
    simulation = Simulation(0, {first.event_id: first, later.event_id: later})
    simulation.chaos.on = False
    down = CrmUnavailable("down")
    calls = []

    async def refuse(writes: Sequence[ContactWrite]) -> list[str | CrmError]:
        calls.extend(writes)
        return [down] * len(writes)

    simulation.crm.upsert = refuse  # type: ignore[method-assign]
    messages = simulation.log.unread("lead-events")
    await simulation.sync.handle(simulation.received(messages[:1]))
    await simulation.sync.handle(simulation.received(messages[1:]))
    assert len(calls) == 1
    copies = simulation.log.unread("crm-sync-retry-30s")
    assert [(copy.key, copy.value) for copy in copies] == [
        (each.key, each.value) for each in messages
    ]
    assert [headers.read(copy).attempts for copy in copies] == [1, 0]
    assert copies[1].header("retry-reason") == b"waits behind an earlier record of its lead"
    assert list(simulation.store.waiting) == [first.event_id, later.event_id]


async def test_a_record_that_is_seen_again_while_it_waits_gets_a_copy_but_no_second_place(
    records: Any,
) -> None:
    record = records.created()
    simulation = Simulation(0, {record.event_id: record})
    simulation.chaos.on = False

    async def refuse(writes: Sequence[ContactWrite]) -> list[str | CrmError]:
        return [CrmUnavailable("down")] * len(writes)

    simulation.crm.upsert = refuse  # type: ignore[method-assign]
    batch = simulation.received(simulation.log.unread("lead-events"))
    await simulation.sync.handle(batch)
    await simulation.sync.handle(batch)
    copies = [headers.read(each) for each in simulation.log.unread("crm-sync-retry-30s")]
    assert copies[0] == copies[1]
    assert len(simulation.store.waiting) == 1
