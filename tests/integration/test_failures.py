"""What goes wrong ends where the design says, in sight, while the rest moves on."""

from __future__ import annotations

from random import Random
from typing import Any
from uuid import uuid4

import pytest
from confluent_kafka.admin import (
    AdminClient,
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
    ResourceType,
)

from leadflow import ids
from leadflow.kafka.admin import ensure_topics
from leadflow.records import MessageHeld, MessageSent

pytestmark = pytest.mark.integration

TENANT = "failures"


def lead(name: str, **payload: Any) -> dict[str, Any]:
    return {
        "event_id": name,
        "tenant_id": TENANT,
        "source": "website-form",
        "kind": "lead",
        "external_id": name,
        "occurred_at": "2026-11-20T09:00:00+00:00",
        "payload": {
            "name": "Robin Marsh",
            "email": f"{name}@example.com",
            "message": "The gutter over the porch came down in last night's storm.",
            "consent": {"email": True, "basis": "consent"},
            **payload,
        },
    }


def lead_id(event: dict[str, Any]) -> str:
    return ids.lead_id(TENANT, event["source"], event["external_id"])


def unique(what: str) -> str:
    return f"{what}-{uuid4()}"


def sent_to(system: Any, event: dict[str, Any]) -> list[Any]:
    records = system.log.records("message-events", MessageSent, tenant=TENANT)
    return [each for each in records if each.lead_id == lead_id(event)]


def in_crm(system: Any, event: dict[str, Any]) -> bool:
    return bool(system.sandbox.get(f"/crm/contacts/{lead_id(event)}").status_code == 200)


def dead(system: Any, topic: str, value: bytes) -> list[Any]:
    return [each for each in system.log.read(topic) if each.value == value]


@pytest.mark.parametrize(
    "value",
    [
        pytest.param(b'{"event_id": "x", "tenant_id":', id="malformed"),
        pytest.param(b"\xc3\x01\x01\x02\x03\x04\x05\x06\x07\x08body", id="unknown-schema"),
    ],
)
def test_a_raw_record_that_cannot_be_read_goes_to_intakes_dead_letters(
    system: Any, value: bytes
) -> None:
    value += unique("").encode()
    event = lead(unique("after-unreadable"))
    system.produce("raw-events", (b"somewhere", value))
    system.send(event)
    [letter] = system.wait_until(
        lambda: dead(system, "intake-dlq", value), "the record is in intake-dlq"
    )
    assert letter.headers["dlq-topic"] == b"raw-events"
    assert letter.headers["dlq-error"] in (b"Malformed", b"UnknownSchema")
    system.wait_until(lambda: sent_to(system, event), "a lead behind it was answered")


def test_a_record_as_large_as_a_topic_takes_is_a_dead_letter_of_every_reader(system: Any) -> None:
    """With the headers that say why, it is larger than the topic that it was in takes."""
    value = b"\xff" + Random(0).randbytes(1_048_300) + unique("").encode()
    event = lead(unique("after-large"))
    system.produce("lead-events", (lead_id(event).encode(), value))
    system.send(event)
    for service in ("sequencer", "dispatcher", "crm-sync"):
        [letter] = system.wait_until(
            lambda dlq=f"{service}-dlq": dead(system, dlq, value), f"{service} buries it"
        )
        assert letter.headers["dlq-error"] == b"Malformed"
    system.wait_until(lambda: sent_to(system, event), "the lead behind it was answered")


def test_topics_of_an_earlier_version_get_room_for_what_they_hold(system: Any) -> None:
    bootstrap = system.log.bootstrap
    admin = AdminClient({"bootstrap.servers": bootstrap, "log_level": 3})
    topic = ConfigResource(ResourceType.TOPIC, "portal-api-dlq")

    def room() -> str:
        (found,) = admin.describe_configs([topic]).values()
        return str(found.result(timeout=30)["max.message.bytes"].value)

    narrow = ConfigEntry(
        "max.message.bytes", "1048588", incremental_operation=AlterConfigOpType.SET
    )
    before = ConfigResource(ResourceType.TOPIC, "portal-api-dlq", incremental_configs=[narrow])
    for altered in admin.incremental_alter_configs([before]).values():
        altered.result(timeout=30)
    system.wait_until(lambda: room() == "1048588", "it is as it was")
    assert ensure_topics(bootstrap) == []
    system.wait_until(lambda: room() == "2097152", "it has room")


def test_a_raw_event_that_makes_more_than_a_topic_takes_is_a_dead_letter(system: Any) -> None:
    """A LeadCreated holds what was received, and what was understood of it besides."""
    large = lead(unique("large"), message="roof " * 199_000)
    event = lead(unique("after-large"))
    system.send(large, event)
    [letter] = system.wait_until(
        lambda: [
            each
            for each in system.log.read("intake-dlq")
            if large["event_id"].encode() in (each.value or b"")
        ],
        "it is in intake-dlq",
    )
    assert letter.headers["dlq-reason"].startswith(b"too_large")
    system.wait_until(lambda: sent_to(system, event), "the lead behind it was answered")


@pytest.mark.parametrize(
    ("topic", "service"),
    [
        ("lead-events", "sequencer"),
        ("lead-events", "dispatcher"),
        ("lead-events", "crm-sync"),
        ("messages", "dispatcher"),
        ("message-events", "sequencer"),
        ("summaries", "crm-sync"),
    ],
)
def test_bytes_with_an_unknown_schema_are_dead_letters_of_every_reader(
    system: Any, topic: str, service: str
) -> None:
    value = b"\xc3\x01\x01\x02\x03\x04\x05\x06\x07\x08" + unique("").encode()
    event = lead(unique("after-unknown"))
    key = lead_id(event).encode()  # on the lead's own partition, in front of its events
    system.produce(topic, (key, value))
    system.send(event)
    [letter] = system.wait_until(
        lambda: dead(system, f"{service}-dlq", value), f"the record is in {service}-dlq"
    )
    assert letter.key == key
    assert letter.headers["dlq-topic"] == topic.encode()
    assert letter.headers["dlq-error"] == b"UnknownSchema"
    system.wait_until(lambda: sent_to(system, event), "the lead behind it was answered")


def test_a_template_that_fails_holds_its_message_and_no_other(system: Any) -> None:
    event = lead(unique("template"))
    with system.portal("admin", TENANT) as portal:
        sequence = portal.post("/api/v1/sequences", json=broken_sequence()).raise_for_status()
        sequence_id = sequence.json()["id"]
        system.send(event)
        system.wait_until(lambda: sent_to(system, event), "the lead was answered")
        portal.post(
            f"/api/v1/sequences/{sequence_id}/enroll", json={"lead_ids": [lead_id(event)]}
        ).raise_for_status()
    held = system.wait_until(
        lambda: [
            each
            for each in system.log.records("message-events", MessageHeld, tenant=TENANT)
            if each.sequence_id == sequence_id
        ],
        "the message is held",
    )
    assert held[0].rule.startswith("template")
    assert sequence_id not in {each.sequence_id for each in sent_to(system, event)}
    other = lead(unique("after-template"))
    system.send(other)
    system.wait_until(lambda: sent_to(system, other), "another lead was answered")


def broken_sequence() -> dict[str, Any]:
    """A sequence by hand whose one step names a value that our leads do not have."""
    return {
        "name": unique("Broken"),
        "trigger": {"kind": "manual", "value": ""},
        "status": "active",
        "owner": "dana.whitfield",
        "source": "website-form",
        "consent_rule": "not_opted_out",
        "duplicate_rule": "external id, e-mail, phone and name",
        "rollback_path": "pause the sequence",
        "incident_owner": "dana.whitfield",
        "steps": [
            {
                "channel": "email",
                "delay_minutes": 0,
                "template_name": "broken",
                "template_subject": "About {{ company }}",
                "template_body": "Hello {{ company }}",
            }
        ],
    }


def test_a_provider_that_answers_500_delays_its_own_messages_only(system: Any) -> None:
    marked, other = lead(unique("refused-by-provider")), lead(unique("accepted"))
    system.faults(target="email", mode="fail", status=500, match={"to": marked["payload"]["email"]})
    try:
        system.send(marked, other)
        system.wait_until(lambda: sent_to(system, other), "the other lead was answered")
        assert sent_to(system, marked) == []
    finally:
        system.clear_faults()
    [sent] = system.wait_until(lambda: sent_to(system, marked), "sent once the provider is well")
    keys = [each["key"] for each in system.accepted() if each["to"] == marked["payload"]["email"]]
    assert keys == [sent.message_id]


def test_a_crm_that_refuses_a_lead_keeps_the_others_in_step(system: Any) -> None:
    marked, other = lead(unique("refused-by-crm")), lead(unique("welcome"))
    system.faults(target="crm", mode="reject", status=422, match={"to": lead_id(marked)})
    try:
        system.send(marked, other)
        system.wait_until(lambda: in_crm(system, other), "the other lead is in the CRM")
        letters = system.wait_until(
            lambda: [
                each
                for each in system.log.read("crm-sync-dlq")
                if each.key == lead_id(marked).encode()
            ],
            "the refused record is in crm-sync-dlq",
        )
        assert letters[0].headers["dlq-topic"] == b"lead-events"
        assert not in_crm(system, marked)
    finally:
        system.clear_faults()
    system.wait_until(lambda: sent_to(system, marked), "the lead was answered all the same")


def test_a_crm_that_is_down_for_a_while_ends_equal_to_the_log(system: Any) -> None:
    event = lead(unique("crm-down"))
    system.faults(target="crm", mode="fail", status=503, match={"to": lead_id(event)})
    try:
        system.send(event)
        system.wait_until(
            lambda: [
                each
                for each in system.log.read("crm-sync-retry-30s")
                if each.key == lead_id(event).encode()
            ],
            "its records wait in a retry topic",
        )
    finally:
        system.clear_faults()
    system.wait_until(lambda: in_crm(system, event), "the lead is in the CRM once it is back")
