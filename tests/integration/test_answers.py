"""A worker takes over a log in which answers lie beside what they answer, in other topics."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from leadflow import ids, topics
from leadflow.kafka.port import Outgoing
from leadflow.records import EnrollmentStopped, EnrollmentStopRequested, LeadCreated

from .sequencing import (
    CODEC,
    Tail,
    Worker,
    created,
    new_group,
    of_lead,
    publish,
    published,
    running,
    sequence,
    step,
)

pytestmark = [pytest.mark.integration, pytest.mark.either_server]

LEADS = 1_000


def stopped_by_hand(lead: LeadCreated) -> Outgoing:
    record = EnrollmentStopRequested(
        event_id=str(uuid4()),
        tenant_id=lead.tenant_id,
        occurred_at=lead.recorded_at,
        recorded_at=lead.recorded_at,
        source="portal-api",
        lead_id=lead.lead_id,
        enrollment_id=ids.enrollment_id(lead.lead_id, f"{lead.tenant_id}.first-touch", 1),
        requested_by="dana",
    )
    return Outgoing(topics.ENROLLMENT_COMMANDS.name, lead.lead_id.encode(), CODEC.encode(record))


def test_a_stop_by_hand_finds_the_enrollment_that_it_is_about(
    kafka_bootstrap: str, tmp_path: Path
) -> None:
    """As after a kill between an enrollment's effects and its row: somebody saw the enrollment
    and stopped it, and the next worker finds neither in its rows, but both in the log."""
    tenant = f"tenant-{uuid4().hex[:8]}"
    group = new_group(kafka_bootstrap, tenant)
    published(kafka_bootstrap, sequence(tenant, step("hello"), step("far", minutes=99)))
    leads = [created(tenant, f"lead-{number}") for number in range(LEADS)]
    publish(kafka_bootstrap, [of_lead(lead) for lead in leads])
    publish(kafka_bootstrap, [stopped_by_hand(lead) for lead in leads])
    worker = Worker(kafka_bootstrap, group, tmp_path)
    stops = Tail(
        kafka_bootstrap,
        [topics.ENROLLMENT_EVENTS.name],
        lambda message: stopped_lead(message, tenant),
        from_start=True,
    )
    with running([worker]):
        try:
            stops.until(lambda seen: set(seen) == {lead.lead_id for lead in leads})
        finally:
            stops.close()
        assert worker.stop() == 0


def stopped_lead(message: Any, tenant: str) -> str | None:
    """The lead whose enrollment ended by hand, if this record says so."""
    record = CODEC.decode(message.value()) if tenant.encode() in message.value() else None
    if isinstance(record, EnrollmentStopped) and record.rule == "manual":
        return record.lead_id
    return None
