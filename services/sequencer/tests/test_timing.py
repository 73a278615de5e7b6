"""Send windows, quiet hours, days, the cap. The story begins on Monday, 2 November 2026, at 09:00
UTC, which is 03:00 in Chicago, where the lead is."""

from datetime import UTC, date, datetime
from typing import Any

from leadflow.records import SendWindow
from leadflow.tenants import Absence

OFFICE = SendWindow(start="09:00", end="17:00", days=("mon", "tue", "wed", "thu", "fri"))
GRANTED = {"channel": "sms", "granted": True, "basis": "form"}


def utc(day: int, hour: int, minute: int = 0, month: int = 11) -> datetime:
    return datetime(2026, month, day, hour, minute, tzinfo=UTC)


def scheduled(told: list[Any]) -> list[tuple[str, datetime, str]]:
    return [(e.step_id, e.due_at, e.rule) for e in told if e.TYPE == "StepScheduled"]


def test_outside_the_send_window_a_step_waits_until_it_opens_where_the_lead_is(
    story: Any, words: Any
) -> None:
    story.publish("one", words.step("hello"), window=OFFICE)
    told = story.when("LeadCreated")
    assert scheduled(told) == [("hello", utc(2, 15), "window")]
    assert words.steps_sent(story.passes(359)) == []
    assert words.steps_sent(story.passes(360)) == ["hello"]


def test_a_first_touch_that_waits_for_the_morning_gives_the_owner_a_task_now(
    story: Any, words: Any
) -> None:
    story.publish("one", words.step("hello"), words.step("later", 1), window=OFFICE)
    [task] = words.queued(story.when("LeadCreated"))
    assert (task.channel, task.recipient, task.due_at) == ("task", "dana", utc(2, 9))
    assert words.steps_sent(story.passes(360)) == ["hello", "later"]


def test_nobody_is_told_of_a_first_touch_that_may_not_go_out_anyway(story: Any, words: Any) -> None:
    story.publish("one", words.step("text", channel="sms"))
    assert words.queued(story.when("LeadCreated")) == []
    assert words.rules(story.passes(6 * 60), "StepSkipped") == ["consent_missing"]


def test_quiet_hours_hold_a_text_but_not_an_email(story: Any, words: Any) -> None:
    story.publish("one", words.step("mail"), words.step("text", channel="sms"))
    story.when("ConsentChanged", **GRANTED)
    told = story.when("LeadCreated")
    assert words.steps_sent(told) == ["mail"]
    assert ("text", utc(2, 14), "quiet_hours") in scheduled(told)
    assert words.steps_sent(story.passes(5 * 60)) == ["text"]


def test_a_step_resumed_at_night_waits_for_the_morning(story: Any, words: Any) -> None:
    story.publish("one", words.step("text", 6 * 60, channel="sms"))
    story.when("ConsentChanged", **GRANTED)
    story.when("LeadCreated")
    story.pause("everything")
    assert words.steps_sent(story.passes(6 * 60)) == []
    story.resume("everything")
    night = 20 * 60  # 23:00 in Chicago
    told = story.passes(night)
    assert words.steps_sent(told) == []
    assert scheduled(told) == [("text", utc(3, 14), "quiet_hours")]
    assert words.steps_sent(story.passes(29 * 60)) == ["text"]


def test_a_window_closed_on_holidays_opens_on_the_next_business_day(words: Any) -> None:
    story = words.story(holidays="US")
    window = SendWindow(start="09:00", end="17:00", days=OFFICE.days, holidays=False)
    # Thanksgiving is Thursday, 26 November.
    story.publish("one", words.step("later", delay_days=24), window=window)
    assert scheduled(story.when("LeadCreated")) == [("later", utc(27, 15), "window")]


def test_days_keep_the_time_on_the_wall_over_daylight_saving(words: Any) -> None:
    story = words.story()
    story.publish("one", words.step("spring", delay_days=150))
    # 03:00 in Chicago is 08:00 UTC from the 14th of March on.
    assert scheduled(story.when("LeadCreated")) == [
        ("spring", datetime(2027, 4, 1, 8, tzinfo=UTC), "")
    ]


def test_business_days_pass_over_weekend_and_holiday(words: Any) -> None:
    story = words.story(holidays="US")
    # From Monday, 2 November: 18 business days without Veterans Day and Thanksgiving.
    story.publish("one", words.step("later", delay_business_days=18))
    assert scheduled(story.when("LeadCreated")) == [("later", utc(30, 9), "")]


def test_a_spread_keeps_its_place_and_stays_inside_the_window(words: Any) -> None:
    places = set()
    for number in range(40):
        story = words.story()
        story.publish("one", words.step("hello", spread_minutes=30), window=OFFICE)
        event = story.event("LeadCreated", lead_id=f"5b0e5a1c-6f0f-5c55-9a0c-{number:012}")
        [(_, due, rule)] = scheduled(story.happens(event))
        assert utc(2, 15) <= due < utc(2, 15, 30)
        assert rule == "window"
        places.add(due)
    assert len(places) > 30


def test_the_cap_counts_messages_of_all_sequences_and_moves_what_is_too_much(words: Any) -> None:
    story = words.story(message_cap=2, cap_days=7)
    task = words.step("task", 20, channel="task")
    story.publish("one", words.step("a"), words.step("b", 10), task, priority=60)
    story.publish("two", words.step("x", 5), words.step("y", 30))
    story.when("LeadCreated")
    assert words.steps_sent(story.passes(5)) == ["x"]
    told = story.passes(10)
    assert words.steps_sent(told) == []
    assert scheduled(told) == [("b", utc(9, 9), "cap")]
    assert words.steps_sent(story.passes(7 * 1440)) == ["b", "task"]
    assert words.steps_sent(story.passes(7 * 1440 + 5)) == ["y"]


def test_under_the_cap_the_higher_priority_goes_first(words: Any) -> None:
    story = words.story(message_cap=1, cap_days=1)
    story.publish("low", words.step("l", 10), priority=10)
    story.publish("high", words.step("h", 10), priority=90)
    story.when("LeadCreated")
    assert words.steps_sent(story.passes(10)) == ["h"]
    assert words.steps_sent(story.passes(10 + 1440)) == ["l"]


def test_an_absent_owners_task_goes_to_the_next_who_is_there(words: Any) -> None:
    away = Absence(owner="dana", first=date(2026, 11, 1), last=date(2026, 11, 3))
    story = words.story(owners=("luis", "dana", "priya"), absences=(away,), timezone="UTC")
    story.publish(
        "one", words.step("now", channel="task"), words.step("later", 3 * 1440, channel="task")
    )
    [now] = words.queued(story.when("LeadCreated"))
    assert now.recipient == "priya"
    assert "dana is absent" in now.compliance_note
    [later] = words.queued(story.passes(3 * 1440))
    assert later.recipient == "dana"
