"""Decides what a lead, a quote request or a missed call means: a new lead or a known one."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime

from intake import facts, folding
from intake.accounts import account_key
from intake.matching import match, newest
from intake.model import (
    ACTIVE,
    QUARANTINED,
    Decision,
    Key,
    Known,
    Lead,
    Prepared,
    Refusal,
    email_key,
    phone_key,
)
from intake.normalize import consent
from intake.normalize.fields import line, text, time, whole
from intake.qualify import Approach, qualify
from intake.summarize import summarize
from leadflow.errors import RecordRefused
from leadflow.records import (
    CallMissed,
    ConsentChanged,
    LeadRecord,
    QuoteRequested,
)
from leadflow.tenants import Tenant

TEMPERATURES = {None: 0, "cold": 1, "warm": 2, "hot": 3}
APPROACHES: dict[str, Approach] = {
    "lead": "lead",
    "quote_request": "quote_request",
    "call_missed": "call_missed",
}


def decide_sighting(known: Known, prepared: Prepared, tenant: Tenant, now: datetime) -> Decision:
    """A lead or quote_request. Raises RecordRefused where the tenant rejects duplicates."""
    sighting, raw = prepared.seen, prepared.raw
    suspect = sighting.score >= tenant.quarantine_threshold
    found = match(known, prepared, suspect=suspect)
    if found is not None and found.rule != "external_id":
        if tenant.duplicate_policy == "reject":
            raise RecordRefused("duplicate", f"the tenant rejects duplicates ({found.rule})")
        if tenant.duplicate_policy == "link":
            found = None
    if found is None:
        return _create(known, prepared, tenant, now)
    before = found.lead
    if suspect and before.status == ACTIVE:
        # Spam in a known person's name teaches nothing about the person.
        after, keys = folding.touched(before, raw.occurred_at), prepared.keys[:1]
    else:
        after = folding.fold(before, sighting, raw, found.rule, _refusals(known, prepared))
        if before.status == QUARANTINED and not suspect:
            after = replace(after, status=ACTIVE, quarantine_reasons=())
        keys = prepared.keys
    records: list[LeadRecord] = []
    if after.status == ACTIVE:
        after, records = _qualified(after, prepared, tenant, now)
    return Decision(
        leads=(after,),
        keys=remember(keys, after),
        records=(
            facts.updated(
                after,
                raw,
                now,
                changed=folding.changes(before, after),
                duplicate_rule=found.rule,
            ),
            *records,
            *(_quote(after, prepared, now) if after.status == ACTIVE and not suspect else ()),
        ),
    )


def decide_call(known: Known, prepared: Prepared, tenant: Tenant, now: datetime) -> Decision:
    """A call_missed: of a known number it is an event of that lead, else it is a new lead."""
    raw = prepared.raw
    callers = [lead for key in prepared.keys for lead in known.by(key) if lead.status == ACTIVE]
    if not callers:
        return _create(known, prepared, tenant, now)
    lead = newest(callers)
    keys = remember(prepared.keys, lead)
    missed = _missed(lead, prepared, now)
    sighting = prepared.seen
    if lead.grant("sms") is not None:
        return Decision(keys=keys, records=(missed,))
    lead = replace(lead, consent=consent.merged(lead.consent, sighting.consent, fill_only=True))
    allowed = ConsentChanged(
        **facts.frame(ConsentChanged, lead.lead_id, lead.owner, raw, now, "sms"),
        channel="sms",
        granted=True,
        address=missed.caller,
        basis="inbound call",
    )
    return Decision(leads=(lead,), keys=keys, records=(missed, allowed))


def _create(known: Known, prepared: Prepared, tenant: Tenant, now: datetime) -> Decision:
    sighting, raw = prepared.seen, prepared.raw
    lead = folding.new_lead(sighting, raw, tenant, _refusals(known, prepared))
    lead = replace(lead, known_since=now)
    records: list[LeadRecord] = [facts.created(lead, raw, now)]
    if lead.status == ACTIVE:
        lead, qualified = _qualified(lead, prepared, tenant, now)
        records += qualified
        records += _quote(lead, prepared, now)
        if raw.kind == "call_missed":
            records.append(_missed(lead, prepared, now))
    return Decision(leads=(lead,), keys=remember(prepared.keys, lead), records=tuple(records))


def _qualified(
    lead: Lead, prepared: Prepared, tenant: Tenant, now: datetime
) -> tuple[Lead, list[LeadRecord]]:
    """LeadQualified for a lead that is new or warmer than before; a summary for hot and warm."""
    raw, sighting = prepared.raw, prepared.seen
    found = qualify(lead, APPROACHES[raw.kind], tenant)
    if TEMPERATURES[found.temperature] <= TEMPERATURES[lead.temperature]:
        return lead, []
    lead = replace(lead, temperature=found.temperature)
    records: list[LeadRecord] = [facts.qualified(lead, found, raw, now)]
    if found.temperature != "cold":
        doubts = any(reason.rule != "missing_consent" for reason in sighting.reasons)
        written = summarize(lead, found, raw.source, tenant, doubts=doubts)
        records.append(facts.summary(lead, found, written, prepared, now))
    return lead, records


def _quote(lead: Lead, prepared: Prepared, now: datetime) -> tuple[QuoteRequested, ...]:
    raw, payload = prepared.raw, prepared.payload
    if raw.kind != "quote_request":
        return ()
    photos = payload.get("photos")
    return (
        QuoteRequested(
            **facts.frame(QuoteRequested, lead.lead_id, lead.owner, raw, now),
            scope=text(payload, "scope"),
            location=line(payload, "location"),
            timeline=line(payload, "timeline"),
            photos=tuple(url for url in photos if isinstance(url, str))
            if isinstance(photos, list)
            else (),
            routing_owner=lead.owner,
            budget=prepared.seen.budget,
        ),
    )


def _missed(lead: Lead, prepared: Prepared, now: datetime) -> CallMissed:
    raw, payload, sighting = prepared.raw, prepared.payload, prepared.seen
    assert sighting.phone is not None
    return CallMissed(
        **facts.frame(CallMissed, lead.lead_id, lead.owner, raw, now),
        caller=sighting.phone,
        tracking_number=line(payload, "tracking_number"),
        called_at=time(payload, "at") or raw.occurred_at,
        callback_status=line(payload, "callback_status"),
        duration_seconds=whole(payload, "duration_seconds"),
    )


def remember(seen: Iterable[Key], lead: Lead) -> tuple[tuple[Key, str], ...]:
    """The event's keys, and those of what the lead is now reached by."""
    keys = set(seen)
    if lead.email is not None:
        keys.add(email_key(lead.tenant_id, lead.email))
    if lead.phone is not None:
        keys.add(phone_key(lead.tenant_id, lead.phone))
    if (account := account_key(lead)) is not None:
        keys.add(account)
    return tuple((key, lead.lead_id) for key in sorted(keys))


def _refusals(known: Known, prepared: Prepared) -> frozenset[Refusal]:
    return known.refusals & frozenset(prepared.addresses())
