"""What a record means for the CRM, and when a failed one is tried again. Pure."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any

from crm_sync.crm.base import CrmError, CrmPaused, CrmSignIn, CrmSilent
from crm_sync.model import (
    BOTH_WAYS,
    BY_REVISION,
    ENROLLMENT,
    MESSAGE,
    OWNER,
    PROFILE,
    QUALIFICATION,
    STAGE,
    Contact,
    Earlier,
    Item,
    NextTry,
    Note,
    Order,
    Origin,
    Register,
    RetryPolicy,
    State,
    Task,
    Upsert,
)
from leadflow import ids
from leadflow.errors import RecordRefused
from leadflow.records import (
    CrmChangeSettled,
    Enrolled,
    LeadCreated,
    LeadQualified,
    LeadRecord,
    LeadUpdated,
    MessageRecorded,
    MessageSent,
    Record,
    StageChanged,
    SummaryReviewed,
)

# The lead's own words and the payload as received stay out: a note needs an approval first.
PROFILE_FIELDS = (
    "first_name",
    "last_name",
    "email",
    "phone",
    "company",
    "title",
    "service",
    "urgency",
    "timezone",
    "language",
    "source",
)
# Rules by which a change of the CRM's was refused, and the log's value is written there again.
WRITTEN_BACK = ("stage_transition", "unusable", "newest_wins")
# Of each field that goes both ways, so many earlier values are known.
EARLIER = 8
PROFILE_PARTS = ("address", "budget", "attribution")


def item_of(record: Record, origin: Origin) -> Item | None:
    """The change that a record asks for; None where the CRM need not know.

    Raises RecordRefused for an approval that does not cover the text it carries.
    """
    change = _CHANGES.get(type(record))
    if change is None or not isinstance(record, LeadRecord) or ids.is_test_lead(record.lead_id):
        return None
    wanted = change(record)
    if wanted is None:
        return None
    return Item(record.event_id, record.tenant_id, record.lead_id, record.TYPE, origin, wanted)


def _profile(record: LeadCreated | LeadUpdated) -> Upsert | None:
    if record.status == "quarantined":
        return None
    order = Order(record.revision, record.event_id)
    fields: dict[str, Any] = {name: getattr(record, name) for name in PROFILE_FIELDS}
    for name in PROFILE_PARTS:
        part = getattr(record, name)
        fields[name] = None if part is None else _without_nothing(part.to_avro())
    fields["consent"] = {grant.channel: grant.granted for grant in record.consent}
    return Upsert(
        {
            PROFILE: Register(order, _without_nothing(fields)),
            STAGE: Register(order, {"stage": record.stage}),
            OWNER: Register(order, _without_nothing({"owner": record.owner})),
        }
    )


def _stage(record: StageChanged) -> Upsert:
    order = Order(record.revision, record.event_id)
    registers = {STAGE: Register(order, {"stage": record.to_stage})}
    if record.owner is not None:
        registers[OWNER] = Register(order, {"owner": record.owner})
    return Upsert(registers)


def _qualification(record: LeadQualified) -> Upsert:
    fields = {
        "fit": record.fit,
        "intent": record.intent,
        "temperature": record.temperature,
        "next_action": record.next_action,
    }
    return _timed(QUALIFICATION, record.occurred_at, record, fields)


def _enrollment(record: Enrolled) -> Upsert:
    fields = {"sequence": record.sequence_id, "enrolled_at": record.occurred_at.isoformat()}
    return _timed(ENROLLMENT, record.occurred_at, record, fields)


def _message(record: MessageSent) -> Upsert:
    fields = {
        "last_message_id": record.message_id,
        "last_message_channel": record.channel,
        "last_message_at": record.accepted_at.isoformat(),
    }
    return _timed(MESSAGE, record.accepted_at, record, fields)


def _timed(group: str, at: datetime, record: LeadRecord, fields: dict[str, Any]) -> Upsert:
    return Upsert({group: Register(Order(int(at.timestamp() * 1000), record.event_id), fields)})


def _settled(record: CrmChangeSettled) -> Upsert | None:
    """What the CRM has and cannot have, or lost a conflict, is written over. A stage that nobody
    here knows stays: it is a column of theirs, and people are shown it. An older notice of theirs
    that a newer one of theirs has settled is no conflict."""
    refused = any(
        each.outcome == "kept" and each.conflict and each.rule in WRITTEN_BACK
        for each in record.fields
    )
    return Upsert({}, again=True) if refused else None


def _note(record: SummaryReviewed) -> Note | None:
    if record.decision not in ("approved", "edited"):
        return None
    text = record.text or ""
    # An approval covers exactly the bytes approved (product.md, "AI drafts and approval").
    if hashlib.sha256(text.encode()).hexdigest() != record.text_hash.lower():
        raise RecordRefused("approval_covers_text", "the approved hash is not that of the text")
    return Note(record.summary_id, text, record.occurred_at)


def _task(record: MessageRecorded) -> Task | None:
    # On other channels it stands for a message that no provider was there to send.
    if record.channel not in ("task", "call"):
        return None
    text = (record.body or "").strip()
    title = record.subject or text.partition("\n")[0] or record.channel.capitalize()
    return Task(record.message_id, record.channel, title, text, record.occurred_at, record.owner)


_CHANGES: Mapping[type[Record], Callable[[Any], Upsert | Note | Task | None]] = {
    LeadCreated: _profile,
    LeadUpdated: _profile,
    StageChanged: _stage,
    LeadQualified: _qualification,
    Enrolled: _enrollment,
    MessageSent: _message,
    MessageRecorded: _task,
    CrmChangeSettled: _settled,
    SummaryReviewed: _note,
}


def merge(state: State, changes: Sequence[Upsert]) -> State:
    """`state` with every group that a change has a newer value of; `state` itself if none."""
    merged = dict(state)
    for change in changes:
        for group, register in change.registers.items():
            present = merged.get(group)
            if present is None or register.order > present.order:
                merged[group] = register
    return state if merged == state else merged


def contact_fields(tenant_id: str, state: State) -> dict[str, Any]:
    """The value of the contact in the CRM. `revision` is the lead's, as far as it is known."""
    fields: dict[str, Any] = {"tenant_id": tenant_id}
    for register in state.values():
        fields.update(register.fields)
    revisions = [state[group].order.rank for group in BY_REVISION if group in state]
    if revisions:
        fields["revision"] = max(revisions)
    return fields


def remembered(contact: Contact, now: datetime) -> tuple[Earlier, ...]:
    """`Contact.earlier` when what is pending is about to be written."""
    if contact.pending is None:
        return contact.earlier
    before, after = (
        contact_fields(contact.tenant_id, state) for state in (contact.state, contact.pending)
    )
    earlier = contact.earlier
    for name in BOTH_WAYS:
        value = before.get(name)
        if value is not None and value != after.get(name):
            others = [each for each in earlier if each[:2] != (name, value)]
            kept = [each for each in others if each.field == name][1 - EARLIER :]
            rest = [each for each in others if each.field != name]
            earlier = (*rest, *kept, Earlier(name, value, now))
    return earlier


def idempotency_key(event_id: str, fields: Mapping[str, Any]) -> str:
    """The key of a write: the event that led to it, and what is written.

    The value is part of the key because one event can lead to two values: refused by the
    CRM, it is replayed from the dead-letter topic on a newer contact.
    """
    value = json.dumps(fields, sort_keys=True, separators=(",", ":")).encode()
    return f"{event_id}:{hashlib.sha256(value).hexdigest()[:16]}"


def next_try(
    attempts: int, error: CrmError, now: datetime, policy: RetryPolicy, event_id: str = ""
) -> NextTry | None:
    """Where a record waits after its `attempts`-th failure; None: for the dead letters.

    How much is added to the delay follows from the record's id and the attempt: seen again, it
    waits as long.

    A record whose CRM names a time waits for it in a topic that is as slow, so that it does not
    hold others up: no longer than the slowest delay, or everybody behind it would wait as long. A
    CRM that asked for more is asked again earlier than it said; all that it then has to say is
    another 429. Where the account is to blame, or does not
    answer for longer than the first delay, the record waits in the slowest topic but one, however
    often: nobody knows for how long, and then nobody wants to wait another hour.
    """
    if not error.retryable:
        return None
    longer = 1 + policy.jitter * _share(event_id, attempts)
    if isinstance(error, CrmSignIn | CrmPaused | CrmSilent):
        brief = isinstance(error, CrmSilent) and error.retry_after <= policy.delays[0]
        tier = 0 if brief else max(0, len(policy.delays) - 2)
        return NextTry(tier, now + policy.delays[tier] * longer)
    tier, reached = 0, policy.attempts[0]
    while attempts > reached:
        tier += 1
        if tier == len(policy.attempts):
            return None
        reached += policy.attempts[tier]
    while tier + 1 < len(policy.delays) and policy.delays[tier] < error.retry_after:
        tier += 1
    return NextTry(tier, now + policy.delays[tier] * longer)


def _share(event_id: str, attempts: int) -> float:
    """From 0 to 1, evenly."""
    digest = hashlib.sha256(f"{event_id}:{attempts}".encode()).digest()
    return int.from_bytes(digest[:4], "big") / 2**32


def _without_nothing(fields: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in fields.items() if value is not None}
