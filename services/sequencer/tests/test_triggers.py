"""Who enters a sequence, who does not, and why."""

from typing import Any

import pytest

from leadflow import ids
from sequencer.decide import decide


def test_a_lead_created_in_a_stage_enters_what_waits_for_that_stage(story: Any, words: Any) -> None:
    story.publish("first-touch", words.step("hello"), words.step("day1", 1440))
    story.publish("proposal", words.step("ask"), trigger=("stage", "proposal-sent"))
    told = story.when("LeadCreated")
    assert words.types(told) == [
        "Enrolled",
        "StepScheduled",
        "StepFired",
        "MessageQueued",
        "StepScheduled",
    ]
    enrolled, _, fired, message, scheduled = told
    enrollment_id = ids.enrollment_id(words.LEAD, "acme.first-touch", 1)
    assert enrolled.enrollment_id == enrollment_id
    assert enrolled.enrolled_by == "trigger"
    assert fired.message_id == message.message_id == ids.message_id(enrollment_id, "hello")
    assert message.recipient == "ada@example.com"
    assert message.variables == {
        "first_name": "Ada",
        "email": "ada@example.com",
        "phone": "+15125550111",
        "agent": "dana",
        "agent_phone": "+15125550100",
        "tenant_name": "Acme Roofing",
    }
    assert message.compliance_note == "no refusal recorded"
    assert message.enrolled_at == words.at(0)
    assert message.stop_on == ("reply", "booking", "won", "lost")
    assert (scheduled.step_id, scheduled.due_at) == ("day1", words.at(1440))


def test_a_lead_that_moves_into_a_stage_enters_what_waits_for_it(story: Any, words: Any) -> None:
    story.publish("proposal", words.step("ask"), trigger=("stage", "proposal-sent"))
    assert story.when("LeadCreated") == []
    told = story.when("StageChanged", 5, to_stage="proposal-sent")
    assert words.steps_sent(told) == ["ask"]


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("lead_qualified", "LeadQualified"),
        ("call_missed", "CallMissed"),
        ("quote_requested", "QuoteRequested"),
        ("job_completed", "JobCompleted"),
        ("booking_made", "BookingMade"),
    ],
)
def test_an_event_enrolls_in_what_waits_for_it(
    story: Any, words: Any, name: str, kind: str
) -> None:
    story.publish("answer", words.step("hello"), trigger=("event", name))
    story.when("LeadCreated")
    assert words.steps_sent(story.when(kind, 5)) == ["hello"]


def test_lead_created_is_an_event_too(story: Any, words: Any) -> None:
    story.publish("answer", words.step("hello"), trigger=("event", "lead_created"))
    assert words.steps_sent(story.when("LeadCreated")) == ["hello"]


def test_a_sequence_for_one_source_leaves_leads_of_other_sources_alone(
    story: Any, words: Any
) -> None:
    story.publish("missed", words.step("hello"), trigger_source="call-tracking")
    assert story.when("LeadCreated", source="website-form") == []
    other = words.story()
    other.publish("missed", words.step("hello"), trigger_source="call-tracking")
    assert words.steps_sent(other.when("LeadCreated", source="call-tracking")) == ["hello"]


def test_new_leads_enter_the_highest_active_version(story: Any, words: Any) -> None:
    story.publish("first-touch", words.step("one"))
    story.publish("first-touch", words.step("two"), version=2)
    story.publish("first-touch", words.step("three"), version=3, status="draft")
    told = story.when("LeadCreated")
    assert words.steps_sent(told) == ["two"]
    assert told[0].sequence_version == 2


@pytest.mark.parametrize("status", ["archived", "paused"])
def test_a_sequence_whose_newest_version_is_closed_takes_nobody_in(
    story: Any, words: Any, status: str
) -> None:
    story.publish("first-touch", words.step("one"))
    story.publish("first-touch", words.step("one"), version=2, status=status)
    assert story.when("LeadCreated") == []


def test_sequences_of_another_tenant_are_none_of_the_leads_business(story: Any, words: Any) -> None:
    story.publish("first-touch", words.step("one"), tenant_id="somebody-else")
    assert story.when("LeadCreated") == []


@pytest.mark.parametrize("status", ["quarantined", "merged"])
def test_a_lead_that_is_not_active_is_left_alone(story: Any, words: Any, status: str) -> None:
    story.publish("first-touch", words.step("hello"))
    story.publish("missed", words.step("call"), trigger=("event", "call_missed"))
    assert story.when("LeadCreated", status=status) == []
    assert story.when("CallMissed", 1) == []


def test_a_lead_released_from_quarantine_starts_like_a_new_one(story: Any, words: Any) -> None:
    story.publish("first-touch", words.step("hello"))
    story.when("LeadCreated", status="quarantined")
    assert words.steps_sent(story.when("LeadUpdated", 60, status="active")) == ["hello"]


def test_a_lead_that_is_already_in_the_sequence_is_refused(story: Any, words: Any) -> None:
    story.publish(
        "missed", words.step("later", 60), trigger=("event", "call_missed"), reentry_rule="always"
    )
    story.when("LeadCreated")
    story.when("CallMissed", 1)
    (refused,) = story.when("CallMissed", 2)
    assert (refused.TYPE, refused.rule) == ("EnrollmentRefused", "already_active")
    assert refused.inputs == {
        "enrollment_id": ids.enrollment_id(words.LEAD, "acme.missed", 1),
    }


@pytest.mark.parametrize(
    ("rule", "days", "minutes", "enters"),
    [
        ("never", 0, 100 * 1440, False),
        ("always", 0, 2, True),
        ("after_days", 30, 29 * 1440, False),
        ("after_days", 30, 30 * 1440 + 1, True),
    ],
)
def test_reentry_follows_its_rule(
    story: Any, words: Any, rule: str, days: int, minutes: int, enters: bool
) -> None:
    story.publish(
        "missed",
        words.step("hello"),
        trigger=("event", "call_missed"),
        reentry_rule=rule,
        reentry_days=days,
    )
    story.when("LeadCreated")
    story.when("CallMissed", 1)  # one step: complete at once
    told = story.when("CallMissed", minutes)
    if enters:
        assert told[0].entry == 2
        second = ids.enrollment_id(words.LEAD, "acme.missed", 2)
        assert words.queued(told)[0].message_id == ids.message_id(second, "hello")
    else:
        assert words.rules(told, "EnrollmentRefused") == ["reentry"]
        assert told[0].inputs["reentry"] == rule


def test_a_refusal_of_all_channels_keeps_a_lead_out(story: Any, words: Any) -> None:
    story.publish("missed", words.step("hello"), trigger=("event", "call_missed"))
    story.when("LeadCreated")
    story.when("ConsentChanged", 1, channel="all")
    assert words.rules(story.when("CallMissed", 2), "EnrollmentRefused") == ["consent_refused"]


@pytest.mark.parametrize(("allowed_at", "rules"), [(1, ["consent_refused"]), (9, [])])
def test_only_a_permission_after_it_lifts_a_refusal_of_all_channels(
    story: Any, words: Any, allowed_at: int, rules: list[str]
) -> None:
    story.publish("missed", words.step("hello"), trigger=("event", "call_missed"))
    story.when("LeadCreated")
    words_of_consent = [
        (allowed_at, {"channel": "email", "granted": True, "basis": "opt-in"}),
        (5, {"channel": "all"}),
    ]
    for minutes, said in sorted(words_of_consent, key=lambda each: each[0]):
        story.when("ConsentChanged", minutes, **said)
    assert words.rules(story.when("CallMissed", 10), "EnrollmentRefused") == rules


@pytest.mark.parametrize("refused_first", [True, False])
def test_of_two_words_at_the_same_moment_the_refusal_counts(
    story: Any, words: Any, refused_first: bool
) -> None:
    by_hand = ("manual", "")
    story.publish("one", words.step("hello"), trigger=by_hand, consent_rule="internal")
    story.when("LeadCreated")
    said = [{"channel": "all"}, {"channel": "email", "granted": True, "basis": "opt-in"}]
    for each in said if refused_first else said[::-1]:
        story.when("ConsentChanged", 5, **each)
    told = story.when("EnrollRequested", 6, sequence_id="acme.one")
    assert words.steps_sent(told) == []
    assert words.rules(told, "StepSkipped") == ["consent_refused"]


def test_an_update_that_overtakes_the_creation_triggers_nothing_by_itself(
    story: Any, words: Any
) -> None:
    story.publish("first-touch", words.step("hello"))
    assert story.when("LeadUpdated", 1, revision=2, email="new@example.com") == []
    message = words.queued(story.when("LeadCreated", 2, revision=1, email="old@example.com"))[0]
    assert message.recipient == "new@example.com"


def test_an_older_revision_overwrites_nothing(story: Any, words: Any) -> None:
    story.publish("proposal", words.step("ask"), trigger=("stage", "proposal-sent"))
    story.when("LeadCreated", revision=1)
    story.when("StageChanged", 1, to_stage="qualified", revision=4)
    assert story.when("StageChanged", 2, to_stage="proposal-sent", revision=3) == []
    story.when("LeadUpdated", 3, revision=2, first_name="Bea", stage="new")
    assert story.row.stage == "qualified"
    assert story.row.profile.first_name == "Bea"


def test_a_late_decision_counts_from_when_the_cause_was_recorded(story: Any, words: Any) -> None:
    story.publish("first-touch", words.step("hello"), words.step("day1", 1440))
    told = story.happens(story.event("LeadCreated", 0), minutes=30)
    assert told[-1].due_at == words.at(1440)
    assert words.queued(told)[0].enrolled_at == words.at(0)


def test_deciding_the_same_again_has_the_same_ids(story: Any, words: Any) -> None:
    story.publish("first-touch", words.step("hello"), words.step("day1", 1440))
    event = story.event("LeadCreated")
    first = decide(None, event, words.at(0), story.setting)
    again = decide(None, event, words.at(3), story.setting)
    assert [each.event_id for each in first.effects] == [each.event_id for each in again.effects]


def test_a_repeated_event_changes_nothing_and_says_nothing(story: Any, words: Any) -> None:
    story.publish("first-touch", words.step("hello"), reentry_rule="always")
    event = story.event("LeadCreated")
    story.happens(event)
    row = story.row
    assert story.happens(event, minutes=5) == []
    assert story.row is row
