"""Summaries and their review."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy.ext.asyncio import AsyncConnection

from portal_api.store.connection import row, rows

_COLUMNS = """
    summary_id, tenant_id, project_id, lead_id, owner, text, text_hash, risk_flags, next_action,
    decided_by, created_at, decision, covered_hash, approved_text, reviewer, reason, reviewed_at,
    CASE WHEN decision IS NULL THEN 'pending' ELSE decision END AS state
"""


async def find(
    connection: AsyncConnection,
    *,
    tenant: str | None,
    owner: str | None,
    state: str | None,
    after: tuple[datetime | None, str],
    limit: int,
) -> list[dict[str, Any]]:
    """Up to `limit + 1` summaries behind `after`, newest first; `state` is pending, approved,
    edited or rejected."""
    return await rows(
        connection,
        f"""
        SELECT {_COLUMNS} FROM summaries s
        WHERE text IS NOT NULL
          AND (CAST(:tenant AS text) IS NULL OR tenant_id = :tenant)
          AND (CAST(:owner AS text) IS NULL OR owner = :owner)
          AND (CAST(:state AS text) IS NULL OR coalesce(decision, 'pending') = :state)
          AND (CAST(:at AS timestamptz) IS NULL OR (created_at, summary_id) < (:at, :id))
        ORDER BY created_at DESC, summary_id DESC LIMIT :limit
        """,  # noqa: S608
        {
            "tenant": tenant,
            "owner": owner,
            "state": state,
            "at": after[0],
            "id": after[1],
            "limit": limit + 1,
        },
    )


async def one(connection: AsyncConnection, summary_id: str) -> dict[str, Any] | None:
    return await row(
        connection,
        f"SELECT {_COLUMNS} FROM summaries s WHERE summary_id = :id AND text IS NOT NULL",  # noqa: S608
        {"id": summary_id},
    )
