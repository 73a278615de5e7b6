"""Deterministic identity: replaying a topic from the start yields the same ids."""

from __future__ import annotations

from hashlib import sha1
from uuid import UUID

NAMESPACE = UUID("6f0c2d3e-8a43-5d0c-9f6b-1c1f2b7d4e55")
_NAMESPACE = NAMESPACE.bytes
_TEST = "test:"


def derived_id(*parts: str | int) -> str:
    """uuid5 of `parts`, joined by a character that no part holds.

    Written out (RFC 9562, section 5.5), for the standard library's way through an integer takes
    twice the time, and every decision derives several.
    """
    name = "\x1f".join(map(str, parts)).encode()
    made = bytearray(sha1(_NAMESPACE + name, usedforsecurity=False).digest()[:16])
    made[6] = made[6] & 0x0F | 0x50
    made[8] = made[8] & 0x3F | 0x80
    text = made.hex()
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"


def lead_id(tenant_id: str, source: str, external_id: str) -> str:
    """Id of the lead whose first sighting was this."""
    return derived_id("lead", tenant_id, source, external_id)


def test_lead_id(tenant_id: str, address: str) -> str:
    """Who a test message is about: no lead of anybody, and no id that a lead could have."""
    return _TEST + derived_id("test-lead", tenant_id, address)


def is_test_lead(lead_id: str) -> bool:
    """Whether a record is about a test message: nobody counts it, and it changes no lead."""
    return lead_id.startswith(_TEST)


def enrollment_id(lead_id: str, sequence_id: str, entry: int) -> str:
    """Id of the lead's `entry`-th passage through a sequence; 1 is the first."""
    return derived_id("enrollment", lead_id, sequence_id, entry)


def message_id(enrollment_id: str, step_id: str) -> str:
    """Idempotency key of the one message of a step of an enrollment."""
    return derived_id("message", enrollment_id, step_id)


def suppression_id(tenant_id: str, channel: str, address: str, reason: str) -> str:
    """Id of one entry of a suppression list; the address in the form that is compared."""
    return derived_id("suppression", tenant_id, channel, address, reason)


def answer_id(tenant_id: str, event_id: str, keyword: str, recipient: str) -> str:
    """Id of the message that answers a keyword which a raw event brought: STOP, START or HELP."""
    return derived_id("answer", tenant_id, event_id, keyword, recipient)
