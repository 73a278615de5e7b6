"""crm-sync's own handlers over a fake database and a fake CRM."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

from crm_sync import headers
from crm_sync.crm.base import ContactWrite, CrmError, CrmLimited, CrmMissing, CrmUnavailable
from crm_sync.decide import remembered
from crm_sync.handler import RETRY_TOPICS, RetryHandler, SyncHandler, Tools
from crm_sync.model import Contact, Note, RetryPolicy, SyncRun, Task, Waiting
from crm_sync.store import ContactTaken, Leads
from crm_sync.sync import Synchronizer
from leadflow import topics
from leadflow.kafka.dead_letters import DeadLetters
from leadflow.kafka.port import Message
from leadflow.records import Record

from .batches import Reader
from .durable import Durable, LogProducer, Process
from .story import CODEC, LEAD_EVENTS, MESSAGE_EVENTS

SOURCES = (LEAD_EVENTS, topics.ENROLLMENT_EVENTS.name, MESSAGE_EVENTS, topics.SUMMARIES.name)
# As it is by default, but that nothing is given up: what is lost then is lost on purpose.
POLICY = RetryPolicy(
    (timedelta(seconds=30), timedelta(minutes=5), timedelta(hours=1)), attempts=(3, 3, 1000)
)


@dataclass
class CrmTables:
    """crm-sync's database: survives every crash. `over` says in which transaction each event
    was over first."""

    contacts: dict[str, Contact] = field(default_factory=dict)
    waiting: dict[str, Waiting] = field(default_factory=dict)
    runs: dict[str, SyncRun] = field(default_factory=dict)
    over: dict[str, int] = field(default_factory=dict)
    begun_at: dict[str, datetime] = field(default_factory=dict)
    written_at: dict[str, datetime] = field(default_factory=dict)


class _Store:
    """What `crm_sync.store.Store` promises: every method is one transaction."""

    def __init__(self, durable: Durable, process: Process, tables: CrmTables) -> None:
        self._durable = durable
        self._process = process
        self._tables = tables

    async def load(self, lead_ids: Iterable[str]) -> Leads:
        wanted = set(lead_ids)
        queues: dict[str, list[Waiting]] = {}
        for entry in self._tables.waiting.values():
            if entry.lead_id in wanted:
                queues.setdefault(entry.lead_id, []).append(entry)
        there = {k: v for k, v in self._tables.contacts.items() if k in wanted}
        return Leads(there, queues)

    async def save_contacts(self, contacts: Sequence[Contact]) -> list[Contact]:
        now = self._durable.clock.now()
        saved = [
            replace(contact, version=contact.version + 1, earlier=remembered(contact, now))
            for contact in contacts
        ]

        def effect() -> bool:
            there = self._tables.contacts
            for contact in contacts:
                stored = there.get(contact.lead_id)
                if (0 if stored is None else stored.version) != contact.version:
                    return False
            there.update({contact.lead_id: contact for contact in saved})
            self._tables.written_at.update({contact.lead_id: now for contact in saved})
            begun = [contact.lead_id for contact in saved if contact.pending is not None]
            self._tables.begun_at.update(dict.fromkeys(begun, now))
            return True

        if saved and not await self._durable.gate(self._process, "saves contacts", effect):
            raise ContactTaken("another worker changed a contact meanwhile")
        return saved

    async def park(
        self, entries: Sequence[Waiting], finished: Sequence[str], runs: Sequence[SyncRun]
    ) -> None:
        def effect() -> None:
            over = ("written", "unchanged")
            self._save_runs(runs, over)
            for entry in entries:
                run = self._tables.runs.get(entry.event_id)
                if run is None or run.result not in over:
                    self._tables.waiting.setdefault(entry.event_id, entry)
            self._forget(finished)

        if entries or finished or runs:
            await self._durable.gate(self._process, "parks", effect)

    async def move(
        self, moved: Sequence[Waiting], finished: Sequence[str], runs: Sequence[SyncRun]
    ) -> None:
        def effect() -> None:
            for entry in moved:
                present = self._tables.waiting.get(entry.event_id)
                if present is not None and present.hop < entry.hop:
                    self._tables.waiting[entry.event_id] = entry
            self._forget(finished)
            self._save_runs(runs, ("written", "unchanged", "dead"))

        if moved or finished or runs:
            await self._durable.gate(self._process, "moves", effect)

    def _forget(self, finished: Sequence[str]) -> None:
        for event_id in finished:
            self._tables.waiting.pop(event_id, None)

    def _save_runs(self, runs: Sequence[SyncRun], over: tuple[str, ...]) -> None:
        for run in runs:
            if run.result != "waiting":
                self._tables.over.setdefault(run.event_id, self._durable.count)
            old = self._tables.runs.get(run.event_id)
            if old is not None and (
                (old.result == "written" and run.result == "unchanged")
                or (old.result in over and run.result == "waiting")
            ):
                continue
            self._tables.runs[run.event_id] = run


class FakeCrm:
    """Honours keys. May refuse for now, keep its answer to itself, or carry a call out late."""

    name = "fake"

    def __init__(self, durable: Durable) -> None:
        self.faulty = True
        self.history: dict[str, list[dict[str, Any]]] = {}
        self.tasks: dict[str, dict[str, Task]] = {}
        self.process = Process("crm-sync")
        self._durable = durable
        self._keys: set[str] = set()
        self._late: list[ContactWrite] = []

    async def upsert(self, writes: Sequence[ContactWrite]) -> list[str | CrmError]:
        def effect() -> list[str | CrmError]:
            return [self._upsert(write) for write in writes]

        found: list[str | CrmError] = await self._durable.gate(
            self.process, "writes contacts into the CRM", effect
        )
        return found

    def _upsert(self, write: ContactWrite) -> str | CrmError:
        chance = self._durable.rng.random() if self.faulty else 1.0
        if chance < 0.10:
            return CrmUnavailable("not carried out")
        if chance < 0.13:
            return CrmLimited("later", timedelta(minutes=10))
        if chance < 0.20:
            self._late.append(write)
            return CrmUnavailable("carried out later")
        self._carry_out(write)
        if chance < 0.27:
            return CrmUnavailable("carried out, and the answer lost")
        return write.external_id

    def carry_out_late_ones(self, share: float) -> None:
        for write in list(self._late):
            if self._durable.rng.random() < share:
                self._late.remove(write)
                self._carry_out(write)

    def _carry_out(self, write: ContactWrite) -> None:
        if write.key not in self._keys:
            self._keys.add(write.key)
            self.history.setdefault(write.external_id, []).append(dict(write.fields))

    async def add_note(self, external_id: str, note: Note) -> None:
        raise CrmMissing("nobody lets notes out here")

    async def add_task(self, external_id: str, task: Task) -> None:
        def effect() -> CrmError | None:
            chance = self._durable.rng.random() if self.faulty else 1.0
            if chance < 0.10:
                return CrmUnavailable("not carried out")
            if external_id not in self.history:
                return CrmMissing("there is no contact")
            self.tasks.setdefault(external_id, {})[task.task_id] = task
            return CrmUnavailable("carried out, and the answer lost") if chance < 0.17 else None

        error = await self._durable.gate(self.process, "gives somebody a task in the CRM", effect)
        if error is not None:
            raise error

    async def close(self) -> None: ...


class CrmSync:
    """One life of the process: a consumer of the source topics, one of each retry topic."""

    def __init__(
        self,
        durable: Durable,
        tables: CrmTables,
        crm: FakeCrm,
        synchronizer: type[Synchronizer] = Synchronizer,
    ) -> None:
        self.process = crm.process = Process("crm-sync")
        producer = LogProducer(durable, self.process)
        letters = DeadLetters("crm-sync", producer, durable.clock)
        store: Any = _Store(durable, self.process, tables)
        there: Any = crm
        tools = Tools(store, synchronizer(store, there), producer, letters, POLICY, durable.clock)
        self.readers = [
            Reader(durable, self.process, "crm-sync", SOURCES, SyncHandler(tools), decode, letters),
            *(
                Reader(
                    durable,
                    self.process,
                    topic,
                    [topic],
                    RetryHandler(tools),
                    decode,
                    letters,
                    headers.due_at,
                )
                for topic in RETRY_TOPICS
            ),
        ]


def decode(message: Message) -> Record:
    return CODEC.decode(message.value or b"")
