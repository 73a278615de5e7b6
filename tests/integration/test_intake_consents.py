"""Opt-outs that reach several leads, and messages that are forgotten, in intake's real database."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from intake.forgetting import Forgetting
from intake.handler import IntakeHandler
from intake.store import SentMessage, Store
from leadflow import database, ids
from leadflow.clock import SystemClock
from leadflow.codec import Codec
from leadflow.kafka.loop import Received
from leadflow.kafka.port import Message, Outgoing
from leadflow.raw_json import raw_event_from_json
from leadflow.records import ConsentChanged

pytestmark = [pytest.mark.integration, pytest.mark.either_server]

AT = datetime(2026, 11, 20, 15, 0, tzinfo=UTC)


class Sent:
    """A producer that keeps what it is given."""

    def __init__(self) -> None:
        self.out: list[Outgoing] = []

    async def send(self, batch: Sequence[Outgoing]) -> None:
        self.out += batch

    async def close(self) -> None:
        """Nothing is under way."""


@pytest.fixture
async def engine(admin_url: str, secret: str) -> AsyncIterator[AsyncEngine]:
    made = database.engine(database.role_url(admin_url, "intake", secret))
    yield made
    await made.dispose()


def handler(engine: AsyncEngine, sent: Sent) -> IntakeHandler:
    return IntakeHandler(
        codec=Codec(), store=Store(engine), producer=sent, tenants={}, clock=SystemClock()
    )


def received(tenant: str, kind: str, payload: dict[str, Any], external_id: str) -> Received:
    event = {
        "event_id": str(uuid4()),
        "tenant_id": tenant,
        "source": "form",
        "kind": kind,
        "external_id": external_id,
        "occurred_at": AT.isoformat(),
        "payload": payload,
    }
    value = json.dumps(event).encode()
    return Received(Message("raw-events", 0, 0, None, value, (), 0), raw_event_from_json(value, AT))


def refused(sent: Sent) -> list[tuple[str, str]]:
    records = [Codec().decode(each.value or b"") for each in sent.out]
    return sorted(
        (each.lead_id, each.channel) for each in records if isinstance(each, ConsentChanged)
    )


async def test_an_opt_out_of_one_lead_reaches_the_others_behind_its_number_once(
    engine: AsyncEngine,
) -> None:
    """Each in its own partition of lead-events; and two that meet from both sides do not wait for
    each other for ever."""
    tenant, sent = f"t-{uuid4()}", Sent()
    people = {"ann": "Ann Ashford", "bob": "Bob Brown"}
    leads = {who: ids.lead_id(tenant, "form", who) for who in people}
    await handler(engine, sent).handle(
        [
            received(tenant, "lead", {"name": name, "phone": "+15125552001"}, who)
            for who, name in people.items()
        ]
    )
    opt_outs = [
        received(tenant, "opt_out", {"lead": leads[who], "channel": "sms"}, f"{who}-{number}")
        for number in range(10)
        for who in people
    ]
    one, *_ = opt_outs
    for _ in range(2):
        sent.out.clear()
        await handler(engine, sent).handle([one])
        assert refused(sent) == sorted((lead_id, "sms") for lead_id in leads.values())
    assert {each.key for each in sent.out} == {lead_id.encode() for lead_id in leads.values()}
    async with asyncio.timeout(30):
        await asyncio.gather(*(handler(engine, Sent()).handle([each]) for each in opt_outs))


async def test_messages_are_forgotten_when_nobody_will_answer_them(engine: AsyncEngine) -> None:
    tenant, store, clock = f"t-{uuid4()}", Store(engine), SystemClock()
    ages = {"old": 401, "older": 500, "young": 399}
    async with store.transaction() as transaction:
        await transaction.save_messages(
            [
                SentMessage(tenant, name, "lead", clock.now() - timedelta(days=days))
                for name, days in ages.items()
            ]
        )
    forgetting = Forgetting(store, clock, days=400, batch=1)
    while await forgetting.round():
        pass
    async with engine.connect() as connection:
        left = await connection.execute(
            text("SELECT message_id FROM messages WHERE tenant_id = :t"), {"t": tenant}
        )
        assert left.scalars().all() == ["young"]
