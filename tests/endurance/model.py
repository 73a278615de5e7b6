"""What must be in `messages` and in the rows, computed from the inputs and the log alone.

Nothing of the sequencer's own code decides here.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from tests.endurance import stories
from tests.endurance.stories import FAR_MINUTES, STOPS, Lead

from leadflow import records


def due_in_the_run(lead: Lead) -> range:
    """Indices of the steps that come due while the run lasts."""
    return range(sum(minutes < FAR_MINUTES for _name, minutes in lead.sequence.steps))


def must(lead: Lead) -> range:
    """Indices of the steps whose messages have to be there, whenever the workers come to them.

    What is stopped or paused for good after some messages may end there.
    """
    all_of_them = due_in_the_run(lead)
    happens = lead.story.happens
    if not happens or happens[-1][1] == "resume":
        return all_of_them
    return range(min(max(1, happens[0][0]), len(all_of_them)))


def must_not(lead: Lead, enrolled_at: datetime, known_at: Callable[[str], float]) -> frozenset[int]:
    """Indices of steps that came due when a stop or a pause of the lead had been committed.

    `known_at` says by when (epoch seconds) that was, infinity for never. A pause that is lifted
    again forbids nothing.
    """
    if lead.story.happens and lead.story.happens[-1][1] == "resume":
        return frozenset()
    first = min((known_at(what) for _after, what in lead.story.happens), default=float("inf"))
    return frozenset(
        index
        for index in range(len(lead.sequence.steps))
        if stories.due(lead, index, enrolled_at).timestamp() > first
    )


@dataclass(slots=True)
class Told:
    """What `enrollment-events` says about one enrollment, the last word on each thing."""

    enrolled: int = 0
    step_index: int = -1
    due_at: datetime | None = None
    fired: set[int] = field(default_factory=set)
    paused_by: str = ""
    outcome: str = ""
    ended_at: datetime | None = None
    outcomes: set[str] = field(default_factory=set)
    after_the_end: int = 0
    repeats: int = 0
    seen: set[str] = field(default_factory=set)

    def hear(self, event: Any) -> None:
        """Take over the next record, in the order of the log. A decision that was repeated after
        a kill says its words again, and what was said last is what became durable."""
        if event.event_id in self.seen:
            self.repeats += 1
        self.seen.add(event.event_id)
        match event:
            case records.Enrolled():
                self.enrolled += 1
            case records.StepScheduled():
                self.step_index, self.due_at = event.step_index, event.due_at
            case records.StepFired():
                self.fired.add(event.step_index)
                self.after_the_end += bool(self.outcome)
            case records.EnrollmentPaused():
                self.paused_by = event.rule
            case records.EnrollmentResumed():
                self.paused_by = ""
            case records.EnrollmentStopped():
                self._end(event.rule, event.recorded_at)
            case records.EnrollmentCompleted():
                self._end("completed", event.recorded_at)
            case _:
                self.outcomes.add(f"unexpected {event.TYPE}")

    def _end(self, outcome: str, at: datetime) -> None:
        self.outcome, self.ended_at = outcome, at
        self.outcomes.add(outcome)


def outcomes(lead: Lead, fired: frozenset[int] | set[int]) -> frozenset[str]:
    """How the enrollment may have ended, given the messages that are there; "" is: not at all.

    The last message of a sequence completes it, unless its decision was cut off by a kill and
    a stop or a pause came before it could be made again.
    """
    stops = frozenset(what for _after, what in lead.story.happens if what in STOPS)
    if len(fired) < len(lead.sequence.steps):
        return stops or frozenset({""})
    paused = lead.story.happens[-1:] == ((1, "pause"),)
    return stops | {"completed"} | ({""} if paused else set())


def applied(lead: Lead) -> frozenset[str]:
    """The events that the row has to remember as applied: all but results nobody asks about."""
    return frozenset(
        lead.event_id(what) for what in ("created", *(what for _n, what in lead.story.happens))
    )
