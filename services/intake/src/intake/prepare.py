"""A raw event, read: payload parsed, fields normalized, and the keys of whom it is about."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any
from uuid import UUID

from intake import quality
from intake.crm_reading import crm_change
from intake.model import (
    Key,
    Prepared,
    Sighting,
    email_key,
    external_key,
    lead_key,
    message_key,
    phone_key,
)
from intake.normalize import emails, names, phones
from intake.normalize.attribution import attribution
from intake.normalize.consent import consent
from intake.normalize.fields import line, text
from intake.normalize.languages import language
from intake.normalize.money import money
from intake.normalize.places import address, country
from intake.normalize.timezones import timezone
from intake.normalize.urgency import urgency
from intake.replies import answered, message_in
from leadflow.errors import RecordRefused
from leadflow.records import ConsentGrant, RawEvent
from leadflow.tenants import Tenant

PROVIDER_CALLBACKS = frozenset({"delivered", "opened", "clicked", "bounced", "complained"})

LEAD_FIELDS = frozenset({"name", "first_name", "last_name", "email", "phone", "company", "title"})
LEAD_FIELDS |= {"address", "service", "message", "urgency", "budget", "timezone", "language"}
LEAD_FIELDS |= {"attribution", "consent", "stage", "owner", "project_id"}
QUOTE_FIELDS = LEAD_FIELDS | {"scope", "location", "timeline", "photos"}
CALL_FIELDS = frozenset({"caller", "tracking_number", "at", "callback_status", "duration_seconds"})


def prepare(raw: RawEvent, tenant: Tenant) -> Prepared:
    """Raises RecordRefused for an unknown kind or a payload that lacks what its kind requires."""
    build = KINDS.get(raw.kind)
    if build is None:
        raise RecordRefused("unknown_kind", "no such kind of raw event")
    try:
        payload: Any = json.loads(raw.payload)
    except ValueError:
        raise RecordRefused("payload", "not JSON") from None
    if not isinstance(payload, dict):
        raise RecordRefused("payload", "not a JSON object")
    return build(raw, payload, tenant)


def _lead(raw: RawEvent, payload: Mapping[str, Any], tenant: Tenant) -> Prepared:
    place = address(payload)
    phone_given = text(payload, "phone")
    phone = phones.phone(phone_given, _regions(place.country if place else None, tenant))
    email = emails.email(text(payload, "email"))
    first, last = names.person(
        line(payload, "name"), line(payload, "first_name"), line(payload, "last_name")
    )
    message = text(payload, "message")
    zone, zone_from = timezone(line(payload, "timezone"), phone, tenant.timezone, raw.occurred_at)
    grants = consent(payload, raw.occurred_at)
    known_fields = QUOTE_FIELDS if raw.kind == "quote_request" else LEAD_FIELDS
    sighting = Sighting(
        first_name=first,
        last_name=last,
        email=email,
        phone=phone,
        company=line(payload, "company"),
        title=line(payload, "title"),
        address=place,
        service=line(payload, "service"),
        message=message,
        urgency=urgency(line(payload, "urgency") or line(payload, "timeline")),
        budget=money(payload.get("budget"), tenant.currency),
        timezone=zone,
        timezone_from=zone_from,
        language=language(line(payload, "language")),
        attribution=attribution(payload),
        consent=grants,
        stage=line(payload, "stage"),
        owner=line(payload, "owner"),
        received=raw.payload,
        extra=_extra(payload, known_fields),
        reasons=quality.reasons(
            payload,
            email=email,
            phone=phone,
            phone_given=phone_given is not None,
            name=f"{first or ''} {last or ''}",
            message=message,
            consent=grants,
        ),
    )
    keys = [external_key(raw.tenant_id, raw.source, raw.external_id)]
    if email is not None:
        keys.append(email_key(raw.tenant_id, email))
    if phone is not None:
        keys.append(phone_key(raw.tenant_id, phone))
    return Prepared(raw=raw, payload=payload, keys=tuple(keys), sighting=sighting)


def _call(raw: RawEvent, payload: Mapping[str, Any], tenant: Tenant) -> Prepared:
    """A caller is a lead with nothing but a number; the call itself allows a text back."""
    given = text(payload, "caller")
    if given is None:
        raise RecordRefused("missing_field", "call_missed lacks caller")
    caller = phones.phone(given, (tenant.region,))
    if caller is None:
        raise RecordRefused("caller", "the caller's number is withheld or impossible")
    zone, zone_from = timezone(None, caller, tenant.timezone, raw.occurred_at)
    sighting = Sighting(
        phone=caller,
        urgency="high",
        timezone=zone,
        timezone_from=zone_from,
        consent=(
            ConsentGrant(channel="sms", granted=True, basis="inbound call", at=raw.occurred_at),
        ),
        received=raw.payload,
        extra=_extra(payload, CALL_FIELDS),
    )
    keys = (
        external_key(raw.tenant_id, raw.source, raw.external_id),
        phone_key(raw.tenant_id, caller),
    )
    return Prepared(raw=raw, payload=payload, keys=keys, sighting=sighting)


def _stage_change(raw: RawEvent, payload: Mapping[str, Any], tenant: Tenant) -> Prepared:
    if line(payload, "to") is None:
        raise RecordRefused("missing_field", "stage_change lacks to")
    key = lead_reference(raw.tenant_id, payload.get("lead"))
    if key is None:
        raise RecordRefused("missing_field", "stage_change lacks lead")
    return Prepared(raw=raw, payload=payload, keys=(key,))


def _crm_change(raw: RawEvent, payload: Mapping[str, Any], tenant: Tenant) -> Prepared:
    """About the lead that it names, and nobody else; the addresses are those that it may bring."""
    key = lead_reference(raw.tenant_id, payload.get("lead"))
    if key is None:
        raise RecordRefused("missing_field", "crm_change lacks lead")
    crm = crm_change(raw, payload, tenant)
    keys = [key]
    if crm.email is not None:
        keys.append(email_key(raw.tenant_id, crm.email))
    if crm.phone is not None:
        keys.append(phone_key(raw.tenant_id, crm.phone))
    return Prepared(raw=raw, payload=payload, keys=tuple(keys), crm=crm)


def _about_a_person(raw: RawEvent, payload: Mapping[str, Any], tenant: Tenant) -> Prepared:
    """opt_out, opt_in, booking and job_completed name a lead, an e-mail address or a phone."""
    keys = _person_keys(raw.tenant_id, payload, tenant)
    if not keys:
        raise RecordRefused("missing_field", f"{raw.kind} lacks a usable lead, email or phone")
    return Prepared(raw=raw, payload=payload, keys=keys)


def _reply(raw: RawEvent, payload: Mapping[str, Any], tenant: Tenant) -> Prepared:
    named = list(answered(payload))
    if not named and not any(text(payload, name) for name in ("in_reply_to", "from")):
        raise RecordRefused("missing_field", "reply lacks message_id, in_reply_to and from")
    sender = text(payload, "from")
    person = {"lead": payload.get("lead"), "email": sender, "phone": sender}
    if (own := message_in(text(payload, "mail_id") or "")) is not None:
        named.append(own)  # a mail of ours that came back
    keys = [message_key(raw.tenant_id, each) for each in dict.fromkeys(named)]
    return Prepared(
        raw=raw, payload=payload, keys=(*keys, *_person_keys(raw.tenant_id, person, tenant))
    )


def _enrichment(raw: RawEvent, payload: Mapping[str, Any], tenant: Tenant) -> Prepared:
    if line(payload, "provider") is None:
        raise RecordRefused("missing_field", "enrichment lacks provider")
    key = lead_reference(raw.tenant_id, payload.get("lead"))
    return Prepared(raw=raw, payload=payload, keys=() if key is None else (key,))


def lead_reference(tenant_id: str, given: Any) -> Key | None:
    """`lead` of a payload: a lead_id, or an object with source and external_id."""
    if isinstance(given, str):
        try:
            return lead_key(tenant_id, str(UUID(given.strip())))
        except ValueError:
            return None
    if isinstance(given, dict):
        source, external_id = line(given, "source"), line(given, "external_id")
        if source and external_id:
            return external_key(tenant_id, source, external_id)
    return None


def _person_keys(tenant_id: str, payload: Mapping[str, Any], tenant: Tenant) -> tuple[Key, ...]:
    keys = [lead_reference(tenant_id, payload.get("lead"))]
    if email := emails.email(_address_in(text(payload, "email"))):
        keys.append(email_key(tenant_id, email))
    given = text(payload, "phone")
    if given and "@" not in given and (phone := phones.phone(_number_in(given), (tenant.region,))):
        keys.append(phone_key(tenant_id, phone))
    return tuple(key for key in keys if key is not None)


def _address_in(given: str | None) -> str | None:
    """`Jane <jane@example.com>`, as a From header has it → the address."""
    if given is not None and given.endswith(">") and "<" in given:
        return given[given.rindex("<") + 1 : -1]
    return given


def _number_in(given: str) -> str:
    """`whatsapp:+15125550100`, as Twilio writes it → the number."""
    return given.removeprefix("whatsapp:").removeprefix("tel:")


def _regions(given: str | None, tenant: Tenant) -> tuple[str, ...]:
    """Where a number without a country code may be from: the lead's country, the tenant's."""
    code = country(given)
    if code is not None and len(code) == 2 and code != tenant.region:
        return code, tenant.region
    return (tenant.region,)


def _extra(payload: Mapping[str, Any], known: frozenset[str]) -> str:
    unknown = {name: value for name, value in payload.items() if name not in known}
    return json.dumps(unknown, ensure_ascii=False, separators=(",", ":"))


KINDS: Mapping[str, Callable[[RawEvent, Mapping[str, Any], Tenant], Prepared]] = {
    "lead": _lead,
    "quote_request": _lead,
    "call_missed": _call,
    "stage_change": _stage_change,
    "crm_change": _crm_change,
    "reply": _reply,
    "opt_out": _about_a_person,
    "opt_in": _about_a_person,
    "booking": _about_a_person,
    "job_completed": _about_a_person,
    "enrichment": _enrichment,
}
