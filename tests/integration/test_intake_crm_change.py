"""Changes made in a CRM, settled by intake in its real database."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from intake.handler import IntakeHandler
from intake.store import OutboxRow, Store
from leadflow import database, ids
from leadflow.clock import SystemClock
from leadflow.codec import Codec
from leadflow.kafka.loop import Received
from leadflow.kafka.port import Message, Outgoing
from leadflow.raw_json import raw_event_from_json
from leadflow.records import CrmChangeSettled, LeadUpdated, StageChanged

pytestmark = [pytest.mark.integration, pytest.mark.either_server]

AT = datetime(2026, 11, 20, 15, 0, tzinfo=UTC)
MARIA = {
    "first_name": "Maria",
    "last_name": "Delgado",
    "email": "maria@example.com",
    "owner": "dana",
    "consent": {"email": True},
}


class Sent:
    """A producer that keeps what it is given."""

    def __init__(self) -> None:
        self.out: list[Outgoing] = []

    async def send(self, batch: Sequence[Outgoing]) -> None:
        self.out += batch

    async def close(self) -> None:
        """Nothing is under way."""


class Office:
    """One tenant's events, each taken by a handler that knows only what the database has."""

    def __init__(self, engine: AsyncEngine) -> None:
        self.engine = engine
        self.tenant = f"t-{uuid4()}"
        self.lead_id = ids.lead_id(self.tenant, "form", "maria")

    def event(
        self, kind: str, payload: dict[str, Any], minute: int, external_id: str = "maria"
    ) -> Received:
        at = AT + timedelta(minutes=minute)
        event = {
            "event_id": str(uuid4()),
            "tenant_id": self.tenant,
            "source": "crm:hubspot" if kind == "crm_change" else "form",
            "kind": kind,
            "external_id": external_id,
            "occurred_at": at.isoformat(),
            "payload": payload,
        }
        value = json.dumps(event).encode()
        raw = raw_event_from_json(value, AT + timedelta(days=1))
        return Received(Message("raw-events", 0, 0, None, value, (), 0), raw)

    def change(self, minute: int, **fields: dict[str, Any]) -> Received:
        told = {
            name: {"at": (AT + timedelta(minutes=minute)).isoformat(), **given}
            for name, given in fields.items()
        }
        payload = {
            "lead": self.lead_id,
            "provider": "hubspot",
            "account_id": "hubspot-1",
            "fields": told,
        }
        return self.event("crm_change", payload, minute, "501")

    async def take(self, *events: Received) -> list[Any]:
        sent = Sent()
        handler = IntakeHandler(
            codec=Codec(),
            store=Store(self.engine),
            producer=sent,
            tenants={},
            clock=SystemClock(),
        )
        await handler.handle(events)
        return [Codec().decode(each.value or b"") for each in sent.out]


@pytest.fixture
async def office(admin_url: str, secret: str) -> AsyncIterator[Office]:
    engine = database.engine(database.role_url(admin_url, "intake", secret))
    yield Office(engine)
    await engine.dispose()


def verdicts(records: list[Any]) -> dict[str, tuple[str, str]]:
    (settled,) = (each for each in records if isinstance(each, CrmChangeSettled))
    return {each.field: (each.outcome, each.rule) for each in settled.fields}


async def test_when_a_field_was_set_is_known_to_whoever_decides_next(office: Office) -> None:
    await office.take(office.event("lead", MARIA, 0))
    await office.take(office.event("stage_change", {"lead": office.lead_id, "to": "contacted"}, 10))
    early = office.change(
        5,
        stage={"value": "qualified", "was": "new"},
        owner={"value": "luis", "was": "sam"},
        last_name={"value": "Delgado-Ruiz", "was": "Delgado"},
    )
    records = await office.take(early)
    assert [type(each) for each in records] == [LeadUpdated, CrmChangeSettled]
    assert verdicts(records) == {
        "stage": ("kept", "newest_wins"),
        "owner": ("taken", "crm_wins_for_owner"),
        "last_name": ("taken", "only_crm_changed"),
    }
    assert await office.take(early) == records, "a repeat is told with the same bytes"
    late = office.change(
        11,
        stage={"value": "qualified", "was": "new"},
        owner={"value": "ann", "was": "luis", "at": (AT + timedelta(minutes=4)).isoformat()},
    )
    records = await office.take(late)
    assert [type(each) for each in records] == [StageChanged, CrmChangeSettled]
    assert records[0].changed_by == "crm:hubspot"
    assert verdicts(records) == {
        "stage": ("taken", "newest_wins"),
        "owner": ("kept", "newest_wins"),
    }


async def test_two_changes_of_a_batch_see_each_other(office: Office) -> None:
    await office.take(office.event("lead", MARIA, 0))
    newer = office.change(9, last_name={"value": "Ruiz", "was": "Delgado"})
    older = office.change(7, last_name={"value": "Diaz", "was": "Ruiz"})
    *_, last = await office.take(newer, older)
    assert (last.fields[0].outcome, last.fields[0].log_value) == ("kept", "Ruiz")


async def test_an_opt_out_of_the_address_that_a_crm_brings_holds(office: Office) -> None:
    await office.take(office.event("lead", MARIA, 0))
    new = "m.delgado@example.com"
    await office.take(office.event("opt_out", {"email": new}, 1, "stop"))
    updated, _ = await office.take(office.change(2, email={"value": new, "was": MARIA["email"]}))
    assert [(each.channel, each.granted) for each in updated.consent] == [("email", False)]
    (reply,) = await office.take(office.event("reply", {"from": new, "text": "hi"}, 3, "r"))
    assert reply.lead_id == office.lead_id


async def test_a_lead_that_was_saved_before_times_were_kept_takes_what_a_crm_tells(
    office: Office,
) -> None:
    await office.take(office.event("lead", MARIA, 5))
    async with office.engine.begin() as connection:
        await connection.execute(
            text("UPDATE leads SET field_times = DEFAULT WHERE tenant_id = :tenant"),
            {"tenant": office.tenant},
        )
    records = await office.take(office.change(1, last_name={"value": "Ruiz", "was": "Diaz"}))
    assert verdicts(records) == {"last_name": ("taken", "newest_wins")}


async def test_a_decision_may_have_more_records_than_a_small_number_counts(
    office: Office,
) -> None:
    """An opt-out of a number is told to each lead behind it, on three channels."""
    store, event_id = Store(office.engine), str(uuid4())
    rows = [
        OutboxRow(office.tenant, event_id, position, "lead-events", b"lead", b"record")
        for position in (0, 32_767, 32_768, 3 * 20_000)
    ]
    async with store.transaction() as transaction:
        await transaction.save_outbox(rows, AT)
    async with store.transaction() as transaction:
        assert await transaction.decided([(office.tenant, event_id)]) == rows
