"""What lead-events tell the dispatcher: stops, consents, and addresses not to write to."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from leadflow.records import (
    AccountReplied,
    BookingMade,
    ConsentChanged,
    LeadCreated,
    LeadUpdated,
    ReplyReceived,
    StageChanged,
)
from leadflow.records.base import Record

PERSON_CHANNELS = ("email", "sms", "whatsapp", "call")
STOPPING_STAGES = frozenset({"won", "lost"})
# The basis of a word by which a person takes an opt-out back. A permission that somebody reads
# out of what the person did, such as a call that was missed, is worth what a profile's is.
OPT_IN = "opt-in"


@dataclass(frozen=True, slots=True, kw_only=True)
class Stop:
    """Something that stops what the lead was enrolled in before `at` (when it was recorded)."""

    lead_id: str
    stop: str
    at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Consent:
    """What a person said about a channel. `explicit`: by a word of their own, not in a profile.

    A profile that says yes does not undo an explicit no.
    """

    lead_id: str
    channel: str
    granted: bool
    explicit: bool
    at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Suppression:
    """An address that a tenant must not write to over a channel, or again may."""

    tenant_id: str
    channel: str
    address: str
    reason: str
    active: bool
    cause_id: str
    at: datetime


Fact = Stop | Consent | Suppression


def address_key(channel: str, address: str) -> str:
    """An address in the form in which addresses are compared."""
    bare = address.strip()
    return bare.lower() if channel == "email" else bare


def facts_of(records: Iterable[Record]) -> list[Fact]:
    """Everything that the records of lead-events say to the dispatcher, in their order."""
    facts: list[Fact] = []
    for record in records:
        if isinstance(record, ReplyReceived):
            if not record.automatic:
                facts.append(Stop(lead_id=record.lead_id, stop="reply", at=record.recorded_at))
        elif isinstance(record, AccountReplied):
            facts.append(Stop(lead_id=record.lead_id, stop="account_reply", at=record.recorded_at))
        elif isinstance(record, BookingMade):
            facts.append(Stop(lead_id=record.lead_id, stop="booking", at=record.recorded_at))
        elif isinstance(record, StageChanged):
            if record.to_stage in STOPPING_STAGES:
                facts.append(
                    Stop(lead_id=record.lead_id, stop=record.to_stage, at=record.recorded_at)
                )
        elif isinstance(record, ConsentChanged):
            facts.extend(_changed(record))
        elif isinstance(record, (LeadCreated, LeadUpdated)) and record.status == "active":
            facts.extend(
                Consent(
                    lead_id=record.lead_id,
                    channel=channel,
                    granted=grant.granted,
                    explicit=False,
                    # Given for a time to come it would outlast every refusal until then.
                    at=min(grant.at or record.recorded_at, record.recorded_at),
                )
                for grant in record.consent
                for channel in _channels(grant.channel)
            )
    return facts


def _changed(record: ConsentChanged) -> Sequence[Fact]:
    facts: list[Fact] = []
    explicit = not record.granted or record.basis == OPT_IN
    if not record.granted:
        facts.append(Stop(lead_id=record.lead_id, stop="opt_out", at=record.recorded_at))
    for channel in _channels(record.channel):
        facts.append(
            Consent(
                lead_id=record.lead_id,
                channel=channel,
                granted=record.granted,
                explicit=explicit,
                at=record.recorded_at,
            )
        )
        if explicit and record.address and ("@" in record.address) == (channel == "email"):
            facts.append(
                Suppression(
                    tenant_id=record.tenant_id,
                    channel=channel,
                    address=address_key(channel, record.address),
                    reason="opt_out",
                    active=not record.granted,
                    cause_id=record.cause_id,
                    at=record.recorded_at,
                )
            )
    return facts


def _channels(channel: str) -> tuple[str, ...]:
    return PERSON_CHANNELS if channel == "all" else (channel,)
