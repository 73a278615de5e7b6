"""What is forgotten after the tenant's retention time, and what never is."""

from datetime import timedelta
from typing import Any

import pytest

from leadflow import ids
from sequencer.decide import fire

DAY = 1440
CALL = ("event", "call_missed")


def lines(story: Any) -> list[str]:
    return [each.sequence_id.removeprefix("acme.") for each in story.row.finished]


def test_a_row_that_nothing_speaks_for_goes_after_the_retention_time(
    story: Any, words: Any
) -> None:
    story.when("LeadCreated")
    story.until(400 * DAY - 1)
    assert story.row is not None
    before = story.row
    assert story.until(400 * DAY) == []
    assert story.row is None
    decision = fire(before, words.at(400 * DAY), story.setting)
    assert (decision.gone, decision.changed, decision.effects) == (True, True, ())


def test_the_retention_time_is_the_tenants(words: Any) -> None:
    story = words.story(retention_days=30)
    story.when("LeadCreated")
    story.until(30 * DAY)
    assert story.row is None


def test_without_a_retention_time_nothing_is_forgotten(words: Any) -> None:
    story = words.story(retention_days=0)
    story.publish("one", words.step("hello"), reentry_rule="always")
    story.when("LeadCreated")
    story.until(2_000 * DAY)
    assert lines(story) == ["one"]


def test_an_event_keeps_the_row_for_another_time(story: Any, words: Any) -> None:
    story.when("LeadCreated")
    story.until(300 * DAY)
    story.when("StageChanged", 300 * DAY, to_stage="contacted")
    story.until(700 * DAY - 1)
    assert story.row is not None
    story.until(700 * DAY)
    assert story.row is None


def test_a_live_enrollment_keeps_the_row(story: Any, words: Any) -> None:
    story.publish("one", words.step("late", 600 * DAY), reentry_rule="always")
    story.when("LeadCreated")
    assert words.steps_sent(story.until(600 * DAY)) == ["late"]
    story.until(1_000 * DAY - 1)
    assert lines(story) == ["one"]
    story.until(1_000 * DAY)
    assert story.row is None


@pytest.mark.parametrize("channel", ["email", "sms", "all"])
def test_a_refusal_is_never_forgotten(story: Any, words: Any, channel: str) -> None:
    story.when("LeadCreated")
    story.when("ConsentChanged", 5, channel=channel, granted=False)
    story.until(5_000 * DAY)
    assert not story.row.consent_for(channel).granted


def test_a_refusal_of_somebody_unknown_is_never_forgotten(story: Any, words: Any) -> None:
    story.when("ConsentChanged", 5, channel="email", granted=False)
    story.until(5_000 * DAY)
    assert not story.row.consent_for("email").granted


@pytest.mark.parametrize(("kind", "rule"), [("MessageBounced", "bounce"),
                                            ("MessageComplained", "complaint")])  # fmt: skip
def test_a_bounce_or_a_complaint_is_never_forgotten(
    story: Any, words: Any, kind: str, rule: str
) -> None:
    story.publish("one", words.step("later", 60), reentry_rule="always")
    story.when("LeadCreated")
    story.when(kind, 5)
    story.until(5_000 * DAY)
    assert {each.outcome for each in story.row.finished} == {rule}


@pytest.mark.parametrize(("kind", "rule"), [("MessageBounced", "bounce"),
                                            ("MessageComplained", "complaint")])  # fmt: skip
def test_nor_is_one_that_came_after_the_last_step(
    story: Any, words: Any, kind: str, rule: str
) -> None:
    story.publish("one", words.step("hello"), reentry_rule="always")
    story.when("LeadCreated")
    story.when(kind, 5)
    story.until(5_000 * DAY)
    assert [each.outcome for each in story.row.finished] == [rule]


def test_never_enter_again_is_known_for_good(story: Any, words: Any) -> None:
    story.publish("one", words.step("hello"), trigger=CALL, reentry_rule="never")
    story.when("LeadCreated")
    story.when("CallMissed", 1)
    story.until(5_000 * DAY)
    told = story.when("CallMissed", 5_000 * DAY)
    assert words.rules(told, "EnrollmentRefused") == ["reentry"]


def test_a_line_stays_as_long_as_reentry_needs_it(story: Any, words: Any) -> None:
    story.publish(
        "one", words.step("hello"), trigger=CALL, reentry_rule="after_days", reentry_days=500
    )
    story.publish("two", words.step("hello"), trigger=CALL, reentry_rule="always")
    story.when("LeadCreated")
    story.when("CallMissed", 0)
    story.until(400 * DAY)
    assert lines(story) == ["one"]
    story.until(500 * DAY)
    assert story.row is None


def test_a_line_whose_sequence_is_not_there_stays(story: Any, words: Any) -> None:
    story.publish("one", words.step("hello"), reentry_rule="always")
    story.when("LeadCreated")
    story.sequences.apply(b"acme.one:1", None)
    story.until(5_000 * DAY)
    assert lines(story) == ["one"]


def test_an_entry_after_a_forgotten_one_has_another_id(story: Any, words: Any) -> None:
    story.publish("kept", words.step("hello"), reentry_rule="never")
    story.publish("one", words.step("hello"), trigger=CALL, reentry_rule="always")
    story.when("LeadCreated")
    for number in range(3):
        story.when("CallMissed", number)
    story.until(500 * DAY)
    assert lines(story) == ["kept"]
    told = story.when("CallMissed", 500 * DAY)
    assert told[0].entry == 4
    assert told[0].enrollment_id == ids.enrollment_id(words.LEAD, "acme.one", 4)


def come_back(story: Any, words: Any, days: int, **fields: Any) -> list[Any]:
    known = words.at(0)
    told: list[Any] = story.when("LeadUpdated", days * DAY, revision=3, known_since=known, **fields)
    return told


def test_whoever_comes_back_is_a_lead_as_before_and_not_a_new_one(story: Any, words: Any) -> None:
    story.publish("first-touch", words.step("welcome"))
    story.publish("missed", words.step("sorry"), trigger=CALL, reentry_rule="always")
    story.publish("proposal", words.step("ask"), trigger=("stage", "proposal-sent"))
    assert come_back(story, words, 900) == []
    told = story.when("CallMissed", 900 * DAY + 1)
    assert words.steps_sent(told) == ["sorry"]
    assert words.queued(told)[0].recipient == "ada@example.com"
    told = story.when("StageChanged", 900 * DAY + 2, to_stage="proposal-sent", revision=4)
    assert words.steps_sent(told) == ["ask"]


def test_entries_of_whoever_comes_back_have_numbers_that_none_had(story: Any, words: Any) -> None:
    story.publish("missed", words.step("sorry"), trigger=CALL, reentry_rule="always")
    come_back(story, words, 900)
    first = story.when("CallMissed", 900 * DAY + 1)[0].entry
    again = story.when("CallMissed", 900 * DAY + 2)[0].entry
    assert first > 100_000
    assert again == first + 1


@pytest.mark.parametrize("known_for", [timedelta(seconds=2), timedelta(days=3)])
def test_an_update_of_a_lead_that_cannot_be_forgotten_yet_has_overtaken_its_creation(
    story: Any, words: Any, known_for: timedelta
) -> None:
    story.publish("first-touch", words.step("welcome"))
    known = words.at(0) - known_for
    assert story.when("LeadUpdated", 0, revision=2, known_since=known) == []
    told = story.when("LeadCreated", 1)
    assert words.steps_sent(told) == ["welcome"]
    assert told[0].entry == 1
