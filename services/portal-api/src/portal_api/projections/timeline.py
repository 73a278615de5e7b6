"""Every record about a lead as a line of its story."""

from __future__ import annotations

from typing import Any

from leadflow.records import LeadRecord
from portal_api.projections.rows import Row

# Kept elsewhere, or columns of their own.
LEFT_OUT = frozenset(
    {
        "event_id", "tenant_id", "lead_id", "occurred_at", "recorded_at", "source",
        "received", "extra", "body", "variables", "stop_on", "ip", "user_agent",
    }
)  # fmt: skip


def line(record: LeadRecord, topic: str) -> Row:
    """The row of `timeline` for one record; what is None or empty is left out of its data."""
    data: dict[str, Any] = {
        name: value
        for name, value in record.to_avro().items()
        if name not in LEFT_OUT and value is not None and value != [] and value != {}
    }
    return {
        "event_id": record.event_id,
        "tenant_id": record.tenant_id,
        "lead_id": record.lead_id,
        "topic": topic,
        "type": record.TYPE,
        "source": record.source,
        "occurred_at": record.occurred_at,
        "recorded_at": record.recorded_at,
        "data": data,
    }
