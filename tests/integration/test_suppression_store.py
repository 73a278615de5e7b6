"""The suppression list in PostgreSQL: which change counts, what providers say, who is told.

Sources: Twilio's error 21610 and its keywords, SMTP's 5.1.1 (RFC 3463), ADR 20.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import permutations
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from dispatcher import suppress
from dispatcher.facts import Suppression, facts_of
from leadflow import database
from leadflow.codec import Codec
from leadflow.records import ConsentChanged, SuppressionChanged

from .dispatching import own_database

pytestmark = [pytest.mark.integration, pytest.mark.either_server]

AT = datetime(2026, 11, 21, 9, tzinfo=UTC)
NUMBER = "+15125550100"
STOP = Suppression(
    tenant_id="acme",
    channel="sms",
    address=NUMBER,
    reason="opt_out",
    active=True,
    cause_id="stop",
    at=AT,
    source="twilio",
    note="STOP",
)


@pytest.fixture
async def engine(admin_url: str, secret: str) -> AsyncIterator[AsyncEngine]:
    async with own_database(admin_url, secret) as url:
        made = database.engine(url, pool_size=2)
        yield made
        await made.dispose()


async def rows(connection: AsyncConnection) -> list[tuple[Any, ...]]:
    found = await connection.execute(
        text("SELECT reason, active, cause_id FROM suppressions ORDER BY reason")
    )
    return [tuple(row) for row in found]


async def told(connection: AsyncConnection) -> list[SuppressionChanged]:
    """What is told now; the outbox is as if it had been sent then."""
    await suppress.tell(connection, Codec(), AT + timedelta(seconds=1))
    found = await connection.execute(
        text("DELETE FROM outbox RETURNING topic, key, value, position")
    )
    records = []
    for row in sorted(found, key=lambda row: row.position):
        record = Codec().decode(row.value)
        assert isinstance(record, SuppressionChanged)
        assert (row.topic, row.key) == ("suppressions", record.suppression_id)
        records.append(record)
    return records


async def test_in_whichever_order_changes_come_the_latest_counts_and_at_one_moment_the_no(
    engine: AsyncEngine,
) -> None:
    later = AT + timedelta(minutes=1)
    start = replace(STOP, active=False, cause_id="start", at=later)
    again = replace(STOP, cause_id="again", at=later)
    for order in permutations((STOP, start, again)):
        async with engine.connect() as connection:
            for change in order:
                await suppress.apply(connection, [change])
            assert await rows(connection) == [("opt_out", True, "again")]
            await connection.rollback()
    for order in permutations((STOP, start)):
        async with engine.connect() as connection:
            for change in order:
                await suppress.apply(connection, [change])
            assert await rows(connection) == [("opt_out", False, "start")]
            await connection.rollback()


async def test_each_change_is_told_once_and_what_the_topic_said_is_not_told_to_it(
    engine: AsyncEngine,
) -> None:
    async with engine.begin() as connection:
        await suppress.apply(connection, [STOP, STOP])
        [first] = await told(connection)
        assert (first.reason, first.active, first.source, first.note) == (
            "opt_out",
            True,
            "twilio",
            "STOP",
        )
        assert first.occurred_at == AT
        # Its own echo, and a repeat.
        await suppress.apply(connection, [replace(STOP, told=True), STOP])
        assert await told(connection) == []
        lifted = replace(STOP, active=False, cause_id="start", at=AT + timedelta(minutes=1))
        await suppress.apply(connection, [lifted])
        [second] = await told(connection)
        assert (second.active, second.suppression_id) == (False, first.suppression_id)
        assert second.event_id != first.event_id
        imported = replace(STOP, reason="manual", told=True)
        await suppress.apply(connection, [imported])
        assert await told(connection) == []


async def test_a_yes_that_lifts_nothing_is_told_to_nobody_and_outlives_an_older_no(
    engine: AsyncEngine,
) -> None:
    yes = ConsentChanged(
        event_id="e",
        tenant_id="acme",
        occurred_at=AT,
        recorded_at=AT + timedelta(minutes=1),
        source="twilio",
        lead_id="l",
        cause_id="start",
        channel="sms",
        granted=True,
        address=NUMBER,
        basis="opt-in",
    )
    changes = [fact for fact in facts_of([yes]) if isinstance(fact, Suppression)]
    async with engine.begin() as connection:
        await suppress.apply(connection, changes)
        assert await told(connection) == []
        await suppress.apply(connection, [STOP])
        assert await rows(connection) == [("opt_out", False, "start")]


@pytest.mark.parametrize(
    ("error", "reason"), [("OptedOut", "provider_opt_out"), ("BadAddress", "hard_bounce")]
)
async def test_what_a_provider_says_of_an_address_holds_for_every_message_to_it(
    engine: AsyncEngine, error: str, reason: str
) -> None:
    """Twilio 21610, "Attempt to send to unsubscribed recipient"; SMTP 5.1.1; Twilio 21211."""
    async with engine.begin() as connection:
        await connection.execute(
            text(
                "INSERT INTO ledger (message_id, tenant_id, lead_id, channel, attempt, recipient,"
                " address, compliance_note, stop_on, due_at, ready_at, payload, state) VALUES"
                " ('m', 'acme', 'l', 'sms', 1, :to, :to, '', '{}', now(), now(), '{}', 'queued')"
            ),
            {"to": NUMBER},
        )
        refused = text(
            "UPDATE ledger SET state = :state, rule = :rule, provider = 'twilio',"
            " response = '21610'"
        )
        await connection.execute(refused, {"state": "claimed", "rule": None})
        await connection.execute(refused, {"state": "failed", "rule": error})
        assert await rows(connection) == [(reason, True, "m")]
        [change] = await told(connection)
        assert (change.reason, change.source, change.address) == (reason, "twilio", NUMBER)
        start = replace(
            STOP, reason="provider_opt_out", active=False, lifts=True, cause_id="start",
            at=datetime.now(UTC) + timedelta(minutes=1),
        )  # fmt: skip
        await suppress.apply(connection, [start])
        # START lifts what the person had said; there is still nobody at a bad address.
        assert [row[:2] for row in await rows(connection)] == [(reason, error == "BadAddress")]


@pytest.mark.parametrize("error", ["Rejected", "retries_exhausted"])
async def test_a_refusal_of_the_message_says_nothing_about_the_address(
    engine: AsyncEngine, error: str
) -> None:
    async with engine.begin() as connection:
        await connection.execute(
            text(
                "INSERT INTO ledger (message_id, tenant_id, lead_id, channel, attempt, recipient,"
                " address, compliance_note, stop_on, due_at, ready_at, payload, state) VALUES"
                " ('m', 'acme', 'l', 'sms', 1, 'a', 'a', '', '{}', now(), now(), '{}', 'queued')"
            )
        )
        move = text("UPDATE ledger SET state = :state, rule = :rule")
        await connection.execute(move, {"state": "claimed", "rule": None})
        await connection.execute(move, {"state": "failed", "rule": error})
        assert await rows(connection) == []


async def test_rows_from_before_there_was_a_topic_are_told_too(engine: AsyncEngine) -> None:
    async with engine.begin() as connection:
        await connection.execute(
            text(
                "INSERT INTO suppressions (tenant_id, channel, address, reason, active, cause_id,"
                " changed_at) VALUES ('acme', 'email', 'old@example.com', 'complaint', true,"
                " 'c-1', '2026-01-02T03:04:05Z')"
            )
        )
        [change] = await told(connection)
    assert (change.reason, change.cause_id) == ("complaint", "c-1")
    assert change.occurred_at == datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
