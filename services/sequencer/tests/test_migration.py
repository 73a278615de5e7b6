"""What happens to an enrolled lead when its sequence has a new version, and when it is moved."""

from typing import Any

import pytest


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
