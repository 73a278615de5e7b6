"""Where enrolled leads go on in another version: the examples of the sequencer's own tests."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest

from leadflow.records import SequencePublished, SequenceStep
from portal_api.bulk.decide import moving
from portal_api.bulk.model import Candidate, Outlook, Passage

Version = Callable[..., SequencePublished]


@pytest.fixture
def version(sequence: SequencePublished) -> Version:
    """A version with these steps, each NAME or (NAME, MINUTES)."""

    def make(number: int, *steps: str | tuple[str, int]) -> SequencePublished:
        named = [(each, 0) if isinstance(each, str) else each for each in steps]
        made = tuple(
            replace(sequence.steps[0], step_id=name, delay_minutes=minutes)
            for name, minutes in named
        )
        return replace(sequence, version=number, steps=made)

    return make


def goes_to(old: SequencePublished, new: SequencePublished, index: int, *passed: str) -> Any:
    at = moving.Standing(version=old.version, index=index, passed=frozenset(passed))
    found = moving.destination(old, new, at)
    return (found.step.step_id if found.step else None), found.rule


def test_a_refused_resend_moves_nobody(version: Version) -> None:
    refused = {"sequence_version": 1, "step_id": "b", "step_index": 1, "inputs": {"resend_of": "m"}}
    at = moving.standing([{"type": "StepSkipped", "data": refused}], 1, {1: version(1, "a", "b")})
    assert at.index == 0


def test_it_goes_on_at_the_step_that_it_stands_on(version: Version) -> None:
    assert goes_to(version(1, "a", "b"), version(2, "a", "b"), 1) == ("b", "same_step")


def test_standing_on_a_removed_step_it_goes_on_with_the_next_that_is_left(
    version: Version,
) -> None:
    old, new = version(1, "a", "b", "c"), version(2, "a", "added", "c")
    assert goes_to(old, new, 1) == ("c", "next_step_left")


def test_with_nothing_left_it_goes_on_after_the_last_step_behind_it(version: Version) -> None:
    old, new = version(1, "a", "b"), version(2, "a", "x", "y")
    assert goes_to(old, new, 1) == ("x", "after_last_step_behind")
    assert goes_to(old, version(2, "x", "y"), 1) == ("x", "after_last_step_behind")


def test_with_nothing_left_at_all_it_is_completed(version: Version) -> None:
    assert goes_to(version(1, "a", "b"), version(2, "a"), 1) == (None, "nothing_left")


def test_reordered_steps_are_not_sent_twice(version: Version) -> None:
    old, new = version(1, "a", "b", "c"), version(2, "b", "a", "c")
    assert goes_to(old, new, 1) == ("b", "same_step")
    assert goes_to(new, version(3, "b", "a", "c"), 1, "a") == ("c", "next_step_left")


def test_steps_before_its_place_that_it_never_had_are_named(version: Version) -> None:
    at = moving.Standing(version=1, index=1)
    old = version(1, "a", "b", "c", "d")
    moved = moving.destination(old, version(2, "a", "c", "b", "d"), at)
    assert (moved.step and moved.step.step_id, moved.left_behind) == ("b", ("c",))
    added = moving.destination(old, version(2, "new", "a", "b"), at)
    assert added.left_behind == ("new",)
    same = moving.destination(old, version(2, "a", "b", "d"), at)
    assert same.left_behind == ()


def lines(t0: datetime, *told: tuple[str, int, Any]) -> list[dict[str, Any]]:
    """(type, version, index, or next step of a migration) as the timeline keeps them."""
    names = {"EnrollmentMigrated": "next_step_id"}
    return [
        {"type": kind, "data": {"sequence_version": number, names.get(kind, "step_index"): value}}
        for kind, number, value in told
    ]


def test_where_it_stands_follows_from_what_was_told(version: Version, t0: datetime) -> None:
    versions = {1: version(1, "a", "b", "c"), 2: version(2, "b", "z")}
    told = lines(
        t0,
        ("StepScheduled", 1, 0),
        ("StepFired", 1, 0),
        ("StepScheduled", 1, 1),
        ("EnrollmentMigrated", 2, "b"),
        ("StepFired", 2, 0),
        ("StepScheduled", 2, 1),
    )
    assert moving.standing(told[:3], 1, versions) == moving.Standing(version=1, index=1)
    passed = frozenset({"a"})
    assert moving.standing(told[:4], 1, versions) == moving.Standing(
        version=2, index=0, passed=passed
    )
    assert moving.standing(told, 1, versions) == moving.Standing(version=2, index=1, passed=passed)


def test_a_step_that_holds_the_next_until_a_task_is_done_is_behind_it(
    version: Version, t0: datetime
) -> None:
    told = lines(t0, ("StepScheduled", 1, 0), ("StepFired", 1, 0), ("EnrollmentPaused", 1, None))
    assert moving.standing(told, 1, {1: version(1, "a", "b")}).index == 1


def task(t0: datetime, kind: str, rule: str, step: str) -> dict[str, Any]:
    data = {"sequence_version": 1, "rule": rule, "inputs": {"step": step}}
    return {"type": kind, "data": data, "recorded_at": t0}


def test_it_waits_for_a_task_until_that_is_done_or_gone(version: Version, t0: datetime) -> None:
    versions = {1: version(1, "a", "b", "c")}
    begun = [*lines(t0, ("StepFired", 1, 0)), task(t0, "EnrollmentPaused", "task_open", "a")]
    assert moving.standing(begun, 1, versions).waits_for == "a"
    by_hand = [*begun, task(t0, "EnrollmentPaused", "manual", "")]
    assert moving.standing(by_hand, 1, versions).waits_for == "a"
    resumed = [*by_hand, task(t0, "EnrollmentResumed", "manual", "")]
    assert moving.standing(resumed, 1, versions).waits_for == "a"
    for rule in ("task_done", "task_gone"):
        over = task(t0, "EnrollmentResumed", rule, "a")
        assert moving.standing([*begun, over], 1, versions).waits_for == ""
        # The next task may be open at the same moment, and is then told of in any order.
        following = task(t0, "EnrollmentPaused", "task_open", "b")
        assert moving.standing([*begun, over, following], 1, versions).waits_for == "b"
        assert moving.standing([*begun, following, over], 1, versions).waits_for == "b"


def expected(
    version: Version,
    t0: datetime,
    new: SequencePublished,
    *,
    at: int = 1,
    waits_for: str = "",
    paused: tuple[str, ...] = (),
    **run: Any,
) -> Outlook:
    old = version(1, "a", ("b", 60), "c")
    passage = Passage(
        **{
            "enrollment_id": "e",
            "sequence_id": old.sequence_id,
            "version": 1,
            "status": "active",
            "enrolled_at": t0,
            "next_due_at": t0 + timedelta(minutes=77),
            **run,
        }
    )
    standing = moving.Standing(version=1, index=at, waits_for=waits_for)
    now = t0 + timedelta(minutes=30)
    lead = Candidate(lead_id="l", status="active")
    return moving.outlook(lead, passage, standing, new, {1: old, 2: new}, "", now, paused)


def test_a_step_that_did_not_change_keeps_its_time(version: Version, t0: datetime) -> None:
    plan = expected(version, t0, version(2, "a", ("b", 60))).plan
    assert plan["time"] == "kept"
    assert plan["about"] == (t0 + timedelta(minutes=77)).isoformat()
    assert plan["removed"] is False


def after_each_other(made: SequencePublished) -> SequencePublished:
    steps = tuple(replace(each, delay_from="previous") for each in made.steps)
    return replace(made, steps=steps)


OPEN: dict[str, Any] = {"status": "paused", "held_by": "task_open", "waits_for": "a"}


def test_who_waits_for_a_task_that_is_gone_goes_on_from_now(version: Version, t0: datetime) -> None:
    now, past = t0 + timedelta(minutes=30), t0 - timedelta(minutes=5)
    new = after_each_other(version(2, "new", ("b", 60)))
    plan = expected(version, t0, new, next_due_at=past, **OPEN).plan
    assert (plan["paused"], plan["time"], plan["next_step"]) == (False, "new", "b")
    assert plan["about"] == (now + timedelta(minutes=60)).isoformat()
    assert (plan["task_gone"], plan["waits_for"]) == ("a", None)
    plan = expected(version, t0, version(2, "new", "c"), at=2, next_due_at=past, **OPEN).plan
    assert (plan["paused"], plan["time"], plan["about"]) == (False, "new", now.isoformat())


def test_a_task_that_lets_nobody_wait_any_more_is_gone_too(version: Version, t0: datetime) -> None:
    plan = expected(version, t0, version(2, "a", ("b", 60)), **OPEN).plan
    assert (plan["paused"], plan["task_gone"]) == (False, "a")


def test_a_task_that_still_holds_the_next_step_has_no_time_yet(
    version: Version, t0: datetime
) -> None:
    new = version(2, "a", ("b", 60))
    new = replace(new, steps=(replace(new.steps[0], blocks=True), *new.steps[1:]))
    plan = expected(version, t0, new, **OPEN).plan
    assert (plan["paused"], plan["waits_for"], plan["task_gone"]) == (True, "a", None)
    assert (plan["next_step"], plan["about"], plan["time"]) == ("b", None, "new")


def test_what_else_holds_a_lead_holds_it_without_the_task(version: Version, t0: datetime) -> None:
    new = after_each_other(version(2, "new", ("b", 60)))
    by_hand = expected(version, t0, new, **{**OPEN, "held_by": "manual"}).plan
    assert (by_hand["paused"], by_hand["task_gone"]) == (True, "a")
    assert by_hand["about"] == (t0 + timedelta(minutes=90)).isoformat()
    channel = f"channel:{new.tenant_id}:{new.steps[0].channel}"
    assert expected(version, t0, new, paused=(channel,), **OPEN).plan["paused"] is True
    assert expected(version, t0, new, paused=("tenant:nobody",), **OPEN).plan["paused"] is False
    stopped = replace(new, status="paused")
    assert expected(version, t0, stopped, **OPEN).plan["paused"] is True


def test_another_delay_counts_from_the_enrollment_and_never_from_the_past(
    version: Version, t0: datetime
) -> None:
    plan = expected(version, t0, version(2, "a", ("b", 90))).plan
    assert (plan["time"], plan["about"]) == ("new", (t0 + timedelta(minutes=90)).isoformat())
    plan = expected(version, t0, version(2, "a", ("b", 10))).plan
    assert plan["about"] == (t0 + timedelta(minutes=30)).isoformat()


def test_who_is_in_the_version_already_or_in_none_is_not_asked_for(
    version: Version, t0: datetime
) -> None:
    stays = expected(version, t0, version(1, "a"))
    assert (stays.refused, stays.asked) == ("same_version", False)
    lead = Candidate(lead_id="l", status="active")
    nobody = moving.outlook(lead, None, None, version(2, "a"), {}, "", t0)
    assert (nobody.refused, nobody.asked) == ("not_enrolled", False)


def test_a_completed_run_has_no_time_and_a_removed_step_is_named(
    version: Version, t0: datetime
) -> None:
    plan = expected(version, t0, version(2, "a")).plan
    assert (plan["stands_on"], plan["removed"]) == ("b", True)
    assert (plan["next_step"], plan["about"], plan["rule"]) == (None, None, "nothing_left")


def test_business_days_pass_over_the_weekend_where_the_lead_is(
    sequence: SequencePublished, t0: datetime
) -> None:
    step: SequenceStep = replace(sequence.steps[0], delay_business_days=1)
    # t0 is a Friday at 9:00 UTC.
    assert moving.earliest(step, t0, t0, t0, "") == t0 + timedelta(days=3)
    across = replace(sequence.steps[0], delay_days=1)
    begun = datetime.fromisoformat("2026-10-31T12:00:00+00:00")
    # New York leaves daylight saving on 1 November 2026: the same wall time is 25 hours later.
    due = moving.earliest(across, begun, begun, begun, "America/New_York")
    assert due == begun + timedelta(hours=25)
