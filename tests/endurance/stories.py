"""What happens to each lead of the run, drawn from a seed, and the records that say so.

A story fixes what must, what may and what must not become of its lead. Ids follow from the
rules of the design (uuid5 of names joined by 1F), worked out here with the standard library.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any
from uuid import UUID, uuid5

from leadflow import records
from leadflow.records.common import SequenceStep, Trigger

TENANT = "endurance"
NAMESPACE = UUID("6f0c2d3e-8a43-5d0c-9f6b-1c1f2b7d4e55")
FAR_MINUTES = 99 * 1440


def uuid_of(*parts: str | int) -> str:
    return str(uuid5(NAMESPACE, "\x1f".join(map(str, parts))))


@dataclass(frozen=True, slots=True)
class Sequence:
    """A sequence of e-mails, each some minutes after the enrollment, for leads of one source."""

    sequence_id: str
    source: str
    steps: tuple[tuple[str, int], ...]


LONG = Sequence(
    f"{TENANT}.long",
    "website-form",
    (("hello", 0), ("soon", 1), ("later", 2), ("far", FAR_MINUTES)),
)
SHORT = Sequence(f"{TENANT}.short", "ads", (("hello", 0), ("soon", 1)))
SEQUENCES = (LONG, SHORT)


@dataclass(frozen=True, slots=True)
class Story:
    """`weight` of it in a thousand leads. Each stop, pause or resume comes when the messages so
    far (`after`) have been seen in `messages`; after 0 means together with the lead itself."""

    name: str
    weight: int
    happens: tuple[tuple[int, str], ...] = ()


STORIES = (
    Story("nothing happens", 580),
    Story("replies at once", 80, ((0, "reply"),)),
    Story("replies after the first", 60, ((1, "reply"),)),
    Story("replies after the second", 50, ((2, "reply"),)),
    Story("books after the first", 40, ((1, "booking"),)),
    Story("opts out after the first", 40, ((1, "opt_out"),)),
    Story("is stopped by hand", 40, ((1, "manual"),)),
    Story("bounces", 30, ((1, "bounce"),)),
    Story("replies and is stopped by hand", 30, ((1, "reply"), (1, "manual"))),
    Story("is paused", 25, ((1, "pause"),)),
    Story("is paused and resumed", 25, ((1, "pause"), (1, "resume"))),
)
STOPS = frozenset({"reply", "booking", "opt_out", "manual", "bounce"})
DUPLICATED = 0.05
"""Of the leads, and of what happens to them, this share comes twice with the same event_id."""


@dataclass(frozen=True, slots=True)
class Lead:
    """One lead of the run; all of it follows from the seed and its number."""

    number: int
    lead_id: str
    sequence: Sequence
    story: Story
    enrollment_id: str
    duplicated: bool
    resume_seconds: float

    def message_id(self, index: int) -> str:
        return uuid_of("message", self.enrollment_id, self.sequence.steps[index][0])

    def event_id(self, what: str) -> str:
        return uuid_of(TENANT, self.lead_id, what)

    @property
    def email(self) -> str:
        return f"lead-{self.number}@example.com"


def leads(seed: int, count: int) -> Iterator[Lead]:
    """The run's leads. Their names carry the seed, so that runs on one broker keep apart."""
    random = Random(f"leads {seed}")
    weights = [each.weight for each in STORIES]
    for number in range(count):
        sequence = SHORT if random.random() < 0.2 else LONG
        lead_id = uuid_of("lead", TENANT, sequence.source, f"{seed}-{number}")
        yield Lead(
            number,
            lead_id,
            sequence,
            random.choices(STORIES, weights)[0],
            uuid_of("enrollment", lead_id, sequence.sequence_id, 1),
            random.random() < DUPLICATED,
            random.uniform(0, 40),
        )


def _base(lead: Lead, what: str, at: datetime) -> dict[str, Any]:
    return {
        "event_id": lead.event_id(what),
        "tenant_id": TENANT,
        "occurred_at": at,
        "recorded_at": at,
        "source": lead.sequence.source,
        "lead_id": lead.lead_id,
    }


def now() -> datetime:
    """The time at the precision of the wire."""
    at = datetime.now(UTC)
    return at.replace(microsecond=at.microsecond // 1000 * 1000)


def created(lead: Lead, at: datetime) -> records.LeadCreated:
    return records.LeadCreated(
        **_base(lead, "created", at),
        cause_id=lead.event_id("raw"),
        revision=1,
        external_id=str(lead.number),
        status="active",
        first_name="Robin",
        email=lead.email,
        urgency="normal",
        timezone="UTC",
        timezone_from="default",
        stage="new",
        received="{}",
        extra="{}",
    )


def happening(lead: Lead, what: str, at: datetime) -> records.LeadRecord:
    """The record by which a story's stop, pause or resume reaches the sequencer."""
    base, cause = _base(lead, what, at), lead.event_id(f"raw {what}")
    command: dict[str, Any] = {"enrollment_id": lead.enrollment_id, "requested_by": "dana"}
    match what:
        case "reply":
            return records.ReplyReceived(**base, cause_id=cause, channel="email", automatic=False)
        case "booking":
            return records.BookingMade(**base, cause_id=cause)
        case "opt_out":
            return records.ConsentChanged(**base, cause_id=cause, channel="all", granted=False)
        case "manual":
            return records.EnrollmentStopRequested(**base, **command)
        case "pause":
            return records.EnrollmentPauseRequested(**base, **command)
        case "resume":
            return records.EnrollmentResumeRequested(**base, **command)
        case "bounce":
            return records.MessageBounced(
                **base,
                cause_id=cause,
                message_id=lead.message_id(0),
                channel="email",
                provider="sandbox",
                bounce_type="hard",
            )
    raise ValueError(what)


def sent(lead: Lead, index: int, at: datetime) -> records.MessageSent:
    """What the dispatcher says of a message that it has sent."""
    return records.MessageSent(
        **_base(lead, f"sent {index}", at),
        message_id=lead.message_id(index),
        enrollment_id=lead.enrollment_id,
        sequence_id=lead.sequence.sequence_id,
        step_id=lead.sequence.steps[index][0],
        channel="email",
        provider="sandbox",
        body_hash="0" * 64,
        accepted_at=at,
        epoch=1,
    )


def definition(sequence: Sequence) -> records.SequencePublished:
    at = now()
    return records.SequencePublished(
        event_id=uuid_of(TENANT, sequence.sequence_id),
        tenant_id=TENANT,
        occurred_at=at,
        recorded_at=at,
        source="portal-api",
        sequence_id=sequence.sequence_id,
        version=1,
        name=sequence.sequence_id,
        description="",
        status="active",
        trigger=Trigger(kind="stage", value="new"),
        trigger_source=sequence.source,
        consent_rule="not_opted_out",
        duplicate_rule="one_live_enrollment",
        rollback_path="",
        incident_owner="",
        response_window="5m",
        reentry_rule="never",
        reentry_days=0,
        priority=50,
        stop_on=("reply", "booking"),
        steps=tuple(
            SequenceStep(
                step_id=name,
                channel="email",
                delay_minutes=minutes,
                delay_from="enrollment",
                template_name=name,
                subject=f"About {name}",
                body="Hello {{ first_name }}",
            )
            for name, minutes in sequence.steps
        ),
    )


def due(lead: Lead, index: int, enrolled_at: datetime) -> datetime:
    return enrolled_at + timedelta(minutes=lead.sequence.steps[index][1])
