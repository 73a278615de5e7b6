"""The story of one lead as the topics tell it. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from leadflow.kafka.port import Message
from leadflow.records import (
    CommandRefused,
    CrmChangeSettled,
    LeadCreated,
    LeadRecord,
    LeadUpdated,
    RawEvent,
    Record,
    StepScheduled,
)
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
from leadflow_cli.wording import describe
from portal_api import reasons, settled
from portal_api import story as words
from portal_api.local_time import both, zone_of

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
# A time with that of UTC beside it: `2026-11-20 00:07:30 MST (07:07:30 UTC)`.
_TIME_WIDTH = 38


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


def zone(story: Iterable[Told]) -> str:
    """Where the lead is, by the newest word on it; UTC if nobody knows."""
    seen = [told.record for told in story if isinstance(told.record, (LeadCreated, LeadUpdated))]
    newest = max(seen, key=lambda each: each.revision, default=None)
    return (newest.timezone if newest is not None else "") or "UTC"


def rows(story: Iterable[Told]) -> list[Mapping[str, Any]]:
    """The records about the lead as lines of the timeline: type, recorded_at, data."""
    return [
        {
            "type": told.record.TYPE,
            "recorded_at": told.recorded_at,
            "data": _data(told.record),
        }
        for told in story
        if isinstance(told.record, LeadRecord)
    ]


def lines(story: list[Told], *, everything: bool) -> Iterator[str]:
    """A line for each record: when it was recorded, where the lead is and in UTC; its type;
    what it says, and by which rule on which inputs."""
    where = zone(story)
    for told in story:
        record = told.record
        said = sentence(record, where)
        if told.recorded_at - record.occurred_at > _NOTABLE:
            said += f"; happened {both(record.occurred_at, where)}"
        said += _rule(record)
        if everything:
            said += f"  {describe(record, everything=True)}"
        yield f"{both(told.recorded_at, where):<{_TIME_WIDTH}}  {record.TYPE:<19}  {said}"


def as_json(story: list[Told]) -> Iterator[dict[str, Any]]:
    """Every record with every field, and its sentence."""
    where = zone(story)
    for told in story:
        record = told.record
        yield {
            "recorded_at": _iso(told.recorded_at),
            "local": told.recorded_at.astimezone(zone_of(where)).isoformat(timespec="seconds"),
            "topic": told.message.topic,
            "partition": told.message.partition,
            "offset": told.message.offset,
            "type": record.TYPE,
            "text": sentence(record, where),
            "rule": getattr(record, "rule", None) or None,
            "inputs": dict(getattr(record, "inputs", None) or {}),
            "record": _plain(record.to_avro()),
        }


def sentence(record: Record, where: str) -> str:
    """What a record says, in plain English; nothing that identifies a person is in it."""
    if isinstance(record, RawEvent):
        return f"A raw event {record.kind} came in from {record.source}"

    def say(at: datetime) -> str:
        return both(at, where)

    if isinstance(record, CrmChangeSettled):
        return settled.sentences(record.to_avro(), say, personal=False)
    data = {
        name: say(value) if isinstance(value, datetime) else value
        for name, value in _data(record).items()
    }
    reason = ""
    if rule := getattr(record, "rule", None):
        reason = data["rule"] = reasons.because(rule, getattr(record, "inputs", None) or {}, say)
    if isinstance(record, StepScheduled | CommandRefused):
        data.pop("rule")  # told with the inputs' times as the lead's own
    said = words.text(record.TYPE, record.source, data)
    if reason not in said:
        said += f": {reason}"
    sequence = data.get("sequence_id")
    if sequence and sequence not in said:
        said += f" [{sequence}]"
    return said


def _rule(record: Record) -> str:
    rule = getattr(record, "rule", None)
    if not rule:
        return ""
    inputs: Mapping[str, str] = getattr(record, "inputs", None) or {}
    given = ", ".join(f"{name}={value}" for name, value in sorted(inputs.items()))
    return f"  (rule {rule}: {given})" if given else f"  (rule {rule})"


def _data(record: Record) -> dict[str, Any]:
    return {name: value for name, value in record.to_avro().items() if value is not None}


def _plain(value: Any) -> Any:
    if isinstance(value, datetime):
        return _iso(value)
    if isinstance(value, Mapping):
        return {name: _plain(part) for name, part in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(part) for part in value]
    return value


def _iso(at: datetime) -> str:
    return at.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
