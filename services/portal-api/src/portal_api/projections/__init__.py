"""Records into rows, without a database: one file a family of topics."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime

from leadflow import ids, topics
from leadflow.kafka.loop import Received
from leadflow.records import LeadRecord
from portal_api.projections import enrollments, leads, messages, others
from portal_api.projections.rows import Rows

_LEAD_FAMILIES = {
    topics.LEAD_EVENTS.name: leads.project,
    topics.ENROLLMENT_EVENTS.name: enrollments.project,
    topics.MESSAGES.name: messages.project,
    topics.MESSAGE_EVENTS.name: messages.project,
    topics.MESSAGE_REVIEWS.name: messages.project,
}


def project(batch: Iterable[Received]) -> Rows:
    """The rows that a batch of records makes, each row merged to one."""
    into = Rows()
    for message, record in ((each.message, each.record) for each in batch):
        family = _LEAD_FAMILIES.get(message.topic)
        if isinstance(record, LeadRecord) and ids.is_test_lead(record.lead_id):
            messages.project_test(record, into)
        elif family is not None and isinstance(record, LeadRecord):
            family(record, into)
        else:
            received_at = datetime.fromtimestamp(message.timestamp_ms / 1000, UTC)
            others.project(record, received_at, into)
    return into
