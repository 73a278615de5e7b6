"""What arrives before its time, or after something newer: found by simulation, pinned here."""

from typing import Any

from leadflow.records import ConsentGrant
from leadflow.records.common import SendWindow


def test_a_task_that_was_done_before_its_step_counts_is_not_waited_for(
    story: Any, words: Any
) -> None:
    # Its message went out from a decision that was lost with its worker.
    story.publish("one", words.step("a", channel="task", blocks=True), words.step("b"))
    lost = story.event("LeadCreated")
    message_id = words.queued(story.happens(lost))[0].message_id
    story.row = None
    story.pause("everything")
    story.happens(lost)
    story.when("TaskCompleted", 5, message_id=message_id)
    story.resume("everything")
    assert words.steps_sent(story.passes(10)) == ["a", "b"]


def test_a_task_is_waited_for_though_another_one_was_done(story: Any, words: Any) -> None:
    story.publish(
        "one",
        words.step("a", channel="task", blocks=True),
        words.step("b", channel="task", blocks=True),
        words.step("c"),
    )
    first = words.queued(story.when("LeadCreated"))[0].message_id
    assert words.steps_sent(story.when("TaskCompleted", 5, message_id=first)) == ["b"]
    assert words.steps_sent(story.when("TaskCompleted", 6, message_id=first)) == []


def test_an_opt_out_that_comes_late_beats_a_form_that_is_newer(story: Any, words: Any) -> None:
    yes = ConsentGrant(channel="sms", granted=True, basis="web form", at=words.at(30))
    story.when("LeadCreated", 30, consent=(yes,))
    story.when("ConsentChanged", 10, channel="sms", granted=False)
    assert [(each.channel, each.granted) for each in story.row.consent] == [("sms", False)]


def test_an_opt_out_that_comes_late_does_not_beat_a_newer_word_of_the_person(story: Any) -> None:
    story.when("LeadCreated")
    story.when("ConsentChanged", 30, channel="sms", granted=True, basis="opt-in")
    story.when("ConsentChanged", 10, channel="sms", granted=False)
    assert [(each.channel, each.granted) for each in story.row.consent] == [("sms", True)]


def test_a_missed_call_does_not_take_an_opt_out_back(story: Any) -> None:
    story.when("LeadCreated")
    story.when("ConsentChanged", 10, channel="sms", granted=False)
    story.when("ConsentChanged", 30, channel="sms", granted=True, basis="inbound call")
    assert [(each.channel, each.granted) for each in story.row.consent] == [("sms", False)]


def test_a_window_outside_the_quiet_hours_does_not_open_the_night(story: Any, words: Any) -> None:
    # 2026-11-02 09:00 UTC is 03:00 in Chicago; calls are made from 08:00 on, 14:00 UTC.
    night = SendWindow(start="22:00", end="02:00", days=(), holidays=True)
    story.publish("one", words.step("a", channel="call"), window=night)
    story.when("LeadCreated")
    assert words.steps_sent(story.passes(299)) == []
    assert words.steps_sent(story.passes(300)) == ["a"]


def test_steps_that_are_jumped_over_are_named_with_their_own_place(story: Any, words: Any) -> None:
    story.publish(
        "one",
        words.step("a", channel="condition", condition=("temperature", "eq", "hot"), otherwise="d"),
        words.step("b"),
        words.step("c"),
        words.step("d"),
    )
    told = story.when("LeadCreated")
    places = [(each.step_id, each.step_index) for each in told if each.TYPE == "StepSkipped"]
    assert places == [("a", 0), ("b", 1), ("c", 2)]
