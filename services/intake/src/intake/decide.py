"""What a raw event means: a pure function of what is known, the event, the tenant and the time."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

from intake import facts, field_times, stages
from intake.answers import decide_reply
from intake.consents import decide_opt
from intake.crm_settling import decide_crm_change
from intake.matching import found, newest
from intake.model import Decision, Known, Lead, Prepared
from intake.normalize.fields import line, time
from intake.returning import remind
from intake.sightings import decide_call, decide_sighting
from leadflow.errors import RecordRefused
from leadflow.records import (
    BookingMade,
    JobCompleted,
    Metric,
    ProviderEnriched,
    StageChanged,
)
from leadflow.tenants import Tenant

STALE_AFTER = timedelta(days=7)
MAPPING_STATES = ("mapped", "unmapped", "conflict")


def decide(known: Known, prepared: Prepared, tenant: Tenant, now: datetime) -> Decision:
    """What changes and what is published. Raises RecordRefused for what can never be done."""
    decision = field_times.stamped(_decide(known, prepared, tenant, now), known, prepared)
    return remind(decision, known, prepared, tenant, now)


def _decide(known: Known, prepared: Prepared, tenant: Tenant, now: datetime) -> Decision:
    match prepared.raw.kind:
        case "lead" | "quote_request":
            return decide_sighting(known, prepared, tenant, now)
        case "call_missed":
            return decide_call(known, prepared, tenant, now)
        case "stage_change":
            return _stage_change(known, prepared, tenant, now)
        case "crm_change":
            return decide_crm_change(known, prepared, tenant, now)
        case "reply":
            return decide_reply(known, prepared, tenant, now)
        case "opt_out" | "opt_in":
            return decide_opt(known, prepared, now)
        case "booking" | "job_completed":
            return _appointment(known, prepared, now)
        case "enrichment":
            return _enrichment(known, prepared, now)
        case _:
            raise RecordRefused("unknown_kind", "no such kind of raw event")


def _one(known: Known, prepared: Prepared) -> Lead:
    leads = found(known, prepared)
    if not leads:
        raise RecordRefused("unknown_lead", f"{prepared.raw.kind} of nobody known")
    return newest(leads)


def _stage_change(known: Known, prepared: Prepared, tenant: Tenant, now: datetime) -> Decision:
    raw, payload = prepared.raw, prepared.payload
    lead = _one(known, prepared)
    to = stages.named(line(payload, "to"))
    reason = line(payload, "reason")
    if to not in tenant.pipeline:
        raise RecordRefused("unknown_stage", "the tenant's pipeline has no such stage")
    before = lead.stage
    lead = replace(lead, revision=lead.revision + 1)
    # Said twice, or before people said another in a CRM: accounted for, and nothing that could
    # trigger anything.
    if to == before or lead.set_in_crm_since("stage", raw.occurred_at):
        return Decision(leads=(lead,), records=(facts.updated(lead, raw, now),))
    if not stages.allowed(tenant.pipeline, before, to):
        raise RecordRefused("stage_transition", f"{before} does not lead to {to}")
    if to == stages.LOST and reason is None:
        raise RecordRefused("lost_without_reason", "a lead is lost for a reason")
    lead = replace(lead, stage=to)
    changed = StageChanged(
        **facts.frame(StageChanged, lead.lead_id, lead.owner, raw, now),
        revision=lead.revision,
        from_stage=before,
        to_stage=to,
        reason=reason,
        changed_by=line(payload, "by"),
    )
    return Decision(leads=(lead,), records=(changed,))


def _appointment(known: Known, prepared: Prepared, now: datetime) -> Decision:
    raw, payload = prepared.raw, prepared.payload
    lead = _one(known, prepared)
    at = time(payload, "at")
    title, location = line(payload, "title"), line(payload, "location")
    outcome = line(payload, "outcome")
    if raw.kind == "booking":
        booked = BookingMade(
            **facts.frame(BookingMade, lead.lead_id, lead.owner, raw, now),
            starts_at=at,
            title=title,
            location=location,
            outcome=outcome,
        )
        return Decision(records=(booked,))
    done = JobCompleted(
        **facts.frame(JobCompleted, lead.lead_id, lead.owner, raw, now),
        completed_at=at or raw.occurred_at,
        title=title,
        location=location,
        outcome=outcome,
    )
    return Decision(records=(done,))


def _enrichment(known: Known, prepared: Prepared, now: datetime) -> Decision:
    """Numbers of a provider, about a lead or, where none is named, about the tenant."""
    raw, payload = prepared.raw, prepared.payload
    lead = _one(known, prepared) if prepared.keys else None
    fresh_at = time(payload, "fresh_at")
    state = line(payload, "mapping_state")
    if state not in MAPPING_STATES:
        state = "unmapped" if lead is None else "mapped"
    given = payload.get("metrics")
    lead_id = raw.tenant_id if lead is None else lead.lead_id
    owner = None if lead is None else lead.owner
    enriched = ProviderEnriched(
        **facts.frame(ProviderEnriched, lead_id, owner, raw, now),
        provider=line(payload, "provider") or "",
        batch_id=line(payload, "batch_id"),
        fresh_at=fresh_at,
        metrics=tuple(
            metric
            for entry in (given if isinstance(given, list) else ())
            if (metric := _metric(entry)) is not None
        ),
        mapping_state=state,
        stale=fresh_at is None or raw.occurred_at - fresh_at > STALE_AFTER,
    )
    return Decision(records=(enriched,))


def _metric(entry: object) -> Metric | None:
    if not isinstance(entry, dict):
        return None
    name, value = line(entry, "name"), entry.get("value")
    if name is None or isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    return Metric(
        name=name, value=float(value), unit=line(entry, "unit"), period=line(entry, "period")
    )
