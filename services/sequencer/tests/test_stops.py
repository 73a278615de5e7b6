"""What ends an enrollment, and what people do by hand."""

from typing import Any

import pytest

from leadflow import ids

ONE = "acme.one"


def start(story: Any, words: Any, **changes: Any) -> str:
    story.publish("one", words.step("hello"), words.step("later", 60), **changes)
    story.when("LeadCreated")
    return ids.enrollment_id(words.LEAD, ONE, 1)


@pytest.mark.parametrize(
    ("kind", "fields", "rule"),
    [
        ("ReplyReceived", {}, "reply"),
        ("BookingMade", {}, "booking"),
        ("StageChanged", {"to_stage": "won"}, "won"),
        ("StageChanged", {"to_stage": "lost"}, "lost"),
        ("ConsentChanged", {"granted": False}, "opt_out"),
        ("MessageBounced", {"bounce_type": "hard"}, "bounce"),
        ("MessageComplained", {}, "complaint"),
    ],
)
def test_a_stop_ends_the_enrollment_and_nothing_more_goes_out(
    story: Any, words: Any, kind: str, fields: dict[str, Any], rule: str
) -> None:
    start(story, words)
    (stopped,) = story.when(kind, 30, **fields)
    assert (stopped.TYPE, stopped.rule) == ("EnrollmentStopped", rule)
    assert story.passes(100_000) == []
    assert story.row.live == ()
    ended = [each for each in story.row.finished if each.sequence_id]
    assert [(each.entries, each.outcome) for each in ended] == [(1, rule)]


@pytest.mark.parametrize(
    ("kind", "fields"),
    [
        ("MessageBounced", {"bounce_type": "soft"}),
        ("MessageDelivered", {}),
        ("ConsentChanged", {"granted": True}),
        ("StageChanged", {"to_stage": "contacted"}),
    ],
)
def test_what_is_no_stop_stops_nothing(
    story: Any, words: Any, kind: str, fields: dict[str, Any]
) -> None:
    start(story, words)
    assert story.when(kind, 30, **fields) == []
    assert words.steps_sent(story.passes(60)) == ["later"]


def test_a_sequence_stops_only_on_what_it_names(story: Any, words: Any) -> None:
    start(story, words, stop_on=("booking",))
    assert story.when("ReplyReceived", 30) == []
    assert words.rules(story.when("BookingMade", 31), "EnrollmentStopped") == ["booking"]


def test_a_reply_of_another_contact_of_the_account_stops_what_names_it(
    story: Any, words: Any
) -> None:
    story.publish("one", words.step("later", 60), stop_on=("account_reply",))
    story.publish("two", words.step("later", 60), stop_on=("reply",))
    story.when("LeadCreated")
    [stopped] = story.when("AccountReplied", 30, replied_lead_id="lead-2")
    assert (stopped.TYPE, stopped.rule) == ("EnrollmentStopped", "account_reply")
    assert stopped.inputs["lead_id"] == "lead-2"
    assert [each.sequence_id for each in story.row.live] == ["acme.two"]


@pytest.mark.parametrize("kind", ["ConsentChanged", "MessageBounced", "MessageComplained"])
def test_opt_out_bounce_and_complaint_cannot_be_switched_off(
    story: Any, words: Any, kind: str
) -> None:
    start(story, words, stop_on=())
    assert words.types(story.when(kind, 30)) == ["EnrollmentStopped"]


def test_leaving_the_trigger_stage_stops_what_asks_for_it(story: Any, words: Any) -> None:
    story.publish("one", words.step("later", 60), stop_on=("stage_left",))
    story.publish("two", words.step("later", 60))
    story.when("LeadCreated")
    told = story.when("StageChanged", 5, to_stage="qualified")
    assert words.rules(told, "EnrollmentStopped") == ["stage_left"]
    assert [each.sequence_id for each in story.row.live] == ["acme.two"]


def test_leaving_another_stage_than_its_trigger_stops_nothing(story: Any, words: Any) -> None:
    trigger = ("stage", "contacted")
    story.publish("one", words.step("later", 60), trigger=trigger, stop_on=("stage_left",))
    story.when("LeadCreated")
    story.when("EnrollRequested", 1, sequence_id="acme.one")
    told = story.when("StageChanged", 5, to_stage="qualified")
    assert words.rules(told, "EnrollmentStopped") == []
    assert words.steps_sent(story.passes(61)) == ["later"]


def test_a_stop_beats_a_step_that_is_due_at_the_same_time(story: Any, words: Any) -> None:
    start(story, words)
    assert words.types(story.when("ReplyReceived", 60)) == ["EnrollmentStopped"]


def test_a_person_enrolls_a_lead_in_a_sequence_without_a_trigger(story: Any, words: Any) -> None:
    story.publish("by-hand", words.step("hello"), trigger=("manual", ""))
    story.when("LeadCreated")
    told = story.when("EnrollRequested", 5, sequence_id="acme.by-hand")
    assert told[0].enrolled_by == "manual"
    assert words.steps_sent(told) == ["hello"]


@pytest.mark.parametrize(
    ("created", "sequence_id", "rule"),
    [
        (False, "acme.by-hand", "unknown_lead"),
        (True, "acme.no-such", "sequence_not_active"),
        (True, "acme.draft", "sequence_not_active"),
    ],
)
def test_a_manual_enrollment_that_cannot_be_is_refused_with_its_rule(
    story: Any, words: Any, created: bool, sequence_id: str, rule: str
) -> None:
    story.publish("by-hand", words.step("hello"), trigger=("manual", ""))
    story.publish("draft", words.step("hello"), trigger=("manual", ""), status="draft")
    if created:
        story.when("LeadCreated")
    told = story.when("EnrollRequested", 5, sequence_id=sequence_id)
    assert words.rules(told, "EnrollmentRefused") == [rule]


def test_a_paused_enrollment_waits_and_a_resumed_one_sends_what_came_due(
    story: Any, words: Any
) -> None:
    enrollment = start(story, words)
    told = story.when("EnrollmentPauseRequested", 5, enrollment_id=enrollment)
    assert words.rules(told, "EnrollmentPaused") == ["manual"]
    assert story.passes(60) == []
    assert story.row.next_due() is None
    told = story.when("EnrollmentResumeRequested", 90, enrollment_id=enrollment)
    assert words.types(told)[0] == "EnrollmentResumed"
    assert words.steps_sent(told) == ["later"]


def test_a_person_stops_an_enrollment_whatever_it_stops_on(story: Any, words: Any) -> None:
    enrollment = start(story, words, stop_on=())
    told = story.when("EnrollmentStopRequested", 5, enrollment_id=enrollment)
    assert words.rules(told, "EnrollmentStopped") == ["manual"]
    assert story.row.live == ()


@pytest.mark.parametrize("status", ["merged", "quarantined"])
def test_a_resume_by_hand_does_not_take_a_lead_out_of_its_merger(
    story: Any, words: Any, status: str
) -> None:
    enrollment = start(story, words)
    story.when("EnrollmentPauseRequested", 5, enrollment_id=enrollment)
    story.when("LeadUpdated", 10, status=status, revision=2)
    told = story.when("EnrollmentResumeRequested", 90, enrollment_id=enrollment)
    assert words.types(told) == ["EnrollmentResumed", "EnrollmentPaused"]
    assert words.rules(told, "EnrollmentPaused") == [f"lead_{status}"]
    assert story.passes(100) == []
    told = story.when("LeadUpdated", 110, status="active", revision=3)
    assert words.steps_sent(told) == ["later"]


def test_a_merged_lead_waits_and_goes_on_when_the_merge_is_undone(story: Any, words: Any) -> None:
    start(story, words)
    told = story.when("LeadUpdated", 10, status="merged", revision=2)
    assert words.rules(told, "EnrollmentPaused") == ["lead_merged"]
    assert story.passes(60) == []
    told = story.when("LeadUpdated", 70, status="active", revision=3)
    assert words.types(told)[0] == "EnrollmentResumed"
    assert words.steps_sent(told) == ["later"]


@pytest.mark.parametrize("status", ["merged", "quarantined"])
@pytest.mark.parametrize(
    ("rule", "stage"), [("won", "won"), ("lost", "lost"), ("stage_left", "qualified")]
)
@pytest.mark.parametrize("told_by", ["StageChanged", "LeadUpdated", "release"])
def test_a_stage_that_stops_holds_though_the_lead_waits_for_its_status(
    story: Any, words: Any, status: str, rule: str, stage: str, told_by: str
) -> None:
    start(story, words, stop_on=(rule,))
    story.when("LeadUpdated", 10, status=status, revision=2)
    if told_by == "StageChanged":
        story.when("StageChanged", 20, to_stage=stage, revision=3)
    elif told_by == "LeadUpdated":
        story.when("LeadUpdated", 20, status=status, stage=stage, revision=3)
    story.when("LeadUpdated", 30, status="active", stage=stage, revision=4)
    assert words.rules(story.told, "EnrollmentStopped") == [rule]
    story.passes(100_000)
    assert words.steps_sent(story.told) == ["hello"]


@pytest.mark.parametrize("status", ["merged", "quarantined"])
def test_a_stage_triggers_nothing_while_the_lead_waits_for_its_status(
    story: Any, words: Any, status: str
) -> None:
    story.publish("won", words.step("thanks"), trigger=("stage", "won"), stop_on=())
    start(story, words)
    story.when("LeadUpdated", 10, status=status, revision=2)
    told = story.when("StageChanged", 20, to_stage="won", revision=3)
    assert words.types(told) == ["EnrollmentStopped"]


def test_a_test_that_bounced_makes_no_lead(story: Any, words: Any) -> None:
    lead_id = ids.test_lead_id("acme", "olga@acme.example")
    assert story.when("MessageBounced", lead_id=lead_id) == []
    assert story.row is None
