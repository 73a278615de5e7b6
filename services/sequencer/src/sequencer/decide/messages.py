"""What goes out for a step: its text, its arm, its record."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from leadflow.records import MessageQueued, SequencePublished
from leadflow.records.common import Arm, SequenceStep
from sequencer.decide import calendar, recipients
from sequencer.decide.case import Case
from sequencer.model import Enrollment, KeptArm


@dataclass(frozen=True, slots=True)
class Text:
    """What a message is made of."""

    template_name: str
    subject: str
    body: str
    body_html: str = ""


def arm_of(
    case: Case, kept: tuple[KeptArm, ...], sequence: SequencePublished, step: SequenceStep
) -> Arm | None:
    """The arm of an A/B step: the first of those kept that it has, whatever its weight there, but
    0, for then nobody gets it any more. Else one is drawn, in proportion to the weights."""
    if not step.arms:
        return None
    there = {each.name: each for each in step.arms if each.weight > 0}
    for each in kept:
        if each.name in there:
            return there[each.name]
    weights = tuple(each.weight for each in step.arms)
    return step.arms[calendar.pick(weights, case.row.lead_id, sequence.sequence_id)]


def keeping(kept: tuple[KeptArm, ...], step: SequenceStep, arm: Arm | None) -> tuple[KeptArm, ...]:
    """What is kept after a step went out with this arm."""
    if arm is None or any(each.name == arm.name for each in kept):
        return kept
    return (*kept, KeptArm(step.step_id, arm.name))


def arm_then(
    case: Case, enrollment: Enrollment, sequence: SequencePublished, step: SequenceStep
) -> Arm | None:
    """The arm that a step went out with. Of an enrollment that is over, no arm is kept: they are
    drawn again as they were, through the steps down to this one."""
    kept = enrollment.arms
    for each in sequence.steps if not kept else ():
        kept = keeping(kept, each, arm_of(case, kept, sequence, each))
        if each.step_id == step.step_id:
            break
    own = next((each.name for each in kept if each.of == step.step_id), None)
    arm = next((each for each in step.arms if each.name == own), None)
    return arm or arm_of(case, kept, sequence, step)


def text_of(step: SequenceStep, arm: Arm | None) -> Text:
    """The words of a step, or of its arm."""
    written = step if arm is None else arm
    return Text(written.template_name, written.subject, written.body, written.body_html)


def queue(
    case: Case,
    enrollment: Enrollment,
    sequence: SequencePublished,
    to: recipients.Recipient,
    *,
    message_id: str,
    step_id: str,
    channel: str,
    text: Text,
    due_at: datetime,
    resend_of: str | None = None,
) -> None:
    """Tell the dispatcher to send it. `resend_of` is the message that it repeats."""
    case.tell(
        MessageQueued,
        (message_id,),
        case.now,
        message_id=message_id,
        enrollment_id=enrollment.enrollment_id,
        sequence_id=enrollment.sequence_id,
        step_id=step_id,
        channel=channel,
        attempt=1 if resend_of is None else 2,
        first_message_id=resend_of,
        recipient=to.address,
        template_name=text.template_name,
        subject=text.subject,
        body=text.body,
        body_html=text.body_html,
        variables=recipients.variables(case.row, case.setting.tenant(case.row.tenant_id)),
        compliance_note=to.basis,
        send_state="queued",
        enrolled_at=enrollment.enrolled_at,
        stop_on=sequence.stop_on,
        due_at=due_at,
    )
