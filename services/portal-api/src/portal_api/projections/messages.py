"""messages and message-events into one row a message."""

from __future__ import annotations

from typing import Any

from leadflow.records import (
    DoubtSettled,
    LeadRecord,
    MessageBounced,
    MessageClicked,
    MessageComplained,
    MessageDelivered,
    MessageFailed,
    MessageHeld,
    MessageOpened,
    MessageQueued,
    MessageRecorded,
    MessageSent,
    MessageSuppressed,
    MessageUnknown,
)
from portal_api.projections.rows import Rows
from portal_api.projections.tables import FIRST_TOUCHES, MESSAGES, TEST_SENDS
from rendering.errors import TemplateError
from rendering.plain import text_of
from rendering.sanitizing import sanitize

# A message moves up only. `unknown` may still be found to have been sent or not.
RANKS = {
    "scheduled": 0,
    "cancelled": 1,
    "queued": 2,
    "held": 3,
    "unknown": 4,
    "skipped": 5,
    "recorded": 5,
    "failed": 5,
    "suppressed": 5,
    "sent": 6,
}


def project(record: LeadRecord, into: Rows) -> None:
    """Add what a record of messages, message-events or message-reviews says."""
    match record:
        case MessageQueued():
            _put(
                record,
                into,
                "queued",
                attempt=record.attempt,
                first_message_id=record.first_message_id,
                recipient=record.recipient,
                template_name=record.template_name,
                subject=record.subject,
                body=record.body or _words(record.body_html),
                variables=dict(record.variables),
                compliance_note=record.compliance_note,
                scheduled_for=record.due_at,
                queued_at=record.occurred_at,
            )
        case MessageHeld() | MessageSuppressed():
            state = "held" if isinstance(record, MessageHeld) else "suppressed"
            _put(record, into, state, rule=record.rule, inputs=dict(record.inputs))
        case MessageSent():
            _put(
                record,
                into,
                "sent",
                sent_at=record.accepted_at,
                provider=record.provider,
                provider_id=record.provider_id,
            )
            into.put(
                FIRST_TOUCHES,
                lead_id=record.lead_id,
                tenant_id=record.tenant_id,
                accepted_at=record.accepted_at,
            )
        case MessageRecorded():
            _put(record, into, "recorded", subject=record.subject, body=record.body)
        case MessageFailed():
            _put(
                record,
                into,
                "failed",
                provider=record.provider,
                reason=f"{record.error_class}: {record.reason}",
                attempts=record.attempts,
            )
        case MessageUnknown():
            _put(record, into, "unknown", provider=record.provider, reason=record.reason)
        # The ledger has yet to follow; pages are told that there is a word.
        case DoubtSettled():
            into.put(
                MESSAGES,
                message_id=record.message_id,
                tenant_id=record.tenant_id,
                lead_id=record.lead_id,
                updated_at=record.recorded_at,
            )
        case MessageDelivered():
            _put(record, into, None, delivered_at=record.occurred_at)
        # A scanner or a privacy proxy is not a person: its opens and clicks count for nothing.
        case MessageOpened(automated=False):
            _put(record, into, None, opened_at=record.occurred_at)
        case MessageClicked(automated=False):
            _put(
                record,
                into,
                None,
                opened_at=record.occurred_at,  # nobody clicks in what is not open
                clicked_at=record.occurred_at,
                clicked_url=record.url,
            )
        case MessageBounced():
            _put(record, into, None, bounced_at=record.occurred_at)
        case MessageComplained():
            _put(record, into, None, complained_at=record.occurred_at)


def project_test(record: LeadRecord, into: Rows) -> None:
    """Add what a record says about a test: it is shown to whoever asked, and counts for nothing."""
    said: dict[str, Any] = {}
    match record:
        case MessageQueued():
            state, said = "queued", {
                "recipient": record.recipient,
                "template_name": record.template_name,
                "queued_at": record.occurred_at,
            }  # fmt: skip
        case MessageHeld() | MessageSuppressed():
            state = "held" if isinstance(record, MessageHeld) else "suppressed"
            said = {"rule": record.rule}
        case MessageSent():
            state, said = "sent", {"sent_at": record.accepted_at}
        case MessageFailed():
            state, said = "failed", {"reason": f"{record.error_class}: {record.reason}"}
        case MessageUnknown():
            state, said = "unknown", {"reason": record.reason}
        case _:
            return
    into.put(
        TEST_SENDS,
        message_id=record.message_id,
        tenant_id=record.tenant_id,
        state=state,
        rank=RANKS[state],
        updated_at=record.recorded_at,
        **said,
    )


def _words(html: str) -> str:
    """What a template says that is HTML alone, its variables as they stand in it."""
    try:
        return text_of(sanitize(html, lambda _: True)) if html else ""
    except TemplateError:
        return ""


def _put(record: Any, into: Rows, state: str | None, **more: Any) -> None:
    into.put(
        MESSAGES,
        message_id=record.message_id,
        tenant_id=record.tenant_id,
        lead_id=record.lead_id,
        enrollment_id=record.enrollment_id,
        sequence_id=record.sequence_id,
        step_id=record.step_id,
        channel=record.channel,
        state=state,
        rank=None if state is None else RANKS[state],
        updated_at=record.recorded_at,
        **more,
    )
