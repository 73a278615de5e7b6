"""Changes of the list that people make, as records of `suppressions`. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from leadflow import ids
from leadflow.addresses import address_key
from leadflow.records import SuppressionChanged

BY_HAND, IMPORT = "portal", "import"


def added(
    tenant_id: str,
    channel: str,
    address: str,
    reason: str,
    *,
    source: str,
    by: str,
    note: str,
    cause_id: str,
    at: datetime,
    now: datetime,
) -> SuppressionChanged:
    """An address put on the list. The same cause puts it there once."""
    address = address_key(channel, address)  # an import that began before there was one form
    entry = ids.suppression_id(tenant_id, channel, address, reason)
    return SuppressionChanged(
        event_id=ids.derived_id("SuppressionChanged", cause_id, entry, "True"),
        tenant_id=tenant_id,
        occurred_at=at,
        recorded_at=now,
        source=source,
        suppression_id=entry,
        channel=channel,
        address=address,
        reason=reason,
        active=True,
        changed_by=by,
        note=note or None,
        cause_id=cause_id,
    )


def lifted(
    row: Mapping[str, Any], *, by: str, reason: str, evidence: str, cause_id: str, now: datetime
) -> SuppressionChanged:
    """An entry of the list, lifted by a person with a reason."""
    # The clock of whoever put it there may be ahead of ours: the lift comes after it all the same.
    at = max(now, row["changed_at"] + timedelta(milliseconds=1))
    return SuppressionChanged(
        event_id=ids.derived_id("SuppressionChanged", cause_id, row["suppression_id"], "False"),
        tenant_id=row["tenant_id"],
        occurred_at=at,
        recorded_at=now,
        source=BY_HAND,
        suppression_id=row["suppression_id"],
        channel=row["channel"],
        address=row["address"],
        reason=row["reason"],
        active=False,
        changed_by=by,
        note=reason,
        evidence=evidence or None,
        cause_id=cause_id,
    )
