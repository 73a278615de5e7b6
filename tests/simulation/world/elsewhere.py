"""What must hold at both ends of the pipeline: at intake, and in the CRM."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import Any

from leadflow import topics
from leadflow.kafka.port import Message
from leadflow.records import LeadCreated, LeadRecord, LeadUpdated

from .crm import SOURCES, CrmTables, FakeCrm
from .durable import Durable
from .intake import IntakeTables
from .story import CODEC, LEAD_EVENTS, MESSAGE_EVENTS, RAW_EVENTS, raw_event

DLQ = "intake-dlq"
NOT_ALLOWED = (b"unknown_lead", b"stage_transition")
"""Said about somebody before they were heard of, or of a stage that does not lead there."""


def told_by_intake(durable: Durable, tables: IntakeTables) -> Iterator[str]:
    """Every raw event is accounted for, with the same words however often they are said; one
    person is one lead, whose revisions are all different."""
    letters = _log(durable, DLQ)
    refused = {raw_event(each).event_id for each in letters}
    for each in letters:
        if not (each.header("dlq-reason") or b"").startswith(NOT_ALLOWED):
            yield f"REFUSED: {each.header('dlq-reason')!r}"
    words: dict[str, bytes] = {}
    caused: set[str] = set()
    for message in _log(durable, LEAD_EVENTS):
        record: Any = CODEC.decode(message.value)
        caused.add(record.cause_id)
        if words.setdefault(record.event_id, message.value or b"") != message.value:
            yield f"TOLD TWO WAYS: {record.TYPE} of {record.cause_id}"
    for message in _log(durable, RAW_EVENTS):
        raw = raw_event(message)
        if raw.event_id not in caused | refused and raw.kind != "opt_out":
            yield f"LOST AT INTAKE: {raw.event_id}"
    people = defaultdict(set)
    revisions: dict[tuple[str, int], set[str]] = defaultdict(set)
    for row in tables.leads.values():
        snapshot: Any = CODEC.decode(row.snapshot)
        people[snapshot.email].add(row.lead_id)
    for message in _log(durable, LEAD_EVENTS):
        record = CODEC.decode(message.value)
        # What is settled about a CRM's change is no change: it tells the revision that there is.
        if hasattr(record, "revision") and record.TYPE != "CrmChangeSettled":
            revisions[record.lead_id, record.revision].add(record.event_id)
    for email, leads in people.items():
        if len(leads) > 1:
            yield f"TWO LEADS of {email}: {sorted(leads)}"
    for (lead, revision), events in revisions.items():
        if len(events) > 1:
            yield f"TWO EVENTS with revision {revision} of lead {lead[:8]}"


def kept_by_the_crm(durable: Durable, crm: FakeCrm, tables: CrmTables) -> Iterator[str]:
    """Nothing older follows something newer, the end is what the log says, nothing waits."""
    for lead, history in crm.history.items():
        for name in ("revision", "last_message_at", "enrolled_at"):
            values = [fields[name] for fields in history if name in fields]
            if values != sorted(values):
                yield f"INVERTED in the CRM: {name} of lead {lead[:8]}"
    yield from _overtaken(durable, tables)
    for entry in tables.waiting.values():
        yield f"STILL WAITS for the CRM: {entry.event_id} of lead {entry.lead_id[:8]}"
    for lead, records in _by_lead(durable).items():
        profiles = [each for each in records if isinstance(each, (LeadCreated, LeadUpdated))]
        if not profiles:
            continue
        if lead not in crm.history:
            yield f"LOST on the way to the CRM: lead {lead[:8]}"
            continue
        found, wanted = crm.history[lead][-1], _wanted(records)
        for name, values in wanted.items():
            if found.get(name) not in values:
                yield f"WRONG in the CRM: {name} of lead {lead[:8]} is {found.get(name)}"


def _overtaken(durable: Durable, tables: CrmTables) -> Iterator[str]:
    """Of each lead the records of a topic were over in their order."""
    for place, log in durable.logs.items():
        if place.topic not in SOURCES:
            continue
        last: dict[str, int] = {}
        seen: set[str] = set()
        for message in log:
            record = CODEC.decode(message.value)
            if record.event_id in seen or record.event_id not in tables.over:
                continue
            seen.add(record.event_id)
            lead, over = (message.key or b"").decode(), tables.over[record.event_id]
            if over < last.get(lead, 0):
                yield f"OVERTAKEN on the way to the CRM: {record.TYPE} of lead {lead[:8]}"
            last[lead] = over


def _wanted(records: Sequence[Any]) -> dict[str, set[Any]]:
    """The newest of each kind: by revision, or by when it happened. Several values are each as
    good as the others."""
    wanted: dict[str, set[Any]] = {}
    staged = [each for each in records if hasattr(each, "revision")]
    newest = max(staged, key=lambda each: each.revision)
    wanted["revision"] = {newest.revision}
    wanted["stage"] = {newest.to_stage if newest.TYPE == "StageChanged" else newest.stage}
    sent = [each for each in records if each.TYPE == "MessageSent"]
    if sent:
        wanted["last_message_at"] = {max(each.accepted_at for each in sent).isoformat()}
    enrolled = defaultdict(set)
    for each in records:
        if each.TYPE == "Enrolled":
            enrolled[each.event_id].add(each.occurred_at)
    if enrolled:
        # Whoever decides again after a crash may tell of one beginning with another time, and a
        # reader drops the repeat, unless the first was too long ago.
        latest = max(map(min, enrolled.values()))
        told = {at for times in enrolled.values() for at in times}
        wanted["enrolled_at"] = {at.isoformat() for at in told if at >= latest}
    return wanted


def _by_lead(durable: Durable) -> dict[str, list[LeadRecord]]:
    found: dict[str, list[LeadRecord]] = defaultdict(list)
    for topic in (LEAD_EVENTS, MESSAGE_EVENTS, topics.ENROLLMENT_EVENTS.name):
        for message in _log(durable, topic):
            record = CODEC.decode(message.value)
            if isinstance(record, LeadRecord):
                found[record.lead_id].append(record)
    return found


def _log(durable: Durable, topic: str) -> list[Message]:
    return [each for place, log in durable.logs.items() if place.topic == topic for each in log]
