"""One enrollment, as the model of what must happen has it."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime

from leadflow import ids
from leadflow.records import SequencePublished
from leadflow.records.common import SequenceStep

from .durable import START
from .sequences import TENANT


@dataclass(eq=False)
class Passage:
    """One enrollment. `ended` is "completed" or the stop, `ended_at` the number of the effect.
    `holds`: from which effect on which step had to wait until when. `waits_for` is a task that
    somebody has to do first, `done` are those done, `outcomes` what became of messages, `passed`
    is what is behind it in versions that it has left."""

    lead: str
    sequence: SequencePublished
    entry: int
    enrolled_at: datetime
    due: datetime = START
    index: int = 0
    paused: bool = False
    waits_for: str = ""
    passed: frozenset[str] = frozenset()
    moved: bool = False
    done: set[str] = field(default_factory=set)
    outcomes: set[str] = field(default_factory=set)
    resent: dict[str, str] = field(default_factory=dict)
    stepped_at: datetime = START
    ended: str = ""
    ended_at: int = 0
    ended_on: datetime | None = None
    must: list[str] = field(default_factory=list)
    holds: list[tuple[int, int, datetime]] = field(default_factory=list)

    @property
    def enrollment_id(self) -> str:
        return ids.enrollment_id(self.lead, self.sequence.sequence_id, self.entry)

    @property
    def step(self) -> SequenceStep:
        return self.sequence.steps[self.index]

    def message_id(self, step_id: str) -> str:
        return ids.message_id(self.enrollment_id, step_id)

    def hold(self, until: datetime, count: int) -> None:
        """An automatic answer: what a reply would stop waits."""
        if "reply" in self.sequence.stop_on and self.due < until and not self.waits_for:
            self.due = until
            self.holds.append((count, self.index, until))

    def meets(self, step: SequenceStep) -> bool:
        """Whether what became of an earlier message is what the step asks for."""
        if step.condition is None:
            return True
        wanted = {each.strip() for each in step.condition.value.split(",")}
        of = step.condition.field.removeprefix("message.")
        found = any(f"{of}:{each}" in self.outcomes for each in wanted)
        return found != (step.condition.op == "ne")

    def note(self, message_id: str, what: str) -> None:
        """Something became of a message, which a step of this version, or of a later one, may ask
        for. `resent` are the messages that repeat the one of a step."""
        for step_id in {each.step_id for each in self.sequence.steps} | self.passed:
            if self.message_id(step_id) == message_id or self.resent.get(message_id) == step_id:
                self.outcomes.add(f"{step_id}:{what}")

    def end(self, outcome: str, count: int) -> None:
        self.ended, self.ended_at = outcome, count

    def is_due(self, now: datetime, paused: frozenset[str]) -> bool:
        return (
            not self.paused
            and not self.waits_for
            and self.due <= now
            and not paused & scopes(self.sequence.sequence_id, self.step.channel)
        )


def scopes(sequence_id: str, channel: str) -> frozenset[str]:
    return frozenset(
        {
            "everything",
            f"tenant:{TENANT}",
            f"channel:{TENANT}:{channel}",
            f"sequence:{TENANT}:{sequence_id}",
        }
    )


def owner_task(step: SequenceStep) -> str:
    """The step id of the task that tells the owner that the first message waits."""
    return f"{step.step_id}:owner-task"
