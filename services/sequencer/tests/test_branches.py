"""Conditions, arms, stop steps, blocking tasks, exclusivity, out-of-office answers."""

from dataclasses import replace
from typing import Any

import pytest

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


def test_a_condition_that_a_new_version_adds_knows_what_became_of_messages_before(
    story: Any, words: Any
) -> None:
    story.publish("one", words.step("hello"), words.step("next", 60))
    story.when("LeadCreated")
    story.when("MessageOpened", 2, message_id=message_of(story, "hello"))
    asking = words.step("next", 60, condition=("message.hello", "ne", "opened"))
    story.publish("one", words.step("hello"), asking, version=2)
    enrollment_id = story.row.live[0].enrollment_id
    story.when("EnrollmentMigrateRequested", 5, enrollment_id=enrollment_id)
    assert words.steps_sent(story.passes(60)) == []
    [skipped] = [each for each in story.told if each.TYPE == "StepSkipped"]
    assert (skipped.step_id, skipped.inputs["found"]) == ("next", "opened")


def test_what_becomes_of_a_message_is_known_though_its_step_is_gone_for_a_version(
    story: Any, words: Any
) -> None:
    story.publish("one", words.step("hello"), words.step("next", 60))
    story.when("LeadCreated")
    message = message_of(story, "hello")
    enrollment_id = story.row.live[0].enrollment_id
    story.publish("one", words.step("next", 60), version=2)
    story.when("EnrollmentMigrateRequested", 5, enrollment_id=enrollment_id)
    story.when("MessageClicked", 6, message_id=message)
    asking = words.step("next", 60, condition=("message.hello", "eq", "clicked"))
    story.publish("one", words.step("hello"), asking, version=3)
    story.when("EnrollmentMigrateRequested", 7, enrollment_id=enrollment_id, to_version=3)
    assert words.steps_sent(story.passes(60)) == ["next"]


@pytest.mark.parametrize(
    ("kind", "what"),
    [
        ("MessageSent", "sent"),
        ("MessageDelivered", "delivered"),
        ("MessageFailed", "failed"),
        ("MessageOpened", "opened"),
        ("MessageClicked", "clicked"),
    ],
)
def test_what_becomes_of_a_message_that_is_sent_again_counts_as_of_the_first(
    story: Any, words: Any, kind: str, what: str
) -> None:
    story.publish(
        "one", words.step("hello"), words.step("cold", 60, condition=("message.hello", "ne", what))
    )
    story.when("LeadCreated")
    [again] = story.when("ResendRequested", 2, message_id=message_of(story, "hello"))
    story.when(kind, 3, message_id=again.message_id)
    assert words.steps_sent(story.passes(60)) == []


def test_what_is_told_of_a_message_twice_is_kept_once(story: Any, words: Any) -> None:
    story.publish("one", words.step("hello"), words.step("next", 60))
    story.when("LeadCreated")
    for _ in range(2):
        story.when("MessageOpened", 2, message_id=message_of(story, "hello"))
    story.when("MessageOpened", 2, message_id="of somebody else")
    assert story.row.live[0].outcomes == ("hello:opened",)


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


def arms_of(**weights: int) -> tuple[Arm, ...]:
    return tuple(
        Arm(name=name, weight=weight, template_name=name, subject=name, body=name)
        for name, weight in weights.items()
    )


@pytest.mark.parametrize(
    "later", [{"a": 1, "b": 4}, {"b": 1, "a": 1}, {"c": 9, "a": 1, "b": 1}], ids=str
)
@pytest.mark.parametrize("migrated", [False, True])
def test_an_arm_sticks_whatever_the_weights_and_the_order_of_a_later_step(
    words: Any, later: dict[str, int], migrated: bool
) -> None:
    first, second = words.step("x", arms=arms_of(a=1, b=1)), words.step("y", 10)
    changed = replace(second, arms=arms_of(**later))
    seen: set[str] = set()
    for number in range(60):
        story = words.story()
        story.publish("one", first, second if migrated else changed)
        story.happens(story.event("LeadCreated", lead_id=f"5b0e5a1c-6f0f-5c55-9a0c-{number:012}"))
        if migrated:
            story.publish("one", first, changed, version=2)
            enrollment_id = story.row.live[0].enrollment_id
            story.when("EnrollmentMigrateRequested", 5, enrollment_id=enrollment_id)
        story.passes(10)
        one, two = words.queued(story.told)
        assert one.body == two.body
        seen.add(one.body)
    assert seen == {"a", "b"}


def test_an_arm_that_a_later_step_does_not_have_or_gives_nobody_is_drawn_anew_and_kept_too(
    words: Any,
) -> None:
    shares: list[tuple[str, ...]] = []
    for number in range(60):
        story = words.story()
        story.publish(
            "one",
            words.step("x", arms=arms_of(a=1, b=1)),
            words.step("y", 10, arms=arms_of(c=1, a=0, d=1)),
            words.step("z", 20, arms=arms_of(d=1, e=9, c=1)),
            words.step("end", 30, arms=arms_of(e=1, b=9, a=9)),
            words.step("last", 40),
        )
        story.happens(story.event("LeadCreated", lead_id=f"5b0e5a1c-6f0f-5c55-9a0c-{number:012}"))
        story.until(30)
        shares.append(tuple(each.body for each in words.queued(story.told)))
    assert set(shares) == {(x, y, y, x) for x in "ab" for y in "cd"} & set(shares)
    assert {x for x, *_ in shares} == {"a", "b"}
    assert {y for _, y, *_ in shares} == {"c", "d"}


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
