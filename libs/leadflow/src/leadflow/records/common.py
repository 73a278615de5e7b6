"""Generated from `schemas/` by `make schemas`. Do not edit."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any, ClassVar, Self

from leadflow.records.base import Nested, assemble


@dataclass(frozen=True, slots=True, kw_only=True)
class Address(Nested):
    """A postal address as given."""

    PII: ClassVar[frozenset[str]] = frozenset(
        ["street", "city", "region", "postal_code", "country"]
    )

    street: str | None = None
    city: str | None = None
    region: str | None = None
    postal_code: str | None = None
    country: str | None = None

    def to_avro(self) -> dict[str, Any]:
        return {
            "street": self.street,
            "city": self.city,
            "region": self.region,
            "postal_code": self.postal_code,
            "country": self.country,
        }

    @classmethod
    def from_avro(cls, data: dict[str, Any]) -> Self:
        return assemble(cls, data)


@dataclass(frozen=True, slots=True, kw_only=True)
class Arm(Nested):
    """One variant of a step; a lead keeps its own."""

    PII: ClassVar[frozenset[str]] = frozenset([])

    name: str
    weight: int
    template_name: str
    subject: str
    body: str
    body_html: str = ""

    def to_avro(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "weight": self.weight,
            "template_name": self.template_name,
            "subject": self.subject,
            "body": self.body,
            "body_html": self.body_html,
        }

    @classmethod
    def from_avro(cls, data: dict[str, Any]) -> Self:
        return assemble(cls, data)


@dataclass(frozen=True, slots=True, kw_only=True)
class Attribution(Nested):
    """Which campaign and page the lead came from."""

    PII: ClassVar[frozenset[str]] = frozenset(["gclid", "fbclid", "referrer", "landing_page"])

    channel: str | None = None
    campaign: str | None = None
    medium: str | None = None
    term: str | None = None
    content: str | None = None
    gclid: str | None = None
    fbclid: str | None = None
    referrer: str | None = None
    landing_page: str | None = None

    def to_avro(self) -> dict[str, Any]:
        return {
            "channel": self.channel,
            "campaign": self.campaign,
            "medium": self.medium,
            "term": self.term,
            "content": self.content,
            "gclid": self.gclid,
            "fbclid": self.fbclid,
            "referrer": self.referrer,
            "landing_page": self.landing_page,
        }

    @classmethod
    def from_avro(cls, data: dict[str, Any]) -> Self:
        return assemble(cls, data)


@dataclass(frozen=True, slots=True, kw_only=True)
class Condition(Nested):
    """A step runs only when this holds."""

    PII: ClassVar[frozenset[str]] = frozenset([])

    field: str
    op: str
    value: str

    def to_avro(self) -> dict[str, Any]:
        return {
            "field": self.field,
            "op": self.op,
            "value": self.value,
        }

    @classmethod
    def from_avro(cls, data: dict[str, Any]) -> Self:
        return assemble(cls, data)


@dataclass(frozen=True, slots=True, kw_only=True)
class ConsentGrant(Nested):
    """What a person said about one channel."""

    PII: ClassVar[frozenset[str]] = frozenset(["ip"])

    channel: str
    granted: bool
    basis: str | None = None
    text: str | None = None
    at: datetime | None = None
    ip: str | None = None
    page: str | None = None

    def to_avro(self) -> dict[str, Any]:
        return {
            "channel": self.channel,
            "granted": self.granted,
            "basis": self.basis,
            "text": self.text,
            "at": self.at,
            "ip": self.ip,
            "page": self.page,
        }

    @classmethod
    def from_avro(cls, data: dict[str, Any]) -> Self:
        return assemble(cls, data)


@dataclass(frozen=True, slots=True, kw_only=True)
class CrmField(Nested):
    """A field as the CRM tells of it, in the CRM's own words."""

    PII: ClassVar[frozenset[str]] = frozenset(["value"])

    name: str
    value: str | None = None
    at: datetime | None = None

    def to_avro(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "value": self.value,
            "at": self.at,
        }

    @classmethod
    def from_avro(cls, data: dict[str, Any]) -> Self:
        return assemble(cls, data)


@dataclass(frozen=True, slots=True, kw_only=True)
class FieldSettled(Nested):
    """Whose value of a field stands."""

    PII: ClassVar[frozenset[str]] = frozenset(["crm_value", "log_value"])

    field: str
    outcome: str
    rule: str
    conflict: bool
    crm_value: str | None = None
    log_value: str | None = None
    crm_at: datetime | None = None
    log_at: datetime | None = None

    def to_avro(self) -> dict[str, Any]:
        return {
            "field": self.field,
            "outcome": self.outcome,
            "rule": self.rule,
            "conflict": self.conflict,
            "crm_value": self.crm_value,
            "log_value": self.log_value,
            "crm_at": self.crm_at,
            "log_at": self.log_at,
        }

    @classmethod
    def from_avro(cls, data: dict[str, Any]) -> Self:
        return assemble(cls, data)


@dataclass(frozen=True, slots=True, kw_only=True)
class Metric(Nested):
    """One number."""

    PII: ClassVar[frozenset[str]] = frozenset([])

    name: str
    value: float
    unit: str | None = None
    period: str | None = None

    def to_avro(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "value": self.value,
            "unit": self.unit,
            "period": self.period,
        }

    @classmethod
    def from_avro(cls, data: dict[str, Any]) -> Self:
        return assemble(cls, data)


@dataclass(frozen=True, slots=True, kw_only=True)
class Money(Nested):
    """An amount in the smallest unit of its currency."""

    PII: ClassVar[frozenset[str]] = frozenset([])

    amount_minor: int
    currency: str

    def to_avro(self) -> dict[str, Any]:
        return {
            "amount_minor": self.amount_minor,
            "currency": self.currency,
        }

    @classmethod
    def from_avro(cls, data: dict[str, Any]) -> Self:
        return assemble(cls, data)


@dataclass(frozen=True, slots=True, kw_only=True)
class Reason(Nested):
    """One rule that spoke, and how loud."""

    PII: ClassVar[frozenset[str]] = frozenset([])

    rule: str
    points: int
    note: str

    def to_avro(self) -> dict[str, Any]:
        return {
            "rule": self.rule,
            "points": self.points,
            "note": self.note,
        }

    @classmethod
    def from_avro(cls, data: dict[str, Any]) -> Self:
        return assemble(cls, data)


@dataclass(frozen=True, slots=True, kw_only=True)
class SendWindow(Nested):
    """When steps may go out, where the lead is."""

    PII: ClassVar[frozenset[str]] = frozenset([])

    start: str
    end: str
    days: tuple[str, ...] = ()
    holidays: bool = True

    def to_avro(self) -> dict[str, Any]:
        return {
            "start": self.start,
            "end": self.end,
            "days": self.days,
            "holidays": self.holidays,
        }

    @classmethod
    def from_avro(cls, data: dict[str, Any]) -> Self:
        data["days"] = tuple(data["days"])
        return assemble(cls, data)


@dataclass(frozen=True, slots=True, kw_only=True)
class SequenceStep(Nested):
    """One step as published."""

    PII: ClassVar[frozenset[str]] = frozenset([])

    step_id: str
    channel: str
    delay_minutes: int
    delay_from: str
    template_name: str
    subject: str
    body: str
    condition: Condition | None = None
    delay_days: int = 0
    delay_business_days: int = 0
    spread_minutes: int = 0
    blocks: bool = False
    otherwise: str = ""
    arms: tuple[Arm, ...] = ()
    body_html: str = ""

    def to_avro(self) -> dict[str, Any]:
        return {
            "step_id": self.step_id,
            "channel": self.channel,
            "delay_minutes": self.delay_minutes,
            "delay_from": self.delay_from,
            "template_name": self.template_name,
            "subject": self.subject,
            "body": self.body,
            "condition": None if self.condition is None else self.condition.to_avro(),
            "delay_days": self.delay_days,
            "delay_business_days": self.delay_business_days,
            "spread_minutes": self.spread_minutes,
            "blocks": self.blocks,
            "otherwise": self.otherwise,
            "arms": [item.to_avro() for item in self.arms],
            "body_html": self.body_html,
        }

    @classmethod
    def from_avro(cls, data: dict[str, Any]) -> Self:
        data["condition"] = (
            None if data["condition"] is None else Condition.from_avro(data["condition"])
        )
        data["arms"] = tuple([Arm.from_avro(item) for item in data["arms"]])
        return assemble(cls, data)


@dataclass(frozen=True, slots=True, kw_only=True)
class Trigger(Nested):
    """What enrolls a lead."""

    PII: ClassVar[frozenset[str]] = frozenset([])

    kind: str
    value: str

    def to_avro(self) -> dict[str, Any]:
        return {
            "kind": self.kind,
            "value": self.value,
        }

    @classmethod
    def from_avro(cls, data: dict[str, Any]) -> Self:
        return assemble(cls, data)
