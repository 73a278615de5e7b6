"""Changes that came out of CRMs, and the word of whoever has looked at a conflict."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy.ext.asyncio import AsyncConnection

from portal_api.store.connection import row, rows

_SELECT = """
SELECT c.*, a.at AS acknowledged_at, a.by AS acknowledged_by, a.reason AS acknowledged_reason,
    l.first_name, l.last_name, l.email, l.phone, l.owner, l.stage
FROM crm_changes c
LEFT JOIN crm_acknowledgements a USING (event_id) LEFT JOIN leads l USING (lead_id)
"""


async def changes(
    connection: AsyncConnection,
    *,
    tenant_id: str | None,
    owner: str | None,
    lead_id: str | None,
    account_id: str | None,
    conflict: bool | None,
    acknowledged: bool | None,
    after: tuple[datetime | None, str],
    limit: int,
) -> list[dict[str, Any]]:
    """Up to `limit + 1` changes, the last settled first, each with its lead and what was said."""
    # Written out: a parameter would not let PostgreSQL use the index of conflicts alone.
    conflicts = "TRUE" if conflict is None else "c.conflict" if conflict else "NOT c.conflict"
    return await rows(
        connection,
        f"""
        {_SELECT}
        WHERE (CAST(:tenant AS text) IS NULL OR c.tenant_id = :tenant)
          AND (CAST(:owner AS text) IS NULL OR l.owner = :owner)
          AND (CAST(:lead AS text) IS NULL OR c.lead_id = :lead)
          AND (CAST(:account AS text) IS NULL OR c.account_id = :account)
          AND {conflicts}
          AND (CAST(:acknowledged AS boolean) IS NULL
               OR (a.event_id IS NOT NULL) = CAST(:acknowledged AS boolean))
          AND (CAST(:at AS timestamptz) IS NULL OR (c.settled_at, c.event_id) < (:at, :id))
        ORDER BY c.settled_at DESC, c.event_id DESC LIMIT :limit
        """,
        {
            "tenant": tenant_id,
            "owner": owner,
            "lead": lead_id,
            "account": account_id,
            "acknowledged": acknowledged,
            "at": after[0],
            "id": after[1],
            "limit": limit + 1,
        },
    )


async def one(connection: AsyncConnection, event_id: str) -> dict[str, Any] | None:
    return await row(connection, f"{_SELECT} WHERE c.event_id = :id", {"id": event_id})


async def open_conflicts(
    connection: AsyncConnection, tenant_id: str | None, owner: str | None, most: int
) -> int:
    """How many conflicts nobody has looked at; no further than `most`."""
    found = await row(
        connection,
        """
        SELECT count(*) AS n FROM (
            SELECT 1 FROM crm_changes c LEFT JOIN leads l USING (lead_id)
            WHERE c.conflict
              AND (CAST(:tenant AS text) IS NULL OR c.tenant_id = :tenant)
              AND (CAST(:owner AS text) IS NULL OR l.owner = :owner)
              AND NOT EXISTS (SELECT 1 FROM crm_acknowledgements a WHERE a.event_id = c.event_id)
            LIMIT :most
        ) AS counted
        """,
        {"tenant": tenant_id, "owner": owner, "most": most},
    )
    return int(found["n"]) if found else 0


async def acknowledge(
    connection: AsyncConnection, event_id: str, by: str, reason: str, now: datetime
) -> bool:
    """Keep that somebody has looked at it; False where somebody had before."""
    kept = await row(
        connection,
        """
        INSERT INTO crm_acknowledgements (event_id, at, by, reason)
        VALUES (:id, :now, :by, :reason) ON CONFLICT DO NOTHING RETURNING event_id
        """,
        {"id": event_id, "now": now, "by": by, "reason": reason},
    )
    return kept is not None
