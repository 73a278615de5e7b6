"""raw-events, dead letters, sequences, controls, suppressions and summaries."""

from __future__ import annotations

from datetime import datetime

from leadflow import ids
from leadflow.addresses import address_key
from leadflow.kafka.replay import place_of
from leadflow.records import (
    AccountStatusChanged,
    AutomationPaused,
    AutomationResumed,
    DeadLetterReviewed,
    RawEvent,
    Record,
    SequencePublished,
    SummaryCreated,
    SummaryReviewed,
    SuppressionChanged,
    SyncRunRecorded,
)
from portal_api.decode import Buried, Unreadable
from portal_api.projections import integrations
from portal_api.projections.leads import OUTCOME_RANKS
from portal_api.projections.rows import Rows
from portal_api.projections.tables import (
    CONTROLS,
    DEAD_LETTER_REVIEWS,
    DEAD_LETTERS,
    RAW_EVENTS,
    SEQUENCES,
    SUMMARIES,
    SUPPRESSIONS,
)

# A provider's answers about our messages: the dispatcher's, and no lead that came in.
CALLBACK_KINDS = frozenset({"delivered", "opened", "clicked", "bounced", "complained"})
# No source of leads that may fall silent, nor what crm-sync found changed in a CRM.
NO_SOURCES = CALLBACK_KINDS | {"crm_change"}


def raw_event(record: RawEvent | Unreadable, received_at: datetime, into: Rows) -> None:
    """Count what came in; `received_at` is the broker's time."""
    if isinstance(record, Unreadable):
        into.put(
            RAW_EVENTS,
            tenant_id=record.tenant_id,
            event_id=record.event_id,
            received_at=received_at,
        )
    elif record.kind not in NO_SOURCES:
        into.put(
            RAW_EVENTS,
            tenant_id=record.tenant_id,
            event_id=record.event_id,
            kind=record.kind,
            source=record.source,
            external_id=record.external_id,
            received_at=received_at,
        )


def buried(record: Buried, into: Rows) -> None:
    """Count a dead letter, once for the raw event that it was."""
    into.put(
        DEAD_LETTERS,
        topic=record.topic,
        partition=record.partition,
        offset=record.offset,
        tenant_id=record.tenant_id,
        event_id=record.event_id,
        service=record.service,
        origin_topic=record.origin_topic,
        origin_partition=record.origin_partition,
        origin_offset=record.origin_offset,
        error=record.error,
        reason=record.reason,
        at=record.occurred_at,
        cause=record.cause,
        was=record.was,
        stuck=record.stuck,
        replay_of=record.replay_of or None,
    )
    if record.service == "intake":
        into.put(
            RAW_EVENTS,
            tenant_id=record.tenant_id,
            event_id=record.event_id,
            outcome="dlq",
            outcome_rank=OUTCOME_RANKS["dlq"],
        )


def reviewed(record: DeadLetterReviewed, into: Rows) -> None:
    """The last word on a dead letter, and all of them beside it."""
    topic, partition, offset = place_of(record.letter_id)
    into.put(
        DEAD_LETTERS,
        topic=topic,
        partition=partition,
        offset=offset,
        tenant_id=record.tenant_id,
        state=record.action,
        reviewed_at=record.occurred_at,
        reviewed_by=record.reviewed_by,
        review_reason=record.reason or "",
        run_id=record.run_id,
    )
    into.put(
        DEAD_LETTER_REVIEWS,
        event_id=record.event_id,
        topic=topic,
        partition=partition,
        offset=offset,
        action=record.action,
        at=record.occurred_at,
        reviewed_by=record.reviewed_by,
        reason=record.reason,
        chosen=record.filter,
        run_id=record.run_id,
    )


def sequence(record: SequencePublished, into: Rows) -> None:
    into.put(
        SEQUENCES,
        sequence_id=record.sequence_id,
        version=record.version,
        tenant_id=record.tenant_id,
        name=record.name,
        status=record.status,
        definition=record.to_avro(),
        published_at=record.occurred_at,
    )


def control(record: AutomationPaused | AutomationResumed, into: Rows) -> None:
    paused = isinstance(record, AutomationPaused)
    by = record.paused_by if isinstance(record, AutomationPaused) else record.resumed_by
    into.put(
        CONTROLS,
        scope=record.scope,
        tenant_id=record.tenant_id,
        paused=paused,
        reason=record.reason,
        changed_by=by,
        at=record.occurred_at,
    )


def suppression(record: SuppressionChanged, into: Rows) -> None:
    """The later change counts, at the same moment the suppression (ADR 20). The log has entries
    in other forms of an address than the one that is compared: they are this one's."""
    entry, address = record.suppression_id, address_key(record.channel, record.address)
    if address != record.address:
        entry = ids.suppression_id(record.tenant_id, record.channel, address, record.reason)
    into.put(
        SUPPRESSIONS,
        suppression_id=entry,
        tenant_id=record.tenant_id,
        channel=record.channel,
        address=address,
        reason=record.reason,
        active=record.active,
        source=record.source,
        changed_by=record.changed_by,
        note=record.note,
        evidence=record.evidence,
        cause_id=record.cause_id,
        changed_at=record.occurred_at,
        rank=2 * round(record.occurred_at.timestamp() * 1000) + record.active,
    )


def summary(record: SummaryCreated | SummaryReviewed, into: Rows) -> None:
    if isinstance(record, SummaryCreated):
        into.put(
            SUMMARIES,
            summary_id=record.summary_id,
            tenant_id=record.tenant_id,
            project_id=record.project_id,
            lead_id=record.lead_id,
            owner=record.owner,
            text=record.text,
            text_hash=record.text_hash,
            risk_flags=list(record.risk_flags),
            next_action=record.next_action,
            decided_by=record.decided_by,
            created_at=record.occurred_at,
        )
        return
    into.put(
        SUMMARIES,
        summary_id=record.summary_id,
        tenant_id=record.tenant_id,
        project_id=record.project_id,
        lead_id=record.lead_id,
        decision=record.decision,
        covered_hash=record.text_hash,
        approved_text=record.text if record.decision != "rejected" else None,
        reviewer=record.reviewer,
        reason=record.reason,
        reviewed_at=record.occurred_at,
    )


def project(record: Record, received_at: datetime, into: Rows) -> None:
    """Add what any record that is not about enrollments, messages or lead-events says."""
    match record:
        case RawEvent() | Unreadable():
            raw_event(record, received_at, into)
        case Buried():
            buried(record, into)
        case DeadLetterReviewed():
            reviewed(record, into)
        case SequencePublished():
            sequence(record, into)
        case AutomationPaused() | AutomationResumed():
            control(record, into)
        case SuppressionChanged():
            suppression(record, into)
        case SummaryCreated() | SummaryReviewed():
            summary(record, into)
        case AccountStatusChanged():
            integrations.account(record, into)
        case SyncRunRecorded():
            integrations.run(record, into)
