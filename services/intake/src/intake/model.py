"""What intake knows and what it decides: frozen values, no effects.

RawEvent ──prepare──► Prepared ──decide(known, prepared, tenant, now)──► Decision
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, NamedTuple

from leadflow import addresses
from leadflow.errors import RecordRefused
from leadflow.records import (
    Address,
    Attribution,
    ConsentGrant,
    LeadRecord,
    Money,
    RawEvent,
    Reason,
)

CHANNELS = ("email", "sms", "call", "whatsapp")
PHONE_CHANNELS = ("sms", "call", "whatsapp")
ACTIVE = "active"
QUARANTINED = "quarantined"
SPREADING = frozenset({"reply", "opt_out"})
"""Kinds of raw events that may be about everybody behind an address."""
MESSAGE = "message"  # kind of a key: a message that an answer names
OPT_OUT = "opt-out"  # basis of a refusal that only an opt-in takes back
BOTH_WAYS = ("stage", "owner", "first_name", "last_name", "email", "phone", "company", "title")
"""Fields of a lead that people change in the CRM too."""


class Key(NamedTuple):
    """One thing that a lead is known by. `kind` is external_id, email, phone or lead_id; leads that
    share an account, which says nothing of who they are, have a key for that too. A message that
    went to a lead is one for its answers."""

    tenant_id: str
    kind: str
    value: str


class Refusal(NamedTuple):
    """An address that must not be written to or called on a channel."""

    tenant_id: str
    channel: str
    address: str  # e-mail in lower case, or E.164


@dataclass(frozen=True, slots=True, kw_only=True)
class Sighting:
    """A lead as one raw event shows it, normalized; None where the event says nothing.

    `reasons` are the quality rules that spoke. `extra` and `received` are JSON text.
    """

    first_name: str | None = None
    last_name: str | None = None
    email: str | None = None
    phone: str | None = None
    company: str | None = None
    title: str | None = None
    address: Address | None = None
    service: str | None = None
    message: str | None = None
    urgency: str | None = None
    budget: Money | None = None
    timezone: str
    timezone_from: str
    language: str | None = None
    attribution: Attribution | None = None
    consent: tuple[ConsentGrant, ...] = ()
    stage: str | None = None
    owner: str | None = None
    received: str
    extra: str
    reasons: tuple[Reason, ...] = ()

    @property
    def score(self) -> int:
        """How much speaks against it; compared with the tenant's quarantine threshold."""
        return sum(reason.points for reason in self.reasons)


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """What a CRM says of one field that goes both ways.

    `said` is how the CRM has it, `value` what leadflow makes of it: None where it cannot be used.
    `was` is what leadflow had written there.
    """

    field: str
    said: str | None
    value: str | None
    was: str | None
    at: datetime  # when people set it


@dataclass(frozen=True, slots=True, kw_only=True)
class CrmChange:
    """What people changed of a lead in a CRM."""

    provider: str
    account_id: str
    reason: str | None  # why the lead is lost
    fields: tuple[Told, ...]

    def value(self, field: str) -> str | None:
        return next((told.value for told in self.fields if told.field == field), None)

    @property
    def email(self) -> str | None:
        return self.value("email")

    @property
    def phone(self) -> str | None:
        return self.value("phone")


@dataclass(frozen=True, slots=True, kw_only=True)
class Lead:
    """A lead as intake knows it.

    `revision` grows by one with every change that is published; `seen_at` is the time of the
    newest sighting folded in, so that an older one that comes late only fills gaps. Of the fields
    that go both ways, `set_at` has when what stands was set, and `told_at` the newest time that a
    CRM has told of; a field that neither knows has not changed since intake began to note it.
    """

    lead_id: str
    tenant_id: str
    source: str  # of the first sighting, as is external_id
    external_id: str
    revision: int
    status: str
    seen_at: datetime
    temperature: str | None = None
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
    urgency: str = "normal"
    budget: Money | None = None
    timezone: str
    timezone_from: str
    language: str | None = None
    attribution: Attribution | None = None
    consent: tuple[ConsentGrant, ...] = ()
    stage: str
    owner: str | None = None
    received: str
    extra: str
    known_since: datetime | None = None  # when intake first knew of it
    set_at: Mapping[str, datetime] = field(default_factory=dict)
    told_at: Mapping[str, datetime] = field(default_factory=dict)

    def grant(self, channel: str) -> ConsentGrant | None:
        """What is recorded for a channel; None if the person was never asked."""
        return next((grant for grant in self.consent if grant.channel == channel), None)

    def set_in_crm_since(self, name: str, at: datetime) -> bool:
        """Whether people have set a field in a CRM later than that."""
        set_at, told_at = self.set_at.get(name), self.told_at.get(name)
        return set_at is not None and told_at is not None and at < set_at <= told_at

    def address_for(self, channel: str) -> str | None:
        """Where the lead is reached on a channel."""
        return self.email if channel == "email" else self.phone


@dataclass(frozen=True, slots=True, kw_only=True)
class Prepared:
    """A raw event, read: its payload, who it is about, and the sighting or the change in a CRM
    that it carries, if any.

    `keys` are in the order in which they are tried.
    """

    raw: RawEvent
    payload: Mapping[str, Any]
    keys: tuple[Key, ...] = ()
    sighting: Sighting | None = None
    crm: CrmChange | None = None

    @property
    def seen(self) -> Sighting:
        """The sighting of an event that has one: lead, quote_request, call_missed."""
        if self.sighting is None:
            raise TypeError(f"{self.raw.kind} is no sighting of a lead")
        return self.sighting

    @property
    def changed(self) -> CrmChange:
        """The change of an event that has one: crm_change."""
        if self.crm is None:
            raise TypeError(f"{self.raw.kind} is no change in a CRM")
        return self.crm

    def set_at(self, name: str) -> datetime:
        """When that was set which the event says of a field. No clock that is ahead counts: it
        would outlast what people say after it."""
        told = () if self.crm is None else self.crm.fields
        at = next((each.at for each in told if each.field == name), self.raw.occurred_at)
        return min(at, self.raw.recorded_at)

    def addresses(self) -> tuple[Refusal, ...]:
        """The refusals that have to be known before this can be decided."""
        found = self.sighting or self.crm
        if found is None:
            return ()
        tenant_id = self.raw.tenant_id
        refusals = []
        if found.email is not None:
            refusals.append(Refusal(tenant_id, "email", email_key(tenant_id, found.email).value))
        if found.phone is not None:
            refusals.extend(Refusal(tenant_id, each, found.phone) for each in PHONE_CHANNELS)
        return tuple(refusals)


@dataclass(frozen=True, slots=True)
class Known:
    """What is known about the keys of one event: the leads behind each, oldest first."""

    leads: Mapping[Key, tuple[Lead, ...]] = field(default_factory=dict)
    refusals: frozenset[Refusal] = frozenset()

    def by(self, key: Key) -> tuple[Lead, ...]:
        return self.leads.get(key, ())


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """What one raw event changes and what is to be published about it.

    With `error` set nothing is published and the raw event goes to the dead-letter topic; the
    changes hold all the same: the refusal of an address that no lead has yet must not be lost.
    """

    leads: tuple[Lead, ...] = ()
    keys: tuple[tuple[Key, str], ...] = ()  # (key, lead_id) pairs to remember
    refused: tuple[Refusal, ...] = ()
    allowed: tuple[Refusal, ...] = ()
    records: tuple[LeadRecord, ...] = ()
    error: RecordRefused | None = None


def external_key(tenant_id: str, source: str, external_id: str) -> Key:
    return Key(tenant_id, "external_id", f"{source}\x1f{external_id}")


def email_key(tenant_id: str, email: str) -> Key:
    return Key(tenant_id, "email", addresses.address_key("email", email).casefold())


def phone_key(tenant_id: str, phone: str) -> Key:
    return Key(tenant_id, "phone", phone)


def address_key(tenant_id: str, channel: str, address: str) -> Key:
    """The key of an address that is reached on a channel."""
    return (email_key if channel == "email" else phone_key)(tenant_id, address)


def address_keys(lead: Lead) -> tuple[Key, ...]:
    """The keys of the addresses at which a lead is reached now."""
    keys = []
    if lead.email is not None:
        keys.append(email_key(lead.tenant_id, lead.email))
    if lead.phone is not None:
        keys.append(phone_key(lead.tenant_id, lead.phone))
    return tuple(keys)


def message_key(tenant_id: str, message_id: str) -> Key:
    return Key(tenant_id, MESSAGE, message_id)


def lead_key(tenant_id: str, lead_id: str) -> Key:
    return Key(tenant_id, "lead_id", lead_id)
