"""The events of given or past leads, by lead, for a dry run.

Given leads are raw events in a file. They go through intake's own decisions, with nothing known
before: as if the file were sent from the period's begin on, each event at its own time or, if
that is over by then, at the begin. Past leads are the `lead-events` topic as it lies there.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime

from intake.book import Book
from intake.decide import decide
from intake.prepare import PROVIDER_CALLBACKS, prepare
from leadflow.codec import Codec
from leadflow.errors import CodecError, RecordRefused
from leadflow.kafka.port import Message
from leadflow.raw_json import raw_event_from_json
from leadflow.records import LeadRecord, RawEvent, SummaryCreated
from leadflow.tenants import Tenant

Progress = Callable[[int], None]


@dataclass(slots=True)
class Given:
    """Events by lead, each lead's in order; `refused` counts what made none, by its reason."""

    events: dict[str, list[LeadRecord]] = field(default_factory=dict)
    refused: Counter[str] = field(default_factory=Counter)
    read: int = 0

    def tenants(self) -> list[str]:
        return sorted({events[0].tenant_id for events in self.events.values()})

    def keep(self, event: LeadRecord) -> None:
        if event.lead_id == event.tenant_id:
            return  # numbers about the tenant itself
        self.events.setdefault(event.lead_id, []).append(event)


def first_moment(lines: Iterable[bytes]) -> datetime | None:
    """When the earliest raw event of a file happened."""
    return min((raw.occurred_at for raw in _raw_events(lines, Counter())), default=None)


def first_wrong(lines: Iterable[bytes]) -> str | None:
    """The first line that is no raw event, with what is wrong with it; never what stands there."""
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            raw_event_from_json(line, _UNSET)
        except CodecError as error:
            return f"line {number}: {error}"
    return None


def of_file(
    lines: Iterable[bytes], tenants: Mapping[str, Tenant], begin: datetime, progress: Progress
) -> Given:
    """Raw events, JSON one a line, through intake. What is refused there is refused here, and
    a repeat is nothing."""
    given = Given()
    once: dict[tuple[str, str], RawEvent] = {}
    for raw in _raw_events(lines, given.refused):
        once.setdefault((raw.tenant_id, raw.event_id), raw)
    book = Book()
    # Sorting keeps the file's order among those of one time.
    for raw in sorted(once.values(), key=lambda each: max(each.occurred_at, begin)):
        given.read += 1
        progress(given.read)
        if raw.kind in PROVIDER_CALLBACKS:
            given.refused["about a message that a provider sent: nothing is sent here"] += 1
            continue
        tenant = tenants.get(raw.tenant_id) or Tenant(tenant_id=raw.tenant_id)
        try:
            prepared = prepare(raw, tenant)
            decision = decide(book.known(prepared), prepared, tenant, max(raw.occurred_at, begin))
        except RecordRefused as error:
            given.refused[error.rule] += 1
            continue
        book.apply(decision)
        if decision.error is not None:
            given.refused[decision.error.rule] += 1
            continue
        for record in decision.records:
            if not isinstance(record, SummaryCreated):
                given.keep(record)
    return given


def of_topic(messages: Iterable[Message], progress: Progress) -> Given:
    """Past leads, from what `lead-events` holds; an event that was written twice is one."""
    given = Given()
    codec = Codec()
    seen: set[str] = set()
    for message in messages:
        try:
            record = codec.decode(message.value)
        except CodecError as error:
            given.refused[type(error).__name__] += 1
            continue
        if isinstance(record, LeadRecord) and record.event_id not in seen:
            seen.add(record.event_id)
            given.keep(record)
            given.read += 1
            progress(given.read)
    for events in given.events.values():
        events.sort(key=lambda each: each.recorded_at)
    return given


def _raw_events(lines: Iterable[bytes], refused: Counter[str]) -> Iterable[RawEvent]:
    for line in lines:
        if not line.strip():
            continue
        try:
            yield raw_event_from_json(line, _UNSET)
        except CodecError:
            refused["no raw event"] += 1


# The time at which a broker took a raw event; intake decides nothing by it.
_UNSET = datetime.fromisoformat("1970-01-01T00:00:00+00:00")
