"""An opt-out that a person expressed to the portal, as the raw event that intake takes."""

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
