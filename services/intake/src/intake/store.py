"""What intake keeps, in SQL: leads, identities, refusals, and the outbox of what was decided.

A batch is one transaction of a handful of statements, whatever its size. Two workers that meet
the same person wait for each other: first on stripes of advisory locks, taken in rising
order, then on the rows of the leads, in the order of their ids. So neither deadlocks and
neither makes a second lead.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple
from zlib import crc32

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from intake.model import Key, Refusal, message_key

# PostgreSQL's lock table has room for 64 × (max_connections) locks, 6,400 by default: stripes
# bound what one batch takes of it. The first number keeps them apart from other advisory locks.
STRIPES = 256
LOCK_SPACE = 7_314

EventId = tuple[str, str]  # tenant_id, event_id


@dataclass(frozen=True, slots=True)
class LeadRow:
    """A lead as stored; `snapshot` is its profile in the codec's framing, `field_times` the JSON
    text that `field_times.py` writes."""

    lead_id: str
    tenant_id: str
    source: str
    revision: int
    status: str
    stage: str
    temperature: str | None
    seen_at: datetime
    snapshot: bytes
    field_times: str


@dataclass(frozen=True, slots=True)
class OutboxRow:
    """One record of what was decided about a raw event."""

    tenant_id: str
    event_id: str
    position: int
    topic: str
    key: bytes
    value: bytes


class SentMessage(NamedTuple):
    """Whose a message that was queued is."""

    tenant_id: str
    message_id: str
    lead_id: str
    queued_at: datetime


LOCK = text("""
    SELECT pg_advisory_xact_lock(:space, stripe)
    FROM unnest(CAST(:stripes AS integer[])) AS stripe
""")
DECIDED = text("""
    SELECT tenant_id, event_id, position, topic, key, value
    FROM unnest(CAST(:tenants AS text[]), CAST(:events AS text[])) AS wanted (tenant_id, event_id)
    JOIN outbox USING (tenant_id, event_id)
    ORDER BY tenant_id, event_id, position
""")
IDENTITIES = text("""
    SELECT tenant_id, kind, value, lead_id
    FROM unnest(CAST(:tenants AS text[]), CAST(:kinds AS text[]), CAST(:values AS text[]))
        AS wanted (tenant_id, kind, value)
    JOIN identities USING (tenant_id, kind, value)
    ORDER BY position
""")
MESSAGES = text("""
    SELECT tenant_id, message_id, lead_id
    FROM unnest(CAST(:tenants AS text[]), CAST(:messages AS text[]))
        AS wanted (tenant_id, message_id)
    JOIN messages USING (tenant_id, message_id)
""")
SAVE_MESSAGES = text("""
    INSERT INTO messages (tenant_id, message_id, lead_id, queued_at)
    SELECT * FROM unnest(
        CAST(:tenants AS text[]), CAST(:messages AS text[]), CAST(:leads AS text[]),
        CAST(:queued AS timestamptz[]))
    ON CONFLICT DO NOTHING
""")
FORGET_MESSAGES = text("""
    DELETE FROM messages WHERE ctid = ANY (ARRAY(
        SELECT ctid FROM messages WHERE queued_at < :before ORDER BY queued_at LIMIT :most))
""")
CONTACTS = text("""
    SELECT tenant_id, kind, value, lead_id
    FROM unnest(CAST(:tenants AS text[]), CAST(:kinds AS text[]), CAST(:values AS text[]))
        AS wanted (tenant_id, kind, value)
    CROSS JOIN LATERAL (
        SELECT lead_id FROM identities
        WHERE identities.tenant_id = wanted.tenant_id AND identities.kind = wanted.kind
            AND identities.value = wanted.value
        LIMIT :most
    ) AS found
""")
LOOK = """
    SELECT lead_id, tenant_id, source, revision, status, stage, temperature, seen_at, snapshot,
        field_times
    FROM leads WHERE lead_id = ANY (CAST(:leads AS text[]))
"""
LEADS = text(f"{LOOK} ORDER BY lead_id FOR UPDATE")
LOOK_ONLY = text(LOOK)
REFUSALS = text("""
    SELECT tenant_id, channel, address
    FROM unnest(CAST(:tenants AS text[]), CAST(:channels AS text[]), CAST(:addresses AS text[]))
        AS wanted (tenant_id, channel, address)
    JOIN refusals USING (tenant_id, channel, address)
""")
SAVE_LEADS = text("""
    INSERT INTO leads
        (lead_id, tenant_id, source, revision, status, stage, temperature, seen_at, snapshot,
        field_times)
    SELECT * FROM unnest(
        CAST(:lead_id AS text[]), CAST(:tenant_id AS text[]), CAST(:source AS text[]),
        CAST(:revision AS integer[]), CAST(:status AS text[]), CAST(:stage AS text[]),
        CAST(:temperature AS text[]), CAST(:seen_at AS timestamptz[]), CAST(:snapshot AS bytea[]),
        CAST(:field_times AS text[]))
    ON CONFLICT (lead_id) DO UPDATE SET
        revision = excluded.revision, status = excluded.status, stage = excluded.stage,
        temperature = excluded.temperature, seen_at = excluded.seen_at,
        snapshot = excluded.snapshot, field_times = excluded.field_times
""")
SAVE_IDENTITIES = text("""
    INSERT INTO identities (tenant_id, kind, value, lead_id)
    SELECT * FROM unnest(
        CAST(:tenants AS text[]), CAST(:kinds AS text[]), CAST(:values AS text[]),
        CAST(:leads AS text[]))
    ON CONFLICT DO NOTHING
""")
REFUSE = text("""
    INSERT INTO refusals (tenant_id, channel, address, refused_at)
    SELECT tenant_id, channel, address, :now
    FROM unnest(CAST(:tenants AS text[]), CAST(:channels AS text[]), CAST(:addresses AS text[]))
        AS refused (tenant_id, channel, address)
    ON CONFLICT DO NOTHING
""")
ALLOW = text("""
    DELETE FROM refusals USING
        unnest(CAST(:tenants AS text[]), CAST(:channels AS text[]), CAST(:addresses AS text[]))
        AS allowed (tenant_id, channel, address)
    WHERE refusals.tenant_id = allowed.tenant_id AND refusals.channel = allowed.channel
        AND refusals.address = allowed.address
""")
SAVE_OUTBOX = text("""
    INSERT INTO outbox (tenant_id, event_id, position, topic, key, value, decided_at)
    SELECT decided.*, CAST(:now AS timestamptz) FROM unnest(
        CAST(:tenant_id AS text[]), CAST(:event_id AS text[]), CAST(:position AS integer[]),
        CAST(:topic AS text[]), CAST(:key AS bytea[]), CAST(:value AS bytea[])) AS decided
""")


class Store:
    """Opens one transaction a batch."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Transaction]:
        """Committed when the block ends, rolled back when it raises."""
        async with self._engine.begin() as connection:
            yield Transaction(connection)


class Transaction:
    """The statements of one batch, in the order in which they are written here."""

    def __init__(self, connection: AsyncConnection) -> None:
        self._connection = connection

    async def lock(self, keys: Iterable[Key], events: Iterable[EventId]) -> None:
        """Wait until no other worker decides about any of these keys or raw events."""
        names = ["\x1f".join(key) for key in keys]
        names += ["\x1f".join(event) for event in events]
        stripes = sorted({crc32(name.encode()) % STRIPES for name in names})
        await self._connection.execute(LOCK, {"space": LOCK_SPACE, "stripes": stripes})

    async def decided(self, events: Sequence[EventId]) -> list[OutboxRow]:
        """What was decided before about these raw events."""
        tenants, event_ids = _columns(events, 2)
        rows = await self._connection.execute(DECIDED, {"tenants": tenants, "events": event_ids})
        return [OutboxRow(*row) for row in rows]

    async def identities(self, keys: Sequence[Key]) -> dict[Key, list[str]]:
        """Lead ids by key, oldest first."""
        if not keys:
            return {}
        tenants, kinds, values = _columns(keys, 3)
        rows = await self._connection.execute(
            IDENTITIES, {"tenants": tenants, "kinds": kinds, "values": values}
        )
        found: dict[Key, list[str]] = {}
        for tenant_id, kind, value, lead_id in rows:
            found.setdefault(Key(tenant_id, kind, value), []).append(lead_id)
        return found

    async def save_messages(self, sent: Sequence[SentMessage]) -> None:
        """Remember whose messages these are."""
        tenants, messages, leads, queued = _columns(sorted(sent), 4)
        await self._connection.execute(
            SAVE_MESSAGES,
            {"tenants": tenants, "messages": messages, "leads": leads, "queued": queued},
        )

    async def forget_messages(self, before: datetime, most: int) -> int:
        """Forget up to `most` messages that were queued before then; how many there were."""
        result = await self._connection.execute(FORGET_MESSAGES, {"before": before, "most": most})
        return result.rowcount

    async def messages(self, keys: Sequence[Key]) -> dict[Key, list[str]]:
        """Lead ids by the messages that are known."""
        if not keys:
            return {}
        tenants, _, messages = _columns(keys, 3)
        rows = await self._connection.execute(MESSAGES, {"tenants": tenants, "messages": messages})
        return {message_key(row.tenant_id, row.message_id): [row.lead_id] for row in rows}

    async def leads(self, lead_ids: Iterable[str]) -> list[LeadRow]:
        """These leads, held against every other worker until the transaction ends."""
        rows = await self._connection.execute(LEADS, {"leads": sorted(lead_ids)})
        return [LeadRow(*row) for row in rows]

    async def contacts(self, accounts: Sequence[Key], most: int) -> dict[Key, list[str]]:
        """Lead ids by account, no more than `most` of each."""
        if not accounts:
            return {}
        tenants, kinds, values = _columns(accounts, 3)
        rows = await self._connection.execute(
            CONTACTS, {"tenants": tenants, "kinds": kinds, "values": values, "most": most}
        )
        found: dict[Key, list[str]] = {}
        for tenant_id, kind, value, lead_id in rows:
            found.setdefault(Key(tenant_id, kind, value), []).append(lead_id)
        return found

    async def look(self, lead_ids: Iterable[str]) -> list[LeadRow]:
        """These leads, as they are by now: to read, not to change."""
        wanted = sorted(lead_ids)
        if not wanted:
            return []
        rows = await self._connection.execute(LOOK_ONLY, {"leads": wanted})
        return [LeadRow(*row) for row in rows]

    async def refusals(self, wanted: Iterable[Refusal]) -> set[Refusal]:
        """Those of `wanted` that hold."""
        rows = await self._connection.execute(REFUSALS, _refusal_columns(wanted))
        return {Refusal(*row) for row in rows}

    async def save_leads(self, rows: Sequence[LeadRow]) -> None:
        if rows:
            await self._connection.execute(SAVE_LEADS, _fields(rows, LeadRow))

    async def save_identities(self, pairs: Sequence[tuple[Key, str]]) -> None:
        if pairs:
            tenants, kinds, values, leads = _columns([(*key, lead) for key, lead in pairs], 4)
            await self._connection.execute(
                SAVE_IDENTITIES,
                {"tenants": tenants, "kinds": kinds, "values": values, "leads": leads},
            )

    async def refuse(self, refusals: Iterable[Refusal], now: datetime) -> None:
        if columns := _refusal_columns(refusals, at_least_one=True):
            await self._connection.execute(REFUSE, {**columns, "now": now})

    async def allow(self, refusals: Iterable[Refusal]) -> None:
        if columns := _refusal_columns(refusals, at_least_one=True):
            await self._connection.execute(ALLOW, columns)

    async def save_outbox(self, rows: Sequence[OutboxRow], now: datetime) -> None:
        if rows:
            await self._connection.execute(SAVE_OUTBOX, {**_fields(rows, OutboxRow), "now": now})


def _columns(rows: Sequence[Sequence[Any]], width: int) -> list[list[Any]]:
    return [[row[index] for row in rows] for index in range(width)]


def _fields(rows: Sequence[Any], kind: type[Any]) -> dict[str, list[Any]]:
    return {name: [getattr(row, name) for row in rows] for name in kind.__slots__}


def _refusal_columns(
    refusals: Iterable[Refusal], *, at_least_one: bool = False
) -> dict[str, list[str]]:
    rows = sorted(refusals)
    if at_least_one and not rows:
        return {}
    tenants, channels, addresses = _columns(rows, 3)
    return {"tenants": tenants, "channels": channels, "addresses": addresses}
