"""Records about a lead, made of the raw event that caused them. Their ids follow from its id."""

from __future__ import annotations

from dataclasses import fields
from datetime import datetime
from hashlib import sha256
from typing import Any

from intake.model import Lead, Prepared
from intake.normalize.fields import line
from intake.qualify import Qualification
from intake.summarize import Summary
from leadflow import ids
from leadflow.records import (
    LeadCreated,
    LeadQualified,
    LeadRecord,
    LeadUpdated,
    RawEvent,
    SummaryCreated,
)

BY_RULES = "rules"
# What LeadCreated and LeadUpdated carry of a lead, beside what every record has.
PROFILE = tuple(
    field.name
    for field in fields(LeadCreated)
    if field.name in {each.name for each in fields(Lead)}
    and field.name not in ("tenant_id", "source")
)


def frame(
    kind: type[LeadRecord],
    lead_id: str,
    owner: str | None,
    raw: RawEvent,
    now: datetime,
    *parts: str,
) -> dict[str, Any]:
    """The fields that every lead-event has. `parts` tell several of a kind apart."""
    return {
        "event_id": ids.derived_id(kind.TYPE, raw.tenant_id, raw.event_id, lead_id, *parts),
        "tenant_id": raw.tenant_id,
        "occurred_at": raw.occurred_at,
        "recorded_at": now,
        "source": raw.source,
        "lead_id": lead_id,
        "owner": owner,
        "cause_id": raw.event_id,
    }


def profile(lead: Lead) -> dict[str, Any]:
    """The lead's part of a LeadCreated or a LeadUpdated."""
    return {name: getattr(lead, name) for name in PROFILE}


def created(lead: Lead, raw: RawEvent, now: datetime) -> LeadCreated:
    return LeadCreated(
        **{**frame(LeadCreated, lead.lead_id, lead.owner, raw, now), **profile(lead)}
    )


def updated(
    lead: Lead,
    raw: RawEvent,
    now: datetime,
    *,
    changed: tuple[str, ...] = (),
    duplicate_rule: str | None = None,
) -> LeadUpdated:
    return LeadUpdated(
        **{**frame(LeadUpdated, lead.lead_id, lead.owner, raw, now), **profile(lead)},
        known_since=lead.known_since,
        changed=changed,
        duplicate_rule=duplicate_rule,
    )


def qualified(lead: Lead, found: Qualification, raw: RawEvent, now: datetime) -> LeadQualified:
    return LeadQualified(
        **frame(LeadQualified, lead.lead_id, lead.owner, raw, now),
        fit=found.fit,
        intent=found.intent,
        temperature=found.temperature,
        reasons=found.reasons,
        next_action=found.next_action,
        decided_by=BY_RULES,
    )


def summary(
    lead: Lead, found: Qualification, text: Summary, prepared: Prepared, now: datetime
) -> SummaryCreated:
    raw = prepared.raw
    return SummaryCreated(
        **{**frame(SummaryCreated, lead.lead_id, lead.owner, raw, now), "source": "intake"},
        summary_id=ids.derived_id("summary", lead.lead_id, raw.event_id),
        project_id=line(prepared.payload, "project_id") or raw.tenant_id,
        text=text.text,
        text_hash=sha256(text.text.encode()).hexdigest(),
        risk_flags=text.risk_flags,
        next_action=found.next_action,
        approval_state="pending",
        decided_by=BY_RULES,
    )
