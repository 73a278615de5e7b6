"""CRM accounts and sync runs, as crm-sync tells of them."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy.ext.asyncio import AsyncConnection

from portal_api.store.connection import latest, rows


async def accounts(connection: AsyncConnection, tenant_id: str | None) -> list[dict[str, Any]]:
    """The accounts of a tenant, of all tenants for None; those that people forgot come last.

    `waiting` and `dead` count the runs of an account that are not over, or ended badly.
    """
    return await rows(
        connection,
        """
        SELECT a.*, coalesce(r.waiting, 0) AS waiting, coalesce(r.dead, 0) AS dead
        FROM integration_accounts a LEFT JOIN (
            SELECT account_id, count(*) FILTER (WHERE result = 'waiting') AS waiting,
                count(*) FILTER (WHERE result = 'dead') AS dead
            FROM integration_sync_runs WHERE result IN ('waiting', 'dead') GROUP BY account_id
        ) r USING (account_id)
        WHERE CAST(:tenant AS text) IS NULL OR a.tenant_id = :tenant
        ORDER BY a.status = 'removed', a.tenant_id, a.changed_at
        """,
        {"tenant": tenant_id},
    )


async def runs(
    connection: AsyncConnection,
    *,
    tenant_id: str | None,
    owner: str | None,
    result: str | None,
    account_id: str | None,
    lead_id: str | None,
    after: tuple[datetime | None, str],
    limit: int,
) -> list[dict[str, Any]]:
    """Up to `limit + 1` runs behind `after`, the latest first, each with the name of its lead."""
    return await latest(
        connection,
        "SELECT r.*, l.first_name, l.last_name, l.owner "
        "FROM integration_sync_runs r LEFT JOIN leads l USING (lead_id)",
        ("r.at", "r.cause_id"),
        {
            "r.tenant_id": tenant_id,
            "l.owner": owner,
            "r.result": result,
            "r.account_id": account_id,
            "r.lead_id": lead_id,
        },
        after=after,
        limit=limit,
    )
