"""What enrollment-events say to the dispatcher: which enrollments are stopped, and which paused.

What is queued of a stopped enrollment does not go out any more, what is queued of a paused one
waits. But not every stop and pause is about what is queued already (PASSED_OVER).

An end of the sequence's own says that nothing is paused any more. A sequencer may die between its
word on a pause and its row (design.md, "Guarantees"), and find the last step due when it decides
that again: then the enrollment is completed, and no resume will be told.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from types import MappingProxyType

from dispatcher.model import Halt
from leadflow.kafka.loop import Received
from leadflow.records import (
    EnrollmentCompleted,
    EnrollmentPaused,
    EnrollmentResumed,
    EnrollmentStopped,
)
from leadflow.records.base import Record

# The rules by which the sequencer stops, pauses and resumes for the sake of what comes next: what
# was queued before goes out as it was meant. Every other rule, also one of a time to come, is about
# what is queued too: by hand, for the lead is merged away, and so on.
PASSED_OVER: Mapping[type[Record], frozenset[str]] = MappingProxyType(
    {
        # The sequence's own ends.
        EnrollmentStopped: frozenset({"stop_step", "condition"}),
        # Of scopes the dispatcher knows by automation-controls. A task that is open would wait for
        # itself.
        EnrollmentPaused: frozenset(
            {"automation_paused", "sequence_paused", "definition_missing", "task_open"}
        ),
        EnrollmentResumed: frozenset({"automation_resumed", "task_done"}),
    }
)
OWN_ENDS = PASSED_OVER[EnrollmentStopped]


@dataclass(frozen=True, slots=True, kw_only=True)
class Word:
    """What was said last of an enrollment's pause, and where that stands in the log: of two the
    later one counts, in whatever order and however often they are read."""

    paused_by: str | None
    partition: int
    offset: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Halted:
    """All that is known of what halts an enrollment. `word` is None while no pause was told of.
    `news`: False of an end of its own, which says nothing where nothing was said before."""

    enrollment_id: str
    lead_id: str
    stopped_by: str | None = None
    stopped_at: datetime | None = None
    inputs: Mapping[str, str] = field(default_factory=dict)
    word: Word | None = None
    news: bool = True

    @property
    def halt(self) -> Halt:
        return Halt(
            stopped_by=self.stopped_by,
            stopped_at=self.stopped_at,
            inputs=self.inputs,
            paused_by=None if self.word is None else self.word.paused_by,
        )

    def and_then(self, newer: Halted) -> Halted:
        """With what else was said. A stop is for good, the first one is told; `halt_store.REMEMBER`
        is the same in SQL."""
        stop = self if self.stopped_by is not None else newer
        return replace(
            self,
            stopped_by=stop.stopped_by,
            stopped_at=stop.stopped_at,
            inputs=stop.inputs,
            word=_later(self.word, newer.word),
            news=self.news or newer.news,
        )


def _later(old: Word | None, new: Word | None) -> Word | None:
    if old is None or new is None:
        return new or old
    # In another partition there are other numbers: there the topic was made anew.
    return new if new.partition != old.partition or new.offset >= old.offset else old


def is_wanted(record_type: type[Record]) -> bool:
    """Whether records of a type say anything to the dispatcher."""
    return record_type in PASSED_OVER or record_type is EnrollmentCompleted


def halted(received: Iterable[Received]) -> list[Halted]:
    """What records of enrollment-events say, by enrollment, in the order of their ids."""
    found: dict[str, Halted] = {}
    for each in received:
        said = _said(each)
        if said is not None:
            before = found.get(said.enrollment_id)
            found[said.enrollment_id] = said if before is None else before.and_then(said)
    return [found[enrollment_id] for enrollment_id in sorted(found)]


def _said(received: Received) -> Halted | None:
    record = received.record
    if isinstance(record, EnrollmentCompleted) or (
        isinstance(record, EnrollmentStopped) and record.rule in OWN_ENDS
    ):
        word = _word(received, None)
        return Halted(
            enrollment_id=record.enrollment_id, lead_id=record.lead_id, word=word, news=False
        )
    if not isinstance(record, (EnrollmentStopped, EnrollmentPaused, EnrollmentResumed)):
        return None
    if record.rule in PASSED_OVER[type(record)]:
        return None
    said = Halted(enrollment_id=record.enrollment_id, lead_id=record.lead_id)
    if isinstance(record, EnrollmentStopped):
        return replace(
            said,
            stopped_by=record.rule,
            stopped_at=record.recorded_at,
            inputs=dict(record.inputs),
        )
    paused_by = record.rule if isinstance(record, EnrollmentPaused) else None
    return replace(said, word=_word(received, paused_by))


def _word(received: Received, paused_by: str | None) -> Word:
    message = received.message
    return Word(paused_by=paused_by, partition=message.partition, offset=message.offset)
