"""Deterministic identity: replaying a topic from the start yields the same ids."""

from __future__ import annotations

from uuid import UUID, uuid5

NAMESPACE = UUID("6f0c2d3e-8a43-5d0c-9f6b-1c1f2b7d4e55")


def derived_id(*parts: str | int) -> str:
    """uuid5 of `parts`, joined by a character that no part holds."""
    return str(uuid5(NAMESPACE, "\x1f".join(map(str, parts))))


def lead_id(tenant_id: str, source: str, external_id: str) -> str:
    """Id of the lead whose first sighting was this."""
    return derived_id("lead", tenant_id, source, external_id)


def enrollment_id(lead_id: str, sequence_id: str, entry: int) -> str:
    """Id of the lead's `entry`-th passage through a sequence; 1 is the first."""
    return derived_id("enrollment", lead_id, sequence_id, entry)


def message_id(enrollment_id: str, step_id: str) -> str:
    """Idempotency key of the one message of a step of an enrollment."""
    return derived_id("message", enrollment_id, step_id)
