"""A breaker that opens or closes by its rule, as the control that people see in the portal."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from dispatcher.controls import BREAKER
from leadflow import topics
from leadflow.codec import Codec
from leadflow.ids import derived_id
from leadflow.records import AutomationPaused, AutomationResumed
from leadflow.records.base import Record

PREFIX = "provider:"
# A key of its own: compaction must not put a breaker's word in the place of a person's pause.
KEY_PREFIX = "breaker:"


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """A breaker that opened (after `bad` of `total` calls, or for the `reason` that the provider
    takes nothing from us) or closed by its rule."""

    provider: str
    opened: bool
    bad: int
    total: int
    at: datetime
    reason: str = ""


def control_of(change: Change) -> Record:
    """AutomationPaused or AutomationResumed of the scope provider:NAME; of no tenant."""
    scope = f"{PREFIX}{change.provider}"
    if change.opened:
        return AutomationPaused(
            event_id=derived_id("breaker", scope, change.at.isoformat(), "open"),
            tenant_id="",
            occurred_at=change.at,
            recorded_at=change.at,
            source="dispatcher",
            scope=scope,
            workflow="",
            reason=change.reason
            or f"{change.bad} of {change.total} calls to {change.provider} failed",
            rollback="Send over another provider; what waits stays in the ledger, in its order.",
            verification_status="open",
            paused_by=BREAKER,
        )
    return AutomationResumed(
        event_id=derived_id("breaker", scope, change.at.isoformat(), "closed"),
        tenant_id="",
        occurred_at=change.at,
        recorded_at=change.at,
        source="dispatcher",
        scope=scope,
        reason=f"{change.provider} accepted what was sent to try it",
        verification_status="done",
        resumed_by=BREAKER,
    )


def teller(codec: Codec) -> Callable[[Change], tuple[str, str, bytes]]:
    """What goes into the outbox for a change: topic, key, value."""

    def told(change: Change) -> tuple[str, str, bytes]:
        record = control_of(change)
        return (
            topics.AUTOMATION_CONTROLS.name,
            f"{KEY_PREFIX}{change.provider}",
            codec.encode(record),
        )

    return told
