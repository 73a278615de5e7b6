"""The portal takes a condition exactly where the sequencer can find it to hold."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from leadflow.records.common import Condition, SequenceStep
from portal_api import conditions as portal
from sequencer.decide import conditions as sequencer
from sequencer.model import Enrollment, LeadRow, Profile

START = datetime(2026, 11, 2, 9, 0, tzinfo=UTC)


def step(name: str, condition: Condition | None = None, channel: str = "email") -> SequenceStep:
    return SequenceStep(
        step_id=name,
        channel=channel,
        delay_minutes=0,
        delay_from="enrollment",
        template_name=name,
        subject=name,
        body=name,
        condition=condition,
    )


ROW = LeadRow(
    lead_id="lead",
    owner="x",
    source="x",
    status="active",
    stage="x",
    temperature="hot",
    profile=Profile(
        urgency="urgent", service="x", language="x", timezone="x", email="x", phone="x"
    ),
)
ENROLLMENT = Enrollment(
    enrollment_id="e",
    sequence_id="acme.one",
    version=1,
    entry=1,
    enrolled_at=START,
    step_index=1,
    due_at=START,
    outcomes=tuple(f"hello:{each}" for each in portal.OUTCOMES),
)


@pytest.mark.parametrize("field", portal.FIELDS)
@pytest.mark.parametrize("op", ["eq", "in"])
def test_a_field_that_the_portal_takes_can_hold_at_the_sequencer(field: str, op: str) -> None:
    value = portal.VALUES.get(field, ("x",))[0]
    asked = Condition(field=field, op=op, value=value)
    assert portal.senseless(asked, ()) is None
    assert sequencer.unmet(ROW, ENROLLMENT, step("two", asked)) is None


@pytest.mark.parametrize("outcome", portal.OUTCOMES)
def test_what_may_become_of_a_message_can_hold_at_the_sequencer(outcome: str) -> None:
    asked = Condition(field="message.hello", op="eq", value=outcome)
    assert portal.senseless(asked, (step("hello"),)) is None
    assert sequencer.unmet(ROW, ENROLLMENT, step("two", asked)) is None


@pytest.mark.parametrize(
    "asked",
    [
        Condition(field="colour", op="ne", value="red"),
        Condition(field="temperature", op="gte", value="warm"),
        Condition(field="temperature", op="like", value="warm"),
        Condition(field="message.hello", op="gte", value="opened"),
    ],
)
def test_what_can_never_hold_at_the_sequencer_is_not_taken_by_the_portal(asked: Condition) -> None:
    assert sequencer.unmet(ROW, ENROLLMENT, step("two", asked)) is not None
    assert portal.senseless(asked, (step("hello"),)) is not None
