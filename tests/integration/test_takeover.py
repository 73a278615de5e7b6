"""Two sequencers share the leads; one is killed, the other takes its partitions over."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

import httpx
import pytest

from leadflow import ids
from leadflow.records import Enrolled, MessageQueued

pytestmark = pytest.mark.integration

TENANT = "takeover"
SEQUENCE = f"{TENANT}.first-touch"
FIRST_STEP = "hello"


def lead(number: int, run: str) -> dict[str, Any]:
    external_id = f"{run}-{number}"
    return {
        "event_id": external_id,
        "tenant_id": TENANT,
        "source": "website-form",
        "kind": "lead",
        "external_id": external_id,
        "occurred_at": "2026-11-20T09:00:00+00:00",
        "payload": {
            "name": "Robin Marsh",
            "email": f"{external_id}@example.com",
            "message": "The gutter over the porch came down in last night's storm.",
            "consent": {"email": True, "basis": "consent"},
        },
    }


def first_message(event: dict[str, Any]) -> str:
    """The id of the lead's first message, worked out from the rules of identity alone."""
    lead_id = ids.lead_id(TENANT, event["source"], event["external_id"])
    return ids.message_id(ids.enrollment_id(lead_id, SEQUENCE, 1), FIRST_STEP)


def owns_partitions(system: Any, instance: str) -> bool:
    port = system.stack.health_port(instance)
    answer = httpx.get(f"http://127.0.0.1:{port}/readyz", timeout=5)
    return answer.status_code == 200


def test_a_killed_sequencers_leads_are_taken_over_without_loss_or_double(system: Any) -> None:
    run = str(uuid4())
    events = [lead(number, run) for number in range(600)]
    wanted = {first_message(event) for event in events}
    system.stack.start("sequencer-2")
    try:
        system.wait_until(lambda: owns_partitions(system, "sequencer-2"), "two workers are ready")
        system.send(*events[:300])
        system.wait_until(
            lambda: system.log.records("messages", MessageQueued, tenant=TENANT),
            "the first messages",
        )
        system.stack.kill("sequencer")
        system.send(*events[300:])

        def queued() -> set[str]:
            found = system.log.records("messages", MessageQueued, tenant=TENANT)
            return {each.message_id for each in found} & wanted

        system.wait_until(lambda: queued() == wanted, "the other worker queued every message")
        enrolled = system.log.records("enrollment-events", Enrolled, tenant=TENANT)
        of_sequence = [each.lead_id for each in enrolled if each.sequence_id == SEQUENCE]
        assert len(of_sequence) == len(set(of_sequence)) == len(events)
        accepted = system.wait_until(
            lambda: wanted <= {each["key"] for each in system.accepted()} and system.accepted(),
            "every message was accepted",
        )
        keys = [each["key"] for each in accepted if each["key"] in wanted]
        assert len(keys) == len(wanted)
    finally:
        system.stack.start("sequencer")
        system.stack.stop("sequencer-2")
