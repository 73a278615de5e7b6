"""Conditions, arms, stop steps, blocking tasks, exclusivity, out-of-office answers."""

from typing import Any

from leadflow import ids
from leadflow.records import Arm


def message_of(story: Any, step_id: str) -> str:
    return ids.message_id(story.row.live[0].enrollment_id, step_id)


def test_a_condition_on_an_earlier_message_sees_that_it_was_opened(story: Any, words: Any) -> None:
    opened = ("message.hello", "eq", "opened,clicked")
    story.publish(
        "one",
        words.step("hello"),
        words.step("warm", 60, condition=opened),
        words.step("cold", 60, condition=("message.hello", "ne", "opened")),
    )
    story.when("LeadCreated")
    story.when("MessageOpened", 5, message_id=message_of(story, "hello"))
    assert words.steps_sent(story.passes(60)) == ["warm"]
    assert words.rules(story.told, "StepSkipped") == ["condition"]


def test_an_open_by_a_scanner_counts_for_no_condition(story: Any, words: Any) -> None:
    story.publish(
        "one",
        words.step("hello"),
        words.step("warm", 60, condition=("message.hello", "eq", "opened")),
    )
    story.when("LeadCreated")
    story.when("MessageOpened", 5, message_id=message_of(story, "hello"), automated=True)
    assert words.steps_sent(story.passes(60)) == []


def test_a_condition_step_that_does_not_hold_jumps_and_says_what_it_passed(
    story: Any, words: Any
) -> None:
    story.publish(
        "one",
        words.step(
            "is-hot", channel="condition", condition=("temperature", "eq", "hot"), otherwise="slow"
        ),
        words.step("call", channel="task"),
        words.step("slow", 30),
    )
    story.when("LeadCreated")
    assert words.steps_sent(story.passes(30)) == ["slow"]
    assert words.steps_sent(story.told) == ["slow"]  # and the call not before either
    assert words.rules(story.told, "StepSkipped") == ["condition", "jumped_over"]


def test_a_condition_step_that_holds_goes_on_with_the_next(story: Any, words: Any) -> None:
    story.publish(
        "one",
        words.step(
            "is-new", channel="condition", condition=("stage", "eq", "new"), otherwise="end"
        ),
        words.step("call", channel="task"),
        words.step("end", channel="stop"),
    )
    assert words.steps_sent(story.when("LeadCreated")) == ["call"]
    assert story.row.finished[0].outcome == "stop_step"


def test_a_condition_step_that_leads_nowhere_ends_the_enrollment(story: Any, words: Any) -> None:
    story.publish(
        "one",
        words.step("is-hot", channel="condition", condition=("temperature", "eq", "hot")),
        words.step("never"),
    )
    assert words.rules(story.when("LeadCreated"), "EnrollmentStopped") == ["condition"]
    assert story.row.live == ()


def test_a_lead_keeps_its_arm_and_arms_share_leads_by_weight(words: Any) -> None:
    arms = tuple(
        Arm(name=name, weight=weight, template_name=name, subject=name, body=name)
        for name, weight in (("short", 1), ("long", 3))
    )
    seen: list[str] = []
    for number in range(400):
        story = words.story()
        story.publish("one", words.step("a", arms=arms), words.step("b", 10, arms=arms))
        lead_id = f"5b0e5a1c-6f0f-5c55-9a0c-{number:012}"
        story.happens(story.event("LeadCreated", lead_id=lead_id))
        story.passes(10)
        first, second = (each.arm for each in story.told if each.TYPE == "StepFired")
        assert first == second
        assert [each.body for each in words.queued(story.told)] == [first, first]
        seen.append(first)
    assert 60 < seen.count("short") < 140  # 100 expected; 3 deviations are 26


def test_a_blocking_task_holds_the_next_step_until_it_is_done(story: Any, words: Any) -> None:
    story.publish(
        "one",
        words.step("call", channel="call", blocks=True),
        words.step("after", 10, delay_from="previous"),
    )
    story.when("LeadCreated")
    story.passes(6 * 60)  # 09:00 where the lead is: calls wait for the morning
    assert words.steps_sent(story.told)[-1] == "call"
    task = message_of(story, "call")
    assert words.rules(story.told, "EnrollmentPaused") == ["task_open"]
    assert words.steps_sent(story.passes(5_000)) == []
    assert story.row.next_due() is None
    story.when("TaskCompleted", 5_000, message_id="another")
    assert words.steps_sent(story.passes(5_010)) == []
    told = story.when("TaskCompleted", 6_000, message_id=task)
    assert words.rules(told, "EnrollmentResumed") == ["task_done"]
    assert words.steps_sent(story.passes(6_009)) == []
    assert words.steps_sent(story.passes(6_010)) == ["after"]


def test_a_stop_ends_what_waits_for_a_task(story: Any, words: Any) -> None:
    story.publish("one", words.step("task", channel="task", blocks=True), words.step("after"))
    story.when("LeadCreated")
    task = message_of(story, "task")
    story.when("ReplyReceived", 1)
    story.when("TaskCompleted", 2, message_id=task)
    assert words.steps_sent(story.passes(100)) == []


def test_in_an_exclusive_group_the_higher_priority_takes_over(story: Any, words: Any) -> None:
    story.publish("nurture", words.step("n", 60), exclusive_group="g", priority=10)
    story.publish(
        "quote",
        words.step("q"),
        trigger=("event", "quote_requested"),
        exclusive_group="g",
        priority=90,
    )
    story.when("LeadCreated")
    told = story.when("QuoteRequested", 5)
    assert words.rules(told, "EnrollmentStopped") == ["superseded"]
    assert words.steps_sent(story.passes(100)) == []
    assert words.steps_sent(story.told) == ["q"]


def test_in_an_exclusive_group_an_equal_or_lower_priority_is_refused(
    story: Any, words: Any
) -> None:
    story.publish("quote", words.step("q", 60), exclusive_group="g", priority=90)
    for name, priority in (("equal", 90), ("lower", 10)):
        story.publish(
            name, words.step(name), trigger=("event", "call_missed"), exclusive_group="g",
            priority=priority,
        )  # fmt: skip
    story.when("LeadCreated")
    told = story.when("CallMissed", 5)
    assert words.rules(told, "EnrollmentRefused") == ["exclusive", "exclusive"]
    assert words.steps_sent(story.passes(60)) == ["q"]


def test_an_out_of_office_answer_holds_and_then_goes_on(story: Any, words: Any) -> None:
    story.publish("one", words.step("a"), words.step("b", 1440), words.step("c", 1500))
    story.when("LeadCreated")
    told = story.when("ReplyReceived", 60, automatic=True)
    assert words.rules(told, "StepScheduled") == ["out_of_office"]
    assert words.steps_sent(story.passes(1440)) == []
    three_days = 60 + 3 * 1440
    assert words.steps_sent(story.passes(three_days)) == ["b", "c"]


def test_an_out_of_office_answer_leaves_what_no_reply_stops(story: Any, words: Any) -> None:
    story.publish("one", words.step("a"), words.step("b", 1440), stop_on=())
    story.when("LeadCreated")
    assert story.when("ReplyReceived", 60, automatic=True) == []
    assert words.steps_sent(story.passes(1440)) == ["b"]
