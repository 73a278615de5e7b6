"""A person's no, or a new yes, as the raw event that intake takes."""

from __future__ import annotations

import json
from datetime import datetime

from leadflow.records import RawEvent


def opt_out(
    *, tenant_id: str, lead_id: str, channel: str, evidence: str, event_id: str, now: datetime
) -> RawEvent:
    """A raw event of kind opt_out (design.md) about a lead and one channel."""
    return RawEvent(
        event_id=event_id,
        tenant_id=tenant_id,
        occurred_at=now,
        recorded_at=now,
        source="portal",
        kind="opt_out",
        external_id=event_id,
        payload=json.dumps({"lead": lead_id, "channel": channel, "evidence": evidence}),
    )


def opt(
    *,
    granted: bool,
    tenant_id: str,
    channel: str,
    address: str,
    evidence: str,
    event_id: str,
    now: datetime,
) -> RawEvent:
    """A raw event of kind opt_in or opt_out about an address and one channel, as an operator
    heard it."""
    by = "email" if channel == "email" else "phone"
    return RawEvent(
        event_id=event_id,
        tenant_id=tenant_id,
        occurred_at=now,
        recorded_at=now,
        source="portal",
        kind="opt_in" if granted else "opt_out",
        external_id=event_id,
        payload=json.dumps({by: address, "channel": channel, "evidence": evidence}),
    )
