"""The story of one lead as the topics tell it. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

from leadflow.kafka.port import Message
from leadflow.records import Record
from leadflow.topics import (
    ENROLLMENT_COMMANDS,
    ENROLLMENT_EVENTS,
    LEAD_EVENTS,
    MESSAGE_EVENTS,
    MESSAGE_REVIEWS,
    MESSAGES,
    RAW_EVENTS,
    SUMMARIES,
)
from leadflow_cli.wording import describe, moment

LEAD_TOPICS = (
    LEAD_EVENTS,
    ENROLLMENT_COMMANDS,
    ENROLLMENT_EVENTS,
    MESSAGES,
    MESSAGE_REVIEWS,
    MESSAGE_EVENTS,
    SUMMARIES,
)
# What was recorded in the same millisecond is told in the order in which one leads to the other.
_RANK = {topic.name: rank for rank, topic in enumerate((RAW_EVENTS, *LEAD_TOPICS))}
# A record whose cause is older than this says when that happened.
_NOTABLE = timedelta(seconds=60)


@dataclass(frozen=True, slots=True)
class Told:
    """A message and the record in it."""

    message: Message
    record: Record

    @property
    def recorded_at(self) -> datetime:
        return self.record.recorded_at


def in_order(story: Iterable[Told]) -> list[Told]:
    """By the time of recording, then as one leads to the other; a record that was written twice
    is told once."""
    once: dict[str, Told] = {}
    for told in story:
        once.setdefault(told.record.event_id, told)
    return sorted(
        once.values(),
        key=lambda told: (
            told.recorded_at,
            _RANK[told.message.topic],
            told.message.partition,
            told.message.offset,
        ),
    )


def lines(story: Iterable[Told], *, everything: bool) -> Iterator[str]:
    """A line for each record: when it was recorded, its topic, its type, what it says."""
    for told in story:
        record = told.record
        words = describe(record, everything=everything)
        if told.recorded_at - record.occurred_at > _NOTABLE:
            words = f"{words}, happened {moment(record.occurred_at)}"
        yield (
            f"{moment(told.recorded_at)}  {told.message.topic:<19}  {record.TYPE:<18}  {words}"
        ).rstrip()
