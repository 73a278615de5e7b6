"""What a CRM says has changed there, on its way to crm-sync (ADR 29).

A notice is no order: crm-sync looks at what the CRM has by then. So one that comes late, twice,
out of order or from a replay does no more than have it look again.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from leadflow.ids import derived_id
from leadflow.records import CrmNoticed
from leadflow.records.common import CrmField
from portal_api.webhooks.said import LONGEST_TEXT, Unreadable, words

LONGEST_ID = 200
EPOCH = datetime.fromtimestamp(0, UTC)


@dataclass(frozen=True, slots=True, kw_only=True)
class Noticed:
    """Something changed in one object of a CRM: a contact or a deal. `events` are the provider's
    ids of what happened, so that a repeat is the same notice; `at` is when, UTC."""

    object: str
    crm_id: str
    events: tuple[str, ...]
    at: datetime
    changes: tuple[CrmField, ...] = ()


def record(provider: str, tenant_id: str, noticed: Noticed, now: datetime) -> CrmNoticed:
    """The record of it. Nothing changed after we heard of it, whatever the CRM's clock says: a
    clock that is ahead would win against every change of ours."""
    changes = sorted(noticed.changes, key=lambda each: each.name)
    parts = (provider, tenant_id, noticed.object, noticed.crm_id, *sorted(noticed.events))
    return CrmNoticed(
        event_id=derived_id("crm-notice", *parts),
        tenant_id=tenant_id,
        occurred_at=min(noticed.at, now),
        recorded_at=now,
        source=provider,
        provider=provider,
        object=noticed.object,
        crm_id=noticed.crm_id,
        changes=tuple(
            CrmField(name=each.name, value=each.value, at=each.at and min(each.at, now))
            for each in changes
        ),
    )


def key(notice: CrmNoticed) -> str:
    """The key that topics.CRM_NOTICES says."""
    return f"{notice.tenant_id}:{notice.provider}:{notice.crm_id}"


def merged(noticed: Iterable[Noticed]) -> list[Noticed]:
    """One for each object, in the order in which they come first: with the ids of all that
    happened to it, and of each field what was changed last."""
    found: dict[tuple[str, str], Noticed] = {}
    for each in noticed:
        one = (each.object, each.crm_id)
        before = found.get(one)
        found[one] = each if before is None else _both(before, each)
    return list(found.values())


def _both(one: Noticed, other: Noticed) -> Noticed:
    latest: dict[str, CrmField] = {}
    for change in (*one.changes, *other.changes):
        held = latest.get(change.name)
        if held is None or (change.at or EPOCH) >= (held.at or EPOCH):
            latest[change.name] = change
    return Noticed(
        object=one.object,
        crm_id=one.crm_id,
        events=tuple(dict.fromkeys((*one.events, *other.events))),
        at=max(one.at, other.at),
        changes=tuple(latest.values()),
    )


def identity(data: Mapping[str, Any], name: str) -> str:
    """An id, which may be a number. Raises Unreadable where there is none."""
    value = data.get(name)
    found = str(value) if type(value) is int else words(value).replace("\x00", "")
    if not 0 < len(found) <= LONGEST_ID:
        raise Unreadable(f"{name} is missing or no id")
    return found


def told_value(value: Any, name: str) -> str | None:
    """A value of a field; None where it was emptied. Raises Unreadable for what is no text."""
    if value is None or isinstance(value, str):
        return words(value).replace("\x00", "") or None
    if isinstance(value, (int, float)):
        return str(value)[:LONGEST_TEXT]
    raise Unreadable(f"the value of {name} is no text")


def milliseconds(value: Any, name: str) -> datetime:
    """A time in milliseconds since 1970, UTC. Raises Unreadable."""
    if type(value) is not int:
        raise Unreadable(f"{name} is missing or no time")
    try:
        return datetime.fromtimestamp(value / 1_000, UTC)
    except (ValueError, OverflowError, OSError):
        raise Unreadable(f"{name} cannot be a time") from None
