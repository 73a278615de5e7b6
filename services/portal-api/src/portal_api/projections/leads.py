"""lead-events into leads, consents, stages, replies, and what became of each raw event."""

from __future__ import annotations

from typing import Any

from leadflow.records import (
    ConsentChanged,
    CrmChangeSettled,
    LeadCreated,
    LeadMerged,
    LeadQualified,
    LeadRecord,
    LeadUpdated,
    ReplyReceived,
    StageChanged,
)
from portal_api.projections import crm_changes
from portal_api.projections.rows import Rows
from portal_api.projections.tables import (
    CONSENTS,
    LEADS,
    MESSAGES,
    RAW_EVENTS,
    REPLIES,
    STAGE_MOVES,
)

# What one raw event led to; of several lead-events with one cause the highest rank says it.
OUTCOME_RANKS = {"dlq": 0, "normalized": 1, "merged": 2, "quarantined": 3}


def outcome(record: LeadRecord) -> str:
    """What a lead-event says about the raw event that caused it."""
    if isinstance(record, LeadCreated) and record.status == "quarantined":
        return "quarantined"
    if isinstance(record, LeadUpdated) and record.duplicate_rule:
        return "merged"
    return "normalized"


def project(record: LeadRecord, into: Rows) -> None:
    """Add what a record of lead-events says."""
    _account(record, into)
    match record:
        case LeadCreated() | LeadUpdated():
            _profile(record, into)
        case LeadQualified():
            into.put(
                LEADS,
                **_lead(record),
                fit=record.fit,
                intent=record.intent,
                temperature=record.temperature,
                qualification=[reason.to_avro() for reason in record.reasons],
                next_action=record.next_action,
                qualified_at=record.occurred_at,
            )
        case StageChanged():
            into.put(LEADS, **_lead(record), stage=record.to_stage, stage_revision=record.revision)
            into.put(
                STAGE_MOVES,
                event_id=record.event_id,
                tenant_id=record.tenant_id,
                lead_id=record.lead_id,
                from_stage=record.from_stage,
                to_stage=record.to_stage,
                at=record.occurred_at,
            )
        case LeadMerged():
            into.put(LEADS, **_lead(record))
            into.put(
                LEADS,
                lead_id=record.merged_lead_id,
                tenant_id=record.tenant_id,
                merged_into=record.lead_id,
            )
        case ConsentChanged():
            into.put(
                CONSENTS,
                lead_id=record.lead_id,
                channel=record.channel,
                tenant_id=record.tenant_id,
                granted=record.granted,
                basis=record.basis or record.keyword,
                at=record.occurred_at,
                as_of=record.recorded_at,
            )
        case ReplyReceived():
            _reply(record, into)
        case CrmChangeSettled():
            into.put(LEADS, **_lead(record))
            crm_changes.settled(record, into)
        case _:
            into.put(LEADS, **_lead(record))


def _lead(record: LeadRecord) -> dict[str, Any]:
    return {
        "lead_id": record.lead_id,
        "tenant_id": record.tenant_id,
        "owner": record.owner,
        "updated_at": record.recorded_at,
    }


def _profile(record: LeadCreated | LeadUpdated, into: Rows) -> None:
    created = isinstance(record, LeadCreated)
    into.put(
        LEADS,
        **_lead(record),
        # A later sighting may come from elsewhere: only the first one names the lead.
        source=record.source if created else None,
        external_id=record.external_id if created else None,
        revision=record.revision,
        stage=record.stage,
        stage_revision=record.revision,
        status=record.status,
        quarantine_reasons=[reason.to_avro() for reason in record.quarantine_reasons],
        first_name=record.first_name,
        last_name=record.last_name,
        email=record.email,
        phone=record.phone,
        company=record.company,
        title=record.title,
        address=None if record.address is None else record.address.to_avro(),
        service=record.service,
        message=record.message,
        urgency=record.urgency,
        budget=None if record.budget is None else record.budget.to_avro(),
        timezone=record.timezone,
        timezone_from=record.timezone_from,
        language=record.language,
        attribution=None if record.attribution is None else record.attribution.to_avro(),
        received=record.received,
        extra=record.extra,
        created_at=record.occurred_at,
    )
    for grant in record.consent:
        into.put(
            CONSENTS,
            lead_id=record.lead_id,
            channel=grant.channel,
            tenant_id=record.tenant_id,
            granted=grant.granted,
            basis=grant.basis,
            at=grant.at or record.occurred_at,
            as_of=record.recorded_at,
        )


def _reply(record: ReplyReceived, into: Rows) -> None:
    into.put(LEADS, **_lead(record))
    into.put(
        REPLIES,
        event_id=record.event_id,
        tenant_id=record.tenant_id,
        lead_id=record.lead_id,
        message_id=record.message_id,
        channel=record.channel,
        at=record.occurred_at,
        text=record.text,
        automatic=record.automatic,
    )
    if record.message_id and not record.automatic:
        into.put(
            MESSAGES,
            message_id=record.message_id,
            tenant_id=record.tenant_id,
            lead_id=record.lead_id,
            replied_at=record.occurred_at,
            updated_at=record.recorded_at,
        )


def _account(record: LeadRecord, into: Rows) -> None:
    cause = getattr(record, "cause_id", "")
    if not cause:
        return
    became = outcome(record)
    into.put(
        RAW_EVENTS,
        tenant_id=record.tenant_id,
        event_id=cause,
        outcome=became,
        outcome_rank=OUTCOME_RANKS[became],
        lead_id=record.lead_id,
        created_lead_id=record.lead_id if isinstance(record, LeadCreated) else None,
    )
