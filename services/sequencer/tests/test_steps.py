"""When steps go out, which are passed over, and what holds them."""

from typing import Any

import pytest


def test_a_step_fires_when_it_is_due_and_not_before(story: Any, words: Any) -> None:
    story.publish("first-touch", words.step("hello"), words.step("day1", 1440))
    story.when("LeadCreated")
    assert story.passes(1439) == []
    told = story.passes(1440)
    assert words.types(told) == ["StepFired", "MessageQueued", "EnrollmentCompleted"]
    assert story.passes(100_000) == []
    assert story.row.live == ()


def test_months_are_only_many_minutes(story: Any, words: Any) -> None:
    story.publish("reactivation", words.step("half-a-year", 180 * 1440))
    story.when("LeadCreated")
    assert story.row.next_due() == words.at(180 * 1440)
    assert words.steps_sent(story.passes(180 * 1440)) == ["half-a-year"]


def test_a_delay_from_the_step_before_counts_from_when_that_went_out(
    story: Any, words: Any
) -> None:
    story.publish("quote", words.step("first", 60), words.step("second", 30, delay_from="previous"))
    story.when("LeadCreated")
    told = story.passes(100)  # forty minutes late
    assert words.steps_sent(told) == ["first"]
    assert story.row.next_due() == words.at(130)


def test_steps_that_are_due_together_go_out_in_order(story: Any, words: Any) -> None:
    story.publish(
        "first-touch",
        words.step("a", 60),
        words.step("b", 60, channel="task"),
        words.step("c", 10),
    )
    story.when("LeadCreated")
    assert words.steps_sent(story.passes(60)) == ["a", "b", "c"]


def test_a_step_is_never_due_before_the_one_before_it(story: Any, words: Any) -> None:
    story.publish("odd", words.step("a", 60), words.step("b", 10))
    story.when("LeadCreated")
    assert story.passes(10) == []
    told = story.passes(60)
    assert words.steps_sent(told) == ["a", "b"]
    assert [each.due_at for each in words.queued(told)] == [words.at(60), words.at(60)]


def test_a_wait_sends_nothing_and_delays_what_follows(story: Any, words: Any) -> None:
    story.publish(
        "wait",
        words.step("pause", 60, channel="wait"),
        words.step("after", 10, delay_from="previous"),
    )
    story.when("LeadCreated")
    assert words.steps_sent(story.passes(60)) == []
    assert words.steps_sent(story.passes(70)) == ["after"]


@pytest.mark.parametrize(
    ("condition", "holds"),
    [
        (("temperature", "eq", "hot"), True),
        (("temperature", "eq", "cold"), False),
        (("temperature", "ne", "cold"), True),
        (("stage", "in", "new, contacted"), True),
        (("stage", "in", "won,lost"), False),
        (("has_email", "eq", "true"), True),
        (("has_phone", "eq", "false"), False),
        (("source", "eq", "website-form"), True),
        (("service", "eq", "roof"), True),
        (("service", "eq", "windows"), False),
        (("owner", "eq", "dana"), True),
        (("owner", "ne", "dana"), False),
        (("language", "eq", "en"), True),
        (("language", "eq", "de"), False),
        (("language", "in", "de,en"), True),
        (("timezone", "eq", "America/Chicago"), True),
        (("timezone", "ne", "America/Chicago"), False),
        (("status", "eq", "active"), True),
        (("urgency", "eq", "normal"), True),
        (("urgency", "eq", "urgent"), False),
        (("urgency", "gte", "3"), False),
        (("urgency", "lte", "3"), False),
        (("no-such-field", "ne", "x"), False),
        (("stage", "no-such-op", "new"), False),
    ],
)
def test_a_step_whose_condition_does_not_hold_is_skipped(
    story: Any, words: Any, condition: tuple[str, str, str], holds: bool
) -> None:
    story.publish(
        "hot", words.step("call", channel="task", condition=condition), words.step("next")
    )
    story.publish("none", trigger=("manual", ""))
    story.when("LeadQualified", temperature="hot")
    told = story.when("LeadCreated", 1, service="roof", language="en")
    assert words.steps_sent(told) == (["call", "next"] if holds else ["next"])
    if not holds:
        (skipped,) = [each for each in told if each.TYPE == "StepSkipped"]
        assert skipped.rule == "condition"
        assert skipped.inputs["field"] == condition[0]


def consents(story: Any, **granted: bool) -> tuple[Any, ...]:
    from leadflow.records.common import ConsentGrant

    return tuple(
        ConsentGrant(channel=channel, granted=value, basis="web form")
        for channel, value in granted.items()
    )


@pytest.mark.parametrize(
    ("channel", "granted", "outcome"),
    [
        ("email", {}, "no refusal recorded"),
        ("email", {"email": True}, "consent email: web form"),
        ("email", {"email": False}, "consent_refused"),
        ("sms", {}, "consent_missing"),
        ("sms", {"sms": True}, "consent sms: web form"),
        ("sms", {"sms": False}, "consent_refused"),
        ("whatsapp", {"sms": True}, "consent_missing"),
        ("whatsapp", {"all": True}, "consent all: web form"),
        ("task", {"all": False}, "work for a person: nothing is sent to the lead"),
        ("pigeon", {}, "unknown_channel"),
    ],
)
def test_a_channel_is_used_on_a_basis_or_skipped(
    story: Any, words: Any, channel: str, granted: dict[str, bool], outcome: str
) -> None:
    story.publish("one", words.step("hello", channel=channel), consent_rule="internal")
    day = 6 * 60  # 09:00 where the lead is
    told = story.when("LeadCreated", day, consent=consents(story, **granted))
    if messages := words.queued(told):
        assert messages[0].compliance_note == outcome
    else:
        assert words.rules(told, "StepSkipped") == [outcome]
    assert words.types(told)[-1] == "EnrollmentCompleted"


def test_opt_in_only_asks_for_a_grant_on_every_channel(story: Any, words: Any) -> None:
    story.publish("one", words.step("hello"), consent_rule="channel_opt_in")
    assert words.rules(story.when("LeadCreated"), "StepSkipped") == ["consent_missing"]


def test_without_an_address_the_step_is_skipped_and_the_next_one_comes(
    story: Any, words: Any
) -> None:
    story.publish("one", words.step("hello"), words.step("task", 5, channel="task"))
    assert words.rules(story.when("LeadCreated", email=None), "StepSkipped") == ["no_recipient"]
    (message,) = words.queued(story.passes(5))
    assert message.recipient == "dana"


def test_a_form_does_not_lift_a_refusal_but_the_person_does(story: Any, words: Any) -> None:
    story.publish("quote", words.step("hello"), trigger=("event", "quote_requested"),
                  reentry_rule="always")  # fmt: skip
    story.when("LeadCreated")
    story.when("ConsentChanged", 1, channel="email", granted=False)
    story.when("LeadUpdated", 2, consent=consents(story, email=True))
    assert words.rules(story.when("QuoteRequested", 3), "StepSkipped") == ["consent_refused"]
    story.when("ConsentChanged", 4, channel="email", granted=True)
    assert words.steps_sent(story.when("QuoteRequested", 5)) == ["hello"]


def test_the_newest_word_on_a_channel_wins_in_whatever_order_it_arrives(
    story: Any, words: Any
) -> None:
    story.publish("one", words.step("later", 60, channel="sms"))
    story.when("LeadCreated")
    opt_in = story.event("ConsentChanged", 20, channel="sms", granted=True, basis="opt-in")
    opt_out = story.event("ConsentChanged", 10, channel="sms", granted=False)
    story.happens(opt_in, minutes=30)
    story.happens(opt_out, minutes=31)
    assert story.row.consent_for("sms").granted


@pytest.mark.parametrize(
    "scope",
    ["everything", "tenant:acme", "channel:acme:email", "sequence:acme:acme.one",
     "sequence:acme:one"],
)  # fmt: skip
def test_a_paused_scope_holds_a_due_step_and_resuming_lets_it_go(
    story: Any, words: Any, scope: str
) -> None:
    story.publish("one", words.step("hello", 10))
    story.when("LeadCreated")
    story.pause(scope)
    (held,) = story.passes(10)
    assert (held.TYPE, held.rule) == ("EnrollmentPaused", "automation_paused")
    assert held.inputs["scope"] == scope
    assert story.row.is_held()
    assert story.row.next_due() is None
    assert story.passes(20) == []
    story.resume(scope)
    told = story.passes(30)
    assert words.types(told)[:3] == ["EnrollmentResumed", "StepFired", "MessageQueued"]


@pytest.mark.parametrize("scope", ["tenant:other", "channel:acme:sms", "sequence:acme:two"])
def test_a_pause_elsewhere_holds_nothing(story: Any, words: Any, scope: str) -> None:
    story.publish("one", words.step("hello", 10))
    story.pause(scope)
    story.when("LeadCreated")
    assert words.steps_sent(story.passes(10)) == ["hello"]


def test_a_sequence_whose_status_is_paused_holds_its_enrollments(story: Any, words: Any) -> None:
    story.publish("one", words.step("hello", 10))
    story.when("LeadCreated")
    story.publish("one", words.step("hello", 10), status="paused")
    assert words.rules(story.passes(10), "EnrollmentPaused") == ["sequence_paused"]
    story.publish("one", words.step("hello", 10), status="active")
    assert words.steps_sent(story.passes(11)) == ["hello"]


def test_an_enrollment_without_its_definition_is_held(story: Any, words: Any) -> None:
    story.publish("one", words.step("hello", 10))
    story.when("LeadCreated")
    story.sequences.apply(b"acme.one:1", None)
    assert words.rules(story.passes(10), "EnrollmentPaused") == ["definition_missing"]


def test_an_enrolled_lead_stays_on_its_version(story: Any, words: Any) -> None:
    story.publish("one", words.step("old", 10))
    story.when("LeadCreated")
    story.publish("one", words.step("new", 10), version=2)
    assert words.steps_sent(story.passes(10)) == ["old"]
