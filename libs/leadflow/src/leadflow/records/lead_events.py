"""Generated from `schemas/` by `make schemas`. Do not edit."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any, ClassVar, Self

from leadflow.records.base import LeadRecord, assemble
from leadflow.records.common import (
    Address,
    Attribution,
    ConsentGrant,
    FieldSettled,
    Metric,
    Money,
    Reason,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class LeadCreated(LeadRecord):
    """lead.created: a lead was seen for the first time."""

    TYPE: ClassVar[str] = "LeadCreated"
    VERSION: ClassVar[int] = 1
    PRIVACY_CLASS: ClassVar[str] = "summary-after-approval"
    PII: ClassVar[frozenset[str]] = frozenset(
        [
            "first_name",
            "last_name",
            "email",
            "phone",
            "company",
            "title",
            "address",
            "message",
            "received",
            "extra",
        ]
    )

    cause_id: str
    revision: int
    external_id: str
    status: str
    quarantine_reasons: tuple[Reason, ...] = ()
    first_name: str | None = None
    last_name: str | None = None
    email: str | None = None
    phone: str | None = None
    company: str | None = None
    title: str | None = None
    address: Address | None = None
    service: str | None = None
    message: str | None = None
    urgency: str
    budget: Money | None = None
    timezone: str
    timezone_from: str
    language: str | None = None
    attribution: Attribution | None = None
    consent: tuple[ConsentGrant, ...] = ()
    stage: str
    received: str
    extra: str

    def to_avro(self) -> dict[str, Any]:
        return {
            "event_id": self.event_id,
            "tenant_id": self.tenant_id,
            "occurred_at": self.occurred_at,
            "recorded_at": self.recorded_at,
            "source": self.source,
            "lead_id": self.lead_id,
            "owner": self.owner,
            "cause_id": self.cause_id,
            "revision": self.revision,
            "external_id": self.external_id,
            "status": self.status,
            "quarantine_reasons": [item.to_avro() for item in self.quarantine_reasons],
            "first_name": self.first_name,
            "last_name": self.last_name,
            "email": self.email,
            "phone": self.phone,
            "company": self.company,
            "title": self.title,
            "address": None if self.address is None else self.address.to_avro(),
            "service": self.service,
            "message": self.message,
            "urgency": self.urgency,
            "budget": None if self.budget is None else self.budget.to_avro(),
            "timezone": self.timezone,
            "timezone_from": self.timezone_from,
            "language": self.language,
            "attribution": None if self.attribution is None else self.attribution.to_avro(),
            "consent": [item.to_avro() for item in self.consent],
            "stage": self.stage,
            "received": self.received,
            "extra": self.extra,
        }

    @classmethod
    def from_avro(cls, data: dict[str, Any]) -> Self:
        data["quarantine_reasons"] = tuple(
            [Reason.from_avro(item) for item in data["quarantine_reasons"]]
        )
        data["address"] = None if data["address"] is None else Address.from_avro(data["address"])
        data["budget"] = None if data["budget"] is None else Money.from_avro(data["budget"])
        data["attribution"] = (
            None if data["attribution"] is None else Attribution.from_avro(data["attribution"])
        )
        data["consent"] = tuple([ConsentGrant.from_avro(item) for item in data["consent"]])
        return assemble(cls, data)


@dataclass(frozen=True, slots=True, kw_only=True)
class LeadUpdated(LeadRecord):
    """A known lead was seen again or corrected; carries the whole profile."""

    TYPE: ClassVar[str] = "LeadUpdated"
    VERSION: ClassVar[int] = 2
    PRIVACY_CLASS: ClassVar[str] = "summary-after-approval"
    PII: ClassVar[frozenset[str]] = frozenset(
        [
            "first_name",
            "last_name",
            "email",
            "phone",
            "company",
            "title",
            "address",
            "message",
            "received",
            "extra",
        ]
    )

    cause_id: str
    revision: int
    external_id: str
    status: str
    quarantine_reasons: tuple[Reason, ...] = ()
    first_name: str | None = None
    last_name: str | None = None
    email: str | None = None
    phone: str | None = None
    company: str | None = None
    title: str | None = None
    address: Address | None = None
    service: str | None = None
    message: str | None = None
    urgency: str
    budget: Money | None = None
    timezone: str
    timezone_from: str
    language: str | None = None
    attribution: Attribution | None = None
    consent: tuple[ConsentGrant, ...] = ()
    stage: str
    received: str
    extra: str
    changed: tuple[str, ...] = ()
    duplicate_rule: str | None = None
    known_since: datetime | None = None

    def to_avro(self) -> dict[str, Any]:
        return {
            "event_id": self.event_id,
            "tenant_id": self.tenant_id,
            "occurred_at": self.occurred_at,
            "recorded_at": self.recorded_at,
            "source": self.source,
            "lead_id": self.lead_id,
            "owner": self.owner,
            "cause_id": self.cause_id,
            "revision": self.revision,
            "external_id": self.external_id,
            "status": self.status,
            "quarantine_reasons": [item.to_avro() for item in self.quarantine_reasons],
            "first_name": self.first_name,
            "last_name": self.last_name,
            "email": self.email,
            "phone": self.phone,
            "company": self.company,
            "title": self.title,
            "address": None if self.address is None else self.address.to_avro(),
            "service": self.service,
            "message": self.message,
            "urgency": self.urgency,
            "budget": None if self.budget is None else self.budget.to_avro(),
            "timezone": self.timezone,
            "timezone_from": self.timezone_from,
            "language": self.language,
            "attribution": None if self.attribution is None else self.attribution.to_avro(),
            "consent": [item.to_avro() for item in self.consent],
            "stage": self.stage,
            "received": self.received,
            "extra": self.extra,
            "changed": self.changed,
            "duplicate_rule": self.duplicate_rule,
            "known_since": self.known_since,
        }

    @classmethod
    def from_avro(cls, data: dict[str, Any]) -> Self:
        data["quarantine_reasons"] = tuple(
            [Reason.from_avro(item) for item in data["quarantine_reasons"]]
        )
        data["address"] = None if data["address"] is None else Address.from_avro(data["address"])
        data["budget"] = None if data["budget"] is None else Money.from_avro(data["budget"])
        data["attribution"] = (
            None if data["attribution"] is None else Attribution.from_avro(data["attribution"])
        )
        data["consent"] = tuple([ConsentGrant.from_avro(item) for item in data["consent"]])
        data["changed"] = tuple(data["changed"])
        return assemble(cls, data)


@dataclass(frozen=True, slots=True, kw_only=True)
class LeadMerged(LeadRecord):
    """Two leads turned out to be one."""

    TYPE: ClassVar[str] = "LeadMerged"
    VERSION: ClassVar[int] = 1
    PRIVACY_CLASS: ClassVar[str] = "internal"
    PII: ClassVar[frozenset[str]] = frozenset([])

    cause_id: str
    merged_lead_id: str
    duplicate_rule: str

    def to_avro(self) -> dict[str, Any]:
        return {
            "event_id": self.event_id,
            "tenant_id": self.tenant_id,
            "occurred_at": self.occurred_at,
            "recorded_at": self.recorded_at,
            "source": self.source,
            "lead_id": self.lead_id,
            "owner": self.owner,
            "cause_id": self.cause_id,
            "merged_lead_id": self.merged_lead_id,
            "duplicate_rule": self.duplicate_rule,
        }

    @classmethod
    def from_avro(cls, data: dict[str, Any]) -> Self:
        return assemble(cls, data)


@dataclass(frozen=True, slots=True, kw_only=True)
class LeadQualified(LeadRecord):
    """lead.qualified: a score with its reasons."""

    TYPE: ClassVar[str] = "LeadQualified"
    VERSION: ClassVar[int] = 1
    PRIVACY_CLASS: ClassVar[str] = "internal"
    PII: ClassVar[frozenset[str]] = frozenset([])

    cause_id: str
    fit: int
    intent: int
    temperature: str
    reasons: tuple[Reason, ...] = ()
    next_action: str
    crm_target: str | None = None
    decided_by: str

    def to_avro(self) -> dict[str, Any]:
        return {
            "event_id": self.event_id,
            "tenant_id": self.tenant_id,
            "occurred_at": self.occurred_at,
            "recorded_at": self.recorded_at,
            "source": self.source,
            "lead_id": self.lead_id,
            "owner": self.owner,
            "cause_id": self.cause_id,
            "fit": self.fit,
            "intent": self.intent,
            "temperature": self.temperature,
            "reasons": [item.to_avro() for item in self.reasons],
            "next_action": self.next_action,
            "crm_target": self.crm_target,
            "decided_by": self.decided_by,
        }

    @classmethod
    def from_avro(cls, data: dict[str, Any]) -> Self:
        data["reasons"] = tuple([Reason.from_avro(item) for item in data["reasons"]])
        return assemble(cls, data)


@dataclass(frozen=True, slots=True, kw_only=True)
class StageChanged(LeadRecord):
    """The lead moved in the pipeline."""

    TYPE: ClassVar[str] = "StageChanged"
    VERSION: ClassVar[int] = 1
    PRIVACY_CLASS: ClassVar[str] = "internal"
    PII: ClassVar[frozenset[str]] = frozenset([])

    cause_id: str
    revision: int
    from_stage: str
    to_stage: str
    reason: str | None = None
    changed_by: str | None = None

    def to_avro(self) -> dict[str, Any]:
        return {
            "event_id": self.event_id,
            "tenant_id": self.tenant_id,
            "occurred_at": self.occurred_at,
            "recorded_at": self.recorded_at,
            "source": self.source,
            "lead_id": self.lead_id,
            "owner": self.owner,
            "cause_id": self.cause_id,
            "revision": self.revision,
            "from_stage": self.from_stage,
            "to_stage": self.to_stage,
            "reason": self.reason,
            "changed_by": self.changed_by,
        }

    @classmethod
    def from_avro(cls, data: dict[str, Any]) -> Self:
        return assemble(cls, data)


@dataclass(frozen=True, slots=True, kw_only=True)
class CallMissed(LeadRecord):
    """call.missed: somebody called and nobody answered."""

    TYPE: ClassVar[str] = "CallMissed"
    VERSION: ClassVar[int] = 1
    PRIVACY_CLASS: ClassVar[str] = "internal"
    PII: ClassVar[frozenset[str]] = frozenset(["caller"])

    cause_id: str
    caller: str
    tracking_number: str | None = None
    called_at: datetime | None = None
    callback_status: str | None = None
    duration_seconds: int | None = None

    def to_avro(self) -> dict[str, Any]:
        return {
            "event_id": self.event_id,
            "tenant_id": self.tenant_id,
            "occurred_at": self.occurred_at,
            "recorded_at": self.recorded_at,
            "source": self.source,
            "lead_id": self.lead_id,
            "owner": self.owner,
            "cause_id": self.cause_id,
            "caller": self.caller,
            "tracking_number": self.tracking_number,
            "called_at": self.called_at,
            "callback_status": self.callback_status,
            "duration_seconds": self.duration_seconds,
        }

    @classmethod
    def from_avro(cls, data: dict[str, Any]) -> Self:
        return assemble(cls, data)


@dataclass(frozen=True, slots=True, kw_only=True)
class QuoteRequested(LeadRecord):
    """quote.requested: what a price is wanted for."""

    TYPE: ClassVar[str] = "QuoteRequested"
    VERSION: ClassVar[int] = 1
    PRIVACY_CLASS: ClassVar[str] = "summary-after-approval"
    PII: ClassVar[frozenset[str]] = frozenset(["scope", "location", "photos"])

    cause_id: str
    scope: str | None = None
    location: str | None = None
    timeline: str | None = None
    photos: tuple[str, ...] = ()
    routing_owner: str | None = None
    budget: Money | None = None

    def to_avro(self) -> dict[str, Any]:
        return {
            "event_id": self.event_id,
            "tenant_id": self.tenant_id,
            "occurred_at": self.occurred_at,
            "recorded_at": self.recorded_at,
            "source": self.source,
            "lead_id": self.lead_id,
            "owner": self.owner,
            "cause_id": self.cause_id,
            "scope": self.scope,
            "location": self.location,
            "timeline": self.timeline,
            "photos": self.photos,
            "routing_owner": self.routing_owner,
            "budget": None if self.budget is None else self.budget.to_avro(),
        }

    @classmethod
    def from_avro(cls, data: dict[str, Any]) -> Self:
        data["photos"] = tuple(data["photos"])
        data["budget"] = None if data["budget"] is None else Money.from_avro(data["budget"])
        return assemble(cls, data)


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplyReceived(LeadRecord):
    """The lead answered."""

    TYPE: ClassVar[str] = "ReplyReceived"
    VERSION: ClassVar[int] = 3
    PRIVACY_CLASS: ClassVar[str] = "internal"
    PII: ClassVar[frozenset[str]] = frozenset(["from_address", "text", "mail_subject"])

    cause_id: str
    channel: str
    message_id: str | None = None
    from_address: str | None = None
    text: str | None = None
    automatic: bool
    returns_on: str | None = None
    automatic_rule: str | None = None
    by_other: bool = False
    keyword: str | None = None
    mail_id: str | None = None
    mail_subject: str | None = None

    def to_avro(self) -> dict[str, Any]:
        return {
            "event_id": self.event_id,
            "tenant_id": self.tenant_id,
            "occurred_at": self.occurred_at,
            "recorded_at": self.recorded_at,
            "source": self.source,
            "lead_id": self.lead_id,
            "owner": self.owner,
            "cause_id": self.cause_id,
            "channel": self.channel,
            "message_id": self.message_id,
            "from_address": self.from_address,
            "text": self.text,
            "automatic": self.automatic,
            "returns_on": self.returns_on,
            "automatic_rule": self.automatic_rule,
            "by_other": self.by_other,
            "keyword": self.keyword,
            "mail_id": self.mail_id,
            "mail_subject": self.mail_subject,
        }

    @classmethod
    def from_avro(cls, data: dict[str, Any]) -> Self:
        return assemble(cls, data)


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountReplied(LeadRecord):
    """Another lead of the same account answered: a company speaks with one voice."""

    TYPE: ClassVar[str] = "AccountReplied"
    VERSION: ClassVar[int] = 1
    PRIVACY_CLASS: ClassVar[str] = "internal"
    PII: ClassVar[frozenset[str]] = frozenset([])

    cause_id: str
    replied_lead_id: str
    channel: str

    def to_avro(self) -> dict[str, Any]:
        return {
            "event_id": self.event_id,
            "tenant_id": self.tenant_id,
            "occurred_at": self.occurred_at,
            "recorded_at": self.recorded_at,
            "source": self.source,
            "lead_id": self.lead_id,
            "owner": self.owner,
            "cause_id": self.cause_id,
            "replied_lead_id": self.replied_lead_id,
            "channel": self.channel,
        }

    @classmethod
    def from_avro(cls, data: dict[str, Any]) -> Self:
        return assemble(cls, data)


@dataclass(frozen=True, slots=True, kw_only=True)
class BookingMade(LeadRecord):
    """The lead booked an appointment."""

    TYPE: ClassVar[str] = "BookingMade"
    VERSION: ClassVar[int] = 1
    PRIVACY_CLASS: ClassVar[str] = "internal"
    PII: ClassVar[frozenset[str]] = frozenset(["title", "location"])

    cause_id: str
    starts_at: datetime | None = None
    title: str | None = None
    location: str | None = None
    outcome: str | None = None

    def to_avro(self) -> dict[str, Any]:
        return {
            "event_id": self.event_id,
            "tenant_id": self.tenant_id,
            "occurred_at": self.occurred_at,
            "recorded_at": self.recorded_at,
            "source": self.source,
            "lead_id": self.lead_id,
            "owner": self.owner,
            "cause_id": self.cause_id,
            "starts_at": self.starts_at,
            "title": self.title,
            "location": self.location,
            "outcome": self.outcome,
        }

    @classmethod
    def from_avro(cls, data: dict[str, Any]) -> Self:
        return assemble(cls, data)


@dataclass(frozen=True, slots=True, kw_only=True)
class JobCompleted(LeadRecord):
    """The work for the lead is done."""

    TYPE: ClassVar[str] = "JobCompleted"
    VERSION: ClassVar[int] = 1
    PRIVACY_CLASS: ClassVar[str] = "internal"
    PII: ClassVar[frozenset[str]] = frozenset(["title", "location"])

    cause_id: str
    completed_at: datetime | None = None
    title: str | None = None
    location: str | None = None
    outcome: str | None = None

    def to_avro(self) -> dict[str, Any]:
        return {
            "event_id": self.event_id,
            "tenant_id": self.tenant_id,
            "occurred_at": self.occurred_at,
            "recorded_at": self.recorded_at,
            "source": self.source,
            "lead_id": self.lead_id,
            "owner": self.owner,
            "cause_id": self.cause_id,
            "completed_at": self.completed_at,
            "title": self.title,
            "location": self.location,
            "outcome": self.outcome,
        }

    @classmethod
    def from_avro(cls, data: dict[str, Any]) -> Self:
        return assemble(cls, data)


@dataclass(frozen=True, slots=True, kw_only=True)
class ConsentChanged(LeadRecord):
    """The person allowed or forbade a channel."""

    TYPE: ClassVar[str] = "ConsentChanged"
    VERSION: ClassVar[int] = 1
    PRIVACY_CLASS: ClassVar[str] = "internal"
    PII: ClassVar[frozenset[str]] = frozenset(["address", "evidence"])

    cause_id: str
    channel: str
    granted: bool
    address: str | None = None
    basis: str | None = None
    keyword: str | None = None
    evidence: str | None = None

    def to_avro(self) -> dict[str, Any]:
        return {
            "event_id": self.event_id,
            "tenant_id": self.tenant_id,
            "occurred_at": self.occurred_at,
            "recorded_at": self.recorded_at,
            "source": self.source,
            "lead_id": self.lead_id,
            "owner": self.owner,
            "cause_id": self.cause_id,
            "channel": self.channel,
            "granted": self.granted,
            "address": self.address,
            "basis": self.basis,
            "keyword": self.keyword,
            "evidence": self.evidence,
        }

    @classmethod
    def from_avro(cls, data: dict[str, Any]) -> Self:
        return assemble(cls, data)


@dataclass(frozen=True, slots=True, kw_only=True)
class ProviderEnriched(LeadRecord):
    """provider.enriched: numbers about the lead's project from a provider."""

    TYPE: ClassVar[str] = "ProviderEnriched"
    VERSION: ClassVar[int] = 1
    PRIVACY_CLASS: ClassVar[str] = "client-safe"
    PII: ClassVar[frozenset[str]] = frozenset([])

    cause_id: str
    provider: str
    batch_id: str | None = None
    fresh_at: datetime | None = None
    metrics: tuple[Metric, ...] = ()
    mapping_state: str
    stale: bool

    def to_avro(self) -> dict[str, Any]:
        return {
            "event_id": self.event_id,
            "tenant_id": self.tenant_id,
            "occurred_at": self.occurred_at,
            "recorded_at": self.recorded_at,
            "source": self.source,
            "lead_id": self.lead_id,
            "owner": self.owner,
            "cause_id": self.cause_id,
            "provider": self.provider,
            "batch_id": self.batch_id,
            "fresh_at": self.fresh_at,
            "metrics": [item.to_avro() for item in self.metrics],
            "mapping_state": self.mapping_state,
            "stale": self.stale,
        }

    @classmethod
    def from_avro(cls, data: dict[str, Any]) -> Self:
        data["metrics"] = tuple([Metric.from_avro(item) for item in data["metrics"]])
        return assemble(cls, data)


@dataclass(frozen=True, slots=True, kw_only=True)
class CrmChangeSettled(LeadRecord):
    """People changed a lead in the CRM: field by field, whose value stands."""

    TYPE: ClassVar[str] = "CrmChangeSettled"
    VERSION: ClassVar[int] = 1
    PRIVACY_CLASS: ClassVar[str] = "internal"
    PII: ClassVar[frozenset[str]] = frozenset([])

    cause_id: str
    revision: int
    account_id: str
    provider: str
    fields: tuple[FieldSettled, ...]

    def to_avro(self) -> dict[str, Any]:
        return {
            "event_id": self.event_id,
            "tenant_id": self.tenant_id,
            "occurred_at": self.occurred_at,
            "recorded_at": self.recorded_at,
            "source": self.source,
            "lead_id": self.lead_id,
            "owner": self.owner,
            "cause_id": self.cause_id,
            "revision": self.revision,
            "account_id": self.account_id,
            "provider": self.provider,
            "fields": [item.to_avro() for item in self.fields],
        }

    @classmethod
    def from_avro(cls, data: dict[str, Any]) -> Self:
        data["fields"] = tuple([FieldSettled.from_avro(item) for item in data["fields"]])
        return assemble(cls, data)
