"""SQL for what surrounds the ledger: facts about leads, events to tell, reviews."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import Any

from sqlalchemy import Row, text
from sqlalchemy.ext.asyncio import AsyncConnection

from dispatcher import suppress
from dispatcher.callbacks import Reported
from dispatcher.facts import Consent, Fact, Stop, Suppression, Zone
from dispatcher.model import Content

UPSERT_STOPS = text("""
    INSERT INTO stops (lead_id, stop, at)
    SELECT lead_id, stop, max(at) FROM json_to_recordset(CAST(:rows AS json))
        AS r (lead_id text, stop text, at timestamptz)
    GROUP BY lead_id, stop ORDER BY lead_id, stop
    ON CONFLICT (lead_id, stop) DO UPDATE SET at = greatest(stops.at, excluded.at)
""")

# One at a time: which of two wins depends on the first. A profile's yes does not undo an
# explicit no; at the same moment no wins.
UPSERT_CONSENT = text("""
    INSERT INTO consents AS c (lead_id, channel, granted, explicit, at, noted_at)
    SELECT lead_id, channel, granted, explicit, at, now() FROM json_to_record(CAST(:row AS json))
        AS r (lead_id text, channel text, granted boolean, explicit boolean, at timestamptz)
    ON CONFLICT (lead_id, channel) DO UPDATE SET
        granted = excluded.granted, explicit = excluded.explicit, at = excluded.at,
        noted_at = excluded.noted_at
    WHERE (excluded.at > c.at OR excluded.at = c.at AND NOT excluded.granted)
        AND NOT (c.explicit AND NOT c.granted AND excluded.granted AND NOT excluded.explicit)
""")

UPSERT_ZONES = text("""
    INSERT INTO zones AS z (lead_id, timezone, revision)
    SELECT DISTINCT ON (lead_id) lead_id, timezone, revision
    FROM json_to_recordset(CAST(:rows AS json))
        AS r (lead_id text, timezone text, revision integer)
    ORDER BY lead_id, revision DESC
    ON CONFLICT (lead_id) DO UPDATE SET timezone = excluded.timezone, revision = excluded.revision
    WHERE excluded.revision > z.revision
""")

TELL = text("""
    INSERT INTO outbox (key, value)
    SELECT key, value
    FROM unnest(CAST(:keys AS text[]), CAST(:values AS bytea[])) WITH ORDINALITY
        AS r (key, value, ord)
    ORDER BY ord
""")

HELD_MESSAGE = text("""
    SELECT message_id, tenant_id, lead_id, owner, enrollment_id, sequence_id, step_id, channel,
        recipient, provider, provider_id, rule, epoch, body_sha256, made_of, in_doubt
    FROM ledger
    WHERE message_id = :message_id AND tenant_id = :tenant_id AND state = 'held'
    FOR UPDATE
""")

APPROVE = text("""
    UPDATE ledger SET state = 'queued', rule = NULL, ready_at = now(), changed_at = now(),
        payload = coalesce(CAST(:payload AS bytea), payload),
        body_sha256 = coalesce(CAST(:sha256 AS text), body_sha256)
    WHERE message_id = :message_id AND state = 'held'
""")

# What a provider may have accepted is not kept back by a word: it stays a doubt.
REJECT = text("""
    UPDATE ledger SET state = CASE WHEN in_doubt THEN 'unknown' ELSE 'suppressed' END,
        rule = 'rejected', changed_at = now()
    WHERE message_id = :message_id AND state = 'held'
""")


async def remember(connection: AsyncConnection, facts: Sequence[Fact]) -> None:
    """Take facts over; older ones and repeats change nothing."""
    stops = [fact for fact in facts if isinstance(fact, Stop)]
    if stops:
        await connection.execute(UPSERT_STOPS, {"rows": _json(map(_stop, stops))})
    consents = [
        {
            "lead_id": fact.lead_id,
            "channel": fact.channel,
            "granted": fact.granted,
            "explicit": fact.explicit,
            "at": fact.at.isoformat(),
        }
        for fact in facts
        if isinstance(fact, Consent)
    ]
    if consents:
        await connection.execute(UPSERT_CONSENT, [{"row": json.dumps(row)} for row in consents])
    zones = [
        {"lead_id": fact.lead_id, "timezone": fact.timezone, "revision": fact.revision}
        for fact in facts
        if isinstance(fact, Zone)
    ]
    if zones:
        await connection.execute(UPSERT_ZONES, {"rows": json.dumps(zones)})
    await suppress.apply(connection, [fact for fact in facts if isinstance(fact, Suppression)])


def _stop(fact: Stop) -> dict[str, Any]:
    return {"lead_id": fact.lead_id, "stop": fact.stop, "at": fact.at.isoformat()}


def _json(rows: Iterable[dict[str, Any]]) -> str:
    return json.dumps(list(rows))


def reported(row: Row[Any]) -> Reported:
    return Reported(
        message_id=row.message_id,
        tenant_id=row.tenant_id,
        lead_id=row.lead_id,
        owner=row.owner,
        enrollment_id=row.enrollment_id,
        sequence_id=row.sequence_id,
        step_id=row.step_id,
        channel=row.channel,
        recipient=row.recipient,
        provider=row.provider,
        provider_id=row.provider_id,
    )


async def tell(connection: AsyncConnection, events: Sequence[tuple[str, bytes]]) -> None:
    """Put events, each with its lead's id, into the outbox."""
    if events:
        keys, values = zip(*events, strict=True)
        await connection.execute(TELL, {"keys": list(keys), "values": list(values)})


async def held_message(
    connection: AsyncConnection, tenant_id: str, message_id: str
) -> tuple[Reported, str, int, str | None, dict[str, str], bool] | None:
    """A held message of a tenant with its rule, epoch, the hash of its bytes, what it was made of
    (see `Arrival.made_of`) and whether a provider may have it; locked until the commit."""
    asked = {"tenant_id": tenant_id, "message_id": message_id}
    row = (await connection.execute(HELD_MESSAGE, asked)).one_or_none()
    if row is None:
        return None
    made_of = row.made_of if isinstance(row.made_of, dict) else json.loads(row.made_of)
    return reported(row), row.rule, row.epoch, row.body_sha256, made_of, row.in_doubt


async def approve(connection: AsyncConnection, message_id: str, content: Content | None) -> None:
    """Queue a held message, with other bytes where `content` is given."""
    await connection.execute(
        APPROVE,
        {
            "message_id": message_id,
            "payload": None if content is None else content.payload,
            "sha256": None if content is None else content.sha256,
        },
    )


async def reject(connection: AsyncConnection, message_id: str) -> None:
    await connection.execute(REJECT, {"message_id": message_id})
