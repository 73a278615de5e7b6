"""Records as the other services write them, with only what a test is about spelled out."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from leadflow.kafka.loop import Received
from leadflow.kafka.port import Message
from leadflow.records import Record, SequencePublished, SequenceStep, Trigger

T0 = datetime(2026, 11, 20, 9, 0, tzinfo=UTC)


@pytest.fixture
def t0() -> datetime:
    return T0


@pytest.fixture
def about() -> Callable[..., dict[str, Any]]:
    """The fields that every record about a lead has."""
    numbers = iter(range(1_000_000))

    def fields(minutes: float = 0, **more: Any) -> dict[str, Any]:
        at = T0 + timedelta(minutes=minutes)
        return {
            "event_id": f"event-{next(numbers)}",
            "tenant_id": "acme",
            "occurred_at": at,
            "recorded_at": at,
            "source": "web",
            "lead_id": "lead-1",
            "owner": "dana",
            **more,
        }

    return fields


@pytest.fixture
def received() -> Callable[..., Received]:
    """A record as it comes from a topic."""

    def make(topic: str, record: Record, milliseconds: int = 0) -> Received:
        stamp = int(T0.timestamp() * 1000) + milliseconds
        return Received(Message(topic, 0, 0, b"key", b"", (), stamp), record)

    return make


@pytest.fixture
def sequence() -> SequencePublished:
    """Two e-mails and a task of the tenant acme, complete enough to be active."""

    def step(step_id: str, channel: str, minutes: int) -> SequenceStep:
        return SequenceStep(
            step_id=step_id,
            channel=channel,
            delay_minutes=minutes,
            delay_from="enrollment",
            template_name=step_id,
            subject=f"About {step_id}",
            body=f"Text of {step_id}",
        )

    return SequencePublished(
        event_id="published",
        tenant_id="acme",
        occurred_at=T0,
        recorded_at=T0,
        source="library",
        owner="ops",
        sequence_id="acme.first-touch",
        version=3,
        name="First touch",
        description="",
        status="active",
        trigger=Trigger(kind="stage", value="new"),
        trigger_source="",
        consent_rule="not_opted_out",
        duplicate_rule="one_live_enrollment",
        rollback_path="Publish the version before.",
        incident_owner="ops-lead",
        response_window="5m",
        reentry_rule="never",
        reentry_days=0,
        priority=50,
        stop_on=("reply", "opt_out", "bounce", "complaint", "manual"),
        steps=(step("hello", "email", 0), step("call", "task", 1440), step("last", "email", 10080)),
    )
