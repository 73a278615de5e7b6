"""Leads that do not answer: when they are dormant, and what ends their silence."""

from typing import Any

import pytest

from leadflow import ids
from leadflow.records.common import ConsentGrant
from sequencer.decide import fire

DAY = 1440


@pytest.fixture(autouse=True)
def reactivation(story: Any, words: Any) -> None:
    story.publish(
        "reactivation",
        words.step("back"),
        trigger=("dormant", "60"),
        reentry_rule="always",
    )


def test_a_lead_without_a_response_for_n_days_is_enrolled_then_and_not_before(
    story: Any, words: Any
) -> None:
    story.when("LeadCreated")
    assert story.until(60 * DAY - 1) == []
    told = story.until(60 * DAY)
    assert words.types(told)[:2] == ["Enrolled", "StepScheduled"]
    assert told[0].enrolled_by == "trigger"
    assert words.queued(told)[0].due_at == words.at(60 * DAY)
    assert words.steps_sent(told) == ["back"]


def test_a_lead_is_dormant_after_no_response_for_14_days(story: Any, words: Any) -> None:
    # "Dormant: no response for 14 days; reactivation from day 60" (product.md).
    story.publish("dormant", words.step("nudge"), trigger=("dormant", "14"))
    story.when("LeadCreated")
    assert story.until(14 * DAY - 1) == []
    assert words.steps_sent(story.until(14 * DAY)) == ["nudge"]
    assert words.steps_sent(story.until(60 * DAY)) == ["back"]


def test_a_response_on_the_13th_day_puts_dormancy_off_by_14_days(story: Any, words: Any) -> None:
    story.publish("dormant", words.step("nudge"), trigger=("dormant", "14"))
    story.when("LeadCreated")
    story.until(13 * DAY)
    story.when("ReplyReceived", 13 * DAY)
    assert story.until(27 * DAY - 1) == []
    assert words.steps_sent(story.until(27 * DAY)) == ["nudge"]


def test_it_is_enrolled_once_for_each_silence(story: Any, words: Any) -> None:
    story.when("LeadCreated")
    assert words.steps_sent(story.until(390 * DAY)) == ["back"]


def test_a_reply_of_the_very_instant_of_a_stop_by_hand_begins_a_silence_of_its_own(
    story: Any, words: Any
) -> None:
    story.publish("welcome", words.step("hello", 60))
    story.when("LeadCreated")
    welcome = ids.enrollment_id(words.LEAD, "acme.welcome", 1)
    story.when("EnrollmentStopRequested", 5, enrollment_id=welcome)
    assert words.steps_sent(story.until(60 * DAY + 5)) == ["back"]
    # It was written then, and is read only now.
    story.happens(story.event("ReplyReceived", 5), 61 * DAY)
    assert words.steps_sent(story.until(62 * DAY)) == ["back"]


@pytest.mark.parametrize(
    ("kind", "fields"),
    [
        ("ReplyReceived", {}),
        ("BookingMade", {}),
        ("CallMissed", {}),
        ("QuoteRequested", {}),
        ("MessageClicked", {}),
        ("ConsentChanged", {"granted": True}),
    ],
)
def test_what_the_lead_does_begins_its_silence_anew(
    story: Any, words: Any, kind: str, fields: dict[str, Any]
) -> None:
    story.when("LeadCreated")
    story.until(50 * DAY)
    story.when(kind, 50 * DAY, **fields)
    assert words.steps_sent(story.until(110 * DAY - 1)) == []
    assert words.steps_sent(story.until(110 * DAY)) == ["back"]


@pytest.mark.parametrize(
    ("kind", "fields"),
    [
        ("ReplyReceived", {"automatic": True}),
        ("MessageOpened", {}),
        ("MessageClicked", {"automated": True}),
        ("MessageDelivered", {}),
        ("LeadUpdated", {}),
        ("StageChanged", {"to_stage": "contacted"}),
        ("AccountReplied", {}),
    ],
)
def test_what_others_and_machines_do_is_no_response(
    story: Any, words: Any, kind: str, fields: dict[str, Any]
) -> None:
    story.when("LeadCreated")
    story.until(50 * DAY)
    story.when(kind, 50 * DAY, **fields)
    assert words.steps_sent(story.until(60 * DAY)) == ["back"]


def test_a_reply_stops_reactivation_and_puts_the_lead_back(story: Any, words: Any) -> None:
    story.publish(
        "reactivation",
        words.step("back"),
        words.step("again", 7 * DAY),
        trigger=("dormant", "60"),
        reentry_rule="always",
        version=2,
    )
    story.when("LeadCreated")
    assert words.steps_sent(story.until(61 * DAY)) == ["back"]
    assert words.rules(story.when("ReplyReceived", 62 * DAY), "EnrollmentStopped") == ["reply"]
    assert words.steps_sent(story.until(121 * DAY)) == []
    assert words.steps_sent(story.until(122 * DAY)) == ["back"]


def test_dormancy_waits_for_the_end_of_another_sequence(story: Any, words: Any) -> None:
    story.publish("nurture", words.step("n", 70 * DAY))
    story.when("LeadCreated")
    told = story.until(100 * DAY)
    assert words.steps_sent(told) == ["n", "back"]
    # Its steps count from when it was enrolled, not from when it could have been.
    assert words.queued(told)[1].enrolled_at == words.at(70 * DAY)


@pytest.mark.parametrize("stage", ["won", "lost", "assigned"])
def test_a_lead_that_is_closed_is_not_dormant(story: Any, words: Any, stage: str) -> None:
    story.when("LeadCreated")
    story.when("StageChanged", 5, to_stage=stage)
    assert story.until(390 * DAY) == []


def test_a_lead_taken_back_from_lost_is_silent_from_then_on(story: Any, words: Any) -> None:
    story.when("LeadCreated")
    story.when("StageChanged", 5, to_stage="lost")
    story.when("StageChanged", 100 * DAY, to_stage="contacted", revision=3)
    assert words.steps_sent(story.until(160 * DAY - 1)) == []
    assert words.steps_sent(story.until(160 * DAY)) == ["back"]


@pytest.mark.parametrize("kind", ["MessageBounced", "MessageComplained"])
def test_after_a_bounce_or_a_complaint_a_lead_is_left_alone(
    story: Any, words: Any, kind: str
) -> None:
    story.publish("nurture", words.step("n", 70 * DAY))
    story.when("LeadCreated")
    story.when(kind, 5)
    assert words.steps_sent(story.until(390 * DAY)) == []


@pytest.mark.parametrize("kind", ["MessageBounced", "MessageComplained"])
def test_so_it_is_if_that_comes_after_the_last_step(story: Any, words: Any, kind: str) -> None:
    story.publish("nurture", words.step("n"))
    story.publish("by-hand", words.step("h"), trigger=("manual", ""), reentry_rule="always")
    story.when("LeadCreated")
    story.when("EnrollRequested", 1, sequence_id="acme.by-hand")
    assert story.row.live == ()
    story.when(kind, 5)
    story.when("EnrollRequested", 6, sequence_id="acme.by-hand")
    assert "Enrolled" not in words.types(story.until(390 * DAY))


@pytest.mark.parametrize("kind", ["MessageBounced", "MessageComplained"])
def test_so_it_is_if_somebody_took_it_out_by_hand_before_that_was_heard(
    story: Any, words: Any, kind: str
) -> None:
    story.publish("nurture", words.step("n", 300 * DAY))
    story.when("LeadCreated")
    nurture = ids.enrollment_id(words.LEAD, "acme.nurture", 1)
    story.when("EnrollmentStopRequested", 2 * DAY, enrollment_id=nurture)
    story.happens(story.event(kind, 1 * DAY), 2 * DAY + 1)
    assert "Enrolled" not in words.types(story.until(390 * DAY))


def test_a_soft_bounce_after_the_last_step_keeps_nobody_from_being_dormant(
    story: Any, words: Any
) -> None:
    story.publish("nurture", words.step("n"))
    story.when("LeadCreated")
    story.when("MessageBounced", 5, bounce_type="soft")
    assert words.steps_sent(story.until(60 * DAY)) == ["back"]


def test_whoever_responds_after_a_complaint_is_asked_again_when_silent(
    story: Any, words: Any
) -> None:
    story.publish("nurture", words.step("n"))
    story.when("LeadCreated")
    story.when("MessageComplained", 5)
    story.when("QuoteRequested", 6)
    assert words.steps_sent(story.until(6 + 60 * DAY)) == ["back"]


def test_a_lead_that_refused_all_channels_is_refused_once_by_that_rule(
    story: Any, words: Any
) -> None:
    story.when("LeadCreated")
    story.when("ConsentChanged", 5, channel="all")
    told = story.until(390 * DAY)
    assert words.rules(told, "EnrollmentRefused") == ["consent_refused"]
    assert words.steps_sent(told) == []


def test_a_lead_taken_out_by_hand_is_silent_from_then_on(story: Any, words: Any) -> None:
    story.publish("nurture", words.step("n", 390 * DAY))
    story.when("LeadCreated")
    nurture = ids.enrollment_id(words.LEAD, "acme.nurture", 1)
    story.when("EnrollmentStopRequested", 100 * DAY, enrollment_id=nurture)
    assert words.steps_sent(story.until(160 * DAY - 1)) == []
    assert words.steps_sent(story.until(160 * DAY)) == ["back"]


def test_a_lead_that_is_not_active_is_not_dormant(story: Any, words: Any) -> None:
    story.when("LeadCreated")
    story.when("LeadUpdated", 5, status="merged")
    assert story.until(390 * DAY) == []


def test_a_lead_whose_merge_is_undone_has_been_silent_all_the_time(story: Any, words: Any) -> None:
    story.when("LeadCreated")
    story.when("LeadUpdated", 5, status="merged")
    assert story.until(55 * DAY) == []
    story.when("LeadUpdated", 55 * DAY, status="active", revision=3)
    assert words.steps_sent(story.until(60 * DAY)) == ["back"]


def test_each_dormant_sequence_has_its_own_days(story: Any, words: Any) -> None:
    story.publish("nudge", words.step("nudge"), trigger=("dormant", "14"))
    story.when("LeadCreated")
    assert words.steps_sent(story.until(59 * DAY)) == ["nudge"]
    assert words.steps_sent(story.until(60 * DAY)) == ["back"]


def test_a_dormant_sequence_takes_only_leads_of_its_source(story: Any, words: Any) -> None:
    story.publish("nudge", words.step("n"), trigger=("dormant", "14"), trigger_source="fair")
    story.when("LeadCreated")
    assert words.steps_sent(story.until(30 * DAY)) == []


def test_a_sequence_published_later_finds_the_lead_within_eight_days(
    story: Any, words: Any
) -> None:
    story.when("LeadCreated")
    assert story.until(30 * DAY) == []
    story.publish("nudge", words.step("nudge"), trigger=("dormant", "14"))
    told = story.until(38 * DAY)
    assert words.steps_sent(told) == ["nudge"]
    # Late, its steps count from then: they do not all come at once.
    assert words.queued(told)[0].enrolled_at >= words.at(30 * DAY)


def test_deciding_it_again_later_means_the_same_times_and_ids(story: Any, words: Any) -> None:
    story.when("LeadCreated")
    story.until(59 * DAY)
    first = fire(story.row, words.at(60 * DAY), story.setting)
    again = fire(story.row, words.at(60 * DAY + 30), story.setting)
    assert [each.event_id for each in first.effects] == [each.event_id for each in again.effects]
    assert again.row.live[0].enrolled_at == words.at(60 * DAY)


def test_a_silence_enrolls_and_the_first_step_waits_until_the_row_says_so(
    story: Any, words: Any
) -> None:
    # In no topic is what would make that enrollment again (design.md, "Guarantees": effects, then
    # state): a message of one that is lost would be nobody's.
    story.when("LeadCreated")
    story.until(59 * DAY)
    woken = fire(story.row, words.at(60 * DAY), story.setting)
    assert words.types(woken.effects) == ["Enrolled", "StepScheduled"]
    assert woken.row.next_due() == words.at(60 * DAY)
    assert words.steps_sent(fire(woken.row, words.at(60 * DAY), story.setting).effects) == ["back"]


def test_made_again_it_has_the_same_id_whatever_was_forgotten_meanwhile(words: Any) -> None:
    story = words.story(retention_days=30)
    story.publish("one", words.step("hello"), reentry_rule="always")
    story.publish("nudge", words.step("nudge"), trigger=("dormant", "5"), reentry_rule="always")
    story.when("LeadCreated")
    story.when("ReplyReceived", 20 * DAY)
    story.until(24 * DAY)
    lost = fire(story.row, words.at(25 * DAY), story.setting)
    made_again = fire(story.row, words.at(31 * DAY), story.setting)
    assert words.types(lost.effects) == ["Enrolled", "StepScheduled"]
    assert [each.event_id for each in made_again.effects] == [
        each.event_id for each in lost.effects
    ]


@pytest.mark.parametrize("days", ["", "0", "soon", "-3"])
def test_a_number_of_days_that_is_none_enrolls_nobody(story: Any, words: Any, days: str) -> None:
    story.publish("odd", words.step("odd"), trigger=("dormant", days))
    story.when("LeadCreated")
    assert words.steps_sent(story.until(59 * DAY)) == []


def test_an_import_that_grants_again_is_no_response(story: Any, words: Any) -> None:
    story.when("LeadCreated")
    grant = ConsentGrant(channel="email", granted=True, basis="import")
    story.when("LeadUpdated", 50 * DAY, consent=(grant,))
    assert words.steps_sent(story.until(60 * DAY)) == ["back"]
