"""Ids are uuid5 of what they stand for: the same on every machine, for ever."""

from __future__ import annotations

from hashlib import sha1
from uuid import UUID

from leadflow import ids

NAMESPACE = "6f0c2d3e-8a43-5d0c-9f6b-1c1f2b7d4e55"


def by_rfc_9562(*parts: str) -> str:
    """Section 5.5: SHA-1 of namespace and name, version 5, variant 10."""
    mark = bytearray(sha1(UUID(NAMESPACE).bytes + "\x1f".join(parts).encode()).digest()[:16])
    mark[6] = mark[6] & 0x0F | 0x50
    mark[8] = mark[8] & 0x3F | 0x80
    return str(UUID(bytes=bytes(mark)))


def test_ids_are_those_of_the_rfc() -> None:
    lead = ids.lead_id("acme", "website-form", "wf-1")
    assert lead == by_rfc_9562("lead", "acme", "website-form", "wf-1")
    enrollment = ids.enrollment_id(lead, "acme.first-touch", 2)
    assert enrollment == by_rfc_9562("enrollment", lead, "acme.first-touch", "2")
    message = ids.message_id(enrollment, "hello")
    assert message == by_rfc_9562("message", enrollment, "hello")


def test_ids_never_change() -> None:
    # Once published they are keys of partitions, rows and providers' records.
    assert ids.lead_id("acme", "website-form", "wf-1") == "ddf9a2fd-7027-575a-a39d-057b752ce1b7"
    assert ids.derived_id("Tick", 3, 1_794_841_446_000) == "b657eab8-73f7-512b-a399-526788f7b9c8"


def test_parts_cannot_run_into_each_other() -> None:
    assert ids.lead_id("a", "b", "cd") != ids.lead_id("a", "bc", "d")
    assert ids.derived_id("ab") != ids.derived_id("a", "b")


def test_another_entry_is_another_enrollment_and_another_step_another_message() -> None:
    made = [ids.enrollment_id("l", "s", entry) for entry in (1, 2)]
    made += [ids.message_id(made[0], step) for step in ("a", "b")]
    assert len(set(made)) == 4


def test_a_test_is_about_a_lead_that_nobody_can_be() -> None:
    made = ids.test_lead_id("acme", "olga@acme.example")
    assert ids.is_test_lead(made)
    assert made != ids.test_lead_id("north", "olga@acme.example")
    assert not ids.is_test_lead(ids.lead_id("acme", "test", "1"))
