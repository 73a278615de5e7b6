"""Decides what people changed in a CRM: field by field, whose value stands.

| the CRM's value | stands | rule |
|---|---|---|
| is the log's | - | equal |
| of a lead in quarantine | no | quarantined |
| is no stage of the tenant's / cannot be read | no | unknown_stage / unusable |
| is older than what a CRM has told of the field since | no | newest_wins |
| is a stage that the lead's does not lead to | no | stage_transition |
| is an owner | yes | crm_wins_for_owner |
| replaced what the log has had since before | yes | only_crm_changed |
| is another than the log's, which changed too | if newer | newest_wins |

Whatever stands in the end is written back by crm-sync, so that both have the same.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import datetime
from typing import NamedTuple

from intake import facts, folding, stages
from intake.model import (
    QUARANTINED,
    CrmChange,
    Decision,
    Key,
    Known,
    Lead,
    Prepared,
    Told,
    address_key,
)
from intake.normalize import consent
from intake.normalize.timezones import RANK, timezone
from intake.sightings import remember
from leadflow.errors import RecordRefused
from leadflow.records import CrmChangeSettled, FieldSettled, LeadRecord, RawEvent, StageChanged
from leadflow.tenants import Tenant

TAKEN, KEPT, SAME = "taken", "kept", "same"


class Verdict(NamedTuple):
    """What becomes of a value: taken, kept (the log's) or same, and the rule that says so."""

    outcome: str
    rule: str
    conflict: bool = False


def decide_crm_change(known: Known, prepared: Prepared, tenant: Tenant, now: datetime) -> Decision:
    """LeadUpdated and StageChanged for what is taken, and always one CrmChangeSettled."""
    raw, crm = prepared.raw, prepared.changed
    leads = known.by(prepared.keys[0])
    if not leads:
        raise RecordRefused("unknown_lead", "crm_change of nobody known")
    before = leads[0]
    verdicts = {told.field: settle(before, told, tenant) for told in crm.fields}
    taken = {name: crm.value(name) for name, each in verdicts.items() if each.outcome == TAKEN}
    stage = taken.pop("stage", None)
    same = [told for told in crm.fields if verdicts[told.field].outcome == SAME]
    lead = replace(
        before,
        set_at=_newest(before.set_at, same),  # set there as well
        told_at=_newest(before.told_at, crm.fields),
    )
    records: list[LeadRecord] = []
    keys: tuple[tuple[Key, str], ...] = ()
    if taken:
        lead = _corrected(lead, taken, known, prepared, tenant)
        records.append(facts.updated(lead, raw, now, changed=folding.changes(before, lead)))
        keys = remember((), lead)
    if stage is not None:
        lead = replace(lead, stage=stage, revision=lead.revision + 1)
        records.append(_moved(lead, before.stage, crm, raw, now))
    settled = CrmChangeSettled(
        **facts.frame(CrmChangeSettled, lead.lead_id, lead.owner, raw, now),
        revision=lead.revision,
        account_id=crm.account_id,
        provider=crm.provider,
        fields=tuple(_field(before, told, verdicts[told.field]) for told in crm.fields),
    )
    return Decision(leads=(lead,), keys=keys, records=(*records, settled))


def settle(lead: Lead, told: Told, tenant: Tenant) -> Verdict:
    """Whose value of a field stands."""
    log = getattr(lead, told.field)
    if told.value is not None and _alike(told.field, told.value, log):
        return Verdict(SAME, "equal")
    if lead.status == QUARANTINED:
        return Verdict(KEPT, "quarantined", conflict=True)
    if told.value is None:
        rule = "unknown_stage" if told.field == "stage" else "unusable"
        return Verdict(KEPT, rule, conflict=True)
    newest = lead.told_at.get(told.field)
    if newest is not None and told.at < newest:
        return Verdict(KEPT, "newest_wins")  # people have changed their own mind
    if told.field == "stage" and not stages.allowed(tenant.pipeline, lead.stage, told.value):
        return Verdict(KEPT, "stage_transition", conflict=True)
    log_at = lead.set_at.get(told.field)
    # What has its old value again, or was written over what the CRM tells of late, did change.
    unchanged = _alike(told.field, told.was, log) and (log_at is None or told.at >= log_at)
    if told.field == "owner":
        return Verdict(TAKEN, "crm_wins_for_owner", conflict=not unchanged)
    if unchanged:
        return Verdict(TAKEN, "only_crm_changed")
    newer = log_at is None or told.at > log_at
    return Verdict(TAKEN if newer else KEPT, "newest_wins", conflict=True)


def _alike(name: str, one: str | None, other: str | None) -> bool:
    """CRMs write addresses in small letters: that is no change."""
    if name == "email" and one is not None and other is not None:
        return one.casefold() == other.casefold()
    return one == other


def _newest(known: Mapping[str, datetime], told: Iterable[Told]) -> dict[str, datetime]:
    newer = {each.field: max(each.at, known.get(each.field, each.at)) for each in told}
    return {**known, **newer}


def _corrected(
    lead: Lead,
    taken: Mapping[str, str | None],
    known: Known,
    prepared: Prepared,
    tenant: Tenant,
) -> Lead:
    """The lead with what was taken: its refusals are those of its new addresses too, and its zone
    that of its new number."""
    at = prepared.raw.occurred_at
    values = dict(taken)
    if "phone" in taken:
        zone, zone_from = timezone(None, taken["phone"], tenant.timezone, at)
        if zone_from == "phone" and RANK[zone_from] >= RANK[lead.timezone_from]:
            values |= {"timezone": zone, "timezone_from": zone_from}
    lead = replace(lead, **values, revision=lead.revision + 1)  # type: ignore[arg-type]
    refused = {
        each.channel
        for each in known.refusals
        if (own := lead.address_for(each.channel)) is not None
        and address_key(lead.tenant_id, each.channel, own).value == each.address
    }
    return replace(lead, consent=consent.withdrawn(lead.consent, refused, at))


def _moved(lead: Lead, before: str, crm: CrmChange, raw: RawEvent, now: datetime) -> StageChanged:
    reason = crm.reason
    if lead.stage == stages.LOST and reason is None:
        reason = f"marked lost in {crm.provider}"
    return StageChanged(
        **facts.frame(StageChanged, lead.lead_id, lead.owner, raw, now),
        revision=lead.revision,
        from_stage=before,
        to_stage=lead.stage,
        reason=reason,
        changed_by=f"crm:{crm.provider}",
    )


def _field(lead: Lead, told: Told, verdict: Verdict) -> FieldSettled:
    return FieldSettled(
        field=told.field,
        outcome=verdict.outcome,
        rule=verdict.rule,
        conflict=verdict.conflict,
        crm_value=told.said if told.value is None else told.value,
        log_value=getattr(lead, told.field),
        crm_at=told.at,
        log_at=lead.set_at.get(told.field),
    )
