"""What people ask for where there is nothing to do, and several holds at once."""

from typing import Any

import pytest

from leadflow import ids
from leadflow.records import SendWindow

ONE = "acme.one"


def start(story: Any, words: Any, **changes: Any) -> str:
    story.publish("one", words.step("hello"), words.step("later", 60), **changes)
    story.when("LeadCreated")
    return ids.enrollment_id(words.LEAD, ONE, 1)


def refusal(told: list[Any]) -> tuple[str, str, dict[str, str]]:
    [refused] = told
    assert refused.TYPE == "CommandRefused"
    return refused.command, refused.rule, refused.inputs


COMMANDS = [
    ("EnrollmentPauseRequested", "pause", {}),
    ("EnrollmentResumeRequested", "resume", {}),
    ("EnrollmentStopRequested", "stop", {}),
    ("EnrollmentMigrateRequested", "migrate", {"to_version": 2}),
]
NEVER = {"stop": {"if_it_begins": "stopped"}}  # test_stops_ahead.py


@pytest.mark.parametrize(("kind", "command", "more"), COMMANDS)
def test_a_command_about_an_enrollment_that_never_was_is_refused(
    story: Any, words: Any, kind: str, command: str, more: dict[str, Any]
) -> None:
    start(story, words)
    nobodys = ids.enrollment_id(words.LEAD, "acme.other", 1)
    event = story.event(kind, 5, enrollment_id=nobodys, requested_by="olga", **more)
    told = story.happens(event)
    assert refusal(told) == (command, "not_enrolled", NEVER.get(command, {}))
    [refused] = told
    assert (refused.command_id, refused.enrollment_id) == (event.event_id, nobodys)
    assert (refused.requested_by, refused.occurred_at) == ("olga", event.occurred_at)


@pytest.mark.parametrize(("kind", "command", "more"), COMMANDS)
def test_a_command_about_a_lead_that_nobody_knows_is_refused(
    story: Any, words: Any, kind: str, command: str, more: dict[str, Any]
) -> None:
    told = story.when(kind, 5, enrollment_id=ids.enrollment_id(words.LEAD, ONE, 1), **more)
    assert refusal(told) == (command, "not_enrolled", NEVER.get(command, {}))


@pytest.mark.parametrize(("kind", "command", "more"), COMMANDS)
def test_a_command_about_an_enrollment_that_is_over_is_refused_with_how_it_ended(
    story: Any, words: Any, kind: str, command: str, more: dict[str, Any]
) -> None:
    enrollment = start(story, words)
    story.when("ReplyReceived", 5)
    told = story.when(kind, 6, enrollment_id=enrollment, **more)
    assert refusal(told) == (command, "enrollment_over", {"sequence_id": ONE, "outcome": "reply"})


def test_how_an_earlier_passage_ended_is_not_made_up(story: Any, words: Any) -> None:
    enrollment = start(story, words, reentry_rule="always")
    story.when("ReplyReceived", 5)
    story.when("EnrollRequested", 6, sequence_id=ONE)
    story.when("EnrollmentStopRequested", 7, enrollment_id=ids.enrollment_id(words.LEAD, ONE, 2))
    told = story.when("EnrollmentStopRequested", 8, enrollment_id=enrollment)
    assert refusal(told) == ("stop", "enrollment_over", {"sequence_id": ONE})


def test_of_a_lead_that_came_again_and_again_the_first_passage_is_over_and_not_unknown(
    story: Any, words: Any
) -> None:
    first = start(story, words, reentry_rule="always")
    for minute in range(5, 205, 2):
        story.when("ReplyReceived", minute)
        story.when("EnrollRequested", minute + 1, sequence_id=ONE)
    told = story.when("EnrollmentStopRequested", 206, enrollment_id=first)
    assert refusal(told) == ("stop", "enrollment_over", {"sequence_id": ONE})


def test_to_pause_what_is_paused_by_hand_is_refused(story: Any, words: Any) -> None:
    enrollment = start(story, words)
    story.when("EnrollmentPauseRequested", 5, enrollment_id=enrollment)
    told = story.when("EnrollmentPauseRequested", 6, enrollment_id=enrollment)
    assert refusal(told) == ("pause", "already_paused", {})
    told = story.when("EnrollmentResumeRequested", 7, enrollment_id=enrollment)
    assert words.types(told) == ["EnrollmentResumed"]


def test_to_resume_what_nobody_paused_is_refused(story: Any, words: Any) -> None:
    enrollment = start(story, words)
    told = story.when("EnrollmentResumeRequested", 5, enrollment_id=enrollment)
    assert refusal(told) == ("resume", "not_paused", {})


def test_to_resume_what_something_else_holds_is_refused_with_what_that_is(
    story: Any, words: Any
) -> None:
    enrollment = start(story, words)
    story.pause("everything")
    story.passes(60)
    told = story.when("EnrollmentResumeRequested", 61, enrollment_id=enrollment)
    assert refusal(told) == ("resume", "not_paused", {"held_by": "everything"})


def test_to_move_to_the_version_that_it_is_in_is_refused(story: Any, words: Any) -> None:
    enrollment = start(story, words)
    told = story.when("EnrollmentMigrateRequested", 5, enrollment_id=enrollment, to_version=1)
    assert refusal(told) == ("migrate", "same_version", {"version": "1"})


def test_a_refused_command_does_nothing_when_it_is_repeated(story: Any, words: Any) -> None:
    enrollment = start(story, words)
    early = story.event("EnrollmentResumeRequested", 5, enrollment_id=enrollment)
    story.happens(early)
    story.when("EnrollmentPauseRequested", 6, enrollment_id=enrollment)
    assert story.happens(early, 7) == []
    assert story.row.live[0].paused_by == "manual"


def test_a_pause_by_hand_during_an_incident_outlasts_it(story: Any, words: Any) -> None:
    enrollment = start(story, words)
    story.pause("everything")
    story.passes(60)
    told = story.when("EnrollmentPauseRequested", 70, enrollment_id=enrollment)
    assert words.rules(told, "EnrollmentPaused") == ["manual"]
    story.resume("everything")
    assert story.passes(80) == []
    told = story.when("EnrollmentResumeRequested", 90, enrollment_id=enrollment)
    assert words.rules(told, "EnrollmentResumed") == ["manual", "automation_resumed"]
    assert words.steps_sent(told) == ["later"]


def test_an_incident_outlasts_a_pause_by_hand(story: Any, words: Any) -> None:
    enrollment = start(story, words)
    story.pause("everything")
    story.passes(60)
    story.when("EnrollmentPauseRequested", 70, enrollment_id=enrollment)
    [resumed] = story.when("EnrollmentResumeRequested", 80, enrollment_id=enrollment)
    assert (resumed.rule, resumed.inputs["still_held_by"]) == ("manual", "everything")
    assert story.row.is_held()
    story.resume("everything")
    assert words.steps_sent(story.passes(90)) == ["later"]


def with_an_open_task(story: Any, words: Any) -> tuple[str, str]:
    story.publish("one", words.step("ring", channel="task", blocks=True), words.step("later", 60))
    [task] = words.queued(story.when("LeadCreated"))
    return ids.enrollment_id(words.LEAD, ONE, 1), task.message_id


def test_a_pause_by_hand_outlasts_the_task_that_was_open(story: Any, words: Any) -> None:
    enrollment, task = with_an_open_task(story, words)
    told = story.when("EnrollmentPauseRequested", 5, enrollment_id=enrollment)
    assert words.rules(told, "EnrollmentPaused") == ["manual"]
    told = story.when("TaskCompleted", 10, message_id=task)
    [resumed] = [each for each in told if each.TYPE == "EnrollmentResumed"]
    assert (resumed.rule, resumed.inputs["still_held_by"]) == ("task_done", "manual")
    assert words.steps_sent(story.passes(60)) == []
    told = story.when("EnrollmentResumeRequested", 90, enrollment_id=enrollment)
    assert "still_held_by" not in told[0].inputs
    assert words.steps_sent(told) == ["later"]


def test_an_open_task_outlasts_a_pause_by_hand(story: Any, words: Any) -> None:
    enrollment, task = with_an_open_task(story, words)
    story.when("EnrollmentPauseRequested", 5, enrollment_id=enrollment)
    [resumed] = story.when("EnrollmentResumeRequested", 70, enrollment_id=enrollment)
    assert (resumed.rule, resumed.inputs["still_held_by"]) == ("manual", "task_open")
    assert words.steps_sent(story.passes(80)) == []
    assert words.steps_sent(story.when("TaskCompleted", 90, message_id=task)) == ["later"]


def test_a_pause_by_hand_outlasts_the_merger_of_the_lead(story: Any, words: Any) -> None:
    enrollment = start(story, words)
    story.when("LeadUpdated", 10, status="merged", revision=2)
    told = story.when("EnrollmentPauseRequested", 20, enrollment_id=enrollment)
    assert words.rules(told, "EnrollmentPaused") == ["manual"]
    assert story.when("LeadUpdated", 30, status="active", revision=3) == []
    assert words.steps_sent(story.passes(60)) == []
    told = story.when("EnrollmentResumeRequested", 90, enrollment_id=enrollment)
    assert words.steps_sent(told) == ["later"]


def test_what_a_second_incident_holds_is_said_again(story: Any, words: Any) -> None:
    """Due at 09:00 in Chicago; the first incident ends when the hours are over."""
    window = SendWindow(start="09:00", end="10:00", days=())
    story.publish("one", words.step("a"), window=window)
    story.when("LeadCreated")
    story.pause("everything")
    [first] = story.passes(360)
    story.resume("everything")
    resumed, moved = story.passes(480)
    assert (resumed.rule, moved.rule) == ("automation_resumed", "window")
    story.pause("everything")
    [second] = story.passes(360 + 1440)
    assert (first.inputs["scope"], second.inputs["scope"]) == ("everything", "everything")
    assert first.event_id != second.event_id
    story.resume("everything")
    again = story.passes(370 + 1440)
    assert words.steps_sent(again) == ["a"]
    assert again[0].rule == "automation_resumed"
    assert again[0].event_id != resumed.event_id


def test_the_same_hold_decided_again_is_the_same_event(story: Any, words: Any) -> None:
    story.publish("one", words.step("a", 60))
    story.when("LeadCreated")
    row = story.row
    story.pause("everything")
    [first] = story.passes(60)
    story.row = row
    [again] = story.passes(75)
    assert first.event_id == again.event_id
