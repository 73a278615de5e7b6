"""A lead's timeline in words: every line says what happened, and by which rule. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from portal_api import settled
from portal_api.reasons import because

_WORDS = {
    "LeadCreated": "Came in from {source}",
    "LeadUpdated": "Was seen again, from {source}",
    "LeadMerged": "Took over the lead {merged_lead_id} ({duplicate_rule})",
    "LeadQualified": "Scored {temperature}: fit {fit}, intent {intent}",
    "StageChanged": "Moved from {from_stage} to {to_stage}",
    "CallMissed": "Called, and nobody answered",
    "QuoteRequested": "Asked for a quote",
    "ReplyReceived": "Replied by {channel}",
    "AccountReplied": "Another contact of the account replied by {channel}",
    "BookingMade": "Booked an appointment",
    "JobCompleted": "The job was completed",
    "ProviderEnriched": "Numbers came from {provider}",
    "EnrollRequested": "{requested_by} asked to enroll in {sequence_id}",
    "EnrollmentPauseRequested": "{requested_by} asked to pause",
    "EnrollmentResumeRequested": "{requested_by} asked to resume",
    "EnrollmentStopRequested": "{requested_by} asked to stop",
    "EnrollmentMigrateRequested": "{requested_by} asked for version {to_version}",
    "ResendRequested": "{requested_by} asked to send again",
    "TaskCompleted": "{completed_by} did the task",
    "Enrolled": "Entered {sequence_id}, version {sequence_version} ({enrolled_by})",
    "EnrollmentRefused": "Did not enter {sequence_id}: {rule}",
    "StepScheduled": "{step_id} ({channel}) is due at {due_at}",
    "StepSkipped": "{step_id} ({channel}) was skipped: {rule}",
    "StepFired": "{step_id} ({channel}) came due",
    "EnrollmentPaused": "Paused: {rule}",
    "EnrollmentResumed": "Resumed: {rule}",
    "EnrollmentMigrated": "Moved to version {sequence_version}: {next_step_id} is next",
    "EnrollmentStopped": "Stopped {sequence_id}: {rule}",
    "EnrollmentCompleted": "Finished {sequence_id}",
    "CommandRefused": "{requested_by} asked to {command}, in vain",
    "MessageQueued": "{channel} to send: {template_name}",
    "MessageReviewed": "{reviewer} decided on a message: {decision}",
    "DoubtSettled": "{settled_by} found out about a message in doubt: {outcome}",
    "MessageHeld": "{channel} waits: {rule}",
    "MessageSent": "{channel} accepted by {provider}",
    "MessageRecorded": "{channel} noted for a person",
    "MessageFailed": "{channel} failed at {provider}: {reason}",
    "MessageSuppressed": "{channel} was not sent: {rule}",
    "MessageUnknown": "{channel} may or may not have gone out: {reason}",
    "MessageDelivered": "{channel} was delivered",
    "MessageOpened": "{channel} was opened",
    "MessageClicked": "{channel}: a link was followed",
    "MessageBounced": "{channel} bounced ({bounce_type})",
    "MessageComplained": "{channel} was called spam",
    "SummaryCreated": "A summary was drafted by {decided_by}",
    "SummaryReviewed": "{reviewer} decided on the summary: {decision}",
}

# How sources and people of a CRM begin.
FROM_A_CRM = "crm:"

# By what an open or a click is known for a machine's (MessageOpened.automated_reason).
_MACHINES = {
    "agent": "a program that names itself",
    "mail_privacy": "a proxy that hides the reader",
    "image_proxy": "the mail provider's image proxy",
    "head_request": "a program that asked for the head alone",
    "prefetch": "a machine, so soon",
    "burst": "a machine, several links at once",
}


class _Told(dict[str, Any]):
    """A line may lack what its words would name."""

    def __missing__(self, name: str) -> str:
        return "unknown"


def _said(at: datetime) -> str:
    return f"{at.astimezone(UTC):%Y-%m-%d %H:%M} UTC"


def _crm(source: str | None) -> str:
    return settled.crm_name((source or "").removeprefix(FROM_A_CRM))


def text(kind: str, source: str | None, data: Mapping[str, Any]) -> str:
    """One sentence for a record of this type."""
    told = _Told(data)
    told.setdefault("source", source)
    if kind == "ConsentChanged":
        verb = "allowed" if data.get("granted") else "refused"
        return f"{verb.capitalize()} {told['channel']}"
    if kind == "LeadCreated" and data.get("status") == "quarantined":
        return f"Came in from {source}, and was quarantined"
    if kind == "CrmChangeSettled":
        return settled.sentences(data, _said)
    if kind == "LeadUpdated" and (source or "").startswith(FROM_A_CRM):
        changed = ", ".join(map(settled.field_name, data.get("changed") or ()))
        return f"Was changed in {_crm(source)}" + (f": {changed}" if changed else "")
    if kind == "StageChanged" and str(data.get("changed_by")).startswith(FROM_A_CRM):
        moved = _WORDS[kind].format_map(told)
        return f"{moved} in {_crm(data['changed_by'])}"
    if kind == "LeadUpdated" and data.get("duplicate_rule"):
        return f"Was seen again, from {source} ({data['duplicate_rule']})"
    if kind == "ReplyReceived" and data.get("automatic"):
        return f"An automatic answer came by {told['channel']}"
    if kind == "ReplyReceived" and data.get("by_other"):
        return f"Somebody else answered, by {told['channel']}"
    if kind in ("MessageOpened", "MessageClicked") and data.get("automated"):
        who = _MACHINES.get(data.get("automated_reason") or "", "a scanner or proxy")
        sentence = f"{_WORDS[kind].format_map(told)}, by {who}: it does not count"
        return sentence[:1].upper() + sentence[1:]
    sentence = _WORDS.get(kind, kind).format_map(told)
    if kind in ("StepScheduled", "CommandRefused") and data.get("rule"):
        sentence += f": {because(data['rule'], data.get('inputs') or {}, _said)}"
    if kind == "StepFired" and data.get("arm"):
        sentence += f", variant {data['arm']}"
    return sentence[:1].upper() + sentence[1:]


def item(row: Mapping[str, Any]) -> dict[str, Any]:
    """A line of the timeline as the API shows it."""
    data = row["data"]
    return {
        "event_id": row["event_id"],
        "type": row["type"],
        "at": row["occurred_at"],
        "recorded_at": row["recorded_at"],
        "source": row["source"],
        "text": text(row["type"], row["source"], data),
        "rule": data.get("rule"),
        "inputs": data.get("inputs"),
        "data": data,
    }
