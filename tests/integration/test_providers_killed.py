"""Dispatchers that send by Resend's batch call and are killed in the middle of it."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from sqlalchemy import text

from leadflow.records import MessageSent
from sandbox.http_resend import API_KEY

from .dispatching import World, a_world, queued, until

pytestmark = [pytest.mark.integration, pytest.mark.either_server]

MESSAGES = 300
KILLS = 2


@pytest.fixture
async def world(
    kafka_bootstrap: str, admin_url: str, secret: str, tmp_path: Path
) -> AsyncIterator[World]:
    async with a_world(kafka_bootstrap, admin_url, secret, tmp_path) as made:
        yield made


async def hits(world: World) -> int:
    rules = (await world.sandbox.get("/faults")).raise_for_status().json()["items"]
    return sum(rule["hits"] for rule in rules)


async def test_kills_in_the_middle_of_batches_send_everything_once_and_leave_nothing_unknown(
    world: World,
) -> None:
    messages = [queued(world.tenant, number) for number in range(MESSAGES)]
    await world.publish(*messages)
    # What has come in is taken after a while, whether or not the dispatcher still lives.
    await world.fault(target="resend", mode="stall", stall_seconds=0.5)
    settings = {
        "LEADFLOW_EMAIL_VIA": "resend",
        "LEADFLOW_RESEND_URL": f"{str(world.sandbox.base_url).rstrip('/')}/resend",
        "LEADFLOW_RESEND_API_KEY": API_KEY,
        "LEADFLOW_RESEND_CALLS_PER_SECOND": "1000",
        # On a busy machine a second is not enough for a silence to mean anything.
        "LEADFLOW_PROVIDER_TIMEOUT_SECONDS": "2",
        "LEADFLOW_LEASE_SECONDS": "4",
    }
    for number in range(KILLS):

        async def under_way(seen: int = await hits(world), more: int = 1 + 2 * number) -> bool:
            return await hits(world) >= seen + more

        async with world.running(**settings) as dispatcher:
            await until(under_way, "Resend has been called")
            dispatcher.kill()
            await dispatcher.wait()
    await world.no_faults()
    async with world.running(**settings):
        events = await world.all_final(messages)
    taken = Counter(item["key"] for item in await world.accepted("resend"))
    assert taken == Counter(message.message_id for message in messages)
    assert all(isinstance(told[-1], MessageSent) for told in events.values())
    ids = {item["key"]: item["id"] for item in await world.accepted("resend")}
    async with world.engine.connect() as connection:
        rows = await connection.execute(text("SELECT message_id, provider_id FROM ledger"))
        assert {row.message_id: row.provider_id for row in rows} == ids
        doubted = await connection.scalar(text("SELECT count(*) FROM ledger WHERE epoch > 1"))
        assert doubted >= 100  # else nobody was killed in the middle of a batch
