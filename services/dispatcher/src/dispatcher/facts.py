"""What the log tells the dispatcher: stops, consents, addresses not to write to, time zones."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from leadflow.addresses import address_key as address_key
from leadflow.records import (
    AccountReplied,
    BookingMade,
    ConsentChanged,
    LeadCreated,
    LeadUpdated,
    ReplyReceived,
    StageChanged,
    SuppressionChanged,
)
from leadflow.records.base import Record

PERSON_CHANNELS = ("email", "sms", "whatsapp", "call")
STOPPING_STAGES = frozenset({"won", "lost"})
# The basis of a word by which a person takes an opt-out back. A permission that somebody reads
# out of what the person did, such as a call that was missed, is worth what a profile's is.
OPT_IN = "opt-in"
OPT_OUT = "opt_out"  # the reason of a suppression
# A new word of the person lifts these: START takes back a STOP, at the provider too (Twilio's
# keywords; its error 21610 means that it heard a STOP).
LIFTED_BY_OPT_IN = ("opt_out", "provider_opt_out")


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
    """An address that a tenant must not write to over a channel, or again may.

    `told`: it came from the topic of suppressions, where nobody has to be told of it. `lifts`:
    only what is there can be lifted, nothing is written down where it is not.
    """

    tenant_id: str
    channel: str
    address: str
    reason: str
    active: bool
    cause_id: str
    at: datetime
    source: str = "dispatcher"
    note: str | None = None
    told: bool = False
    lifts: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Zone:
    """Where a lead is, by the newest revision of its profile: an IANA name."""

    lead_id: str
    timezone: str
    revision: int


Fact = Stop | Consent | Suppression | Zone


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
        elif isinstance(record, SuppressionChanged):
            facts.append(_listed(record))
        elif isinstance(record, (LeadCreated, LeadUpdated)):
            if record.timezone:
                facts.append(
                    Zone(lead_id=record.lead_id, timezone=record.timezone, revision=record.revision)
                )
            facts.extend(
                Consent(
                    lead_id=record.lead_id,
                    channel=channel,
                    granted=grant.granted,
                    explicit=False,
                    # Given for a time to come it would outlast every refusal until then.
                    at=min(grant.at or record.recorded_at, record.recorded_at),
                )
                for grant in (record.consent if record.status == "active" else ())
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
            facts.extend(
                Suppression(
                    tenant_id=record.tenant_id,
                    channel=channel,
                    address=address_key(channel, record.address),
                    reason=reason,
                    active=not record.granted,
                    cause_id=record.cause_id,
                    at=record.recorded_at,
                    source=record.source,
                    note=record.keyword or record.evidence,
                    lifts=reason != "opt_out",
                )
                for reason in (LIFTED_BY_OPT_IN if record.granted else ("opt_out",))
            )
    return facts


def _listed(record: SuppressionChanged) -> Suppression:
    return Suppression(
        tenant_id=record.tenant_id,
        channel=record.channel,
        address=address_key(record.channel, record.address),
        reason=record.reason,
        active=record.active,
        cause_id=record.cause_id or record.event_id,
        at=record.occurred_at,
        source=record.source,
        note=record.note,
        told=True,
    )


def _channels(channel: str) -> tuple[str, ...]:
    return PERSON_CHANNELS if channel == "all" else (channel,)
