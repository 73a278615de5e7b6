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
DELIVERED = text("""
    INSERT INTO deliveries AS d (tenant_id, channel, address, at)
    VALUES (:tenant_id, :channel, :address, :at)
    ON CONFLICT (tenant_id, channel, address) DO UPDATE SET at = excluded.at
    WHERE excluded.at > d.at
""")
# Since the last delivery, and since a person lifted it; in the days before `last`.
COUNT = text("""
    SELECT count(*) FROM soft_bounces
    WHERE tenant_id = :tenant_id AND channel = :channel AND address = :address
        AND at > CAST(:last AS timestamptz) - CAST(:days AS interval)
        AND at > coalesce((
            SELECT d.at FROM deliveries d
            WHERE (d.tenant_id, d.channel, d.address) = (:tenant_id, :channel, :address)
        ), '-infinity')
        AND at > coalesce((
            SELECT changed_at FROM suppressions s
            WHERE (s.tenant_id, s.channel, s.address) = (:tenant_id, :channel, :address)
                AND s.reason = 'soft_bounces' AND NOT s.active
        ), '-infinity')
""")
# A suppression that stands: since when, and when the last of the bounces was that it counted; none
# where it came from elsewhere.
STANDS = text("""
    SELECT s.changed_at, (
        SELECT max(b.at) FROM soft_bounces b
        WHERE (b.tenant_id, b.channel, b.address) = (:tenant_id, :channel, :address)
            AND EXISTS (SELECT FROM soft_bounces c WHERE c.event_id = s.cause_id)
    ) AS counted
    FROM suppressions s
    WHERE (s.tenant_id, s.channel, s.address) = (:tenant_id, :channel, :address)
        AND s.reason = 'soft_bounces' AND s.active
""")


async def count(
    connection: AsyncConnection,
    callback: Callback,
    message: Reported,
    tenants: Mapping[str, Tenant],
    now: datetime,
) -> list[Suppression]:
    """Note a soft bounce or a delivery; what follows for the address, if anything does.

    Reports come in any order: a delivery that is reported late lifts what it would have kept
    from happening, and one of before the bounces lifts nothing. Of bounces that somebody else
    counted only the time of the suppression is known: what was delivered after it lifts it.
    """
    if callback.kind not in ("bounced", "delivered"):
        return []
    tenant = tenants.get(message.tenant_id) or Tenant(tenant_id=message.tenant_id)
    address = address_key(message.channel, message.recipient)
    of = {"tenant_id": message.tenant_id, "channel": message.channel, "address": address}
    at = last = min(callback.occurred_at, now)
    delivered = callback.kind == "delivered"
    if delivered:
        await connection.execute(DELIVERED, {**of, "at": at})
        stands = (await connection.execute(STANDS, of)).one_or_none()
        if stands is None or (stands.counted is None and at <= stands.changed_at):
            return []
        last = stands.counted or at
    elif bounce_type(callback.details) != "soft" or not tenant.soft_bounces:
        return []
    else:
        await connection.execute(NOTE, {**of, "event_id": callback.event_id, "at": at})
        last = now
    days = timedelta(days=tenant.soft_bounce_days)
    number = int(await connection.scalar(COUNT, {**of, "last": last, "days": days}) or 0)
    if (number >= tenant.soft_bounces) == delivered:
        return []
    return [
        Suppression(
            tenant_id=message.tenant_id,
            channel=message.channel,
            address=address,
            reason="soft_bounces",
            active=not delivered,
            cause_id=callback.event_id,
            at=now,
            source=message.provider or "dispatcher",
            note="delivered" if delivered else f"{number} in {tenant.soft_bounce_days} days",
        )
    ]
