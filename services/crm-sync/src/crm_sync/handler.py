"""What crm-sync does with records: straight from their topics, and from the retry topics.

The order of effects decides what a crash can do. Dead letters and copies in retry topics
are acknowledged before the offsets are committed, and:

- a record is entered into its lead's queue *before* its first copy is produced: a copy
  without an entry counts as processed, so the entry must not be missing;
- an entry is moved or removed *after* its next copy is produced: until then the old copy
  counts, and is read again.

Either way a crash in between leads to a second copy, which is told from the first by its hop
or finds nothing to do.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol

import structlog

from crm_sync import headers
from crm_sync.decide import item_of
from crm_sync.metrics import PARKED
from crm_sync.model import Account, Contact, Item, Origin, RetryPolicy, Waiting
from crm_sync.outcome import BEHIND, Conclusion, Parked, bury, conclude, wait_behind
from crm_sync.parking import behind_the_last, put_back, turn
from crm_sync.reports import Reports
from crm_sync.store import Store
from crm_sync.work import LeadWork
from leadflow import topics
from leadflow.clock import Clock
from leadflow.errors import DeadLetterError, RecordRefused, is_retryable
from leadflow.kafka.dead_letters import DeadLetter, DeadLetters
from leadflow.kafka.loop import Received, Stateless
from leadflow.kafka.port import Message, Outgoing, Producer
from leadflow.records import LeadRecord

log = structlog.get_logger()

RETRY_TOPICS = (
    topics.CRM_SYNC_RETRY_30S.name,
    topics.CRM_SYNC_RETRY_5M.name,
    topics.CRM_SYNC_RETRY_1H.name,
)


class Accounts(Protocol):
    """Where the leads of a tenant are kept."""

    async def of(self, tenant_ids: Collection[str]) -> Mapping[str, Account]:
        """The account of each tenant; those without one of their own are left out."""


class OneForAll:
    """No tenant has an account of its own."""

    async def of(self, tenant_ids: Collection[str]) -> Mapping[str, Account]:
        return {}


class Runner(Protocol):
    """As `Synchronizer`."""

    async def run(
        self, contacts: dict[str, Contact], items: dict[str, list[Item]]
    ) -> list[LeadWork]:
        """See `Synchronizer.run`."""


@dataclass(frozen=True, slots=True)
class Tools:
    """What both handlers work with."""

    store: Store
    synchronizer: Runner
    producer: Producer
    dead_letters: DeadLetters
    policy: RetryPolicy
    clock: Clock
    accounts: Accounts = field(default_factory=OneForAll)
    reports: Reports | None = None


@dataclass(slots=True)
class Reading:
    """A batch as items by lead, in order, and the message of each event id.

    Records that the CRM need not know are left out, repeats of an event too.
    """

    leads: dict[str, list[Item]] = field(default_factory=dict)
    messages: dict[str, Message] = field(default_factory=dict)
    refused: list[DeadLetter] = field(default_factory=list)
    refused_events: list[str] = field(default_factory=list)

    def account_ids(self) -> dict[str, str]:
        """Where each lead is kept."""
        return {lead_id: items[0].account.account_id for lead_id, items in self.leads.items()}


async def read(batch: Sequence[Received], accounts: Accounts) -> Reading:
    reading = Reading()
    account_of = await accounts.of({received.record.tenant_id for received in batch})
    for received in batch:
        record, message = received.record, received.message
        if not isinstance(record, LeadRecord):
            continue
        first = headers.original(message)
        origin = Origin(first.topic, first.partition, first.offset)
        try:
            item = item_of(record, origin)
        except RecordRefused as error:
            reading.refused.append(DeadLetter(first, error))
            reading.refused_events.append(record.event_id)
            continue
        if item is None or item.event_id in reading.messages:
            continue
        if (account := account_of.get(item.tenant_id)) is not None:
            item = replace(item, account=account)
        reading.messages[item.event_id] = message
        reading.leads.setdefault(item.lead_id, []).append(item)
    return reading


class SyncHandler(Stateless):
    """Records from lead-events, enrollment-events, message-events and summaries."""

    def __init__(self, tools: Tools) -> None:
        self._tools = tools

    async def handle(self, batch: Sequence[Received]) -> None:
        tools = self._tools
        reading = await read(batch, tools.accounts)
        stored = await tools.store.load(reading.account_ids())
        free: dict[str, list[Item]] = {}
        parked = Conclusion()
        for lead_id, items in reading.leads.items():
            queue = stored.queues.get(lead_id)
            if queue is None:
                free[lead_id] = items
            else:
                _queue_up(parked, items, queue)
        works = await tools.synchronizer.run(stored.contacts, free)
        end = conclude(works, tools.clock.now(), tools.policy)
        end.parked += parked.parked
        end.runs += parked.runs
        await _bury(tools, reading, end)
        await tools.store.park([each.entry for each in end.parked], end.over, end.runs)
        await _send(tools, reading.messages, end)


def _queue_up(end: Conclusion, items: Sequence[Item], queue: list[Waiting]) -> None:
    entries = {entry.event_id: entry for entry in queue}
    for item in items:
        known = entries.get(item.event_id)
        if known is None:
            queue.append(behind_the_last(queue, item))
            wait_behind(end, item, queue[-1])
        else:
            # Seen again: its copy may not have been produced, its run is written.
            end.parked.append(Parked(known, "Behind", BEHIND))


class RetryHandler(Stateless):
    """Records from a retry topic that are due."""

    def __init__(self, tools: Tools) -> None:
        self._tools = tools

    async def handle(self, batch: Sequence[Received]) -> None:
        """A record alone whose error no retry can help is over: were it buried by the loop, its
        entry would stay, and its lead would be parked for ever."""
        try:
            await self._handle(batch)
        except DeadLetterError:
            raise
        except Exception as error:
            if len(batch) > 1 or is_retryable(error):
                raise
            await self._conclude(batch[0], error)

    async def _conclude(self, received: Received, error: Exception) -> None:
        tools = self._tools
        reading = await read([received], tools.accounts)
        stored = await tools.store.load(reading.account_ids())
        end = Conclusion()
        for lead_id, items in reading.leads.items():
            for entry in stored.queues.get(lead_id, []):
                if entry.event_id == items[0].event_id:
                    bury(end, items[0], entry.attempts + 1, error)
        if end.buried:
            log.error("record failed", topic=received.message.topic, exc_info=error)
        await _bury(tools, reading, end)
        await _send(tools, reading.messages, end)
        await tools.store.move([], end.over + reading.refused_events, end.runs)

    async def _handle(self, batch: Sequence[Received]) -> None:
        tools = self._tools
        reading = await read(batch, tools.accounts)
        hops = _newest_hops(batch)
        stored = await tools.store.load(reading.account_ids())
        due: dict[str, list[Item]] = {}
        early: dict[str, tuple[Waiting, ...]] = {}
        for lead_id, items in reading.leads.items():
            arrived = {item.event_id: hops[item.event_id] for item in items}
            mine = turn(stored.queues.get(lead_id, []), arrived)
            by_id = {item.event_id: item for item in items}
            if mine.now:
                due[lead_id] = [
                    replace(
                        by_id[entry.event_id],
                        attempts=entry.attempts,
                        hop=arrived[entry.event_id],
                    )
                    for entry in mine.now
                ]
            if mine.early:
                early[lead_id] = mine.early
        works = await tools.synchronizer.run(stored.contacts, due)
        now = tools.clock.now()
        end = conclude(works, now, tools.policy)
        end.over += reading.refused_events
        for lead_id, entries in early.items():
            by_id = {item.event_id: item for item in reading.leads[lead_id]}
            # Ahead of them stands one that has not come: what was done just now moved none of it.
            for entry in put_back(stored.queues[lead_id], entries, now, tools.policy):
                wait_behind(end, by_id[entry.event_id], entry)
        await _bury(tools, reading, end)
        await _send(tools, reading.messages, end)
        await tools.store.move([each.entry for each in end.parked], end.over, end.runs)


def _newest_hops(batch: Sequence[Received]) -> dict[str, int]:
    newest: dict[str, int] = {}
    for received in batch:
        event_id = received.record.event_id
        hop = headers.read(received.message).hop
        newest[event_id] = max(hop, newest.get(event_id, 0))
    return newest


async def _bury(tools: Tools, reading: Reading, end: Conclusion) -> None:
    letters = [
        *reading.refused,
        *(
            DeadLetter(headers.original(reading.messages[item.event_id]), error)
            for item, error in end.buried
        ),
    ]
    if letters:
        await tools.dead_letters.bury(letters)
        log.warning("dead letters", records=len(letters))


async def _send(tools: Tools, messages: Mapping[str, Message], end: Conclusion) -> None:
    """Copies for the retry topics, and how the runs stand."""
    copies: list[Outgoing] = []
    for each in end.parked:
        topic = RETRY_TOPICS[each.entry.tier]
        message = messages[each.entry.event_id]
        copies.append(headers.waiting_copy(message, each.entry, topic, each.error, each.reason))
        PARKED.labels(topic).inc()
    if copies:
        log.info("parked", records=len(copies))
    if tools.reports is not None:
        copies += map(tools.reports.of_run, end.runs)
    if copies:
        await tools.producer.send(copies)
