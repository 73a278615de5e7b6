"""A message is sent again because a person asks for it."""

from datetime import UTC, date, datetime
from typing import Any

import pytest

from leadflow import ids
from leadflow.errors import RecordRefused
from leadflow.records import Arm
from sequencer.decide import decide

ONE = "acme.one"


def first(words: Any, step: str = "hello") -> str:
    return ids.message_id(ids.enrollment_id(words.LEAD, ONE, 1), step)


def resend(story: Any, message_id: str, minutes: float = 5, **fields: Any) -> list[Any]:
    told: list[Any] = story.when("ResendRequested", minutes, message_id=message_id, **fields)
    return told


def refused(told: list[Any]) -> tuple[str, dict[str, str]]:
    [event] = told
    assert event.TYPE == "StepSkipped"
    return event.rule, event.inputs


def test_a_resend_is_a_new_attempt_that_names_the_first(story: Any, words: Any) -> None:
    story.publish("one", words.step("hello"), words.step("later", 60))
    story.when("LeadCreated")
    [message] = resend(story, first(words))
    assert message.TYPE == "MessageQueued"
    assert message.message_id != first(words)
    assert (message.first_message_id, message.attempt) == (first(words), 2)
    assert (message.step_id, message.body) == ("hello", "Hello {{ first_name }}")
    assert words.steps_sent(story.passes(60)) == ["later"]


def test_a_message_of_a_completed_enrollment_can_be_sent_again(story: Any, words: Any) -> None:
    story.publish("one", words.step("hello"))
    story.when("LeadCreated")
    assert story.row.live == ()
    assert words.steps_sent(resend(story, first(words))) == ["hello"]


def test_the_same_command_again_sends_nothing_more_and_another_one_does(
    story: Any, words: Any
) -> None:
    story.publish("one", words.step("hello"))
    story.when("LeadCreated")
    command = story.event("ResendRequested", 5, message_id=first(words))
    [once] = story.happens(command)
    assert story.happens(command, minutes=6) == []
    again = decide(None, story.event("LeadCreated"), words.at(0), story.setting).row
    [repeated] = decide(again, command, words.at(7), story.setting).effects
    assert repeated.message_id == once.message_id
    [another] = resend(story, first(words), 8)
    assert another.message_id != once.message_id


def test_a_resend_has_the_values_of_now_and_the_arm_of_then(story: Any, words: Any) -> None:
    arms = tuple(
        Arm(name=name, weight=1, template_name=name, subject=name, body=name) for name in "ab"
    )
    story.publish("one", words.step("hello", arms=arms))
    [message] = words.queued(story.when("LeadCreated"))
    story.when("LeadUpdated", 2, email="new@example.com")
    [again] = resend(story, first(words))
    assert again.body == message.body
    assert again.recipient == "new@example.com"


def arms_of(**weights: int) -> tuple[Arm, ...]:
    return tuple(
        Arm(name=name, weight=weight, template_name=name, subject=name, body=name)
        for name, weight in weights.items()
    )


@pytest.mark.parametrize("over", [False, True])
def test_a_resend_has_the_arm_that_was_kept_from_an_earlier_step(words: Any, over: bool) -> None:
    steps = [words.step("x", arms=arms_of(a=1, b=1)), words.step("y", 10, arms=arms_of(b=1, a=4))]
    for number in range(20):
        story = words.story()
        story.publish("one", *steps, *([] if over else [words.step("end", 9_000)]))
        lead_id = f"5b0e5a1c-6f0f-5c55-9a0c-{number:012}"
        story.happens(story.event("LeadCreated", lead_id=lead_id))
        story.passes(10)
        bodies = {}
        for step_id in "xy":
            message_id = ids.message_id(ids.enrollment_id(lead_id, ONE, 1), step_id)
            event = story.event("ResendRequested", 20, message_id=message_id, lead_id=lead_id)
            [again] = story.happens(event)
            [first] = [e for e in words.queued(story.told) if e.message_id == message_id]
            bodies[step_id] = (first.body, again.body)
        assert len({*bodies["x"], *bodies["y"]}) == 1


def test_a_resend_has_its_arm_though_a_new_version_gives_it_nobody_any_more(words: Any) -> None:
    for number in range(20):
        story = words.story()
        story.publish("one", words.step("x", arms=arms_of(a=1, b=1)), words.step("end", 9_000))
        lead_id = f"5b0e5a1c-6f0f-5c55-9a0c-{number:012}"
        story.happens(story.event("LeadCreated", lead_id=lead_id))
        [first] = words.queued(story.told)
        story.publish(
            "one", words.step("x", arms=arms_of(a=0, b=1)), words.step("end", 9_000), version=2
        )
        enrollment_id = ids.enrollment_id(lead_id, ONE, 1)
        moved = story.event(
            "EnrollmentMigrateRequested", 5, enrollment_id=enrollment_id, lead_id=lead_id
        )
        story.happens(moved)
        event = story.event("ResendRequested", 20, message_id=first.message_id, lead_id=lead_id)
        [again] = story.happens(event)
        assert again.body == first.body


def test_a_stop_refuses_a_resend(story: Any, words: Any) -> None:
    story.publish("one", words.step("hello"), words.step("later", 60))
    story.when("LeadCreated")
    story.when("ReplyReceived", 4)
    rule, looked_at = refused(resend(story, first(words)))
    assert rule == "stopped_by_reply"
    assert looked_at["resend_of"] == first(words)
    assert looked_at["by"] == "ops"


def test_a_refused_consent_refuses_a_resend(story: Any, words: Any) -> None:
    story.publish("one", words.step("hello"))
    story.when("LeadCreated")
    story.when("ConsentChanged", 4, granted=False)
    assert refused(resend(story, first(words)))[0] == "consent_refused"


def test_the_cap_counts_a_resend_and_refuses_one(words: Any) -> None:
    story = words.story(message_cap=2)
    story.publish("one", words.step("hello"))
    story.when("LeadCreated")
    assert words.steps_sent(resend(story, first(words))) == ["hello"]
    rule, looked_at = refused(resend(story, first(words), 6))
    assert (rule, looked_at["until"]) == ("cap", words.at(7 * 1440).isoformat())


def test_quiet_hours_refuse_a_resend(story: Any, words: Any) -> None:
    story.publish("one", words.step("hello", 360, channel="sms"))
    story.when("ConsentChanged", channel="sms", granted=True, basis="form")
    story.when("LeadCreated")
    assert words.steps_sent(story.passes(360)) == ["hello"]
    assert refused(resend(story, first(words), 20 * 60))[0] == "quiet_hours"


@pytest.mark.parametrize("scope", ["everything", "channel:acme:email", "sequence:acme:acme.one"])
def test_a_pause_refuses_a_resend(story: Any, words: Any, scope: str) -> None:
    story.publish("one", words.step("hello"))
    story.when("LeadCreated")
    story.pause(scope)
    rule, looked_at = refused(resend(story, first(words)))
    assert (rule, looked_at["scope"]) == ("automation_paused", scope)


def test_a_paused_enrollment_refuses_a_resend(story: Any, words: Any) -> None:
    story.publish("one", words.step("hello"), words.step("later", 60))
    story.when("LeadCreated")
    story.when("EnrollmentPauseRequested", 1, enrollment_id=ids.enrollment_id(words.LEAD, ONE, 1))
    assert refused(resend(story, first(words)))[0] == "enrollment_paused"


def test_a_lead_that_is_not_active_refuses_a_resend(story: Any, words: Any) -> None:
    story.publish("one", words.step("hello"))
    story.when("LeadCreated")
    story.when("LeadUpdated", 1, status="merged")
    assert refused(resend(story, first(words)))[0] == "lead_not_active"


def test_what_has_not_gone_out_yet_is_not_sent_again(story: Any, words: Any) -> None:
    story.publish("one", words.step("hello"), words.step("later", 60))
    story.when("LeadCreated")
    assert refused(resend(story, first(words, "later")))[0] == "not_sent_yet"
    assert words.steps_sent(story.passes(60)) == ["later"]


def test_a_step_that_a_newer_version_removed_is_found_in_the_older_one(
    story: Any, words: Any
) -> None:
    story.publish("one", words.step("hello"), words.step("later", 60))
    story.when("LeadCreated")
    story.publish("one", words.step("later", 60), version=2)
    enrollment_id = ids.enrollment_id(words.LEAD, ONE, 1)
    story.when("EnrollmentMigrateRequested", 1, enrollment_id=enrollment_id)
    assert words.steps_sent(resend(story, first(words))) == ["hello"]


def test_a_message_that_no_step_can_have_had_is_a_refused_record(story: Any, words: Any) -> None:
    story.publish("one", words.step("hello"))
    story.when("LeadCreated")
    event = story.event("ResendRequested", message_id="m")
    with pytest.raises(RecordRefused, match="unknown_message"):
        decide(story.row, event, words.at(1), story.setting)


def test_a_task_sent_again_goes_to_who_is_there_now(words: Any) -> None:
    from leadflow.tenants import Absence

    away = Absence(owner="dana", first=date(2026, 11, 3), last=date(2026, 11, 9))
    story = words.story(owners=("dana", "luis"), absences=(away,), timezone="UTC")
    story.publish("one", words.step("hello", channel="task"))
    assert words.queued(story.when("LeadCreated"))[0].recipient == "dana"
    [again] = resend(story, first(words), 1440)
    assert again.recipient == "luis"
    assert again.due_at == datetime(2026, 11, 3, 9, tzinfo=UTC)
