"""What happens to an enrolled lead when its sequence has a new version, and when it is moved."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from leadflow import ids
from leadflow.records.common import SendWindow

DAY = 1440


def begun(story: Any, words: Any, *names: str) -> None:
    """Version 1 with these steps an hour apart, and a lead that has had the first."""
    story.publish("one", *(words.step(name, 60 * n) for n, name in enumerate(names)))
    story.when("LeadCreated")


def moved(story: Any, words: Any, *steps: Any, at: float = 1) -> list[Any]:
    story.publish("one", *steps, version=2)
    enrollment_id = story.row.live[0].enrollment_id
    told: list[Any] = story.when("EnrollmentMigrateRequested", at, enrollment_id=enrollment_id)
    return told


def test_enrolled_leads_stay_on_their_version_unless_migrated(story: Any, words: Any) -> None:
    begun(story, words, "a", "b")
    story.publish("one", words.step("new"), version=2)
    assert words.steps_sent(story.passes(60)) == ["b"]


def test_a_migration_is_an_event_that_names_both_versions_and_what_comes_next(
    story: Any, words: Any
) -> None:
    begun(story, words, "a", "b")
    told = moved(story, words, words.step("a"), words.step("b", 90))
    [event] = [each for each in told if each.TYPE == "EnrollmentMigrated"]
    assert (event.from_version, event.sequence_version, event.next_step_id) == (1, 2, "b")
    assert words.steps_sent(story.passes(60)) == []
    assert words.steps_sent(story.passes(90)) == ["b"]


def test_standing_on_a_removed_step_it_goes_on_with_the_next_that_is_left(
    story: Any, words: Any
) -> None:
    begun(story, words, "a", "b", "c")
    moved(story, words, words.step("a"), words.step("added", 10), words.step("c", 120))
    assert words.steps_sent(story.passes(500)) == ["c"]


def test_with_nothing_left_it_goes_on_after_the_last_step_behind_it(story: Any, words: Any) -> None:
    begun(story, words, "a", "b")
    moved(story, words, words.step("a"), words.step("x", 30), words.step("y", 40))
    assert words.steps_sent(story.passes(500)) == ["x", "y"]


def test_with_nothing_left_at_all_it_is_completed(story: Any, words: Any) -> None:
    begun(story, words, "a", "b")
    told = moved(story, words, words.step("a"))
    assert words.types(told)[-1] == "EnrollmentCompleted"


def test_reordered_steps_are_not_sent_twice(story: Any, words: Any) -> None:
    begun(story, words, "a", "b", "c")
    moved(story, words, words.step("b", 60), words.step("a", 70), words.step("c", 80))
    assert words.steps_sent(story.passes(500)) == ["b", "c"]


def test_steps_passed_in_an_earlier_version_are_remembered_over_several_moves(
    story: Any, words: Any
) -> None:
    begun(story, words, "a", "b")
    moved(story, words, words.step("b", 60), words.step("z", 70))
    story.publish("one", words.step("b", 60), words.step("a", 65), words.step("z", 70), version=3)
    enrollment_id = story.row.live[0].enrollment_id
    story.when("EnrollmentMigrateRequested", 2, enrollment_id=enrollment_id, to_version=3)
    assert words.steps_sent(story.passes(500)) == ["b", "z"]


def test_a_step_that_did_not_change_keeps_its_time(story: Any, words: Any) -> None:
    begun(story, words, "a", "b")
    before = story.row.live[0].due_at
    moved(story, words, words.step("a"), words.step("b", 60), at=30)
    assert story.row.live[0].due_at == before


@pytest.mark.parametrize("status", [None, "draft"])
def test_a_version_that_is_not_published_is_refused_and_changes_nothing(
    story: Any, words: Any, status: str | None
) -> None:
    begun(story, words, "a", "b")
    if status is not None:
        story.publish("one", words.step("a"), version=9, status=status)
    enrollment_id = story.row.live[0].enrollment_id
    [refused] = story.when(
        "EnrollmentMigrateRequested", 1, enrollment_id=enrollment_id, to_version=9
    )
    assert (refused.TYPE, refused.command) == ("CommandRefused", "migrate")
    assert (refused.rule, refused.inputs) == ("unknown_version", {"version": "9"})
    assert words.steps_sent(story.passes(60)) == ["b"]


def left_behind(told: list[Any]) -> list[tuple[str, int, str]]:
    return [
        (each.step_id, each.step_index, each.rule) for each in told if each.TYPE == "StepSkipped"
    ]


def test_a_step_that_was_moved_before_its_place_is_told_as_skipped(story: Any, words: Any) -> None:
    begun(story, words, "a", "b", "c", "d")
    steps = [words.step(name, 60 + n) for n, name in enumerate(("a", "c", "b", "d"))]
    told = moved(story, words, *steps)
    assert left_behind(told) == [("c", 1, "left_behind")]
    [skipped] = [each for each in told if each.TYPE == "StepSkipped"]
    assert skipped.inputs == {"from_version": "1", "to_version": "2"}
    assert words.steps_sent(story.passes(500)) == ["b", "d"]
    assert left_behind(story.told) == [("c", 1, "left_behind")]


def test_a_step_that_was_added_before_its_place_is_told_as_skipped(story: Any, words: Any) -> None:
    begun(story, words, "a", "b")
    told = moved(story, words, words.step("new"), words.step("a"), words.step("b", 60))
    assert left_behind(told) == [("new", 0, "left_behind")]


def test_what_a_migration_skipped_is_neither_sent_nor_told_again_by_the_next(
    story: Any, words: Any
) -> None:
    begun(story, words, "a", "b", "c")
    moved(story, words, words.step("a"), words.step("c", 50), words.step("b", 60))
    steps = [words.step(name, 60 + n) for n, name in enumerate("abc")]
    story.publish("one", *steps, version=3)
    enrollment_id = story.row.live[0].enrollment_id
    story.when("EnrollmentMigrateRequested", 2, enrollment_id=enrollment_id, to_version=3)
    assert words.steps_sent(story.passes(500)) == ["b"]
    assert left_behind(story.told) == [("c", 1, "left_behind")]


def planned(told: list[Any]) -> list[Any]:
    return [(each.step_id, each.due_at) for each in told if each.TYPE == "StepScheduled"]


@pytest.mark.parametrize("delay_from", ["enrollment", "previous"])
def test_a_step_whose_text_changed_alone_keeps_its_time(
    story: Any, words: Any, delay_from: str
) -> None:
    later = words.step("b", delay_days=7, delay_from=delay_from)
    story.publish("one", words.step("a"), later)
    story.when("LeadCreated")
    told = moved(story, words, words.step("a"), replace(later, subject="Mended"), at=6 * DAY)
    assert planned(told) == []
    assert story.row.live[0].due_at == words.at(7 * DAY)
    assert words.steps_sent(story.passes(7 * DAY - 1)) == []
    [message] = words.queued(story.passes(7 * DAY))
    assert message.subject == "Mended"


@pytest.mark.parametrize(
    ("changes", "due"),
    [
        ({"delay_days": 9}, 30 + 9 * DAY),
        ({"delay_days": 8, "delay_minutes": 5}, 35 + 8 * DAY),
        ({"delay_days": 2}, 6 * DAY),  # that is past, and it goes out now
        ({"delay_days": 9, "delay_from": "enrollment"}, 9 * DAY),
    ],
)
def test_a_new_delay_counts_from_when_the_step_above_went_out(
    story: Any, words: Any, changes: dict[str, Any], due: int
) -> None:
    later = words.step("b", delay_days=7, delay_from="previous")
    story.publish("one", words.step("a", 30), later)
    story.when("LeadCreated")
    story.passes(30)
    told = moved(story, words, words.step("a", 30), replace(later, **changes), at=6 * DAY)
    assert planned(told) == [("b", words.at(due))]
    assert words.steps_sent(story.told) == (["a", "b"] if due == 6 * DAY else ["a"])


def test_a_new_delay_from_the_enrollment_counts_from_there(story: Any, words: Any) -> None:
    story.publish("one", words.step("a", 30), words.step("b", 7 * DAY))
    story.when("LeadCreated")
    story.passes(30)
    told = moved(story, words, words.step("a", 30), words.step("b", 9 * DAY), at=6 * DAY)
    assert planned(told) == [("b", words.at(9 * DAY))]


def test_a_step_in_place_of_a_removed_one_counts_from_the_step_above_too(
    story: Any, words: Any
) -> None:
    story.publish("one", words.step("a"), words.step("b", 7 * DAY, delay_from="previous"))
    story.when("LeadCreated")
    story.passes(0)
    new = words.step("c", 8 * DAY, delay_from="previous")
    assert planned(moved(story, words, words.step("a"), new, at=6 * DAY)) == [
        ("c", words.at(8 * DAY))
    ]


def test_a_step_planned_anew_is_another_event_than_its_first_plan(story: Any, words: Any) -> None:
    begun(story, words, "a", "b")
    moved(story, words, words.step("a"), words.step("b", 90))
    plans = [each for each in story.told if each.TYPE == "StepScheduled" and each.step_id == "b"]
    assert [each.due_at for each in plans] == [words.at(60), words.at(90)]
    assert len({each.event_id for each in plans}) == 2


def test_a_new_window_gives_a_step_another_time(story: Any, words: Any) -> None:
    begun(story, words, "a", "b")
    window = SendWindow(start="09:00", end="17:00", days=(), holidays=True)
    story.publish("one", words.step("a"), words.step("b", 60), version=2, window=window)
    enrollment_id = story.row.live[0].enrollment_id
    told = story.when("EnrollmentMigrateRequested", 1, enrollment_id=enrollment_id)
    # 09:00 in Chicago is six hours after the story began.
    assert planned(told) == [("b", words.at(0) + timedelta(hours=6))]


@pytest.mark.parametrize("still_there", [False, True])
def test_a_task_that_a_new_version_lets_nobody_wait_for_is_waited_for_no_longer(
    story: Any, words: Any, still_there: bool
) -> None:
    task = words.step("task", channel="task", blocks=True)
    story.publish("one", task, words.step("b", 60, delay_from="previous"))
    story.when("LeadCreated")
    assert story.row.live[0].waits_for == "task"
    b = words.step("b", 60, delay_from="previous")
    steps = [replace(task, blocks=False), b] if still_there else [b]
    told = moved(story, words, *steps, at=10)
    assert words.rules(told, "EnrollmentResumed") == ["task_gone"]
    assert planned(told) == [("b", words.at(70))]
    assert words.steps_sent(story.until(70)) == ["b"]


def test_a_task_that_a_new_version_has_too_is_waited_for_still(story: Any, words: Any) -> None:
    task = words.step("task", channel="task", blocks=True)
    story.publish("one", task, words.step("b", 60))
    story.when("LeadCreated")
    told = moved(story, words, task, words.step("b", 90), at=10)
    assert words.types(told) == ["EnrollmentMigrated"]
    assert words.steps_sent(story.passes(500)) == []
    message_id = ids.message_id(story.row.live[0].enrollment_id, "task")
    assert words.steps_sent(story.when("TaskCompleted", 500, message_id=message_id)) == ["b"]


def test_a_jump_does_not_tell_of_steps_that_the_lead_has_had(story: Any, words: Any) -> None:
    begun(story, words, "a", "b", "c", "d")
    story.passes(60)
    fork = words.step(
        "c", 70, channel="condition", condition=("temperature", "eq", "hot"), otherwise="d"
    )
    steps = [words.step("a"), fork, words.step("b", 80), words.step("x", 90), words.step("d", 95)]
    moved(story, words, *steps, at=61)
    told = story.until(500)
    skipped = [(each.step_id, each.rule) for each in told if each.TYPE == "StepSkipped"]
    assert skipped == [("c", "condition"), ("x", "jumped_over")]
    assert words.steps_sent(told) == ["d"]
