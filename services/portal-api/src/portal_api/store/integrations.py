"""CRM accounts and sync runs, as crm-sync tells of them."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy.ext.asyncio import AsyncConnection

from portal_api.store.connection import rows


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
    """Up to `limit + 1` runs, the latest first, each with the name of its lead."""
    return await rows(
        connection,
        """
        SELECT r.*, l.first_name, l.last_name, l.owner
        FROM integration_sync_runs r LEFT JOIN leads l USING (lead_id)
        WHERE (CAST(:tenant AS text) IS NULL OR r.tenant_id = :tenant)
          AND (CAST(:owner AS text) IS NULL OR l.owner = :owner)
          AND (CAST(:result AS text) IS NULL OR r.result = :result)
          AND (CAST(:account AS text) IS NULL OR r.account_id = :account)
          AND (CAST(:lead AS text) IS NULL OR r.lead_id = :lead)
          AND (CAST(:at AS timestamptz) IS NULL OR (r.at, r.cause_id) < (:at, :id))
        ORDER BY r.at DESC, r.cause_id DESC LIMIT :limit
        """,
        {
            "tenant": tenant_id,
            "owner": owner,
            "result": result,
            "account": account_id,
            "lead": lead_id,
            "at": after[0],
            "id": after[1],
            "limit": limit + 1,
        },
    )
