"""SQL for what providers report about messages."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from sqlalchemy import Row, text
from sqlalchemy.ext.asyncio import AsyncConnection

from dispatcher.callbacks import Callback, Reported
from dispatcher.store import reported

RECEIVE_CALLBACKS = text("""
    INSERT INTO callbacks (event_id, tenant_id, kind, message_id, provider_id, occurred_at, details)
    SELECT event_id, tenant_id, kind, message_id, provider_id, occurred_at, details
    FROM json_to_recordset(CAST(:rows AS json)) AS r (
        event_id text, tenant_id text, kind text, message_id text, provider_id text,
        occurred_at timestamptz, details json)
    ON CONFLICT (event_id) DO NOTHING
""")

# A report may be here before the provider's answer is recorded: it waits for its message.
MATCHED_CALLBACKS = text("""
    SELECT c.event_id, c.kind, c.occurred_at, c.details, c.provider_id AS told_provider_id,
        l.message_id, l.tenant_id, l.lead_id, l.owner, l.enrollment_id, l.sequence_id, l.step_id,
        l.channel, l.recipient, l.provider, l.provider_id
    FROM callbacks c
    JOIN ledger l ON l.tenant_id = c.tenant_id AND CASE
        WHEN c.message_id IS NOT NULL THEN l.message_id = c.message_id
        ELSE l.provider_id = c.provider_id END
    WHERE c.applied_at IS NULL AND c.received_at > now() - interval '7 days'
    ORDER BY c.received_at
    LIMIT :limit
    FOR UPDATE OF c SKIP LOCKED
""")

APPLIED_CALLBACKS = text("""
    UPDATE callbacks SET applied_at = now() WHERE event_id = ANY (CAST(:ids AS text[]))
""")


async def receive_callbacks(connection: AsyncConnection, callbacks: Sequence[Callback]) -> None:
    """Keep callbacks until they are applied; one that is known already stays as it is."""
    rows = [
        {
            "event_id": callback.event_id,
            "tenant_id": callback.tenant_id,
            "kind": callback.kind,
            "message_id": callback.message_id,
            "provider_id": callback.provider_id,
            "occurred_at": callback.occurred_at.isoformat(),
            "details": callback.details,
        }
        for callback in callbacks
    ]
    await connection.execute(RECEIVE_CALLBACKS, {"rows": json.dumps(rows)})


async def matched_callbacks(
    connection: AsyncConnection, *, limit: int
) -> list[tuple[Callback, Reported]]:
    """Callbacks that are not applied and whose message is known, locked until the commit."""
    rows = (await connection.execute(MATCHED_CALLBACKS, {"limit": limit})).all()
    return [(_callback(row), reported(row)) for row in rows]


def _callback(row: Row[Any]) -> Callback:
    return Callback(
        event_id=row.event_id,
        tenant_id=row.tenant_id,
        kind=row.kind,
        message_id=row.message_id,
        provider_id=row.told_provider_id,
        occurred_at=row.occurred_at,
        details=row.details if isinstance(row.details, dict) else json.loads(row.details),
    )


async def callbacks_applied(connection: AsyncConnection, event_ids: Sequence[str]) -> None:
    await connection.execute(APPLIED_CALLBACKS, {"ids": list(event_ids)})
