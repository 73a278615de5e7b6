"""A person asks for a message to be sent again.

It is a new attempt with its own id, which names the first, written anew from the step that it was
of. It goes out now or not at all: whoever asks sees what came of it. What would stop, skip, hold or
move a step refuses it, and the refusal is a StepSkipped with the rule.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from leadflow import ids
from leadflow.errors import RecordRefused
from leadflow.records import ResendRequested, SequencePublished
from leadflow.records.base import changed
from leadflow.records.common import SequenceStep
from sequencer.decide import firing, holds, messages, recipients, timing
from sequencer.decide.case import Case
from sequencer.model import Enrollment, Resent

OWN_ENDS = frozenset({"completed", "stop_step", "condition"})
"""Ends that are the sequence's own: nothing speaks against one of its messages."""
RESENT_KEPT = 16
"""Of how many of an enrollment's repeated messages it is known what they repeat."""
ENTRIES_BACK = 20
"""How many of the last passages through a sequence a message is looked for in."""


class _Sent(NamedTuple):
    """A message that was queued: its enrollment, standing on the step that it is of."""

    enrollment: Enrollment
    sequence: SequencePublished
    step: SequenceStep
    refusal: str  # why it cannot be sent again for what became of its enrollment


def resend(case: Case, event: ResendRequested) -> None:
    """Raises RecordRefused for a message that no enrollment of the lead can have had."""
    sent = _find(case, event.message_id)
    if sent is None:
        raise RecordRefused("unknown_message", "no step of an enrollment has this message")
    enrollment, sequence, step, _ = sent
    to = recipients.find(case.row, sequence, step.channel, case.setting, case.now)
    refusal = _refusal(case, sent)
    if refusal is None and isinstance(to, recipients.Nobody):
        refusal = to.rule, to.looked_at
    if refusal is not None or isinstance(to, recipients.Nobody):
        rule, looked_at = refusal or ("", {})
        looked_at = {**looked_at, "resend_of": event.message_id, "by": event.requested_by}
        firing.skip(case, enrollment, step, rule, looked_at, event.event_id)
        return
    message_id = ids.derived_id("resend", event.message_id, event.event_id)
    messages.queue(
        case,
        enrollment,
        sequence,
        to,
        message_id=message_id,
        step_id=step.step_id,
        channel=step.channel,
        text=messages.text_of(step, messages.arm_then(case, enrollment, sequence, step)),
        due_at=case.now,
        resend_of=event.message_id,
    )
    for live in case.row.live:
        if live.enrollment_id == enrollment.enrollment_id:
            resent = (*live.resent, Resent(step.step_id, message_id))[-RESENT_KEPT:]
            case.change(changed(live, resent=resent))
    timing.count(case, step.channel)


def _refusal(case: Case, sent: _Sent) -> tuple[str, dict[str, object]] | None:
    if sent.refusal:
        return sent.refusal, {"enrollment_id": sent.enrollment.enrollment_id}
    if case.row.status != "active":
        return "lead_not_active", {"status": case.row.status}
    if sent.enrollment.paused_by:
        return "enrollment_paused", {"by": sent.enrollment.paused_by}
    if hold := holds.hold(case, sent.enrollment):
        return "automation_paused" if holds.is_scope(hold) else hold, {"scope": hold}
    slot = timing.shift(case, sent.enrollment, sent.sequence, sent.step)
    return None if slot is None else (slot.rule, {**slot.inputs, "until": slot.at.isoformat()})


def _find(case: Case, message_id: str) -> _Sent | None:
    versions = case.setting.sequences
    for passage, outcome in passages(case):
        newest = passage.version or getattr(versions.active(passage.sequence_id), "version", 0)
        for version in range(newest, 0, -1):  # it may have been migrated since
            sequence = versions.get(passage.sequence_id, version)
            for index, step in enumerate(sequence.steps if sequence is not None else ()):
                if sequence is None or message_id != ids.message_id(
                    passage.enrollment_id, step.step_id
                ):
                    continue
                refusal = "" if outcome in OWN_ENDS else f"stopped_by_{outcome}"
                if not outcome:
                    behind = version != newest or index < passage.step_index
                    refusal = "" if behind or step.step_id in passage.passed else "not_sent_yet"
                there = changed(passage, version=version, step_index=index)
                return _Sent(there, sequence, step, refusal)
    return None


def passages(case: Case, back: int = ENTRIES_BACK) -> Iterator[tuple[Enrollment, str]]:
    """The lead's enrollments with their outcome, of each sequence the last `back` that are over."""
    for live in case.row.live:
        yield live, ""
    for line in case.row.finished:
        for entry in range(line.entries, max(0, line.entries - back), -1):
            over = Enrollment(
                enrollment_id=ids.enrollment_id(case.row.lead_id, line.sequence_id, entry),
                sequence_id=line.sequence_id,
                version=line.version,
                entry=entry,
                enrolled_at=line.ended_at,  # a stop before that has ended it
                step_index=0,
                due_at=line.ended_at,
            )
            yield over, line.outcome if entry == line.entries else "completed"
