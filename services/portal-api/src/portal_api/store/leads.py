"""Leads and their story."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy.ext.asyncio import AsyncConnection

from portal_api.store.connection import rows


async def find(
    connection: AsyncConnection,
    *,
    tenant: str | None,
    owner: str | None = None,
    lead_ids: Sequence[str] | None = None,
    source: str | None = None,
    external_id: str | None = None,
    email: str | None = None,
    phone: str | None = None,
    words: str | None = None,
    status: str | None = None,
    stage: str | None = None,
    owned_by: str | None = None,
    temperature: str | None = None,
    live_in: str | None = None,
    after: tuple[datetime | None, str] = (None, ""),
    limit: int = 50,
) -> list[dict[str, Any]]:
    """Up to `limit + 1` leads that fit everything that is given, newest first.

    `source` with `external_id` finds the lead of any sighting, not of the first alone.
    `live_in` is a sequence that the lead is in now.
    `words` looks into names, company, address and number.
    """
    where = ["l.revision IS NOT NULL"]
    if tenant is not None:
        where.append("l.tenant_id = :tenant")
    if owner is not None:
        where.append("l.owner = :owner")
    if lead_ids is not None:
        where.append("l.lead_id = ANY(CAST(:lead_ids AS text[]))")
    if external_id is not None:
        where.append(
            "l.lead_id IN (SELECT lead_id FROM raw_events r WHERE r.external_id = :external_id "
            "AND (CAST(:source AS text) IS NULL OR r.source = :source) AND r.lead_id IS NOT NULL "
            "UNION SELECT lead_id FROM leads o WHERE o.external_id = :external_id "
            "AND (CAST(:source AS text) IS NULL OR o.source = :source))"
        )
    elif source is not None:
        where.append("l.source = :source")
    if email is not None:
        where.append("lower(l.email) = lower(:email)")
    if phone is not None:
        where.append("l.phone = :phone")
    if status == "merged":
        where.append("l.merged_into IS NOT NULL")
    elif status is not None:
        where.append("l.status = :status AND l.merged_into IS NULL")
    if stage is not None:
        where.append("l.stage = :stage")
    if owned_by is not None:
        where.append("l.owner = :owned_by")
    if temperature is not None:
        where.append("l.temperature = :temperature")
    if live_in is not None:
        where.append(
            "l.lead_id IN (SELECT e.lead_id FROM enrollments e "
            "WHERE e.sequence_id = :live_in AND e.status IN ('active', 'paused'))"
        )
    if words:
        where.append(
            "(concat_ws(' ', l.first_name, l.last_name, l.company, l.email, l.phone) ILIKE :words)"
        )
    if after[0] is not None:
        where.append("(l.created_at, l.lead_id) < (:at, :after_id)")
    pattern = (
        "%" + (words or "").replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_") + "%"
    )
    values = {
        "tenant": tenant,
        "owner": owner,
        "lead_ids": None if lead_ids is None else list(lead_ids),
        "source": source,
        "external_id": external_id,
        "email": email,
        "phone": phone,
        "status": status,
        "stage": stage,
        "owned_by": owned_by,
        "temperature": temperature,
        "live_in": live_in,
        "words": pattern,
        "at": after[0],
        "after_id": after[1],
        "limit": limit + 1,
    }
    # Every name in `where` is ours; what the caller said goes in as a parameter.
    sql = f"""
        SELECT l.*, (
            SELECT jsonb_object_agg(c.channel, jsonb_build_object(
                'granted', c.granted, 'basis', c.basis, 'at', c.at))
            FROM consents c WHERE c.lead_id = l.lead_id
        ) AS consents
        FROM leads l WHERE {" AND ".join(where)}
        ORDER BY l.created_at DESC, l.lead_id DESC LIMIT :limit
        """  # noqa: S608
    return await rows(connection, sql, {name: values[name] for name in values if f":{name}" in sql})


async def one(connection: AsyncConnection, lead_id: str) -> dict[str, Any] | None:
    found = await find(connection, tenant=None, lead_ids=[lead_id], limit=1)
    return found[0] if found else None


async def timeline(
    connection: AsyncConnection, lead_id: str, after: tuple[datetime | None, str], limit: int
) -> list[dict[str, Any]]:
    """Up to `limit + 1` lines behind `after`, oldest first."""
    return await rows(
        connection,
        """
        SELECT * FROM timeline
        WHERE lead_id = :lead
          AND (CAST(:at AS timestamptz) IS NULL OR (occurred_at, recorded_at, event_id) > (
              SELECT occurred_at, recorded_at, event_id FROM timeline WHERE event_id = :id))
        ORDER BY occurred_at, recorded_at, event_id LIMIT :limit
        """,
        {"lead": lead_id, "at": after[0], "id": after[1], "limit": limit + 1},
    )
