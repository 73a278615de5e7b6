"""Messages to test with; a test names only the fields that it is about."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest

from dispatcher.content import Identity, Writer
from dispatcher.model import Content, Entry, Known
from leadflow.records import MessageQueued
from leadflow.tenants import Tenant
from leadflow.tokens import Sealer

NOW = datetime(2026, 11, 21, 9, 0, tzinfo=UTC)


@pytest.fixture
def now() -> datetime:
    return NOW


@pytest.fixture
def make_entry() -> Callable[..., Entry]:
    """A claimed e-mail of an enrollment that began at 09:00."""

    def make(**changes: Any) -> Entry:
        payload = b'{"subject":"Hello","text":"Hi","to":"ann@example.com"}'
        fields: dict[str, Any] = {
            "message_id": "m-1",
            "tenant_id": "acme",
            "lead_id": "lead-1",
            "owner": "dana",
            "enrollment_id": "e-1",
            "sequence_id": "acme.first-touch",
            "step_id": "hello",
            "channel": "email",
            "recipient": "ann@example.com",
            "enrolled_at": NOW,
            "stop_on": ("reply", "booking"),
            "content": Content(payload=payload, sha256=hashlib.sha256(payload).hexdigest()),
            "epoch": 1,
            "attempts": 0,
            "in_doubt": False,
            "provider": None,
            "known": Known(),
        }
        return Entry(**{**fields, **changes})

    return make


@pytest.fixture
def writer() -> Writer:
    """Writes for acme and anybody else; nobody is watched."""
    return Writer(
        Identity(public_url="https://leads.example.com", mail_domain="mail.example.com"),
        Sealer("only for tests"),
        {
            "acme": Tenant(
                tenant_id="acme",
                name="Acme Roofing",
                postal_address="Acme Roofing, 400 Congress Ave, Austin, TX 78701",
                track_clicks=False,
                track_opens=False,
            )
        },
    )


@pytest.fixture
def make_queued() -> Callable[..., MessageQueued]:
    """A queued e-mail to Ann."""

    def make(**changes: Any) -> MessageQueued:
        fields: dict[str, Any] = {
            "event_id": "q-1",
            "tenant_id": "acme",
            "occurred_at": NOW,
            "recorded_at": NOW,
            "source": "sequencer",
            "lead_id": "lead-1",
            "owner": "dana",
            "message_id": "5f0c7a3e-0000-5000-8000-000000000001",
            "enrollment_id": "e-1",
            "sequence_id": "acme.first-touch",
            "step_id": "hello",
            "channel": "email",
            "attempt": 1,
            "recipient": "ann@example.com",
            "template_name": "hello",
            "subject": "Hello {{ first_name }}",
            "body": "Hi {{ first_name }},\n\nsee {{ booking_link }}.\n\n{{ unsubscribe_url }}",
            "variables": {
                "first_name": "Ann",
                "tenant_name": "Acme Roofing",
                "postal_address": "Acme Roofing, 400 Congress Ave, Austin, TX 78701",
                "booking_link": "https://book.example.com/acme",
            },
            "compliance_note": "no refusal recorded",
            "send_state": "queued",
            "enrolled_at": NOW,
            "stop_on": ("reply",),
            "due_at": NOW,
        }
        return MessageQueued(**{**fields, **changes})

    return make
