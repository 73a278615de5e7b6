"""A new lead made of a sighting, and a known lead with a further sighting folded in."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import fields, replace
from datetime import datetime
from typing import Any, TypeVar
from uuid import UUID

from intake.model import ACTIVE, QUARANTINED, Lead, Refusal, Sighting
from intake.normalize import consent
from intake.normalize.timezones import RANK
from leadflow import ids
from leadflow.records import Address, Attribution, RawEvent
from leadflow.tenants import Tenant

NEWEST_WINS = ("company", "title", "service", "message", "urgency", "budget", "language")
NOT_COMPARED = frozenset({"revision", "seen_at", "received", "extra", "temperature", "known_since"})
NOT_COMPARED |= {"set_at", "told_at"}

Parts = TypeVar("Parts", Address, Attribution)


def new_lead(
    sighting: Sighting, raw: RawEvent, tenant: Tenant, refusals: Iterable[Refusal]
) -> Lead:
    """The lead of a first sighting: active, or quarantined when too much speaks against it."""
    quarantined = sighting.score >= tenant.quarantine_threshold
    lead_id = ids.lead_id(raw.tenant_id, raw.source, raw.external_id)
    stage = sighting.stage if sighting.stage in tenant.pipeline else None
    return Lead(
        lead_id=lead_id,
        tenant_id=raw.tenant_id,
        source=raw.source,
        external_id=raw.external_id,
        revision=1,
        status=QUARANTINED if quarantined else ACTIVE,
        seen_at=raw.occurred_at,
        quarantine_reasons=sighting.reasons if quarantined else (),
        first_name=sighting.first_name,
        last_name=sighting.last_name,
        email=sighting.email,
        phone=sighting.phone,
        company=sighting.company,
        title=sighting.title,
        address=sighting.address,
        service=sighting.service,
        message=sighting.message,
        urgency=sighting.urgency or "normal",
        budget=sighting.budget,
        timezone=sighting.timezone,
        timezone_from=sighting.timezone_from,
        language=sighting.language or tenant.language,
        attribution=sighting.attribution,
        consent=consent.withdrawn(
            consent.merged((), sighting.consent, fill_only=False),
            {refusal.channel for refusal in refusals},
            raw.occurred_at,
        ),
        stage=stage or tenant.pipeline[0],
        owner=sighting.owner or owner_of(lead_id, tenant),
        received=sighting.received,
        extra=sighting.extra,
    )


def owner_of(lead_id: str, tenant: Tenant) -> str | None:
    """One of the tenant's people, in equal shares, always the same for a lead."""
    if not tenant.owners:
        return None
    return tenant.owners[UUID(lead_id).int % len(tenant.owners)]


def fold(
    lead: Lead, sighting: Sighting, raw: RawEvent, rule: str, refusals: Iterable[Refusal]
) -> Lead:
    """The lead with what a further sighting says; the revision grows by one.

    - Name, e-mail, phone and owner are corrected only by the same record of the same source
      (rule external_id); another source's sighting fills what is missing.
    - Service, message, urgency, budget, company, title, address and language: the newest wins.
    - Attribution: the first touch stays, gaps are filled.
    - A sighting older than what is known fills gaps and nothing else; nor does one touch what
      people have set in a CRM since.
    - The stage is not touched: only a stage_change moves it.
    """
    late = raw.occurred_at < lead.seen_at
    corrects = rule == "external_id" and not late
    values: dict[str, Any] = {}
    if corrects or not (lead.first_name or lead.last_name):
        values |= _given(sighting, ("first_name", "last_name"))
    values |= _given(
        sighting, [name for name in ("email", "phone") if corrects or not getattr(lead, name)]
    )
    if _same_mailbox(lead.email, values.get("email")):
        del values["email"]
    if sighting.owner and (corrects or lead.owner is None):
        values["owner"] = sighting.owner
    values |= _given(
        sighting, [name for name in NEWEST_WINS if not late or not getattr(lead, name)]
    )
    values = {
        name: value
        for name, value in values.items()
        if not lead.set_in_crm_since(name, raw.occurred_at)
    }
    values["address"] = _joined(lead.address, sighting.address, keep=late)
    values["attribution"] = _joined(lead.attribution, sighting.attribution, keep=True)
    if _zone_is_better(lead, sighting, values, late):
        values |= {"timezone": sighting.timezone, "timezone_from": sighting.timezone_from}
    values["consent"] = consent.withdrawn(
        consent.merged(lead.consent, sighting.consent, fill_only=late),
        {refusal.channel for refusal in refusals},
        raw.occurred_at,
    )
    if not late:
        values |= {"received": sighting.received, "extra": sighting.extra}
    return replace(
        lead, **values, revision=lead.revision + 1, seen_at=max(lead.seen_at, raw.occurred_at)
    )


def touched(lead: Lead, at: datetime) -> Lead:
    """The lead, seen again with nothing to learn from it."""
    return replace(lead, revision=lead.revision + 1, seen_at=max(lead.seen_at, at))


def changes(before: Lead, after: Lead) -> tuple[str, ...]:
    """Names of the profile's fields that differ."""
    return tuple(
        field.name
        for field in fields(Lead)
        if field.name not in NOT_COMPARED
        and getattr(before, field.name) != getattr(after, field.name)
    )


def _given(sighting: Sighting, names: Iterable[str]) -> dict[str, Any]:
    return {name: value for name in names if (value := getattr(sighting, name)) is not None}


def _same_mailbox(known: str | None, seen: str | None) -> bool:
    return known is not None and seen is not None and known.casefold() == seen.casefold()


def _joined(known: Parts | None, seen: Parts | None, *, keep: bool) -> Parts | None:
    """Both, field by field; `keep` decides whose value stands where both have one."""
    if known is None or seen is None:
        return known or seen
    values = {field.name: getattr(seen, field.name) for field in fields(seen)}
    return replace(
        known,
        **{
            name: value
            for name, value in values.items()
            if value is not None and not (keep and getattr(known, name) is not None)
        },
    )


def _zone_is_better(lead: Lead, sighting: Sighting, values: dict[str, Any], late: bool) -> bool:
    new, old = RANK[sighting.timezone_from], RANK[lead.timezone_from]
    if sighting.timezone_from == "phone" and (values.get("phone") or lead.phone) != sighting.phone:
        return False  # the zone of a number that was not taken over
    return new > old or (new == old and not late)
