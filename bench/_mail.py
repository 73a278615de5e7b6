"""An ordinary e-mail, as the sequencer queues it."""

from __future__ import annotations

from datetime import UTC, datetime
from uuid import uuid4

from leadflow import ids
from leadflow.records import MessageQueued

TENANT = "acme-roofing"


def message(number: int, run: str) -> MessageQueued:
    """An ordinary first e-mail to a lead of its own."""
    now = datetime.now(UTC)
    lead_id = ids.lead_id(TENANT, run, str(number))
    enrollment_id = ids.enrollment_id(lead_id, f"{TENANT}.first-touch", 1)
    return MessageQueued(
        event_id=str(uuid4()),
        tenant_id=TENANT,
        occurred_at=now,
        recorded_at=now,
        source="bench",
        lead_id=lead_id,
        owner="dana",
        message_id=ids.message_id(enrollment_id, "hello"),
        enrollment_id=enrollment_id,
        sequence_id=f"{TENANT}.first-touch",
        step_id="hello",
        channel="email",
        attempt=1,
        recipient=f"{run}-{number}@example.com",
        template_name="first_touch",
        subject="Your {{ service }} request",
        body="Hello {{ first_name }},\n\n"
        + "we read what you wrote and would like to look at it this week. " * 4
        + "\n\nStop these: {{ unsubscribe_url }}",
        variables={"first_name": "Robin", "service": "roof repair", "tenant_name": "Acme Roofing"},
        compliance_note="consent of the form",
        send_state="queued",
        enrolled_at=now,
        stop_on=("reply", "booking"),
        due_at=now,
    )
