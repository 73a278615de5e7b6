"""A lead's passages through sequences, read off its timeline. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, NamedTuple

# What decides about a message, the last word wins; what comes after it was sent.
SETTLING = frozenset(
    {
        "MessageQueued", "MessageHeld", "MessageReviewed", "MessageSent", "MessageRecorded",
        "MessageFailed", "MessageSuppressed", "MessageUnknown",
    }
)  # fmt: skip
AGAIN = "sent again"
AFTERWARDS = frozenset({"MessageDelivered", "MessageBounced", "MessageComplained"})
# In which order one decision says things: all of it is recorded in one moment.
_RANK = {
    "Enrolled": 0,
    "EnrollmentMigrated": 1,
    "EnrollmentResumed": 2,
    "StepScheduled": 3,
    "StepSkipped": 4,
    "StepFired": 5,
    "MessageQueued": 6,
    "EnrollmentPaused": 8,
    "EnrollmentStopped": 9,
    "EnrollmentCompleted": 9,
}
_ANY_OTHER = 7
# What holds a passage, by the rule that ends it.
_ENDS = {
    "manual": "manual",
    "lead_active": "lead",
    "task_done": "task",
    "task_gone": "task",
    "automation_resumed": "automation",
}


class Ruling(NamedTuple):
    """A decision with its rule; an end without one is the regular end."""

    at: datetime
    rule: str
    inputs: Mapping[str, str]


class Move(NamedTuple):
    """When a step was planned for; without a rule by its delay alone."""

    due_at: datetime
    rule: str
    inputs: Mapping[str, str]


class InVain(NamedTuple):
    """What was asked (pause, resume, stop, migrate), by whom, and why nothing came of it."""

    command: str
    by: str
    ruling: Ruling


class Refusal(NamedTuple):
    sequence_id: str
    at: datetime
    rule: str
    inputs: Mapping[str, str]


@dataclass(slots=True)
class Step:
    """What happened to one step; `message` is the last word on its message: type, when, data.
    `again` is why it was not sent again, the last time that somebody asked."""

    step_id: str
    channel: str
    index: int
    moves: list[Move] = field(default_factory=list)
    skipped: Ruling | None = None
    fired_at: datetime | None = None
    message: tuple[str, datetime, Mapping[str, Any]] | None = None
    after: list[tuple[str, datetime]] = field(default_factory=list)
    again: Ruling | None = None

    @property
    def due_at(self) -> datetime | None:
        return self.moves[-1].due_at if self.moves else None

    def is_done(self) -> bool:
        return self.skipped is not None or self.fired_at is not None or self.message is not None


@dataclass(slots=True)
class Passage:
    """One enrollment. `holds` are what it is paused by now, by kind; `in_vain` is the last thing
    that somebody asked of it and that could not be done."""

    enrollment_id: str
    sequence_id: str
    version: int
    entered_at: datetime
    steps: dict[str, Step] = field(default_factory=dict)
    holds: dict[str, Ruling] = field(default_factory=dict)
    ended: Ruling | None = None
    in_vain: InVain | None = None

    def current(self) -> Step | None:
        """The step that is next."""
        planned = [each for each in self.steps.values() if each.moves and not each.is_done()]
        return planned[-1] if planned else None

    def pause(self) -> Ruling | None:
        """What a person has to see to first, if the passage is paused."""
        for kind in ("lead", "manual", "task", "automation"):
            if kind in self.holds:
                return self.holds[kind]
        return None

    def step(self, data: Mapping[str, Any]) -> Step:
        step_id = str(data["step_id"])
        if step_id not in self.steps:
            index = int(data.get("step_index", len(self.steps)))
            self.steps[step_id] = Step(step_id, str(data.get("channel", "")), index)
        return self.steps[step_id]


@dataclass(slots=True)
class Passages:
    """All of a lead's, in the order in which it entered, and the refusals: the last one for
    each sequence and rule."""

    passages: list[Passage] = field(default_factory=list)
    refusals: list[Refusal] = field(default_factory=list)


def read(lines: Iterable[Mapping[str, Any]]) -> Passages:
    """Lines of the timeline, in any order. What names no enrollment of ours, such as a task that
    is made beside a step, is passed over."""
    by_id: dict[str, Passage] = {}
    steps: dict[str, Step] = {}  # by the message
    resent: dict[str, Step] = {}  # by the message that repeats it
    refusals: dict[tuple[str, str], Refusal] = {}
    for line in sorted(lines, key=_place):
        kind, at, data = line["type"], line["recorded_at"], line["data"]
        if kind == "Enrolled":
            by_id[data["enrollment_id"]] = Passage(
                data["enrollment_id"], data["sequence_id"], int(data["sequence_version"]), at
            )
        elif kind == "EnrollmentRefused":
            key = (data["sequence_id"], data["rule"])
            refusals[key] = Refusal(*key[:1], at, data["rule"], data.get("inputs") or {})
        elif kind in SETTLING or kind in AFTERWARDS:
            _message(steps, resent, kind, at, data)
        elif (passage := by_id.get(data.get("enrollment_id", ""))) is not None:
            _decision(passage, steps, kind, at, data)
    return Passages(list(by_id.values()), sorted(refusals.values(), key=lambda each: each.at))


def _place(line: Mapping[str, Any]) -> tuple[datetime, int, int, datetime]:
    data, at = line["data"], line["recorded_at"]
    due_at = _time(data["due_at"]) if line["type"] == "StepScheduled" else at
    return at, _RANK.get(line["type"], _ANY_OTHER), int(data.get("step_index", 0)), due_at


def _message(
    steps: Mapping[str, Step],
    resent: dict[str, Step],
    kind: str,
    at: datetime,
    data: Mapping[str, Any],
) -> None:
    step = steps.get(data.get("message_id", "")) or resent.get(data.get("message_id", ""))
    first = steps.get(data.get("first_message_id") or "")
    if first is not None:
        resent[data["message_id"]] = first
    elif step is None:
        return
    elif data["message_id"] in resent:
        if kind == "MessageSent":
            step.after.append((AGAIN, at))
    elif kind in AFTERWARDS:
        step.after.append((kind, at))
    else:
        step.message = (kind, at, data)


def _decision(
    passage: Passage, steps: dict[str, Step], kind: str, at: datetime, data: Mapping[str, Any]
) -> None:
    ruling = Ruling(at, data.get("rule") or "", data.get("inputs") or {})
    match kind:
        case "StepScheduled":
            due_at = _time(data["due_at"])
            passage.step(data).moves.append(Move(due_at, ruling.rule, ruling.inputs))
            passage.holds.pop("automation", None)
        case "StepSkipped" if "resend_of" in ruling.inputs:
            passage.step(data).again = ruling
        case "StepSkipped":
            passage.step(data).skipped = ruling
        case "StepFired":
            step = passage.step(data)
            step.fired_at = at
            steps[data["message_id"]] = step
        case "EnrollmentPaused":
            passage.holds[_kind_of(ruling.rule)] = ruling
        case "EnrollmentResumed":
            lifted = _ENDS.get(ruling.rule, "automation")
            passage.holds.pop(lifted, None)
            if lifted == "manual":
                # A lead that still is not active is paused anew in the same decision.
                passage.holds.pop("lead", None)
                if "still_held_by" not in ruling.inputs:
                    passage.holds.pop("automation", None)
        case "CommandRefused":
            passage.in_vain = InVain(data["command"], data["requested_by"], ruling)
        case "EnrollmentMigrated":
            passage.version = int(data["sequence_version"])
            passage.holds.pop("automation", None)
        case "EnrollmentStopped" | "EnrollmentCompleted":
            passage.ended = ruling


def _kind_of(rule: str) -> str:
    if rule == "task_open":
        return "task"
    if rule.startswith("lead_"):
        return "lead"
    return "manual" if rule == "manual" else "automation"


def _time(value: datetime | str) -> datetime:
    """The read model keeps times inside of `data` as text."""
    return datetime.fromisoformat(value) if isinstance(value, str) else value
