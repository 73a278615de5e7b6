"""A lead as a row of the database and back; its profile passes through the codec."""

from __future__ import annotations

from datetime import datetime

from intake import facts, field_times
from intake.model import Lead
from intake.store import LeadRow
from leadflow.codec import Codec
from leadflow.records import LeadUpdated


def to_row(lead: Lead, codec: Codec, now: datetime) -> LeadRow:
    snapshot = LeadUpdated(
        event_id="",
        tenant_id=lead.tenant_id,
        occurred_at=lead.seen_at,
        recorded_at=now,
        source=lead.source,
        cause_id="",
        known_since=lead.known_since,
        **facts.profile(lead),
    )
    return LeadRow(
        lead_id=lead.lead_id,
        tenant_id=lead.tenant_id,
        source=lead.source,
        revision=lead.revision,
        status=lead.status,
        stage=lead.stage,
        temperature=lead.temperature,
        seen_at=lead.seen_at,
        snapshot=codec.encode(snapshot),
        field_times=field_times.to_json(lead),
    )


def from_row(row: LeadRow, codec: Codec) -> Lead:
    record = codec.decode(row.snapshot)
    if not isinstance(record, LeadUpdated):
        raise TypeError(f"the snapshot of a lead is a {record.TYPE}")
    set_at, told_at = field_times.from_json(row.field_times)
    return Lead(
        tenant_id=row.tenant_id,
        source=row.source,
        temperature=row.temperature,
        seen_at=row.seen_at,
        # One of an older program does not say; when it was written the lead was known.
        known_since=record.known_since or record.recorded_at,
        set_at=set_at,
        told_at=told_at,
        **{name: getattr(record, name) for name in facts.PROFILE},
    )
