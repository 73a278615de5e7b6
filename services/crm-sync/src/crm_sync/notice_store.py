"""SQL of notices: what CRMs say was changed there, one row an object until somebody has looked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import orjson
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from crm_sync.compare import Heard
from crm_sync.model import Contact
from crm_sync.store import contact_of
from leadflow.clock import Clock

# Of one object, so many named changes are kept; more only say that something was changed.
MOST_CHANGES = 200
# One statement a notice: two of one object may come in one batch.
FOLD = text(
    """
    INSERT INTO notices
        (account_id, tenant_id, object, crm_id, changes, noticed_at, first_at, due_at)
    VALUES (:account_id, :tenant_id, :object, :crm_id,
        (SELECT coalesce(jsonb_agg(change || '[1]'), '[]')
            FROM jsonb_array_elements(CAST(:changes AS jsonb)) AS change),
        :noticed_at, :now, :due_at)
    ON CONFLICT (account_id, tenant_id, object, crm_id) DO UPDATE SET
        version = notices.version + 1,
        noticed_at = greatest(notices.noticed_at, excluded.noticed_at),
        changes = CASE WHEN jsonb_array_length(notices.changes) >= :most THEN notices.changes
            ELSE notices.changes || (
                SELECT coalesce(jsonb_agg(change || to_jsonb(ARRAY[notices.version + 1])), '[]')
                FROM jsonb_array_elements(CAST(:changes AS jsonb)) AS change)
            END
    """
)
# Those of an account that is paused wait until it goes on; of a removed one, for nothing.
TAKE = text(
    """
    UPDATE notices SET due_at = CAST(:now AS timestamptz) + CAST(:lease AS interval),
        attempts = attempts + 1
    WHERE (account_id, tenant_id, object, crm_id) IN (
        SELECT account_id, notices.tenant_id, object, crm_id FROM notices
            JOIN integration_accounts USING (account_id)
        WHERE due_at <= CAST(:now AS timestamptz) AND status = 'active'
        ORDER BY due_at LIMIT :most
        FOR UPDATE OF notices SKIP LOCKED)
    RETURNING account_id, tenant_id, object, crm_id, changes::text, noticed_at, version, attempts,
        first_at
    """
)
FORGET_REMOVED = text(
    """
    DELETE FROM notices USING integration_accounts
    WHERE notices.account_id = integration_accounts.account_id AND status = 'removed'
    """
)
PUT_OFF = text(
    """
    UPDATE notices SET due_at = :due_at
    WHERE account_id = :account_id AND tenant_id = :tenant_id AND object = :object
        AND crm_id = :crm_id
    """
)
DONE = text(
    """
    DELETE FROM notices
    WHERE account_id = :account_id AND tenant_id = :tenant_id AND object = :object
        AND crm_id = :crm_id AND version = :version
    """
)
# Something more was told while somebody looked: only that is left.
GO_ON = text(
    """
    UPDATE notices SET due_at = :now, attempts = 0, first_at = :now, changes = (
        SELECT coalesce(jsonb_agg(change), '[]') FROM jsonb_array_elements(changes) AS change
        WHERE CAST(change ->> 3 AS integer) > :version)
    WHERE account_id = :account_id AND tenant_id = :tenant_id AND object = :object
        AND crm_id = :crm_id AND version > :version
    """
)
HEAR = text(
    """
    UPDATE contacts SET heard = heard || CAST(:heard AS jsonb)
    WHERE account_id = :account_id AND lead_id = :lead_id
    """
)
CONTACTS = text(
    """
    SELECT lead_id, account_id, tenant_id, version, state::text, crm_id, pending::text,
        pending_event, earlier::text, heard::text, updated_at,
        coalesce(begun_at, updated_at) AS begun_at
    FROM contacts WHERE account_id = :account_id AND lead_id = ANY(:leads)
    """
)


@dataclass(frozen=True, slots=True)
class Named:
    """A field and its value, both in the CRM's words, and when it was changed there."""

    name: str
    value: str
    at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Notice:
    """All that a tenant's CRM is known to have told of one object. `object` is contact or deal."""

    account_id: str
    tenant_id: str
    object: str
    crm_id: str
    changes: tuple[Named, ...] = ()
    noticed_at: datetime
    version: int = 1
    attempts: int = 0
    first_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Known:
    """A contact as it was written, from when to when that was, and what was told on of places."""

    contact: Contact
    heard: Mapping[str, Heard]
    begun_at: datetime
    written_at: datetime


class NoticeStore:
    """Every method is one transaction."""

    def __init__(self, engine: AsyncEngine, clock: Clock) -> None:
        self._engine = engine
        self._clock = clock

    async def fold(self, notices: Sequence[Notice], wait: timedelta) -> None:
        """Keep what was told; each is looked at once `wait` is over."""
        now = self._clock.now()
        # In the order of their keys, so that two workers never wait for each other in a circle.
        ordered = sorted(notices, key=lambda each: tuple(_key(each).values()))
        rows = [
            {
                **_key(notice),
                "changes": orjson.dumps(
                    [(each.name, each.value, _millis(each.at)) for each in notice.changes]
                ).decode(),
                "noticed_at": notice.noticed_at,
                "now": now,
                "due_at": now + wait,
                "most": MOST_CHANGES,
            }
            for notice in ordered
        ]
        if rows:
            async with self._engine.begin() as connection:
                await connection.execute(FOLD, rows)

    async def take(self, most: int, lease: timedelta) -> list[Notice]:
        """Rows that are due. Nobody else gets them before the lease is over."""
        values = {"now": self._clock.now(), "lease": lease, "most": most}
        async with self._engine.begin() as connection:
            await connection.execute(FORGET_REMOVED)
            return [_notice(row) for row in await connection.execute(TAKE, values)]

    async def put_off(self, notice: Notice, wait: timedelta) -> None:
        values = {**_key(notice), "due_at": self._clock.now() + wait}
        async with self._engine.begin() as connection:
            await connection.execute(PUT_OFF, values)

    async def done(
        self, notices: Sequence[Notice], lead_id: str = "", heard: Mapping[str, Heard] = {}
    ) -> None:
        """Somebody has looked, and what was found is told; `heard` is kept with the lead."""
        async with self._engine.begin() as connection:
            for notice in notices:
                values = {**_key(notice), "version": notice.version}
                if (await connection.execute(DONE, values)).rowcount == 0:
                    await connection.execute(GO_ON, {**values, "now": self._clock.now()})
            if heard:
                encoded = orjson.dumps(
                    {
                        place: (_millis(each.until), each.word, _millis(each.at))
                        for place, each in heard.items()
                    }
                )
                await connection.execute(
                    HEAR,
                    {
                        "account_id": notices[0].account_id,
                        "lead_id": lead_id,
                        "heard": encoded.decode(),
                    },
                )

    async def contacts(self, account_id: str, lead_ids: Sequence[str]) -> dict[str, Known]:
        """The contacts of these leads in an account, by lead."""
        values = {"account_id": account_id, "leads": sorted(lead_ids)}
        async with self._engine.connect() as connection:
            rows = await connection.execute(CONTACTS, values)
            return {row.lead_id: _known(row) for row in rows}


def _key(notice: Notice) -> dict[str, Any]:
    return {
        "account_id": notice.account_id,
        "tenant_id": notice.tenant_id,
        "object": notice.object,
        "crm_id": notice.crm_id,
    }


def _notice(row: Any) -> Notice:
    return Notice(
        account_id=row.account_id,
        tenant_id=row.tenant_id,
        object=row.object,
        crm_id=row.crm_id,
        changes=tuple(
            Named(name, value, _instant(at)) for name, value, at, _ in orjson.loads(row.changes)
        ),
        noticed_at=row.noticed_at,
        version=row.version,
        attempts=row.attempts,
        first_at=row.first_at,
    )


def _known(row: Any) -> Known:
    heard = {
        place: Heard(_instant(until), word, _instant(at))
        for place, (until, word, at) in orjson.loads(row.heard).items()
    }
    return Known(contact_of(row), heard, row.begun_at, row.updated_at)


def _millis(at: datetime) -> int:
    return round(at.timestamp() * 1000)


def _instant(millis: int) -> datetime:
    return datetime.fromtimestamp(millis / 1000, UTC)
