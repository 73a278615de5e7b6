"""What `leadflow why` prints: a heading for each passage, a line for each step."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from leadflow.records import (
    Enrolled,
    EnrollmentRefused,
    LeadCreated,
    MessageSent,
    SequencePublished,
    StepFired,
    StepScheduled,
    StepSkipped,
)
from leadflow_cli.commands.why import lines, nothing
from leadflow_cli.timeline import Told, in_order, rows
from portal_api.why import Answer, answers

AT = datetime(2026, 11, 20, 15, 0, tzinfo=UTC)
ABOUT = {"enrollment_id": "e-1", "sequence_id": "acme.touch", "sequence_version": 1}


@pytest.fixture
def found(message: Any, record: Any) -> list[Answer]:
    """hello went out, the text was skipped, and another sequence refused the lead."""
    step = {**ABOUT, "step_id": "hello", "step_index": 0, "channel": "email"}
    text = {**ABOUT, "step_id": "text", "step_index": 1, "channel": "sms"}
    later = AT + timedelta(hours=1)
    told = [
        ("lead-events", record(LeadCreated, recorded_at=AT)),
        ("enrollment-events", record(Enrolled, recorded_at=AT, **ABOUT)),
        ("enrollment-events", record(StepScheduled, recorded_at=AT, **step, due_at=AT, rule="")),
        ("enrollment-events", record(StepFired, recorded_at=AT, **step, message_id="m-1")),
        (
            "message-events",
            record(MessageSent, recorded_at=AT, message_id="m-1", provider="p", provider_id="7"),
        ),
        (
            "enrollment-events",
            record(
                StepSkipped,
                recorded_at=later,
                **text,
                rule="no_recipient",
                inputs={"channel": "sms"},
            ),
        ),
        (
            "enrollment-events",
            record(
                EnrollmentRefused,
                recorded_at=later,
                sequence_id="acme.quote",
                rule="exclusive",
                inputs={
                    "group": "g",
                    "held_by": "acme.touch",
                    "priority": "1",
                    "their_priority": "2",
                },
            ),
        ),
    ]
    story = in_order(Told(message(topic, each), each) for topic, each in told)
    return answers(rows(story), {}, later, str)


def test_each_step_has_its_line_with_the_rule_and_its_inputs(found: list[Answer]) -> None:
    assert list(lines(found, "America/Chicago")) == [
        "acme.touch, version 1, entered 2026-11-20 09:00:00 CST (15:00:00 UTC)",
        f"  1. hello (email): It did go out, at {AT}: accepted by p, provider id 7.",
        f"  2. text (sms): It was skipped at {AT + timedelta(hours=1)}: "
        "the lead has no address for sms.  (rule no_recipient: channel=sms)",
        f"acme.quote: The lead did not enter at {AT + timedelta(hours=1)}: the lead was in "
        "acme.touch, of the same exclusive group g, whose priority 2 is not below 1.  "
        "(rule exclusive: group=g, held_by=acme.touch, priority=1, their_priority=2)",
    ]


def test_where_there_is_no_answer_the_reason_is_said(found: list[Answer], record: Any) -> None:
    sequence = record(SequencePublished)
    published = [replace(sequence, sequence_id="acme.review", status="active")]
    assert nothing(found, published, "touch", "9") == "there is no step 9; there are hello, text"
    assert nothing([], published, None, None) == (
        "nothing has tried to enroll the lead in any sequence"
    )
    assert nothing(found, published, "moon", None) == "no sequence moon was ever published"
    assert nothing(found, published, "review", None).startswith(
        "nothing has tried to enroll the lead in acme.review, which is active and is entered by "
    )
