"""What became of every raw event, told by the topics alone. Pure.

It is the portal's arithmetic done a second time, from the same records and without its tables,
so that the two can be held against each other.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from datetime import datetime

from leadflow import records
from leadflow.codec import Codec
from leadflow.errors import CodecError
from leadflow.kafka.port import Message
from leadflow.raw_json import decode_raw_event
from leadflow.records import Record
from leadflow.topics import (
    ENROLLMENT_EVENTS,
    INTAKE_DLQ,
    LEAD_EVENTS,
    MESSAGE_EVENTS,
    MESSAGES,
    RAW_EVENTS,
    SUMMARIES,
)
from leadflow_cli.ledger import Ledger
from leadflow_cli.lines import CALLBACKS

READS = (
    RAW_EVENTS,
    INTAKE_DLQ,
    LEAD_EVENTS,
    ENROLLMENT_EVENTS,
    MESSAGES,
    MESSAGE_EVENTS,
    SUMMARIES,
)
FATES = ("normalized", "merged", "quarantined", "dlq")
# One raw event may lead to several lead events: the first of these that is among them names it.
_NAMED_BY = ("quarantined", "merged", "normalized")

Place = tuple[int, int]  # partition and offset on raw-events


class Accounts:
    """Told every message of the topics in READS, in any order among topics."""

    def __init__(self) -> None:
        self.ledger = Ledger()
        self._codec = Codec()
        self._raw: dict[Place, str] = {}
        self._refused: set[Place] = set()
        self._outcomes: dict[str, set[str]] = defaultdict(set)
        self._due: dict[str, tuple[int, datetime]] = {}  # next step by enrollment id
        self._enrolled: set[str] = set()
        self._summaries: dict[str, bool] = {}  # whether a person has decided, by summary id

    def apply(self, message: Message) -> None:
        """Bytes that are no record of ours count where they lie, and nowhere else."""
        if message.topic == RAW_EVENTS.name:
            self._receive(message)
        elif message.topic == INTAKE_DLQ.name:
            if place := _origin(message):
                self._refused.add(place)
        else:
            try:
                self._follow(self._codec.decode(message.value))
            except CodecError:
                return

    def fates(self) -> dict[str, str]:
        """What became of each raw event, by its event id, or by `partition:offset` where that
        could not be read: one of FATES, or "waiting"."""
        fates: dict[str, str] = {}
        for place, event_id in self._raw.items():
            outcomes = self._outcomes.get(event_id, set())
            fate = next((name for name in _NAMED_BY if name in outcomes), "waiting")
            if fate == "waiting" and place in self._refused:
                fate = "dlq"
            # An event that was sent twice is one event: what it became once stays.
            if fates.get(event_id, "waiting") == "waiting":
                fates[event_id] = fate
        return fates

    def counts(self) -> dict[str, int]:
        """`received`, each of FATES, `enrolled`, the ledger's, and the summaries'."""
        fates = Counter(self.fates().values())
        ledger = self.ledger.counts()
        return {
            "received": fates.total(),
            **{name: fates[name] for name in FATES},
            "enrolled": len(self._enrolled),
            "messages_accepted": ledger["sent"],
            "messages_recorded": ledger["recorded"],
            "suppressed": ledger["suppressed"],
            "failed": ledger["failed"],
            "unknown": ledger["unknown"],
            "held": ledger["held"],
            "summaries_pending": sum(not decided for decided in self._summaries.values()),
        }

    def missing(self, now: datetime) -> list[str]:
        """What has not come to its end, in words; empty when all that is due by `now` has."""
        waiting = sum(fate == "waiting" for fate in self.fates().values())
        due = sum(at <= now for _, at in self._due.values())
        sending = len(self.ledger.waiting())
        found = [
            (waiting, "raw events without an outcome"),
            (due, "steps due and not fired"),
            (sending, "messages queued and without an end"),
        ]
        return [f"{count} {what}" for count, what in found if count]

    def _receive(self, message: Message) -> None:
        identity = f"{message.partition}:{message.offset}"
        try:
            event = decode_raw_event(self._codec, message)
        except CodecError:
            pass
        else:
            assert isinstance(event, records.RawEvent)
            if event.kind in CALLBACKS:
                return  # the dispatcher's
            identity = event.event_id
        self._raw[message.partition, message.offset] = identity

    def _follow(self, record: Record) -> None:
        self.ledger.apply(record)
        if (cause := getattr(record, "cause_id", None)) and (outcome := _outcome(record)):
            self._outcomes[cause].add(outcome)
        match record:
            case records.Enrolled():
                self._enrolled.add(record.enrollment_id)
            case records.StepScheduled():
                self._due[record.enrollment_id] = (record.step_index, record.due_at)
            case records.StepSkipped(rule="left_behind"):
                pass  # by a migration, whatever is due by now
            case records.StepFired() | records.StepSkipped():
                # The next step may have been scheduled before it in the same decision.
                if self._due.get(record.enrollment_id, (-1,))[0] == record.step_index:
                    del self._due[record.enrollment_id]
            case (
                records.EnrollmentStopped()
                | records.EnrollmentCompleted()
                | records.EnrollmentPaused()
            ):
                self._due.pop(record.enrollment_id, None)
            case records.SummaryCreated():
                self._summaries.setdefault(record.summary_id, False)
            case records.SummaryReviewed():
                self._summaries[record.summary_id] = True
            case _:
                pass


def _outcome(record: Record) -> str | None:
    """How a lead event names the raw event that caused it."""
    match record:
        case records.LeadCreated(status="quarantined"):
            return "quarantined"
        case records.LeadUpdated(duplicate_rule=str()):
            return "merged"
        case (
            records.MessageDelivered()
            | records.MessageOpened()
            | records.MessageClicked()
            | records.MessageBounced()
            | records.MessageComplained()
            | records.SummaryCreated()
        ):
            return None
    return "normalized"


def _origin(message: Message) -> Place | None:
    """Where on raw-events a dead letter came from (headers of leadflow.kafka.dead_letters)."""
    if message.header("dlq-topic") != RAW_EVENTS.name.encode():
        return None
    try:
        return int(message.header("dlq-partition") or b""), int(message.header("dlq-offset") or b"")
    except ValueError:
        return None
