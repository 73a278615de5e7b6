"""SQL of crm-sync: contacts, the records that wait, sync runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

import orjson
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from crm_sync.decide import remembered
from crm_sync.model import Contact, Earlier, Order, Origin, Register, State, SyncRun, Waiting
from leadflow.clock import Clock
from leadflow.errors import LeadflowError

LOAD_CONTACTS = text(
    """
    SELECT lead_id, account_id, tenant_id, version, state::text, crm_id, pending::text,
        pending_event, earlier::text
    FROM contacts JOIN unnest(CAST(:leads AS text[]), CAST(:accounts AS text[]))
        AS wanted (lead_id, account_id) USING (lead_id, account_id)
    """
)
LOAD_WAITING = text(
    """
    SELECT event_id, lead_id, origin_topic, origin_partition, origin_offset,
           tier, due_at, attempts, hop
    FROM waiting WHERE lead_id = ANY(:leads) ORDER BY lead_id, place
    """
)
# In the order of their keys, so that two workers never wait for each other in a circle.
SAVE_CONTACTS = text(
    """
    INSERT INTO contacts
        (lead_id, account_id, tenant_id, version, state, crm_id, pending, pending_event,
         earlier, updated_at, begun_at)
    SELECT lead_id, account_id, tenant_id, version, state, crm_id, pending, pending_event,
        earlier, CAST(:now AS timestamptz),
        CASE WHEN pending IS NOT NULL THEN CAST(:now AS timestamptz) END
    FROM unnest(
        CAST(:lead_id AS text[]), CAST(:account_id AS text[]), CAST(:tenant_id AS text[]),
        CAST(:version AS integer[]), CAST(:state AS jsonb[]), CAST(:crm_id AS text[]),
        CAST(:pending AS jsonb[]), CAST(:pending_event AS text[]), CAST(:earlier AS jsonb[]))
        AS new (lead_id, account_id, tenant_id, version, state, crm_id, pending, pending_event,
            earlier)
    ORDER BY lead_id, account_id
    ON CONFLICT (lead_id, account_id) DO UPDATE SET
        version = excluded.version, state = excluded.state, crm_id = excluded.crm_id,
        pending = excluded.pending, pending_event = excluded.pending_event,
        earlier = excluded.earlier, updated_at = excluded.updated_at,
        begun_at = coalesce(excluded.begun_at, contacts.begun_at)
    WHERE contacts.version = excluded.version - 1
    """
)
# A record that is over by now, in another worker, must not wait: nobody would wake it.
INSERT_WAITING = text(
    """
    INSERT INTO waiting
        (event_id, lead_id, origin_topic, origin_partition, origin_offset,
         tier, due_at, attempts, hop)
    SELECT event_id, lead_id, origin_topic, origin_partition, origin_offset,
        tier, due_at, attempts, hop
    FROM unnest(
        CAST(:event_id AS text[]), CAST(:lead_id AS text[]), CAST(:origin_topic AS text[]),
        CAST(:origin_partition AS integer[]), CAST(:origin_offset AS bigint[]),
        CAST(:tier AS smallint[]), CAST(:due_at AS timestamptz[]),
        CAST(:attempts AS integer[]), CAST(:hop AS integer[]))
        WITH ORDINALITY AS new
            (event_id, lead_id, origin_topic, origin_partition, origin_offset,
             tier, due_at, attempts, hop, number)
    WHERE NOT EXISTS (SELECT FROM sync_runs WHERE sync_runs.event_id = new.event_id
        AND result IN ('written', 'unchanged'))
    ORDER BY number
    ON CONFLICT (event_id) DO NOTHING
    """
)
MOVE_WAITING = text(
    """
    UPDATE waiting SET tier = moved.tier, due_at = moved.due_at,
        attempts = moved.attempts, hop = moved.hop
    FROM unnest(
        CAST(:event_id AS text[]), CAST(:tier AS smallint[]), CAST(:due_at AS timestamptz[]),
        CAST(:attempts AS integer[]), CAST(:hop AS integer[]))
        AS moved (event_id, tier, due_at, attempts, hop)
    WHERE waiting.event_id = moved.event_id AND waiting.hop < moved.hop
    """
)
FORGET_WAITING = text("DELETE FROM waiting WHERE event_id = ANY(:events)")
# A record that is seen again is not a run that found nothing to do; and one that is said to
# wait may have had its turn meanwhile, in another worker.
SAVE_RUNS = text(
    """
    INSERT INTO sync_runs
        (event_id, tenant_id, lead_id, account_id, provider, what, attempts, result, error,
         reason, next_try_at, first_at, last_at)
    SELECT event_id, tenant_id, lead_id, account_id, provider, what, attempts, result, error,
        reason, next_try_at, CAST(:now AS timestamptz), CAST(:now AS timestamptz)
    FROM unnest(
        CAST(:event_id AS text[]), CAST(:tenant_id AS text[]), CAST(:lead_id AS text[]),
        CAST(:account_id AS text[]), CAST(:provider AS text[]), CAST(:what AS text[]),
        CAST(:attempts AS integer[]), CAST(:result AS text[]), CAST(:error AS text[]),
        CAST(:reason AS text[]), CAST(:next_try_at AS timestamptz[]))
        AS run (event_id, tenant_id, lead_id, account_id, provider, what, attempts, result,
            error, reason, next_try_at)
    ORDER BY event_id
    ON CONFLICT (event_id) DO UPDATE SET
        account_id = excluded.account_id, provider = excluded.provider,
        attempts = excluded.attempts, result = excluded.result, error = excluded.error,
        reason = excluded.reason, next_try_at = excluded.next_try_at, last_at = excluded.last_at
    WHERE NOT (sync_runs.result = 'written' AND excluded.result = 'unchanged')
        AND NOT (sync_runs.result = ANY(:over) AND excluded.result = 'waiting')
    """
)


class ContactTaken(LeadflowError):
    """Another worker changed one of the contacts meanwhile: read them again."""

    retryable = True


@dataclass(frozen=True, slots=True)
class Leads:
    """What is stored about some leads; `queues` holds only parked ones."""

    contacts: dict[str, Contact]
    queues: dict[str, list[Waiting]]


class Store:
    """Every method is one transaction."""

    def __init__(self, engine: AsyncEngine, clock: Clock) -> None:
        self._engine = engine
        self._clock = clock

    async def load(self, account_ids: Mapping[str, str]) -> Leads:
        """`account_ids` by lead id; of each lead the contact in that account, and its queue."""
        leads = sorted(account_ids)
        accounts = [account_ids[lead_id] for lead_id in leads]
        async with self._engine.connect() as connection:
            contacts = await connection.execute(
                LOAD_CONTACTS, {"leads": leads, "accounts": accounts}
            )
            waiting = await connection.execute(LOAD_WAITING, {"leads": leads})
        queues: dict[str, list[Waiting]] = {}
        for row in waiting:
            origin = Origin(row.origin_topic, row.origin_partition, row.origin_offset)
            queues.setdefault(row.lead_id, []).append(
                Waiting(
                    row.event_id,
                    row.lead_id,
                    origin,
                    row.tier,
                    row.due_at,
                    row.attempts,
                    row.hop,
                )
            )
        return Leads({row.lead_id: contact_of(row) for row in contacts}, queues)

    async def save_contacts(self, contacts: Sequence[Contact]) -> list[Contact]:
        """The contacts with their new versions, in the same order.

        Raises ContactTaken, with nothing saved, if one is not as it was when it was read.
        """
        now = self._clock.now()
        saved = [
            replace(contact, version=contact.version + 1, earlier=remembered(contact, now))
            for contact in contacts
        ]
        if not saved:
            return saved
        async with self._engine.begin() as connection:
            result = await connection.execute(
                SAVE_CONTACTS,
                {
                    "now": now,
                    "lead_id": [contact.lead_id for contact in saved],
                    "account_id": [contact.account_id for contact in saved],
                    "tenant_id": [contact.tenant_id for contact in saved],
                    "version": [contact.version for contact in saved],
                    "state": [_encoded(contact.state) for contact in saved],
                    "crm_id": [contact.crm_id for contact in saved],
                    "pending": [
                        None if contact.pending is None else _encoded(contact.pending)
                        for contact in saved
                    ],
                    "pending_event": [contact.pending_event for contact in saved],
                    "earlier": [_earlier_encoded(contact.earlier) for contact in saved],
                },
            )
            if result.rowcount != len(saved):
                raise ContactTaken("another worker changed a contact meanwhile")
        return saved

    async def park(
        self, entries: Sequence[Waiting], finished: Sequence[str], runs: Sequence[SyncRun]
    ) -> None:
        """Queue new entries, in this order; `finished` are ids of records that are over.

        Of two workers that have the same record in hand, one that finishes it and one that
        parks it, the first wins: the run's row is what they meet at, so it comes first.
        """
        async with self._engine.begin() as connection:
            await self._save_runs(connection, runs, over=("written", "unchanged"))
            if entries:
                await connection.execute(
                    INSERT_WAITING,
                    {
                        **_columns(entries),
                        "lead_id": [entry.lead_id for entry in entries],
                        "origin_topic": [entry.origin.topic for entry in entries],
                        "origin_partition": [entry.origin.partition for entry in entries],
                        "origin_offset": [entry.origin.offset for entry in entries],
                    },
                )
            if finished:
                await connection.execute(FORGET_WAITING, {"events": list(finished)})

    async def move(
        self, moved: Sequence[Waiting], finished: Sequence[str], runs: Sequence[SyncRun]
    ) -> None:
        """Entries that were put into a retry topic again, and ids of those that are over."""
        async with self._engine.begin() as connection:
            if moved:
                await connection.execute(MOVE_WAITING, _columns(moved))
            if finished:
                await connection.execute(FORGET_WAITING, {"events": list(finished)})
            await self._save_runs(connection, runs, over=("written", "unchanged", "dead"))

    async def _save_runs(
        self, connection: AsyncConnection, runs: Sequence[SyncRun], over: tuple[str, ...]
    ) -> None:
        if not runs:
            return
        values: dict[str, Any] = {
            name: [getattr(run, name) for run in runs]
            for name in (
                "event_id",
                "tenant_id",
                "lead_id",
                "what",
                "attempts",
                "result",
                "error",
                "reason",
                "next_try_at",
            )
        }
        values.update(
            now=self._clock.now(),
            account_id=[run.account.account_id for run in runs],
            provider=[run.account.provider for run in runs],
            over=list(over),
        )
        await connection.execute(SAVE_RUNS, values)


def _columns(entries: Sequence[Waiting]) -> dict[str, list[Any]]:
    names = ("event_id", "tier", "due_at", "attempts", "hop")
    return {name: [getattr(entry, name) for entry in entries] for name in names}


def _encoded(state: State) -> str:
    return orjson.dumps(
        {group: [*register.order, register.fields] for group, register in state.items()}
    ).decode()


def _decoded(encoded: str) -> State:
    return {
        group: Register(Order(rank, event_id), fields)
        for group, (rank, event_id, fields) in orjson.loads(encoded).items()
    }


def _earlier_encoded(earlier: Sequence[Earlier]) -> str:
    return orjson.dumps([(each.field, each.value, each.until) for each in earlier]).decode()


def _earlier_decoded(encoded: str) -> tuple[Earlier, ...]:
    return tuple(
        Earlier(field, value, datetime.fromisoformat(until))
        for field, value, until in orjson.loads(encoded)
    )


def contact_of(row: Any) -> Contact:
    """A contact from a row with its columns, JSON as text."""
    return Contact(
        lead_id=row.lead_id,
        tenant_id=row.tenant_id,
        version=row.version,
        state=_decoded(row.state),
        crm_id=row.crm_id,
        pending=None if row.pending is None else _decoded(row.pending),
        pending_event=row.pending_event,
        account_id=row.account_id,
        earlier=_earlier_decoded(row.earlier),
    )
