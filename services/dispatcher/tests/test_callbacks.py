"""What providers report, and what follows from it."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from dispatcher.callbacks import (
    KINDS,
    Callback,
    Reported,
    event_of,
    facts_of_callback,
    read,
)
from dispatcher.facts import Stop, Suppression
from leadflow.errors import RecordRefused
from leadflow.records import MessageBounced, MessageClicked, RawEvent

AT = datetime(2026, 11, 21, 8, 0, tzinfo=UTC)
NOW = datetime(2026, 11, 21, 9, 0, tzinfo=UTC)
MESSAGE = Reported(
    message_id="m-1",
    tenant_id="acme",
    lead_id="lead-1",
    owner="dana",
    enrollment_id="e-1",
    sequence_id="s",
    step_id="hello",
    channel="email",
    recipient="Ann@example.com",
    provider="email-api",
    provider_id="p-1",
)


def raw(kind: str, payload: Any) -> RawEvent:
    return RawEvent(
        event_id="raw-1",
        tenant_id="acme",
        occurred_at=AT,
        recorded_at=NOW,
        source="email-api",
        kind=kind,
        external_id="x",
        payload=payload if isinstance(payload, str) else json.dumps(payload),
    )


def callback(kind: str, **details: str) -> Callback:
    return read(raw(kind, {"message_id": "m-1", **details}))


@pytest.mark.parametrize(
    ("kind", "record"),
    [
        ("delivered", "MessageDelivered"),
        ("opened", "MessageOpened"),
        ("clicked", "MessageClicked"),
        ("bounced", "MessageBounced"),
        ("complained", "MessageComplained"),
    ],
)
def test_each_kind_becomes_its_record(kind: str, record: str) -> None:
    event = event_of(callback(kind), MESSAGE, AT, None, NOW)
    assert record == event.TYPE
    assert event.occurred_at == AT
    assert event.to_avro()["cause_id"] == "raw-1"
    assert event.to_avro()["message_id"] == "m-1"


def test_the_five_kinds_are_all_there_are() -> None:
    assert {"delivered", "opened", "clicked", "bounced", "complained"} == KINDS


def test_a_repeat_has_the_same_id() -> None:
    first, again = (event_of(callback("opened"), MESSAGE, AT, None, NOW) for _ in range(2))
    assert first.event_id == again.event_id


@pytest.mark.parametrize(
    "payload", ["[]", "{}", "nonsense", '{"message_id": 7}', '{"message_id": ""}']
)
def test_a_callback_that_names_no_message_is_refused(payload: str) -> None:
    with pytest.raises(RecordRefused):
        read(raw("delivered", payload))


def test_a_click_keeps_its_address_and_its_label() -> None:
    clicked = callback("clicked", url="https://x.example", user_agent="curl/8.0")
    event = event_of(clicked, MESSAGE, AT, "agent", NOW)
    assert isinstance(event, MessageClicked)
    assert (event.url, event.automated, event.automated_reason) == (
        "https://x.example",
        True,
        "agent",
    )


@pytest.mark.parametrize(
    ("said", "kind"), [("hard", "hard"), ("Soft", "soft"), ("transient", "soft")]
)
def test_a_bounce_is_hard_or_soft(said: str, kind: str) -> None:
    event = event_of(callback("bounced", bounce_type=said), MESSAGE, AT, None, NOW)
    assert isinstance(event, MessageBounced)
    assert event.bounce_type == kind


def test_a_bounce_that_does_not_say_is_hard() -> None:
    event = event_of(callback("bounced"), MESSAGE, AT, None, NOW)
    assert isinstance(event, MessageBounced)
    assert event.bounce_type == "hard"


@pytest.mark.parametrize(
    ("kind", "reason", "stop"),
    [("bounced", "hard_bounce", "bounce"), ("complained", "complaint", "complaint")],
)
def test_a_hard_bounce_and_a_complaint_end_it(kind: str, reason: str, stop: str) -> None:
    assert facts_of_callback(callback(kind), MESSAGE, AT, NOW) == [
        Suppression(
            tenant_id="acme",
            channel="email",
            address="ann@example.com",
            reason=reason,
            active=True,
            cause_id="raw-1",
            at=AT,
        ),
        Stop(lead_id="lead-1", stop=stop, at=NOW),
    ]


@pytest.mark.parametrize("kind", ["delivered", "opened", "clicked"])
def test_good_news_suppresses_nothing(kind: str) -> None:
    assert facts_of_callback(callback(kind), MESSAGE, AT, NOW) == []


def test_a_soft_bounce_suppresses_nothing() -> None:
    assert facts_of_callback(callback("bounced", bounce_type="soft"), MESSAGE, AT, NOW) == []
