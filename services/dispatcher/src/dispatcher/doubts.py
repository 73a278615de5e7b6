"""Messages of which nobody knows whether a provider accepted them, and how that is found out.

A person says so (DoubtSettled), or the provider itself does: what it reports on, it has accepted.
The ledger's row moves on, its event goes to the outbox and its tenant's chain gets a second row,
all in the caller's transaction.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Row, text
from sqlalchemy.ext.asyncio import AsyncConnection

from dispatcher import store
from dispatcher.events import about
from dispatcher.model import State
from leadflow.codec import Codec
from leadflow.ids import derived_id
from leadflow.records import DoubtSettled, MessageFailed, MessageSent

BY_A_PERSON = "settled_by_person"
BY_THE_PROVIDER = "reported_by_provider"

# When it was accepted nobody knows: at the latest when the doubt was written down.
SETTLE = text("""
    WITH doubts AS (
        SELECT message_id, changed_at AS doubted_at FROM ledger
        WHERE message_id = ANY (CAST(:message_ids AS text[])) AND state = 'unknown'
            AND (CAST(:tenant_id AS text) IS NULL OR tenant_id = :tenant_id)
        ORDER BY message_id FOR UPDATE
    )
    UPDATE ledger l SET state = :state, rule = :rule, in_doubt = false, changed_at = now(),
        provider_id = coalesce(:provider_id, l.provider_id)
    FROM doubts WHERE l.message_id = doubts.message_id
    RETURNING l.message_id, l.tenant_id, l.lead_id, l.owner, l.enrollment_id, l.sequence_id,
        l.step_id, l.channel, l.provider, l.provider_id, l.body_sha256, l.epoch, l.attempts,
        doubts.doubted_at
""")


async def settled_by_people(
    connection: AsyncConnection, words: Sequence[DoubtSettled], codec: Codec, now: datetime
) -> int:
    """Follow people's words; returns how many doubts there were. A word about a message that is
    not in doubt, or not any more, or another tenant's, changes nothing."""
    count = 0
    for word in words:
        if word.outcome not in (State.SENT, State.FAILED):
            continue
        rows = await _settle(
            connection,
            [word.message_id],
            State(word.outcome),
            BY_A_PERSON,
            tenant_id=word.tenant_id,
            provider_id=word.provider_id,
        )
        events = [
            (row.lead_id, codec.encode(_sent(row, now)))
            if word.outcome == State.SENT
            else (row.lead_id, codec.encode(_failed(row, word, now)))
            for row in rows
        ]
        await store.tell(connection, events)
        count += len(rows)
    return count


async def accepted_after_all(
    connection: AsyncConnection, message_ids: Iterable[str], codec: Codec, now: datetime
) -> int:
    """Of messages that their provider reported on, those in doubt were sent. Reports have been
    held to their tenant by now (`engagement_store`)."""
    wanted = sorted(set(message_ids))
    if not wanted:
        return 0
    rows = await _settle(connection, wanted, State.SENT, BY_THE_PROVIDER)
    await store.tell(connection, [(row.lead_id, codec.encode(_sent(row, now))) for row in rows])
    return len(rows)


async def _settle(
    connection: AsyncConnection,
    message_ids: Sequence[str],
    state: State,
    rule: str,
    *,
    tenant_id: str | None = None,
    provider_id: str | None = None,
) -> Sequence[Row[Any]]:
    result = await connection.execute(
        SETTLE,
        {
            "message_ids": list(message_ids),
            "state": state,
            "rule": rule,
            "tenant_id": tenant_id,
            "provider_id": provider_id,
        },
    )
    return result.all()


def _sent(row: Row[Any], now: datetime) -> MessageSent:
    return MessageSent(
        **about(row),
        event_id=derived_id("MessageSent", row.message_id),
        occurred_at=now,
        recorded_at=now,
        provider=row.provider or "unknown",
        provider_id=row.provider_id,
        body_hash=row.body_sha256,
        accepted_at=row.doubted_at,
        epoch=row.epoch,
    )


def _failed(row: Row[Any], word: DoubtSettled, now: datetime) -> MessageFailed:
    return MessageFailed(
        **about(row),
        event_id=derived_id("MessageFailed", row.message_id),
        occurred_at=now,
        recorded_at=now,
        provider=row.provider or "unknown",
        provider_id=None,
        error_class=BY_A_PERSON,
        reason=f"{word.settled_by} found that it was not accepted",
        attempts=row.attempts,
    )
