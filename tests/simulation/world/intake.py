"""Intake's own handler over a fake database: transactions that see what is committed, wait for
each other's locks, and happen as a whole or not at all."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import partial
from typing import Any

from intake.handler import IntakeHandler
from intake.main import decode
from intake.model import Key, Refusal, message_key
from intake.store import EventId, LeadRow, OutboxRow, SentMessage
from leadflow.kafka.dead_letters import DeadLetters
from leadflow.tenants import Tenant

from .batches import Reader
from .durable import Durable, LogProducer, Process
from .story import CODEC, MESSAGES, RAW_EVENTS


@dataclass
class IntakeTables:
    """Intake's database: survives every crash."""

    leads: dict[str, LeadRow] = field(default_factory=dict)
    identities: dict[Key, list[str]] = field(default_factory=dict)
    messages: dict[Key, str] = field(default_factory=dict)
    refusals: set[Refusal] = field(default_factory=set)
    outbox: dict[EventId, list[OutboxRow]] = field(default_factory=dict)
    locks: dict[str, asyncio.Lock] = field(default_factory=dict)


class _Transaction:
    """Reads what is committed, keeps what it writes to itself."""

    def __init__(self, tables: IntakeTables, stack: AsyncExitStack) -> None:
        self._tables = tables
        self._stack = stack
        self._writes: list[Callable[[], None]] = []

    async def lock(self, keys: Iterable[Key], events: Iterable[EventId]) -> None:
        names = {"\x1f".join(name) for name in (*keys, *events)}
        await self._hold(sorted(names))

    async def _hold(self, names: Iterable[str]) -> None:
        for name in names:
            lock = self._tables.locks.setdefault(name, asyncio.Lock())
            await self._stack.enter_async_context(lock)

    async def decided(self, events: Sequence[EventId]) -> list[OutboxRow]:
        outbox = self._tables.outbox
        return [row for event in sorted(events) for row in outbox.get(event, ())]

    async def identities(self, keys: Sequence[Key]) -> dict[Key, list[str]]:
        known = self._tables.identities
        return {key: list(known[key]) for key in keys if key in known}

    async def messages(self, keys: Sequence[Key]) -> dict[Key, list[str]]:
        return {key: [self._tables.messages[key]] for key in keys if key in self._tables.messages}

    async def save_messages(self, sent: Sequence[SentMessage]) -> None:
        leads = {message_key(each.tenant_id, each.message_id): each.lead_id for each in sent}
        self._writes.append(partial(self._tables.messages.update, leads))

    async def contacts(self, accounts: Sequence[Key], most: int) -> dict[Key, list[str]]:
        return {key: found[:most] for key, found in (await self.identities(accounts)).items()}

    async def look(self, lead_ids: Iterable[str]) -> list[LeadRow]:
        there = self._tables.leads
        return [there[each] for each in sorted(lead_ids) if each in there]

    async def leads(self, lead_ids: Iterable[str]) -> list[LeadRow]:
        there = [each for each in sorted(lead_ids) if each in self._tables.leads]
        await self._hold(f"row {each}" for each in there)
        return [self._tables.leads[each] for each in there]

    async def refusals(self, wanted: Iterable[Refusal]) -> set[Refusal]:
        return self._tables.refusals & set(wanted)

    async def save_leads(self, rows: Sequence[LeadRow]) -> None:
        for row in rows:
            self._writes.append(partial(self._upsert, row))

    def _upsert(self, row: LeadRow) -> None:
        old = self._tables.leads.get(row.lead_id)
        if old is not None:
            row = replace(row, tenant_id=old.tenant_id, source=old.source)
        self._tables.leads[row.lead_id] = row

    async def save_identities(self, pairs: Sequence[tuple[Key, str]]) -> None:
        for key, lead_id in pairs:
            self._writes.append(partial(self._identify, key, lead_id))

    def _identify(self, key: Key, lead_id: str) -> None:
        known = self._tables.identities.setdefault(key, [])
        if lead_id not in known:
            known.append(lead_id)

    async def refuse(self, refusals: Iterable[Refusal], now: datetime) -> None:
        self._writes.append(partial(self._tables.refusals.update, list(refusals)))

    async def allow(self, refusals: Iterable[Refusal]) -> None:
        self._writes.append(partial(self._tables.refusals.difference_update, list(refusals)))

    async def save_outbox(self, rows: Sequence[OutboxRow], now: datetime) -> None:
        for row in rows:
            self._writes.append(partial(self._insert, row))

    def _insert(self, row: OutboxRow) -> None:
        place = self._tables.outbox.setdefault((row.tenant_id, row.event_id), [])
        assert all(each.position != row.position for each in place), "decided twice"
        place.append(row)

    def commit(self) -> None:
        for write in self._writes:
            write()


class MemoryStore:
    """What `intake.store.Store` is to the handler."""

    def __init__(self, durable: Durable, process: Process, tables: IntakeTables) -> None:
        self._durable = durable
        self._process = process
        self._tables = tables

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[_Transaction]:
        async with AsyncExitStack() as stack:
            transaction = _Transaction(self._tables, stack)
            yield transaction
            await self._durable.gate(
                self._process, "commits a transaction", transaction.commit, may_fail=True
            )


class Intake:
    """One life of the process."""

    def __init__(
        self,
        durable: Durable,
        tables: IntakeTables,
        tenants: Mapping[str, Tenant],
        store: type[MemoryStore],
    ) -> None:
        self.process = Process("intake")
        producer = LogProducer(durable, self.process)
        rows: Any = store(durable, self.process, tables)
        handler = IntakeHandler(
            codec=CODEC, store=rows, producer=producer, tenants=tenants, clock=durable.clock
        )
        letters = DeadLetters("intake", producer, durable.clock)
        topics = [RAW_EVENTS, MESSAGES]
        read = partial(decode, CODEC)
        self.readers = [Reader(durable, self.process, "intake", topics, handler, read, letters)]
