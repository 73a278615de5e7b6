"""Where an enrollment goes on in another version of its sequence, and about when (ADR 13).

1. At the step that it stands on, wherever the new version has that.
2. If that step was removed, at the first later step of the old version that the new one has.
3. If there is none, after the last step behind it that the new version has, or at its start.

Steps behind it, in this version or in those before, are passed over. Steps before that place which
the lead never had are left behind for good.

A task that it waits for, and that the new version has no more or lets nobody wait for, is waited
for no longer: its next step counts its delay from the migration.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from leadflow.records import SequencePublished, SequenceStep
from portal_api.bulk.decide.enrolling import holding
from portal_api.bulk.model import Candidate, Outlook, Passage

SAME_STEP = "same_step"
NEXT_LEFT = "next_step_left"
AFTER_LAST_BEHIND = "after_last_step_behind"
NOTHING_LEFT = "nothing_left"
LEFT_BEHIND = "left_behind"
TASK_OPEN = "task_open"
TASK_OVER = ("task_done", "task_gone")
TIMING = (
    "step_id",
    "channel",
    "delay_minutes",
    "delay_days",
    "delay_business_days",
    "delay_from",
    "spread_minutes",
)
SATURDAY = 5

Versions = Mapping[int, SequencePublished]


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """Where an enrollment stands: the index of its next step in `version`, and the ids of the
    steps that are behind it since before it was migrated there. `stepped_at` is when the step
    above was done, None if none was; `waits_for` the step whose task has to be done first."""

    version: int
    index: int
    passed: frozenset[str] = frozenset()
    stepped_at: datetime | None = None
    waits_for: str = ""


@dataclass(frozen=True, slots=True)
class Destination:
    """The step that comes next in the new version, None if nothing is left, by which rule; and
    the steps before it that the lead never had and will not get."""

    step: SequenceStep | None
    rule: str
    left_behind: tuple[str, ...] = ()


def standing(told: Iterable[Mapping[str, Any]], begun_in: int, versions: Versions) -> Standing:
    """Where an enrollment stands by what was told of it: {type, data, recorded_at} in order of
    time.

    Within a version an enrollment only ever goes on, so the furthest that was told of holds.
    """
    version, index = begun_in, 0
    passed: frozenset[str] = frozenset()
    stepped_at: datetime | None = None
    tasks: list[str] = []
    over: set[str] = set()
    planned = True  # whether the next step is; the first is from the enrollment on
    for each in told:
        data = each["data"]
        inputs = data.get("inputs") or {}
        if "resend_of" in inputs:
            continue  # a resend was refused: nobody moved
        if each["type"] == "EnrollmentPaused" and data.get("rule") == TASK_OPEN:
            tasks.append(inputs.get("step", ""))
        elif each["type"] == "EnrollmentResumed" and data.get("rule") in TASK_OVER:
            over.add(inputs.get("step", ""))
        elif each["type"] == "EnrollmentMigrated":
            left = versions.get(version)
            passed |= {step.step_id for step in left.steps[:index]} if left else set()
            version = data["sequence_version"]
            index = _index_of(versions.get(version), data.get("next_step_id"))
        elif data["sequence_version"] == version and each["type"] == "StepScheduled":
            if not planned or data["step_index"] > index:
                stepped_at, planned = each.get("recorded_at"), True
            index = max(index, data["step_index"])
        elif data["sequence_version"] == version and each["type"] in ("StepFired", "StepSkipped"):
            index = max(index, data["step_index"] + 1)
            planned = data.get("rule") == LEFT_BEHIND and planned
    return Standing(
        version=version,
        index=index,
        passed=passed,
        stepped_at=stepped_at,
        waits_for=next((each for each in tasks if each not in over), ""),
    )


def _index_of(sequence: SequencePublished | None, step_id: str | None) -> int:
    steps = () if sequence is None else sequence.steps
    return next((at for at, each in enumerate(steps) if each.step_id == step_id), len(steps))


def destination(old: SequencePublished, new: SequencePublished, at: Standing) -> Destination:
    """Where an enrollment that stands at `at` of `old` goes on in `new`."""
    behind = at.passed | {each.step_id for each in old.steps[: at.index]}
    there = {each.step_id: number for number, each in enumerate(new.steps)}
    ahead = [each.step_id for each in old.steps[at.index :]]
    kept = next((name for name in ahead if name in there and name not in behind), None)
    if kept is not None:
        index, rule = there[kept], SAME_STEP if kept == ahead[0] else NEXT_LEFT
    else:
        index = 1 + max((there[each] for each in behind if each in there), default=-1)
        rule = AFTER_LAST_BEHIND
    while index < len(new.steps) and new.steps[index].step_id in behind:
        index += 1
    left = tuple(each.step_id for each in new.steps[:index] if each.step_id not in behind)
    if index >= len(new.steps):
        return Destination(None, NOTHING_LEFT, left)
    return Destination(new.steps[index], rule, left)


def outlook(
    lead: Candidate,
    run: Passage | None,
    at: Standing | None,
    new: SequencePublished,
    versions: Versions,
    tenant_zone: str,
    now: datetime,
    paused: Collection[str] = (),
) -> Outlook:
    """What to expect of a migration of this lead's enrollment to `new`; `paused` are the scopes
    that are.

    Of a plan, `waits_for` is the step whose task goes on holding it, so that nobody knows a time;
    `task_gone` the one whose task is waited for no longer."""
    if run is None or at is None:
        return Outlook(refused="not_enrolled", asked=False)
    if run.version == new.version:
        return Outlook(refused="same_version", inputs={"version": str(new.version)}, asked=False)
    old = versions.get(at.version)
    if old is None:
        return Outlook(refused="unknown_version", inputs={"version": str(at.version)})
    stands_on = old.steps[at.index] if at.index < len(old.steps) else None
    goes_to = destination(old, new, at)
    blocks = any(each.step_id == at.waits_for and each.blocks for each in new.steps)
    waits_for, task_gone = (at.waits_for, "") if blocks else ("", at.waits_for)
    kept = (
        not at.waits_for
        and goes_to.step is not None
        and stands_on is not None
        and (old.window, *_timing(stands_on)) == (new.window, *_timing(goes_to.step))
    )
    due = run.next_due_at if kept else None
    if goes_to.step is not None and due is None and not waits_for:
        above = now if task_gone else at.stepped_at or run.enrolled_at
        zone = lead.timezone or tenant_zone
        due = earliest(goes_to.step, run.enrolled_at, above, now, zone)
    return Outlook(
        plan={
            "from_version": at.version,
            "stands_on": None if stands_on is None else stands_on.step_id,
            "removed": stands_on is not None
            and all(each.step_id != stands_on.step_id for each in new.steps),
            "next_step": None if goes_to.step is None else goes_to.step.step_id,
            "channel": None if goes_to.step is None else goes_to.step.channel,
            "rule": goes_to.rule,
            "left_behind": list(goes_to.left_behind),
            "about": None if due is None else due.isoformat(),
            "time": "kept" if kept else "new",
            "paused": _stays_held(run, new, goes_to.step, paused)
            if task_gone
            else run.status == "paused",
            "waits_for": waits_for or None,
            "task_gone": task_gone or None,
        }
    )


def _stays_held(
    run: Passage, new: SequencePublished, step: SequenceStep | None, paused: Collection[str]
) -> bool:
    """Whether anything holds an enrollment once its task does no longer."""
    if run.status == "paused" and run.held_by not in (TASK_OPEN, None):
        return True
    if step is None:
        return False
    return new.status == "paused" or holding(paused, new, step.channel) is not None


def _timing(step: SequenceStep) -> tuple[object, ...]:
    """All of a step that its time depends on, and which it is."""
    return tuple(getattr(step, name) for name in TIMING)


def earliest(
    step: SequenceStep, enrolled_at: datetime, above: datetime, now: datetime, zone: str
) -> datetime:
    """When the step's delay alone makes it due, not before `now`; `above` is when the step above it
    was done. Hours, holidays and the cap may put it later, never earlier."""
    at = (above if step.delay_from == "previous" else enrolled_at) + timedelta(
        minutes=step.delay_minutes
    )
    if step.delay_days or step.delay_business_days:
        local = at.astimezone(ZoneInfo(zone or "UTC")) + timedelta(days=step.delay_days)
        left = step.delay_business_days
        while left:
            local += timedelta(days=1)
            left -= local.weekday() < SATURDAY
        at = local.astimezone(UTC)
    return max(now, at)
