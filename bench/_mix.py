"""The records of ordinary leads, as the sequencer gets them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

from leadflow import ids, records, topics
from leadflow.codec import Codec
from leadflow.kafka.confluent import ConfluentProducer
from leadflow.kafka.port import Outgoing
from leadflow.records.common import SequenceStep, Trigger

TENANT = "bench"
SEQUENCE = f"{TENANT}.first-touch"


def definition() -> records.SequencePublished:
    now = datetime.now(UTC)
    return records.SequencePublished(
        event_id=str(uuid4()),
        tenant_id=TENANT,
        occurred_at=now,
        recorded_at=now,
        source="bench",
        sequence_id=SEQUENCE,
        version=1,
        name="First touch",
        description="",
        status="active",
        trigger=Trigger(kind="stage", value="new"),
        trigger_source="any",
        consent_rule="not_opted_out",
        duplicate_rule="one_live_enrollment",
        rollback_path="",
        incident_owner="",
        response_window="5m",
        reentry_rule="never",
        reentry_days=0,
        priority=50,
        stop_on=("reply", "booking"),
        steps=tuple(
            SequenceStep(
                step_id=f"step-{day}",
                channel="email",
                delay_minutes=day * 1440,
                delay_from="enrollment",
                template_name="hello",
                subject="About {{ service }}",
                body="Hello {{ first_name }}, " + "we read what you wrote. " * 20,
            )
            for day in (0, 1, 3, 7)
        ),
    )


def of_one_lead(name: str, number: int) -> Iterator[tuple[str, records.LeadRecord]]:
    now = datetime.now(UTC)
    lead_id = ids.lead_id(TENANT, "website-form", name)
    message_id = ids.message_id(ids.enrollment_id(lead_id, SEQUENCE, 1), "step-0")

    def base() -> dict[str, Any]:
        return {
            "event_id": str(uuid4()),
            "tenant_id": TENANT,
            "occurred_at": now,
            "recorded_at": now,
            "source": "website-form",
            "lead_id": lead_id,
            "owner": "dana.whitfield",
        }

    cause = str(uuid4())
    yield (
        topics.LEAD_EVENTS.name,
        records.LeadCreated(
            **base(),
            cause_id=cause,
            revision=1,
            external_id=name,
            status="active",
            first_name="Ada",
            last_name="Lovelace",
            email=f"{name}@example.com",
            phone="+15125550100",
            service="roof-repair",
            message="It drips.",
            urgency="high",
            timezone="America/Chicago",
            timezone_from="given",
            stage="new",
            received='{"name": "Ada Lovelace"}',
            extra="{}",
        ),
    )
    yield (
        topics.LEAD_EVENTS.name,
        records.LeadQualified(
            **base(),
            cause_id=cause,
            fit=70,
            intent=60,
            temperature="warm",
            next_action="call",
            decided_by="rules",
        ),
    )
    about: dict[str, Any] = {
        "message_id": message_id,
        "sequence_id": SEQUENCE,
        "step_id": "step-0",
        "channel": "email",
        "provider": "sandbox",
    }
    yield (
        topics.MESSAGE_EVENTS.name,
        records.MessageSent(**base(), **about, body_hash="0" * 64, accepted_at=now, epoch=1),
    )
    yield (
        topics.MESSAGE_EVENTS.name,
        records.MessageDelivered(**base(), **about, cause_id=cause),
    )
    if number % 10 == 0:
        yield (
            topics.LEAD_EVENTS.name,
            records.ReplyReceived(**base(), cause_id=cause, channel="email", automatic=False),
        )


def mix(leads: int) -> list[Outgoing]:
    """The records of so many new leads."""
    codec = Codec()
    run = uuid4().hex[:6]
    return [
        Outgoing(topic, record.lead_id.encode(), codec.encode(record))
        for number in range(leads)
        for topic, record in of_one_lead(f"{run}-{number}", number)
    ]


async def produce(bootstrap: str, batch: Sequence[Outgoing]) -> None:
    producer = ConfluentProducer(bootstrap, "bench")
    await producer.send(batch)
    await producer.close()
