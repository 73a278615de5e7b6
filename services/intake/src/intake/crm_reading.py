"""What a crm_change tells of a lead, field by field, in leadflow's own words."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from intake import stages
from intake.model import BOTH_WAYS, CrmChange, Told
from intake.normalize import emails, phones
from intake.normalize.fields import group, line, text, time
from intake.normalize.names import is_name
from leadflow.errors import RecordRefused
from leadflow.records import RawEvent
from leadflow.tenants import Tenant


def crm_change(raw: RawEvent, payload: Mapping[str, Any], tenant: Tenant) -> CrmChange:
    """Raises RecordRefused where it lacks who tells it or tells of no field that goes both ways."""
    provider, account_id = line(payload, "provider"), line(payload, "account_id")
    if provider is None or account_id is None:
        raise RecordRefused("missing_field", "crm_change lacks provider or account_id")
    given = group(payload, "fields")
    told = [
        _told(name, group(given, name), raw, tenant)
        for name in BOTH_WAYS
        if isinstance(given.get(name), dict)
    ]
    if not told:
        raise RecordRefused("missing_field", "crm_change tells of no field that it may change")
    return CrmChange(
        provider=provider,
        account_id=account_id,
        reason=line(payload, "reason"),
        fields=tuple(told),
    )


def _told(name: str, given: Mapping[str, Any], raw: RawEvent, tenant: Tenant) -> Told:
    value = _usable(name, given, "value", tenant)
    return Told(
        field=name,
        said=line(given, "value") or line(given, "unknown"),
        value=None if name == "stage" and value not in tenant.pipeline else value,
        was=_usable(name, given, "was", tenant),
        # No value of a clock that is ahead outlasts what people say after it.
        at=min(time(given, "at") or raw.occurred_at, raw.recorded_at),
    )


def _usable(name: str, given: Mapping[str, Any], which: str, tenant: Tenant) -> str | None:
    """Normalized as a sighting's, but that a name keeps its case: what a form has in capitals is a
    habit, what people put right in their CRM is meant."""
    value = line(given, which)
    if name == "stage":
        return stages.named(value) or None
    if name == "email":
        return emails.email(text(given, which))
    if name == "phone":
        return phones.phone(text(given, which), (tenant.region,))
    if name in ("first_name", "last_name"):
        return value if value is not None and is_name(value) else None
    return value
