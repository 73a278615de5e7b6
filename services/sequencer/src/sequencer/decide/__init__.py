"""What follows from an event or from time passing, for one lead.

Pure: no Kafka, no clock, no randomness. `now` is handed in, ids are derived from the ids of
their causes, so deciding the same again yields the same effects.
"""

from __future__ import annotations

from datetime import datetime

from leadflow import ids
from leadflow.records import (
    AccountReplied,
    BookingMade,
    CallMissed,
    ConsentChanged,
    EnrollmentMigrateRequested,
    EnrollmentPauseRequested,
    EnrollmentResumeRequested,
    EnrollmentStopRequested,
    EnrollRequested,
    JobCompleted,
    LeadCreated,
    LeadQualified,
    LeadRecord,
    LeadUpdated,
    MessageBounced,
    MessageClicked,
    MessageComplained,
    MessageDelivered,
    MessageFailed,
    MessageOpened,
    MessageSent,
    QuoteRequested,
    ReplyReceived,
    ResendRequested,
    StageChanged,
    TaskCompleted,
)
from leadflow.records.base import changed
from sequencer.decide import (
    commands,
    dormancy,
    facts,
    firing,
    holds,
    outcomes,
    repeats,
    resending,
    reviews,
    stops,
    triggers,
)
from sequencer.decide.case import Case
from sequencer.model import Decision, LeadRow, ReadUpTo, Setting

WHAT_BECAME = {
    "MessageSent": "sent",
    "MessageDelivered": "delivered",
    "MessageFailed": "failed",
    "MessageOpened": "opened",
    "MessageClicked": "clicked",
    "MessageBounced": "bounced",
}


def decide(
    row: LeadRow | None,
    event: LeadRecord,
    now: datetime,
    setting: Setting,
    at: ReadUpTo | None = None,
) -> Decision:
    """Apply `event` to the lead's row, then fire what is due by `now`.

    A repeat of an event that the row has applied changes nothing and has no effects; `at` is the
    place that the event was read from, if it was in a log. Raises RecordRefused for a command
    that the sequencer cannot carry out.
    """
    before = row or LeadRow(lead_id=event.lead_id, tenant_id=event.tenant_id)
    if ids.is_test_lead(event.lead_id) or repeats.is_one(before, event.event_id, at):
        return Decision(before, (), changed=False)
    case = Case(before, setting, now)
    if _apply(case, event):
        # Kept even if nothing came of it: a reply that stopped nothing, or a refused command,
        # must not act when it is repeated on what has come since.
        case.row = changed(repeats.applied(case.row, event.event_id, at), touched_at=now)
    return _passed(case, before)


def fire(row: LeadRow, now: datetime, setting: Setting) -> Decision:
    """Fire what is due by `now`, because time has passed."""
    return _passed(Case(row, setting, now), row)


def _passed(case: Case, before: LeadRow) -> Decision:
    firing.fire_due(case)
    gone = reviews.look(case, before)
    return Decision(case.row, tuple(case.effects), changed=case.row is not before, gone=gone)


def released(row: LeadRow, now: datetime, setting: Setting) -> datetime | None:
    """When a step was due that was held and need not wait any more; None if there is none."""
    return holds.released(Case(row, setting, now)) if row.is_held() else None


def _apply(case: Case, event: LeadRecord) -> bool:
    """Do what the event says; False if it is of no concern here, whatever the lead's state, or if
    its repeat changes nothing by itself."""
    match event:
        case LeadCreated() | LeadUpdated():
            facts.seen(case, event)
        case StageChanged():
            facts.stage_changed(case, event)
        case LeadQualified():
            facts.qualified(case, event)
            triggers.on_event(case, event, "lead_qualified")
        case ConsentChanged():
            facts.consent_changed(case, event)
            dormancy.responded(case, event)
            if not event.granted:
                stops.stop(case, event, "opt_out", {"channel": event.channel})
        case ReplyReceived():
            if event.automatic:
                outcomes.out_of_office(case, event)
            else:
                outcomes.note(case, event.message_id, "replied")
                dormancy.responded(case, event)
                stops.stop(case, event, "reply", {"channel": event.channel})
        case AccountReplied():
            stops.stop(case, event, "account_reply", {"lead_id": event.replied_lead_id})
        case BookingMade():
            dormancy.responded(case, event)
            stops.stop(case, event, "booking")
            triggers.on_event(case, event, "booking_made")
        case CallMissed():
            dormancy.responded(case, event)
            triggers.on_event(case, event, "call_missed")
        case QuoteRequested():
            dormancy.responded(case, event)
            triggers.on_event(case, event, "quote_requested")
        case JobCompleted():
            triggers.on_event(case, event, "job_completed")
        case MessageSent() | MessageDelivered() | MessageFailed():
            outcomes.note(case, event.message_id, WHAT_BECAME[event.TYPE])
            return False
        case MessageOpened() | MessageClicked():
            # What a scanner or a privacy proxy opens counts for nothing (product.md).
            if event.automated:
                return False
            outcomes.note(case, event.message_id, WHAT_BECAME[event.TYPE])
            return isinstance(event, MessageClicked) and dormancy.responded(case, event)
        case MessageBounced():
            outcomes.note(case, event.message_id, WHAT_BECAME[event.TYPE])
            if event.bounce_type != "hard":
                return False
            stops.stop(case, event, "bounce", {"channel": event.channel})
            dormancy.wants_no_answer(case, event, "bounce")
        case MessageComplained():
            stops.stop(case, event, "complaint", {"channel": event.channel})
            dormancy.wants_no_answer(case, event, "complaint")
        case EnrollRequested():
            commands.enroll(case, event)
        case EnrollmentPauseRequested():
            commands.pause(case, event)
        case EnrollmentResumeRequested():
            commands.resume(case, event)
        case EnrollmentStopRequested():
            commands.stop(case, event)
        case EnrollmentMigrateRequested():
            commands.migrate(case, event)
        case TaskCompleted():
            firing.task_done(case, event.message_id, event.completed_by)
        case ResendRequested():
            resending.resend(case, event)
        case _:
            return False
    return True


__all__ = ["decide", "fire", "released"]
