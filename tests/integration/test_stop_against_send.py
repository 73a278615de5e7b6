"""Stops against sends at random: no message is accepted whose stop was in the log before its claim.

Two dispatchers, one of them killed in the middle; replies, opt-outs, bookings and pauses are
written while messages fall due. When a message was claimed is noted by the database itself.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from sqlalchemy import text

from leadflow.records import (
    AutomationPaused,
    BookingMade,
    ConsentChanged,
    MessageQueued,
    ReplyReceived,
)

from .dispatching import World, a_world, queued, said, until

pytestmark = [pytest.mark.integration, pytest.mark.either_server]

NOTE_CLAIMS = (
    "CREATE TABLE claims (message_id text, at double precision)",
    """
    CREATE FUNCTION note_claim() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        INSERT INTO claims VALUES (NEW.message_id, extract(epoch FROM clock_timestamp()));
        RETURN NEW;
    END $$
    """,
    "CREATE TRIGGER noted BEFORE UPDATE ON ledger FOR EACH ROW "
    "WHEN (NEW.state = 'claimed' AND OLD.epoch <> NEW.epoch) EXECUTE FUNCTION note_claim()",
)
MESSAGES = 400


@pytest.fixture
async def world(
    kafka_bootstrap: str, admin_url: str, secret: str, tmp_path: Path
) -> AsyncIterator[World]:
    async with a_world(kafka_bootstrap, admin_url, secret, tmp_path) as made:
        async with made.engine.begin() as connection:
            for statement in NOTE_CLAIMS:
                await connection.execute(text(statement))
        yield made


def a_stop(message: MessageQueued, choose: random.Random) -> Any:
    kind = choose.choice(("reply", "opt_out", "booking", "pause"))
    if kind == "reply":
        return said(message, ReplyReceived, text="Please stop", channel="email", automatic=False)
    if kind == "booking":
        return said(message, BookingMade)
    if kind == "opt_out":
        return said(
            message, ConsentChanged, channel="email", granted=False, address=message.recipient
        )
    now = datetime.now(UTC)
    return AutomationPaused(
        event_id=str(uuid4()),
        tenant_id=message.tenant_id,
        occurred_at=now,
        recorded_at=now,
        source="test",
        scope=f"sequence:{message.tenant_id}:{message.sequence_id}",
        workflow="",
        reason="an incident",
        rollback="",
        verification_status="open",
        paused_by="olga",
    )


async def test_nothing_is_accepted_whose_stop_was_in_the_log_before_its_claim(world: World) -> None:
    choose = random.Random(20_261_121)
    # A sequence of its own for each, so that a pause stops one message.
    messages = [
        queued(world.tenant, number, sequence_id=f"{world.tenant}.sequence-{number}")
        for number in range(MESSAGES)
    ]
    stopped_at: dict[str, float] = {}

    async def people() -> None:
        """Three of four have something to say, some before their message and some after."""
        order = [message for message in messages if choose.random() < 0.75]
        choose.shuffle(order)
        for start in range(0, len(order), 5):
            some = order[start : start + 5]
            await world.publish(*(a_stop(message, choose) for message in some))
            told_at = time.time()
            stopped_at.update({message.message_id: told_at for message in some})
            await asyncio.sleep(choose.uniform(0.0, 0.15))

    async def queue() -> None:
        order = list(messages)
        choose.shuffle(order)
        for start in range(0, len(order), 10):
            await world.publish(*order[start : start + 10])
            await asyncio.sleep(choose.uniform(0.0, 0.2))

    async with world.running() as first, world.running():
        early = queued(world.tenant, "early")
        await world.publish(early)
        await world.becomes(early, "MessageSent")
        talking = asyncio.gather(people(), queue())
        await asyncio.sleep(2)
        first.kill()
        await first.wait()
        async with world.running():
            await talking

            async def settled() -> bool:
                async with world.engine.connect() as connection:
                    left = await connection.scalar(
                        text(
                            "SELECT count(*) FROM ledger WHERE state IN ('queued', 'claimed') "
                            "OR state = 'held' AND rule <> 'paused'"
                        )
                    )
                    known = await connection.scalar(text("SELECT count(*) FROM ledger"))
                return (left, known) == (0, MESSAGES + 1)

            await until(settled, "every message has come to its end")
    async with world.engine.connect() as connection:
        rows = await connection.execute(text("SELECT message_id, at FROM claims ORDER BY at"))
        claims = [(str(row[0]), float(row[1])) for row in rows]
    accepted = {
        each["key"]: datetime.fromisoformat(each["accepted_at"]).timestamp()
        for each in await world.accepted()
    }
    # The claim that led to the call: what was claimed again later may only have been looked at.
    claimed_at = {
        message_id: at for message_id, at in claims if at <= accepted.get(message_id, 0.0) + 0.001
    }
    too_late = {
        message_id: claimed_at[message_id] - at
        for message_id, at in stopped_at.items()
        if message_id in accepted and at < claimed_at[message_id]
    }
    assert too_late == {}
    # Both ways happened, or nothing was raced.
    assert 0 < len(accepted.keys() & stopped_at.keys()) < len(stopped_at)
    assert accepted.keys() >= {message.message_id for message in messages} - stopped_at.keys()
