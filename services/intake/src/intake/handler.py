"""A batch of raw events: decided in one transaction, stored, then published.

    whose addresses → lock → what was decided before → what is known → decide one by one → store
    → commit → publish

Published only after the commit, and from what was stored: if the process dies in between,
whoever repeats the batch finds the decisions and publishes the same bytes with the same ids.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from intake import snapshots
from intake.decide import decide
from intake.model import Prepared
from intake.opening import open_book, shared_addresses
from intake.prepare import PROVIDER_CALLBACKS, prepare
from intake.store import EventId, OutboxRow, SentMessage, Store, Transaction
from leadflow import topics
from leadflow.clock import Clock
from leadflow.codec import Codec
from leadflow.errors import RecordRefused
from leadflow.kafka.dead_letters import DeadLetter
from leadflow.kafka.loop import Received, Stateless
from leadflow.kafka.port import Outgoing, Producer
from leadflow.records import LeadRecord, MessageQueued, RawEvent, SummaryCreated
from leadflow.tenants import Tenant


@dataclass(frozen=True, slots=True)
class Work:
    """A raw event to decide, with the message to bury if it is refused."""

    received: Received
    prepared: Prepared

    @property
    def event_id(self) -> EventId:
        raw = self.prepared.raw
        return raw.tenant_id, raw.event_id


class IntakeHandler(Stateless):
    """Turns raw events into lead-events and summaries."""

    def __init__(
        self,
        *,
        codec: Codec,
        store: Store,
        producer: Producer,
        tenants: Mapping[str, Tenant],
        clock: Clock,
    ) -> None:
        self._codec = codec
        self._store = store
        self._producer = producer
        self._tenants = tenants
        self._clock = clock

    async def handle(self, batch: Sequence[Received]) -> Sequence[DeadLetter]:
        """Return once all is stored and acknowledged; the raw events that were refused."""
        letters: list[DeadLetter] = []
        await self._remember(batch)
        work = self._prepare(batch, letters)
        if work:
            async with self._store.transaction() as transaction:
                rows = await self._decide(transaction, work, letters)
            await self._producer.send([Outgoing(row.topic, row.key, row.value) for row in rows])
        return letters

    async def _remember(self, batch: Sequence[Received]) -> None:
        """Whose messages were queued, so that their answers find the lead."""
        sent = {
            SentMessage(
                each.record.tenant_id,
                each.record.message_id,
                each.record.lead_id,
                each.record.recorded_at,
            )
            for each in batch
            if isinstance(each.record, MessageQueued)
        }
        if sent:
            async with self._store.transaction() as transaction:
                await transaction.save_messages(list(sent))

    def _prepare(self, batch: Sequence[Received], letters: list[DeadLetter]) -> list[Work]:
        work: dict[EventId, Work] = {}
        for received in batch:
            raw = received.record
            if not isinstance(raw, RawEvent) or raw.kind in PROVIDER_CALLBACKS:
                continue  # what providers say about messages is the dispatcher's
            try:
                each = Work(received, prepare(raw, self._tenant(raw.tenant_id)))
            except RecordRefused as error:
                letters.append(DeadLetter(received.message, error))
            else:
                work.setdefault(each.event_id, each)
        return list(work.values())

    async def _decide(
        self, transaction: Transaction, work: Sequence[Work], letters: list[DeadLetter]
    ) -> list[OutboxRow]:
        events = [each.event_id for each in work]
        keys = {key for each in work for key in each.prepared.keys}
        keys |= await shared_addresses(transaction, [each.prepared for each in work], self._codec)
        await transaction.lock(keys, events)
        before = await transaction.decided(events)
        done = {(row.tenant_id, row.event_id) for row in before}
        fresh = [each for each in work if each.event_id not in done]
        if not fresh:
            return before
        book = await open_book(transaction, [each.prepared for each in fresh], self._codec)
        now = self._clock.now()
        rows: list[OutboxRow] = []
        for each in fresh:
            prepared = each.prepared
            tenant = self._tenant(prepared.raw.tenant_id)
            try:
                decision = decide(book.known(prepared), prepared, tenant, now)
                published = self._outbox(prepared.raw, decision.records)
            except RecordRefused as error:
                letters.append(DeadLetter(each.received.message, error))
                continue
            book.apply(decision)
            if decision.error is not None:
                letters.append(DeadLetter(each.received.message, decision.error))
            else:
                rows += published
        changes = book.changes
        await transaction.save_leads(
            [snapshots.to_row(lead, self._codec, now) for lead in changes.leads.values()]
        )
        await transaction.save_identities(changes.keys)
        await transaction.refuse([each for each, holds in changes.refused.items() if holds], now)
        await transaction.allow([each for each, holds in changes.refused.items() if not holds])
        await transaction.save_outbox(rows, now)
        return before + rows

    def _outbox(self, raw: RawEvent, records: Sequence[LeadRecord]) -> list[OutboxRow]:
        return [
            OutboxRow(
                raw.tenant_id,
                raw.event_id,
                position,
                (topics.SUMMARIES if isinstance(each, SummaryCreated) else topics.LEAD_EVENTS).name,
                each.lead_id.encode(),
                self._codec.encode(each),
            )
            for position, each in enumerate(records)
        ]

    def _tenant(self, tenant_id: str) -> Tenant:
        return self._tenants.get(tenant_id) or Tenant(tenant_id=tenant_id)
