"""The state of one lead and what a decision is. Frozen, pure, without a clock."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import lru_cache
from hashlib import blake2b
from typing import Protocol

from leadflow.records import LeadRecord, SequencePublished
from leadflow.tenants import Tenant

DIGEST_BYTES = 8
APPLIED_LIMIT = 2_048
"""How many applied events a row remembers: as many as a whole batch of intake has about one lead,
500 raw events and up to four records of each; see `LeadRow`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """What messages say about a lead and where they go."""

    first_name: str | None = None
    last_name: str | None = None
    email: str | None = None
    phone: str | None = None
    company: str | None = None
    title: str | None = None
    service: str | None = None
    street: str | None = None
    city: str | None = None
    region: str | None = None
    postal_code: str | None = None
    country: str | None = None
    language: str | None = None
    timezone: str = ""
    urgency: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Consent:
    """The last word on one channel, and when it was spoken."""

    channel: str
    granted: bool
    basis: str
    at: datetime


@dataclass(frozen=True, slots=True)
class Resent:
    """A message that repeats the one of a step."""

    step_id: str
    message_id: str


@dataclass(frozen=True, slots=True)
class KeptArm:
    """An arm that an enrollment has wherever a later step has one of that name. `of` is the step
    that it was drawn at."""

    of: str
    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Enrollment:
    """A live passage of the lead through one version of a sequence.

    `step_index` is the next step and `due_at` when it may go out. `paused_by` names the rule
    that holds the enrollment until somebody resumes it; `held_by` names what held its next
    step when it came due and is asked again at every chance. `waits_for` is the step whose task
    a person has to do first. `passed` are the steps behind it in the versions that it was
    migrated from. `outcomes` are what became of its messages, each as STEP_ID:WHAT, and `resent`
    the messages that repeat one of a step. `arms` are the arms that it keeps. `cause` is the digest
    of the event that made it; empty if an older program did. `stepped_at` is when the step above
    the next one was done, or it began; None if an older program wrote that.
    """

    enrollment_id: str
    sequence_id: str
    version: int
    entry: int
    enrolled_at: datetime
    step_index: int
    due_at: datetime
    paused_by: str = ""
    held_by: str = ""
    waits_for: str = ""
    passed: tuple[str, ...] = ()
    outcomes: tuple[str, ...] = ()
    resent: tuple[Resent, ...] = ()
    arms: tuple[KeptArm, ...] = ()
    cause: bytes = b""
    stepped_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Finished:
    """All passages of the lead through one sequence that are over, in short.

    `outcome` is completed, or the rule that stopped the last one. `version` is the one that
    the last one was in, `cause` the digest of the event that made it; 0 and empty in a row that an
    older program wrote.
    """

    sequence_id: str
    entries: int
    ended_at: datetime
    outcome: str
    version: int = 0
    cause: bytes = b""


@dataclass(frozen=True, slots=True, kw_only=True)
class StopAhead:
    """A stop by hand of an enrollment that is not in the row, and never was as far as the row
    knows: if it begins, it ends at once (`decide/ahead.py`). `at` is when somebody asked."""

    enrollment_id: str
    event_id: str
    requested_by: str
    at: datetime


@dataclass(frozen=True, slots=True)
class ReadUpTo:
    """How far a topic has been applied: the offset of the last record that concerned the lead, and
    the latest time that one of them was written at, in milliseconds since 1970."""

    topic: str
    offset: int
    latest_ms: int


@dataclass(frozen=True, slots=True, kw_only=True)
class LeadRow:
    """All that the sequencer keeps about a lead.

    `created` is false until its LeadCreated was seen: a LeadUpdated may overtake it.
    Profile and stage carry the revision that they came with; -1 is none yet.
    `entries_before` is the highest number that a forgotten entry may have had.
    `touched_at` is when an event last concerned the lead, `responded_at` when the lead itself last
    did something, `dormant_in` the sequences that its silence since then was decided for, and
    `review_at` when it is looked at for what no event says (`decide/reviews.py`).
    `away_until` is when somebody whom an automatic answer said to be away is back.
    `sent` are the times of the last messages to the lead, as many as its tenant's cap counts.
    `ahead` are stops of enrollments that have not begun.

    An event acts once. Told by `read`, how far each topic has been applied: what is delivered
    again, however much of the lead came after it. Told by `applied`, the digests of the last
    events that concerned the lead: what its producer wrote once more, as long as no more than
    APPLIED_LIMIT others were applied in between. Beyond that such a repeat is a new event, but it
    enrolls the lead in nothing that it is in by that very event, or was last (`Finished.cause`).
    """

    lead_id: str
    tenant_id: str = ""
    owner: str | None = None
    source: str = ""
    status: str = ""
    created: bool = False
    profile: Profile = field(default_factory=Profile)
    profile_revision: int = -1
    stage: str = ""
    stage_revision: int = -1
    temperature: str = ""
    consent: tuple[Consent, ...] = ()
    live: tuple[Enrollment, ...] = ()
    finished: tuple[Finished, ...] = ()
    entries_before: int = 0
    touched_at: datetime | None = None
    responded_at: datetime | None = None
    review_at: datetime | None = None
    away_until: datetime | None = None
    dormant_in: tuple[str, ...] = ()
    sent: tuple[datetime, ...] = ()
    ahead: tuple[StopAhead, ...] = ()
    read: tuple[ReadUpTo, ...] = ()
    applied: bytes = b""

    def next_due(self) -> datetime | None:
        """When a step of this lead is due next, or else its review; None if nothing ever is by
        itself."""
        found = self.review_at
        for each in self.live:
            if each.paused_by or each.held_by or each.waits_for:
                continue
            if found is None or each.due_at < found:
                found = each.due_at
        return found

    def is_held(self) -> bool:
        """Whether a step is due and only waits for something in automation to be resumed."""
        return any(each.held_by and not each.paused_by for each in self.live)

    def consent_for(self, channel: str) -> Consent | None:
        """The last word on a channel."""
        return next((each for each in self.consent if each.channel == channel), None)


@dataclass(frozen=True, slots=True)
class Decision:
    """What becomes of a lead and what the others are to be told, in this order.

    `changed`: the row has to be written. `gone`: it has to be deleted instead, and nothing of the
    lead is due any more; there are no effects then.
    """

    row: LeadRow
    effects: tuple[LeadRecord, ...]
    changed: bool
    gone: bool = False


class Sequences(Protocol):
    """The published sequences."""

    def get(self, sequence_id: str, version: int) -> SequencePublished | None:
        """One version of a sequence."""

    def active(self, sequence_id: str) -> SequencePublished | None:
        """The version that new leads enroll in: the highest that is active."""

    def triggered(self, tenant_id: str, kind: str, value: str) -> Sequence[SequencePublished]:
        """Active sequences that wait for this, the highest priority first."""


class Pauses(Protocol):
    """What is paused in automation."""

    def holding(self, tenant_id: str, sequence_id: str, channel: str) -> str | None:
        """The paused scope that covers such a step, or None."""

    def last_word(self, scope: str) -> str:
        """The event id of the control that spoke of a scope last, empty if none did: to hold a
        step for a second pause is another event than for the first."""


@dataclass(frozen=True, slots=True)
class Setting:
    """What a decision looks at beside the lead: published sequences, pauses, tenants."""

    sequences: Sequences
    pauses: Pauses
    tenants: Mapping[str, Tenant]

    def tenant(self, tenant_id: str) -> Tenant:
        return self.tenants.get(tenant_id) or _unknown(tenant_id)


@lru_cache(1_024)
def _unknown(tenant_id: str) -> Tenant:
    """A tenant of whom nothing is written: the defaults. Asked for several times an event."""
    return Tenant(tenant_id=tenant_id)


def digest(event_id: str) -> bytes:
    """An event id in eight bytes; among the few of one lead two never meet by chance."""
    return blake2b(event_id.encode(), digest_size=DIGEST_BYTES).digest()
