"""Soft bounces: some in a row, with no delivery between them, and the address is suppressed.

A full mailbox may be emptied (RFC 3463, 4.X.X: "persistent transient failure"), one that has
been full three times is abandoned. How many and in how long is the tenant's (`soft_bounces`,
`soft_bounce_days`); times are those at which it happened, so that late reports count right.
Whoever lifts the suppression begins the count anew.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from dispatcher.callbacks import Callback, Reported, bounce_type
from dispatcher.facts import Suppression, address_key
from leadflow.tenants import Tenant

NOTE = text("""
    INSERT INTO soft_bounces (event_id, tenant_id, channel, address, at)
    VALUES (:event_id, :tenant_id, :channel, :address, :at)
    ON CONFLICT (event_id) DO NOTHING
""")
COUNT = text("""
    SELECT count(*) FROM soft_bounces
    WHERE tenant_id = :tenant_id AND channel = :channel AND address = :address
        AND at > CAST(:at AS timestamptz) - CAST(:days AS interval)
        AND at > coalesce((
            SELECT changed_at FROM suppressions s
            WHERE (s.tenant_id, s.channel, s.address) = (:tenant_id, :channel, :address)
                AND s.reason = 'soft_bounces' AND NOT s.active
        ), '-infinity')
""")
FORGET = text("""
    DELETE FROM soft_bounces
    WHERE tenant_id = :tenant_id AND channel = :channel AND address = :address AND at <= :at
""")


async def count(
    connection: AsyncConnection,
    callback: Callback,
    message: Reported,
    tenants: Mapping[str, Tenant],
    now: datetime,
) -> list[Suppression]:
    """Note a soft bounce, or forget those before a delivery; the suppression once it is due."""
    if callback.kind not in ("bounced", "delivered"):
        return []
    tenant = tenants.get(message.tenant_id) or Tenant(tenant_id=message.tenant_id)
    address = address_key(message.channel, message.recipient)
    of = {"tenant_id": message.tenant_id, "channel": message.channel, "address": address}
    at = min(callback.occurred_at, now)
    if callback.kind == "delivered":
        await connection.execute(FORGET, {**of, "at": at})
        return []
    if bounce_type(callback.details) != "soft" or not tenant.soft_bounces:
        return []
    await connection.execute(NOTE, {**of, "event_id": callback.event_id, "at": at})
    days = timedelta(days=tenant.soft_bounce_days)
    number = await connection.scalar(COUNT, {**of, "at": at, "days": days})
    if int(number or 0) < tenant.soft_bounces:
        return []
    return [
        Suppression(
            tenant_id=message.tenant_id,
            channel=message.channel,
            address=address,
            reason="soft_bounces",
            active=True,
            cause_id=callback.event_id,
            at=now,
            source=message.provider or "dispatcher",
            note=f"{number} in {tenant.soft_bounce_days} days",
        )
    ]
