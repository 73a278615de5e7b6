"""Suppression lists as the dispatcher keeps and obeys them, on real Kafka and PostgreSQL.

Sources: 47 CFR 64.1200(c)(1) for quiet hours, CTIA and Twilio for STOP and START, RFC 3463 for
bounces.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from sqlalchemy import text

from leadflow import ids, topics
from leadflow.records import ConsentChanged, LeadCreated, MessageQueued, SuppressionChanged

from .dispatching import World, a_world, callback, queued, said, until
from .reading import read_all

pytestmark = [pytest.mark.integration, pytest.mark.either_server]

NUMBER = "+15125550100"


@pytest.fixture
async def world(
    kafka_bootstrap: str, admin_url: str, secret: str, tmp_path: Path
) -> AsyncIterator[World]:
    async with a_world(kafka_bootstrap, admin_url, secret, tmp_path) as made:
        yield made


def listed(world: World, address: str, *, active: bool = True, **more: Any) -> SuppressionChanged:
    """What a person in the portal says about an e-mail address; a lift comes after."""
    now = datetime.now(UTC) + timedelta(milliseconds=0 if active else 5)
    fields = {"channel": "email", "reason": "manual", **more}
    entry = ids.suppression_id(world.tenant, fields["channel"], address, fields["reason"])
    return SuppressionChanged(
        event_id=str(uuid4()),
        tenant_id=world.tenant,
        occurred_at=now,
        recorded_at=now,
        source="portal",
        suppression_id=entry,
        address=address,
        active=active,
        changed_by="priya",
        **fields,
    )


async def told(world: World, address: str, wanted: int = 1) -> list[SuppressionChanged]:
    """What the topic has about an address, once it is as much as wanted, in its order."""

    async def there() -> Any:
        found = [
            record
            for message in await asyncio.to_thread(
                read_all, world.bootstrap, topics.SUPPRESSIONS.name
            )
            if isinstance(record := world.codec.decode(message.value()), SuppressionChanged)
            and (record.tenant_id, record.address) == (world.tenant, address)
        ]
        return found if len(found) >= wanted else None

    found: list[SuppressionChanged] = await until(there, f"{wanted} changes are told")
    return found


async def test_what_a_person_listed_stops_the_next_message_and_what_was_lifted_goes(
    world: World,
) -> None:
    before, after, lifted = (queued(world.tenant, each) for each in ("before", "after", "lifted"))
    # Before any dispatcher runs: nothing may go out until this has been read.
    await world.publish(
        listed(world, before.recipient, reason="opt_out"),
        listed(world, lifted.recipient),
        listed(world, lifted.recipient, active=False),
        before,
        lifted,
    )
    async with world.running():
        stopped = await world.becomes(before, "MessageSuppressed")
        assert (stopped.rule, stopped.inputs["reason"]) == ("suppression_list", "opt_out")
        await world.becomes(lifted, "MessageSent")
        # While it runs, and without a wait: what is in the log before the claim is known to it.
        await world.publish(listed(world, after.recipient))
        await world.publish(after)
        assert (await world.becomes(after, "MessageSuppressed")).rule == "suppression_list"
    assert [entry["to"] for entry in await world.accepted()] == [lifted.recipient]
    # What came from the topic is not told to it again.
    assert len(await told(world, before.recipient)) == 1


async def test_a_stop_silences_the_number_for_the_whole_tenant_and_start_lifts_it(
    world: World,
) -> None:
    """CTIA Messaging Principles, 5.1.3; Twilio: STOP ends all messages between the two numbers."""
    first, other = (
        queued(world.tenant, each, channel="sms", recipient=NUMBER, subject="")
        for each in ("first", "other")
    )
    for each in (first, other):
        await world.publish(said(each, ConsentChanged, channel="sms", granted=True, address=NUMBER))
    # Only the first lead is in the record: the other shares the number.
    await world.publish(
        said(
            first,
            ConsentChanged,
            channel="sms",
            granted=False,
            address=NUMBER,
            keyword="STOP",
        )
    )
    await world.publish(first, other)
    async with world.running():
        rules = [(await world.becomes(each, "MessageSuppressed")).rule for each in (first, other)]
        assert rules == ["stopped_by_opt_out", "suppression_list"]
        await world.publish(
            said(
                first,
                ConsentChanged,
                channel="sms",
                granted=True,
                address=NUMBER,
                basis="opt-in",
                keyword="START",
            )
        )
        changes = await told(world, NUMBER, 2)
        assert [(each.reason, each.active, each.note) for each in changes] == [
            ("opt_out", True, "STOP"),
            ("opt_out", False, "START"),
        ]
        again = queued(world.tenant, "other", step_id="again", channel="sms", recipient=NUMBER)
        await world.publish(again)
        await world.becomes(again, "MessageSent")
    [entry] = await world.accepted("sms")
    assert entry["key"] == again.message_id


async def test_soft_bounces_in_a_row_suppress_and_a_delivery_between_them_does_not(
    world: World,
) -> None:
    """RFC 3463: a persistent transient failure. One of each message counts, whoever repeats it."""
    steps = ("one", "two", "three", "four")
    full, fine = (
        [queued(world.tenant, who, step_id=step) for step in steps] for who in ("full", "fine")
    )

    def bounced(message: MessageQueued) -> dict[str, Any]:
        return callback(message, "bounced", message_id=message.message_id, bounce_type="soft")

    await world.publish(*full, *fine)
    async with world.running():
        for message in (*full, *fine):
            await world.becomes(message, "MessageSent")
        twice = bounced(full[0])
        await world.report(twice, twice, *map(bounced, (full[1], fine[0], fine[1])))
        await until(lambda: counted(world, 4), "two of each are counted")
        await world.report(callback(fine[2], "delivered", message_id=fine[2].message_id))
        await until(lambda: counted(world, 1, "deliveries"), "the delivery is counted")
        await world.report(bounced(full[2]), bounced(fine[3]))
        [change] = await told(world, full[0].recipient)
        assert (change.reason, change.active) == ("soft_bounces", True)
        assert change.note == "3 in 30 days"
        await until(lambda: counted(world, 6), "all are counted")
        stopped, still = (queued(world.tenant, who, step_id="next") for who in ("full", "fine"))
        await world.publish(stopped, still)
        assert (await world.becomes(stopped, "MessageSuppressed")).inputs["reason"] == change.reason
        await world.becomes(still, "MessageSent")
        # Lifted by a person, the count begins anew.
        await world.publish(
            listed(world, change.address, reason="soft_bounces", active=False),
        )
        await until(lambda: lifted(world, change.address), "the lift is applied")
        await world.report(bounced(full[3]))
        await until(lambda: counted(world, 7), "the bounce is counted")
        anew = queued(world.tenant, "full", step_id="anew")
        await world.publish(anew)
        await world.becomes(anew, "MessageSent")


async def lifted(world: World, address: str) -> bool:
    async with world.engine.connect() as connection:
        active = await connection.scalar(
            text("SELECT active FROM suppressions WHERE address = :address"), {"address": address}
        )
    return active is False


async def counted(world: World, number: int, table: str = "soft_bounces") -> bool:
    async with world.engine.connect() as connection:
        found = await connection.scalar(text(f"SELECT count(*) FROM {table}"))
    return bool(found == number)


async def test_in_quiet_hours_where_the_lead_is_a_message_waits_and_the_next_stays_behind_it(
    world: World, tmp_path: Path
) -> None:
    now = datetime.now(UTC)
    # Open for an hour around noon on the wall of UTC; two zones in which that is not now.
    hours = f"{(now + timedelta(hours=5)):%H}:00-{(now + timedelta(hours=7)):%H}:00"
    file = tmp_path / "quiet.toml"
    file.write_text(f'[tenants.{world.tenant}]\nsend_hours = {{ email = "{hours}" }}\n')
    asleep, behind = queued(world.tenant, "asleep"), queued(world.tenant, "asleep", step_id="next")
    # Six hours to the east of UTC it is six hours later: inside the hours.
    awake = queued(world.tenant, "awake")
    await world.publish(profile(asleep, "Etc/UTC"), profile(awake, "Etc/GMT-6"))
    await world.publish(asleep, behind, awake)
    async with world.running(LEADFLOW_TENANTS_FILE=str(file)):
        held = await world.becomes(asleep, "MessageHeld")
        assert held.rule == "quiet_hours"
        assert (held.inputs["zone"], held.inputs["hours"]) == ("Etc/UTC", hours)
        until_ = datetime.fromisoformat(held.inputs["until"])
        assert (until_.hour, until_.minute) == (int(hours[:2]), 0)
        await world.becomes(awake, "MessageSent")
        async with world.engine.connect() as connection:
            rows = await connection.execute(
                text("SELECT state, epoch, ready_at FROM ledger WHERE lead_id = :lead "
                     "ORDER BY position"),
                {"lead": asleep.lead_id},
            )  # fmt: skip
            first, second = rows.all()
    assert (first.state, first.epoch) == ("queued", 1)
    assert abs(first.ready_at - until_) < timedelta(seconds=5)
    # It never had its turn: the first of the lead waits.
    assert (second.state, second.epoch) == ("queued", 0)
    assert len(await world.accepted()) == 1


def profile(message: MessageQueued, timezone: str) -> LeadCreated:
    made: LeadCreated = said(
        message,
        LeadCreated,
        revision=1,
        external_id="x",
        status="active",
        urgency="normal",
        timezone=timezone,
        timezone_from="given",
        stage="new",
        received="{}",
        extra="{}",
    )
    return made
