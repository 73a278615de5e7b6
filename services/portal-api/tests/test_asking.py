"""What can be asked of an enrollment, and what is shown of what was asked in vain."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest

from leadflow import records
from leadflow.kafka.loop import Received
from portal_api import story
from portal_api.bulk.decide import asking
from portal_api.bulk.model import MIGRATE, PAUSE, RESUME, STOP, Passage
from portal_api.projections import project
from portal_api.projections.tables import ENROLLMENTS
from portal_api.reasons import because

RUN = {"enrollment_id": "run-1", "sequence_id": "acme.touch", "sequence_version": 1}
SCOPE = "tenant:acme"


@pytest.mark.parametrize(
    ("action", "status", "held_by", "rule"),
    [
        (PAUSE, "active", "", None),
        (PAUSE, "paused", "manual", "already_paused"),
        (PAUSE, "paused", SCOPE, None),
        (PAUSE, "paused", "task_open", None),
        (PAUSE, "paused", None, None),
        (RESUME, "active", "", "not_paused"),
        (RESUME, "paused", "manual", None),
        (RESUME, "paused", SCOPE, "not_paused"),
        (RESUME, "paused", "task_open", "not_paused"),
        (RESUME, "paused", None, None),
        (STOP, "active", "", None),
        (STOP, "paused", SCOPE, None),
        (MIGRATE, "paused", "manual", None),
        *((each, "stopped", "", "enrollment_over") for each in (PAUSE, RESUME, STOP, MIGRATE)),
    ],
)
def test_a_pause_by_hand_is_a_hold_of_its_own(
    action: str, status: str, held_by: str | None, rule: str | None
) -> None:
    found = asking.refusal(action, status, held_by)
    assert (None if found is None else found[0]) == rule


def test_what_something_else_holds_is_named_when_a_resume_is_refused() -> None:
    found = asking.refusal(RESUME, "paused", SCOPE)
    assert found == ("not_paused", {"held_by": SCOPE})


def test_a_lead_that_is_in_no_enrollment_is_not_asked_about() -> None:
    found = asking.outlook(RESUME, None)
    assert (found.refused, found.asked) == ("not_enrolled", False)


def test_a_resume_plans_from_when_the_next_step_was_due() -> None:
    due = datetime(2026, 11, 20, 9, 0, tzinfo=UTC)
    run = Passage(
        enrollment_id="run-1",
        sequence_id="acme.touch",
        version=1,
        status="paused",
        held_by="manual",
        enrolled_at=due,
        next_due_at=due,
    )
    assert asking.outlook(RESUME, run).plan == {"due_at": "2026-11-20T09:00:00+00:00"}
    assert asking.outlook(STOP, run).plan == {}


@pytest.mark.parametrize(
    ("still", "status", "held_by"),
    [({}, "active", ""), ({"still_held_by": "task_open"}, "paused", "task_open")],
)
def test_what_goes_on_holding_an_enrollment_is_shown_when_one_hold_is_lifted(
    about: Callable[..., dict[str, Any]],
    received: Callable[..., Received],
    still: dict[str, str],
    status: str,
    held_by: str,
) -> None:
    resumed = records.EnrollmentResumed(
        **about(),
        **RUN,
        rule="manual",
        inputs={"requested_by": "olga", **still},
        next_due_at=datetime(2026, 11, 20, 9, 0, tzinfo=UTC),
    )
    (row,) = project([received("enrollment-events", resumed)]).of(ENROLLMENTS)
    assert (row["status"], row["held_by"]) == (status, held_by)


def test_a_refused_command_changes_no_row(
    about: Callable[..., dict[str, Any]], received: Callable[..., Received]
) -> None:
    refused = records.CommandRefused(
        **about(),
        command_id="c-1",
        command="pause",
        enrollment_id="run-1",
        requested_by="olga",
        rule="already_paused",
    )
    assert not project([received("enrollment-events", refused)])


@pytest.mark.parametrize(
    ("rule", "inputs", "words"),
    [
        ("not_enrolled", {}, "the lead never was in it"),
        ("already_paused", {}, "it was paused by hand already"),
        ("not_paused", {}, "it was not paused"),
        ("not_paused", {"held_by": SCOPE}, "nobody paused it by hand: tenant:acme holds it"),
        ("enrollment_over", {"outcome": "reply"}, "it was over before (reply)"),
        ("enrollment_over", {}, "it was over before"),
        ("same_version", {"version": "2"}, "it was in version 2 already"),
    ],
)
def test_a_line_of_the_timeline_says_what_was_asked_in_vain_and_why(
    rule: str, inputs: dict[str, str], words: str
) -> None:
    assert because(rule, inputs, str) == words
    data = {"command": "pause", "requested_by": "olga", "rule": rule, "inputs": inputs}
    said = story.text("CommandRefused", "sequencer", data)
    assert said == f"Olga asked to pause, in vain: {words}"
