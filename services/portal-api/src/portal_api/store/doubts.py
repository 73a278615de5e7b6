"""What was said about messages in doubt: by the dispatcher, and by people."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime
from typing import Any

from sqlalchemy.ext.asyncio import AsyncConnection

from portal_api.store.connection import rows

SETTLED = """
SELECT m.*, l.first_name, l.last_name, l.email, l.phone, l.owner, l.stage,
       a.at AS word_at, a.detail->>'event_id' AS word_id
FROM audit_log a JOIN messages m ON m.message_id = a.target
LEFT JOIN leads l ON l.lead_id = m.lead_id
WHERE a.action = 'message.settle' AND a.status = 202
  AND a.detail->>'event_id' IS NOT NULL
  AND (CAST(:tenant AS text) IS NULL OR m.tenant_id = :tenant)
  AND (CAST(:owner AS text) IS NULL OR l.owner = :owner)
  AND (CAST(:at AS timestamptz) IS NULL OR (a.at, a.detail->>'event_id') < (:at, :id))
ORDER BY a.at DESC, a.detail->>'event_id' DESC LIMIT :limit
"""


async def said(
    connection: AsyncConnection, lead_ids: Collection[str], message_ids: Collection[str]
) -> list[dict[str, Any]]:
    """{type, at, data} of every MessageUnknown and DoubtSettled about these messages of these
    leads, oldest first."""
    return await rows(
        connection,
        """
        SELECT type, occurred_at AS at, data FROM timeline
        WHERE lead_id = ANY(CAST(:leads AS text[]))
          AND type IN ('MessageUnknown', 'DoubtSettled')
          AND data->>'message_id' = ANY(CAST(:messages AS text[]))
        ORDER BY recorded_at, event_id
        """,
        {"leads": sorted(lead_ids), "messages": sorted(message_ids)},
    )


async def settled(
    connection: AsyncConnection,
    *,
    tenant_id: str | None,
    owner: str | None,
    after: tuple[datetime | None, str],
    limit: int,
) -> list[dict[str, Any]]:
    """Up to `limit + 1` messages that somebody here has spoken about, by the audit log: the last
    word first, with `word_at` and `word_id`."""
    return await rows(
        connection,
        SETTLED,
        {
            "tenant": tenant_id,
            "owner": owner,
            "at": after[0],
            "id": after[1],
            "limit": limit + 1,
        },
    )
