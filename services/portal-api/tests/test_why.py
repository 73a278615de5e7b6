"""For each reason why a step did not go out, the answer that a person gets."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from portal_api.why import Answer, answers, chosen

START = datetime(2026, 11, 20, 9, 0, tzinfo=UTC)
STEPS = (("hello", "email"), ("text", "sms"), ("call", "call"))
DEFINITIONS = {("acme.first-touch", 1): STEPS, ("acme.first-touch", 2): (*STEPS, ("bye", "email"))}


def at(hours: float) -> datetime:
    return START + timedelta(hours=hours)


def say(when: datetime) -> str:
    return f"{when:%d %H:%M}"


class Story:
    """A lead's timeline, told an event at a time."""

    def __init__(self) -> None:
        self.lines: list[dict[str, Any]] = []

    def tell(self, kind: str, hours: float = 0, **data: Any) -> Story:
        about = {"enrollment_id": "e-1", "sequence_id": "acme.first-touch", "sequence_version": 1}
        self.lines.append({"type": kind, "recorded_at": at(hours), "data": {**about, **data}})
        return self

    def rule(self, kind: str, hours: float, rule: str, **inputs: str) -> Story:
        return self.tell(kind, hours, rule=rule, inputs=inputs)

    def enrolled(self) -> Story:
        return self.tell("Enrolled")

    def planned(
        self,
        step: str,
        due: float,
        hours: float = 0,
        rule: str = "",
        inputs: dict[str, str] | None = None,
    ) -> Story:
        index = [name for name, _ in STEPS].index(step)
        return self.tell(
            "StepScheduled",
            hours,
            step_id=step,
            step_index=index,
            channel=STEPS[index][1],
            due_at=at(due).isoformat(),  # as the read model keeps it
            rule=rule,
            inputs=inputs or {},
        )

    def fired(self, step: str, hours: float) -> Story:
        index = [name for name, _ in STEPS].index(step)
        return self.tell(
            "StepFired",
            hours,
            step_id=step,
            step_index=index,
            channel=STEPS[index][1],
            message_id=f"m-{step}",
            due_at=at(hours).isoformat(),
        ).message("MessageQueued", hours, step)

    def message(self, kind: str, hours: float, step: str = "hello", **data: Any) -> Story:
        return self.tell(kind, hours, message_id=f"m-{step}", step_id=step, **data)

    def answers(self, now: float = 1000) -> list[Answer]:
        return answers(self.lines, DEFINITIONS, at(now), say)

    def why(self, step: str = "hello", now: float = 1000) -> Answer:
        [found] = chosen(self.answers(now), "first-touch", step)
        return found


@pytest.fixture
def story() -> Story:
    return Story().enrolled().planned("hello", 0)


def test_a_step_that_went_out_says_when_and_the_providers_id(story: Story) -> None:
    story.fired("hello", 0).message("MessageSent", 1, provider="resend", provider_id="r-7")
    story.message("MessageDelivered", 2)
    found = story.why()
    assert (found.state, found.at, found.number) == ("sent", at(1), 1)
    assert found.text == (
        "It did go out, at 20 10:00: accepted by resend, provider id r-7. "
        "It was delivered at 20 11:00."
    )


def test_a_message_that_bounced_went_out_and_came_back(story: Story) -> None:
    story.fired("hello", 0).message("MessageSent", 1, provider="resend")
    story.message("MessageBounced", 2, bounce_type="hard")
    assert story.why().text == (
        "It did go out, at 20 10:00: accepted by resend. It was returned (bounced) at 20 11:00."
    )


def test_a_message_that_was_sent_again_says_so_and_keeps_what_became_of_the_first(
    story: Story,
) -> None:
    story.fired("hello", 0).message("MessageSent", 1, provider="resend")
    story.tell("MessageQueued", 5, message_id="m-again", first_message_id="m-hello")
    story.tell("MessageSent", 6, message_id="m-again", provider="resend")
    assert story.why().text == (
        "It did go out, at 20 10:00: accepted by resend. It was sent again at 20 15:00."
    )


def test_a_message_that_was_asked_for_again_in_vain_says_by_which_rule(story: Story) -> None:
    story.fired("hello", 0).message("MessageSent", 1, provider="resend")
    inputs = {"resend_of": "m-hello", "by": "dana", "channel": "email", "basis": "opt-out"}
    story.tell(
        "StepSkipped",
        5,
        step_id="hello",
        step_index=0,
        channel="email",
        rule="consent_refused",
        inputs=inputs,
    )
    assert story.why().state == "sent"
    assert story.why().text.endswith(
        "It was asked for again at 20 14:00, in vain: the lead refused email."
    )


def test_a_call_is_put_down_for_a_person() -> None:
    story = Story().enrolled().planned("call", 0).fired("call", 0)
    story.message("MessageRecorded", 1, "call")
    assert story.why("call").state == "recorded"


@pytest.mark.parametrize(
    ("rule", "inputs", "words"),
    [
        ("no_recipient", {"channel": "sms"}, "the lead has no address for sms"),
        ("consent_refused", {"channel": "sms", "basis": "form"}, "the lead refused sms"),
        (
            "consent_missing",
            {"channel": "sms", "rule": "channel_opt_in"},
            "the lead has not agreed to sms, and the sequence's rule is channel_opt_in",
        ),
        (
            "condition",
            {"field": "temperature", "op": "eq", "wanted": "hot", "found": ""},
            "its condition did not hold: temperature eq hot, but it was nothing",
        ),
        (
            "jumped_over",
            {"from": "is-hot"},
            "the condition is-hot did not hold and led past it",
        ),
        (
            "left_behind",
            {"from_version": "1", "to_version": "2"},
            "the lead was moved from version 1 to 2, where the step comes before the place at "
            "which it goes on",
        ),
    ],
)
def test_a_skipped_step_says_by_which_rule_and_what_it_looked_at(
    story: Story, rule: str, inputs: dict[str, str], words: str
) -> None:
    story.tell(
        "StepSkipped", 3, step_id="text", step_index=1, channel="sms", rule=rule, inputs=inputs
    )
    found = story.why("text")
    assert (found.state, found.rule, found.inputs) == ("skipped", rule, inputs)
    assert found.text == f"It was skipped at 20 12:00: {words}."


@pytest.mark.parametrize(
    ("rule", "inputs", "words"),
    [
        (
            "quiet_hours",
            {"zone": "America/Chicago", "hours": "08:00-21:00", "from": "2026-11-20T09:00:00Z"},
            "where the lead is (America/Chicago) this channel is quiet outside 08:00-21:00",
        ),
        (
            "window",
            {"zone": "UTC", "hours": "09:00-17:00 mon tue"},
            "the sequence's window is 09:00-17:00 mon tue where the lead is (UTC), and may "
            "close on holidays",
        ),
        (
            "cap",
            {"messages": "4", "days": "7"},
            "the lead had its 4 messages in 7 days, over all sequences",
        ),
        (
            "spread",
            {"spread_minutes": "30"},
            "it is spread over 30 minutes, so that not all go out at once",
        ),
        ("out_of_office", {}, "an automatic answer said that the person is away"),
        (
            "out_of_office",
            {"returns_on": "2026-11-30"},
            "an automatic answer said that the person is back on 2026-11-30",
        ),
        (
            "out_of_office",
            {"back_at": "2026-11-30T15:00:00+00:00", "due_at": "2026-11-21T09:00:00+00:00"},
            "an automatic answer said that the person is away until 30 15:00",
        ),
    ],
)
def test_a_shifted_step_says_until_when_and_why(
    story: Story, rule: str, inputs: dict[str, str], words: str
) -> None:
    story.planned("hello", 6, 1, rule, inputs)
    found = story.why(now=2)
    assert (found.state, found.at, found.rule, found.inputs) == ("not_due", at(6), rule, inputs)
    assert found.text == f"It is not due before 20 15:00: {words}."


def test_a_step_that_went_out_late_says_what_had_moved_it(story: Story) -> None:
    story.planned("hello", 6, 0, "cap", {"messages": "4", "days": "7"}).fired("hello", 6)
    story.message("MessageSent", 6, provider="resend")
    assert story.why().text == (
        "It did go out, at 20 15:00: accepted by resend. It had been moved to 20 15:00: "
        "the lead had its 4 messages in 7 days, over all sequences."
    )


def test_a_step_that_is_not_due_yet_says_when_it_is(story: Story) -> None:
    story.fired("hello", 1).planned("text", 24, 1)
    assert story.why("text", now=2).text == "It is not due before 21 09:00."


def test_a_step_that_is_due_and_was_not_looked_at_says_so(story: Story) -> None:
    assert story.why(now=1).text == (
        "It was due at 20 09:00, and the sequencer has not come to it yet."
    )


def test_a_step_whose_turn_has_not_come_names_the_one_before_it(story: Story) -> None:
    assert story.why("call", now=0).text == (
        "Its turn has not come: hello comes before it, at 20 09:00."
    )


@pytest.mark.parametrize(
    ("rule", "inputs", "words"),
    [
        ("manual", {"requested_by": "dana"}, "dana asked for it"),
        (
            "automation_paused",
            {"scope": "tenant:acme"},
            "automation was paused (tenant:acme), and this has not gone on yet",
        ),
        ("sequence_paused", {}, "the sequence is paused"),
        ("definition_missing", {}, "the definition of this version cannot be read"),
        ("task_open", {"step": "call"}, "the task call is not done yet"),
        ("lead_merged", {"status": "merged"}, "the lead was merged into another"),
        ("lead_quarantined", {"status": "quarantined"}, "the lead is in quarantine"),
    ],
)
def test_a_paused_step_says_since_when_and_by_what(
    story: Story, rule: str, inputs: dict[str, str], words: str
) -> None:
    story.rule("EnrollmentPaused", 0, rule, **inputs)
    found = story.why()
    assert (found.state, found.rule, found.inputs) == ("paused", rule, inputs)
    assert found.text == (
        f"The lead's way through the sequence is paused since 20 09:00: {words}. "
        "It is due at 20 09:00."
    )


@pytest.mark.parametrize(
    ("paused", "resumed"),
    [
        ("manual", "manual"),
        ("automation_paused", "automation_resumed"),
        ("sequence_paused", "automation_resumed"),
        ("task_open", "task_done"),
        ("lead_merged", "lead_active"),
    ],
)
def test_what_was_resumed_holds_nothing_any_more(story: Story, paused: str, resumed: str) -> None:
    story.rule("EnrollmentPaused", 0, paused, scope="s", step="s")
    story.rule("EnrollmentResumed", 1, resumed)
    assert story.why().state == "due"


@pytest.mark.parametrize(
    ("rule", "inputs", "words"),
    [
        ("reply", {"channel": "email"}, "the lead replied by email"),
        ("account_reply", {}, "another contact of the same account replied"),
        ("booking", {}, "the lead booked an appointment"),
        ("won", {"from": "qualified"}, "the lead was won"),
        ("lost", {"from": "qualified"}, "the lead was lost"),
        ("opt_out", {"channel": "sms"}, "the lead opted out of sms"),
        ("bounce", {"channel": "email"}, "a message to the lead bounced for good"),
        ("complaint", {"channel": "email"}, "the lead called a message spam"),
        ("manual", {"requested_by": "dana"}, "dana asked for it"),
        ("stage_left", {"from": "new", "to": "won"}, "the lead left the stage new for won"),
        (
            "superseded",
            {"by": "acme.quote", "group": "sales"},
            "acme.quote took over, of the same exclusive group sales",
        ),
        ("stop_step", {"step": "end"}, "the step end ends the sequence"),
    ],
)
def test_a_step_behind_a_stop_names_the_event_that_stopped_it(
    story: Story, rule: str, inputs: dict[str, str], words: str
) -> None:
    story.fired("hello", 0).message("MessageSent", 0, provider="p").planned("text", 24)
    story.rule("EnrollmentStopped", 2, rule, **inputs)
    for step in ("text", "call"):
        found = story.why(step)
        assert (found.state, found.rule, found.inputs) == ("stopped", rule, inputs)
        assert found.text == (f"The sequence ended at 20 11:00, before the step's turn: {words}.")
    assert story.why("hello").state == "sent"


@pytest.mark.parametrize(
    ("rule", "inputs", "words"),
    [
        ("lead_not_active", {"status": "quarantined"}, "the lead was quarantined"),
        ("already_active", {"enrollment_id": "e"}, "the lead was in it already"),
        (
            "exclusive",
            {"group": "g", "held_by": "acme.q", "priority": "50", "their_priority": "60"},
            "the lead was in acme.q, of the same exclusive group g, whose priority 60 is not "
            "below 50",
        ),
        (
            "reentry",
            {"reentry": "never", "entries": "1", "ended_at": "2026-11-01T10:00:00+00:00"},
            "the lead was in it before, until 01 10:00, and enters it once only",
        ),
        (
            "reentry",
            {
                "reentry": "after_days",
                "days": "90",
                "entries": "1",
                "ended_at": "2026-11-01T10:00:00+00:00",
            },
            "the lead was in it before, until 01 10:00, and may enter again 90 days after that",
        ),
        ("consent_refused", {"channel": "all"}, "the lead refused all"),
        ("sequence_not_active", {}, "the sequence was not active"),
    ],
)
def test_a_refused_enrollment_answers_for_every_step(
    rule: str, inputs: dict[str, str], words: str
) -> None:
    story = Story().rule("EnrollmentRefused", 1, rule, **inputs)
    found = story.why("text")
    assert (found.state, found.rule, found.step_id) == ("refused", rule, None)
    assert found.text == f"The lead did not enter at 20 10:00: {words}."


@pytest.mark.parametrize(
    ("rule", "inputs", "words"),
    [
        (
            "suppression_list",
            {"reason": "bounce", "channel": "email"},
            "the address is on the suppression list of email: bounce",
        ),
        ("consent_refused", {"channel": "email"}, "the lead refused email"),
        (
            "stopped_by_reply",
            {"stopped_at": "2026-11-20T08:00:00+00:00", "enrolled_at": "2026-11-20T07:00:00+00:00"},
            "the lead replied before it was sent, at 20 08:00",
        ),
    ],
)
def test_what_the_dispatcher_suppressed_says_by_which_rule(
    story: Story, rule: str, inputs: dict[str, str], words: str
) -> None:
    story.fired("hello", 0).message("MessageSuppressed", 1, rule=rule, inputs=inputs)
    found = story.why()
    assert (found.state, found.rule) == ("suppressed", rule)
    assert found.text == f"It came due but was not sent, at 20 10:00: {words}."


@pytest.mark.parametrize(
    ("rule", "inputs", "words"),
    [
        (
            "paused",
            {"scope": "everything"},
            "automation was paused (everything), and this has not gone on yet",
        ),
        ("no_consent", {"channel": "sms"}, "the lead has not agreed to sms"),
        (
            "template_value_missing",
            {"value": "booking_link"},
            "its template has no value for booking_link, and no fallback",
        ),
        ("review", {}, "a person has to approve it first"),
        (
            "cap",
            {"messages": "4", "days": "7", "until": "2026-11-23T10:00:00+00:00"},
            "the lead had its 4 messages in 7 days, over all sequences, and may get the next from "
            "23 10:00 on",
        ),
    ],
)
def test_what_the_dispatcher_holds_says_what_it_waits_for(
    story: Story, rule: str, inputs: dict[str, str], words: str
) -> None:
    story.fired("hello", 0).message("MessageHeld", 1, rule=rule, inputs=inputs)
    found = story.why()
    assert (found.state, found.rule) == ("held", rule)
    assert found.text == f"It came due and is held since 20 10:00: {words}."


def test_a_message_that_a_person_rejected_names_the_person(story: Story) -> None:
    story.fired("hello", 0).message("MessageHeld", 1, rule="review")
    story.message("MessageReviewed", 2, decision="rejected", reviewer="eve", reason="too long")
    assert story.why().text == "eve rejected it at 20 11:00: too long."


def test_a_message_that_failed_says_how_often_it_was_tried(story: Story) -> None:
    story.fired("hello", 0).message(
        "MessageFailed", 1, provider="p", reason="no such mailbox", attempts=3, error_class="perm"
    )
    assert story.why().text == (
        "It failed for good at 20 10:00, after 3 attempts with p: no such mailbox."
    )


def test_a_message_in_doubt_says_that_a_person_has_to_look(story: Story) -> None:
    story.fired("hello", 0).message("MessageUnknown", 1, provider="p", reason="no answer")
    assert story.why().state == "unknown"
    assert "It is not sent again before a person has looked." in story.why().text


def test_a_message_that_waits_for_the_dispatcher_says_so(story: Story) -> None:
    assert story.fired("hello", 0).why().text == (
        "It came due at 20 09:00 and waits for the dispatcher."
    )


def test_a_step_that_a_migration_left_behind_was_passed_over(story: Story) -> None:
    story.tell("EnrollmentMigrated", 1, sequence_version=2, rule="manual", inputs={})
    story.tell(
        "StepScheduled", 1, step_id="bye", step_index=3, channel="email", due_at=at(9).isoformat()
    )
    assert story.why("text", now=2).state == "passed_over"
    assert story.why("bye", now=2).state == "not_due"


def test_the_order_in_which_one_moments_events_are_read_is_nothing_to_the_answer(
    story: Story,
) -> None:
    story.fired("hello", 0).planned("text", 24).message("MessageSent", 1, provider="p")
    story.rule("EnrollmentStopped", 2, "reply", channel="email")
    answered = story.answers()
    story.lines.reverse()
    assert story.answers() == answered


def test_a_step_is_asked_for_by_its_number_or_its_id(story: Story) -> None:
    assert story.why("2").step_id == story.why("text").step_id == "text"


def test_without_the_definition_the_steps_are_those_that_the_timeline_names(story: Story) -> None:
    found = answers(story.lines, {}, at(2), say)
    assert [each.step_id for each in found] == ["hello"]


def test_what_was_asked_in_vain_is_said_once_at_the_step_that_is_next(story: Story) -> None:
    story.fired("hello", 0).planned("text", 9)
    story.rule("CommandRefused", 1, "not_paused", command="x")
    story.lines[-1]["data"] |= {"command": "resume", "requested_by": "olga", "inputs": {}}
    assert story.why("text", now=2).text == (
        "It is not due before 20 18:00. "
        "olga asked to resume it at 20 10:00, in vain: it was not paused."
    )
    assert "in vain" not in story.why("hello").text + story.why("call").text


def test_what_was_asked_in_vain_of_a_passage_that_is_over_is_said_at_its_last_step(
    story: Story,
) -> None:
    story.rule("EnrollmentStopped", 1, "reply", channel="email")
    story.fired("hello", 0)
    story.tell("CommandRefused", 2, command="stop", requested_by="olga", rule="enrollment_over")
    assert story.why("call").text.endswith(
        "olga asked to stop it at 20 11:00, in vain: it was over before."
    )


def test_what_one_of_two_holds_is_lifted_from_is_held_by_the_other(story: Story) -> None:
    story.rule("EnrollmentPaused", 1, "automation_paused", scope="everything")
    story.rule("EnrollmentPaused", 2, "manual", requested_by="olga")
    assert story.why().rule == "manual"
    story.rule("EnrollmentResumed", 3, "manual", still_held_by="everything")
    assert (story.why().state, story.why().rule) == ("paused", "automation_paused")
    story.rule("EnrollmentResumed", 4, "automation_resumed", scope="everything")
    assert story.why().state == "due"


def test_a_merger_that_ended_during_a_pause_by_hand_holds_nothing_after_it(story: Story) -> None:
    story.rule("EnrollmentPaused", 1, "lead_merged", status="merged")
    story.rule("EnrollmentPaused", 2, "manual", requested_by="olga")
    story.rule("EnrollmentResumed", 3, "manual")
    assert story.why().state == "due"
