"""Automatic answers: what would go out before the person is back waits. The story begins on
Monday, 2 November 2026, at 09:00 UTC, which is 03:00 in Chicago, where the lead is."""

from datetime import UTC, datetime
from typing import Any

import pytest

from leadflow.records import SendWindow

DAY = 1440


def held_until(told: list[Any]) -> list[tuple[str, datetime]]:
    return [(each.rule, each.due_at) for each in told if each.TYPE == "StepScheduled"]


def away(story: Any, returns_on: str | None, minutes: float = 60) -> list[Any]:
    told: list[Any] = story.when("ReplyReceived", minutes, automatic=True, returns_on=returns_on)
    return told


def begin(story: Any, words: Any, **more: Any) -> None:
    story.publish("one", words.step("a"), words.step("b", DAY), **more)
    story.when("LeadCreated")


def test_an_answer_that_names_a_day_holds_until_the_morning_of_that_day(
    story: Any, words: Any
) -> None:
    begin(story, words)
    told = away(story, "2026-11-12")
    morning = datetime(2026, 11, 12, 15, tzinfo=UTC)  # 09:00 in Chicago
    assert held_until(told) == [("out_of_office", morning)]
    assert told[0].inputs["returns_on"] == "2026-11-12"
    assert words.steps_sent(story.until(9 * DAY)) == []
    assert words.steps_sent(story.until(11 * DAY)) == ["b"]


def test_it_goes_on_in_the_next_send_window_after_that_day(story: Any, words: Any) -> None:
    window = SendWindow(start="10:00", end="12:00", days=("tue",))
    begin(story, words, window=window)
    told = away(story, "2026-11-12")
    assert held_until(told) == [("out_of_office", datetime(2026, 11, 17, 16, tzinfo=UTC))]


def test_a_day_sooner_than_the_usual_time_is_taken_at_its_word(story: Any, words: Any) -> None:
    begin(story, words)
    told = away(story, "2026-11-04")
    assert held_until(told) == [("out_of_office", datetime(2026, 11, 4, 15, tzinfo=UTC))]


def test_nobody_is_away_for_longer_than_sixty_days(story: Any, words: Any) -> None:
    begin(story, words)
    assert held_until(away(story, "2027-11-12")) == [("out_of_office", words.at(60 + 60 * DAY))]


def test_not_even_until_the_calendar_ends(story: Any, words: Any) -> None:
    begin(story, words)
    assert held_until(away(story, "9999-12-31")) == [("out_of_office", words.at(60 + 60 * DAY))]


@pytest.mark.parametrize("day", [None, "", "next week", "2026-11-01", "2026-11-02x"])
def test_without_a_day_to_come_it_is_three_days(story: Any, words: Any, day: str | None) -> None:
    begin(story, words)
    assert held_until(away(story, day)) == [("out_of_office", words.at(60 + 3 * DAY))]


def test_what_is_due_after_the_return_is_left_where_it_is(story: Any, words: Any) -> None:
    story.publish("one", words.step("a"), words.step("b", 20 * DAY))
    story.when("LeadCreated")
    assert away(story, "2026-11-12") == []


# Away until 09:00 of 12 November in Chicago: 10 days and six hours after the story began.
BACK = datetime(2026, 11, 12, 15, tzinfo=UTC)


def test_a_sequence_that_begins_during_the_absence_waits_for_the_return(
    story: Any, words: Any
) -> None:
    begin(story, words)
    away(story, "2026-11-12")
    story.publish("two", words.step("x"), words.step("y", DAY), trigger=("stage", "contacted"))
    told = story.when("StageChanged", 2 * DAY, to_stage="contacted", revision=2)
    assert held_until(told) == [("out_of_office", BACK)]
    assert told[-1].inputs["back_at"] == BACK.isoformat()
    assert words.steps_sent(story.until(10 * DAY)) == []
    assert sorted(words.steps_sent(story.until(11 * DAY))) == ["b", "x", "y"]


def test_a_step_behind_a_task_that_is_done_during_the_absence_waits_for_the_return(
    story: Any, words: Any
) -> None:
    story.publish("one", words.step("ring", channel="task", blocks=True), words.step("later", 60))
    [task] = words.queued(story.when("LeadCreated"))
    assert away(story, "2026-11-12") == []
    told = story.when("TaskCompleted", DAY, message_id=task.message_id)
    assert held_until(told) == [("out_of_office", BACK)]


def test_a_step_that_was_not_known_when_the_answer_came_waits_when_it_comes_due(
    story: Any, words: Any
) -> None:
    begin(story, words)
    story.sequences.apply(b"acme.one:1", None)
    assert away(story, "2026-11-12") == []
    story.publish("one", words.step("a"), words.step("b", DAY))
    assert held_until(story.until(DAY)) == [("out_of_office", BACK)]


def test_a_sequence_that_a_reply_does_not_stop_goes_on_during_the_absence(
    story: Any, words: Any
) -> None:
    begin(story, words)
    away(story, "2026-11-12")
    story.publish("two", words.step("x"), trigger=("stage", "contacted"), stop_on=("booking",))
    told = story.when("StageChanged", 2 * DAY, to_stage="contacted", revision=2)
    assert words.steps_sent(told) == ["x"]


@pytest.mark.parametrize(
    ("kind", "fields"),
    [
        ("ReplyReceived", {}),
        ("BookingMade", {}),
        ("CallMissed", {}),
        ("QuoteRequested", {}),
        ("ConsentChanged", {"granted": True}),
        ("MessageClicked", {}),
    ],
)
def test_whoever_does_something_is_not_away_any_more(
    story: Any, words: Any, kind: str, fields: dict[str, Any]
) -> None:
    begin(story, words)
    away(story, "2026-11-12")
    story.when(kind, DAY, **fields)
    story.publish("two", words.step("x"), trigger=("stage", "contacted"))
    told = story.when("StageChanged", 2 * DAY, to_stage="contacted", revision=2)
    assert words.steps_sent(told) == ["x"]


def test_what_a_machine_does_says_nothing_about_the_absence(story: Any, words: Any) -> None:
    begin(story, words)
    away(story, "2026-11-12")
    story.when("MessageClicked", DAY, automated=True)
    story.when("MessageOpened", DAY)
    story.publish("two", words.step("x"), trigger=("stage", "contacted"))
    told = story.when("StageChanged", 2 * DAY, to_stage="contacted", revision=2)
    assert held_until(told) == [("out_of_office", BACK)]


def test_of_two_answers_the_later_return_counts(story: Any, words: Any) -> None:
    begin(story, words)
    away(story, "2026-11-12")
    away(story, None, 120)
    story.publish("two", words.step("x"), trigger=("stage", "contacted"))
    told = story.when("StageChanged", 2 * DAY, to_stage="contacted", revision=2)
    assert held_until(told) == [("out_of_office", BACK)]


def test_after_the_return_nothing_waits_for_it(story: Any, words: Any) -> None:
    begin(story, words)
    away(story, "2026-11-12")
    story.publish("two", words.step("x"), trigger=("stage", "contacted"))
    story.until(11 * DAY)
    told = story.when("StageChanged", 12 * DAY, to_stage="contacted", revision=2)
    assert words.steps_sent(told) == ["x"]
