"""The dispatcher's mails find their thread, from its ledger and from what the lead wrote."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from leadflow import ids
from leadflow.records import ReplyReceived

from .dispatching import World, a_world, callback, queued, said

pytestmark = [pytest.mark.integration, pytest.mark.either_server]


GIVEN = "<0102019a@eu-west-1.amazonses.example>"


@pytest.fixture
async def world(
    kafka_bootstrap: str, admin_url: str, secret: str, tmp_path: Path
) -> AsyncIterator[World]:
    async with a_world(kafka_bootstrap, admin_url, secret, tmp_path) as made:
        yield made


async def test_a_follow_up_refers_to_what_was_sent_and_answers_what_the_lead_wrote(
    world: World,
) -> None:
    lead_id = ids.lead_id(world.tenant, "test", "maria")

    def step(number: int, subject: str) -> Any:
        return queued(
            world.tenant,
            f"maria{number}",
            lead_id=lead_id,
            step_id=f"step-{number}",
            subject=subject,
            stop_on=("booking",),
        )

    first, second, third = step(1, "Your roof"), step(2, "Re: Your roof"), step(3, "Friday?")
    stranger = queued(world.tenant, "stranger")
    automatic = {"automatic": True, "mail_id": "<ooo@example.com>"}
    async with world.running():
        await world.publish(first, stranger)
        await world.becomes(first, "MessageSent")
        await world.publish(
            second, said(first, ReplyReceived, channel="email", message_id=None, **automatic)
        )
        await world.becomes(second, "MessageSent")
        # Its provider gave it another Message-ID: that is what the recipient's program knows.
        delivered = callback(first, "delivered", message_id=first.message_id, mail_id=GIVEN)
        await world.report(delivered)
        await world.becomes(first, "MessageDelivered")
        wrote = said(
            first,
            ReplyReceived,
            channel="email",
            message_id=second.message_id,
            automatic=False,
            mail_id="<1@example.com>",
            mail_subject="Re: Your roof",
        )
        await world.publish(wrote)
        # Queued twice, and again after the lead wrote: the bytes that were made stay.
        await world.publish(third, second, third)
        await world.becomes(third, "MessageSent")
        await world.becomes(stranger, "MessageSent")
    ours = {
        each.message_id: f"<{each.message_id}@mail.leadflow.example>" for each in (first, second)
    }
    sent = {entry["key"]: entry for entry in await world.accepted()}
    assert len(sent) == 4

    async def mail(message: Any) -> dict[str, Any]:
        whole = await world.sandbox.get(f"/accepted/{sent[message.message_id]['id']}")
        found: dict[str, Any] = whole.json()
        return found

    def thread(found: dict[str, Any]) -> tuple[str | None, str | None]:
        return found["headers"].get("In-Reply-To"), found["headers"].get("References")

    one, two, three = await mail(first), await mail(second), await mail(third)
    assert thread(one) == (None, None)
    assert thread(two) == (ours[first.message_id], ours[first.message_id])
    assert two["subject"] == "Your roof"
    assert thread(three) == (
        "<1@example.com>",
        f"{GIVEN} {ours[second.message_id]} <1@example.com>",
    )
    assert three["subject"] == "Re: Your roof"
    assert thread(await mail(stranger)) == (None, None)
    assert one["headers"]["Reply-To"] != two["headers"]["Reply-To"]
