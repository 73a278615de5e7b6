"""A mail comes in at the portal, and the whole system does what it asks for."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import pytest

from leadflow import ids
from leadflow.records import (
    EnrollmentStopped,
    MessageBounced,
    MessageQueued,
    MessageSuppressed,
    ReplyReceived,
)

pytestmark = [pytest.mark.integration, pytest.mark.either_server]

TENANT = "replies"


def event(kind: str, payload: dict[str, Any]) -> dict[str, Any]:
    name = f"{kind}-{uuid4()}"
    return {
        "event_id": name,
        "tenant_id": TENANT,
        "source": "website-form" if kind == "lead" else "twilio",
        "kind": kind,
        "external_id": name,
        "occurred_at": datetime.now(UTC).isoformat(),
        "payload": payload,
    }


def a_lead(system: Any, **payload: Any) -> str:
    raw = event(
        "lead",
        {
            "name": "Robin Marsh",
            "email": f"robin-{uuid4()}@example.com",
            "message": "The gutter over the porch came down in last night's storm.",
            "consent": {"email": True, "sms": True, "basis": "consent"},
            **payload,
        },
    )
    system.send(raw)
    return ids.lead_id(TENANT, raw["source"], raw["external_id"])


def of(system: Any, lead_id: str, topic: str, record_type: type[Any]) -> list[Any]:
    found = system.log.records(topic, record_type, tenant=TENANT)
    return [each for each in found if each.lead_id == lead_id]


def accepted(system: Any, message_id: str) -> dict[str, Any] | None:
    """The send that a provider of the sandbox accepted under this key."""
    found = system.sandbox.get("/accepted", params={"key": message_id}).json()["items"]
    if not found:
        return None
    whole: dict[str, Any] = system.sandbox.get(f"/accepted/{found[0]['id']}").json()
    return whole


@pytest.fixture
def first_mail(system: Any) -> tuple[str, dict[str, Any]]:
    """A lead, and the first mail that it was sent, as the provider got it."""
    lead_id = a_lead(system)

    def sent() -> Any:
        queued = of(system, lead_id, "messages", MessageQueued)
        mails = [each.message_id for each in queued if each.channel == "email"]
        return accepted(system, mails[0]) if mails else None

    return lead_id, system.wait_until(sent, "the first mail is out", 30)


def test_a_colleagues_answer_to_a_forwarded_mail_stops_the_leads_sequence(
    system: Any, first_mail: tuple[str, dict[str, Any]]
) -> None:
    lead_id, mail = first_mail
    answer = (
        "From: Sam Marsh <sam@elsewhere.example>\r\n"
        f"To: {mail['headers']['Reply-To']}\r\n"
        "Subject: Re: Fwd: the gutter\r\n"
        f"Message-ID: <{uuid4()}@elsewhere.example>\r\n"
        "\r\n"
        "Friday is fine.\r\n\r\n"
        "On Fri, Nov 20, 2026 at 9:14 AM Acme <us@mail.example> wrote:\r\n"
        "> Reply STOP to end\r\n"
    )
    with system.portal("ops", TENANT) as portal:
        path = f"/webhooks/inbound/mime/{TENANT}"
        taken = portal.post(path, content=answer.encode())
        again = portal.post(path, content=answer.encode())
        assert portal.post("/webhooks/inbound/mime/acme-roofing", content=b"").status_code == 403
        assert portal.post(path, content=b"no mail").status_code == 422
    assert (taken.status_code, taken.json()["kind"]) == (202, "reply")
    assert again.json() == taken.json()
    system.wait_until(
        lambda: [
            each.rule
            for each in of(system, lead_id, "enrollment-events", EnrollmentStopped)
            if each.rule == "reply"
        ],
        "the sequence is stopped by the reply",
        30,
    )
    [reply] = of(system, lead_id, "lead-events", ReplyReceived)
    assert reply.text == "Friday is fine."
    assert (reply.message_id, reply.by_other, reply.automatic) == (mail["key"], True, False)
    assert reply.keyword is None


def test_a_bounce_that_comes_by_mail_is_one_of_its_message(
    system: Any, first_mail: tuple[str, dict[str, Any]]
) -> None:
    lead_id, mail = first_mail
    report = (
        "From: MAILER-DAEMON@mx.example.com\r\nTo: acme@mail.example\r\nSubject: Undelivered\r\n"
        "Content-Type: multipart/report; report-type=delivery-status; boundary=b\r\n\r\n"
        "--b\r\nContent-Type: text/plain\r\n\r\nNobody is here.\r\n"
        "--b\r\nContent-Type: message/delivery-status\r\n\r\nReporting-MTA: dns; mx.example.com\r\n"
        f"\r\nFinal-Recipient: rfc822; {mail['to']}\r\nAction: failed\r\nStatus: 5.1.1\r\n"
        "--b\r\nContent-Type: text/rfc822-headers\r\n\r\n"
        f"Message-ID: {mail['headers']['Message-ID']}\r\n--b--\r\n"
    )
    with system.portal("ops", TENANT) as portal:
        taken = portal.post(f"/webhooks/inbound/mime/{TENANT}", content=report.encode())
    assert taken.json()["kind"] == "bounced"
    [bounced] = system.wait_until(
        lambda: of(system, lead_id, "message-events", MessageBounced), "the bounce is told", 30
    )
    assert (bounced.message_id, bounced.bounce_type) == (mail["key"], "hard")


def test_stop_is_confirmed_once_and_help_is_answered_all_the_same(system: Any) -> None:
    number = f"+1512555{uuid4().int % 9000 + 1000}"
    lead_id = a_lead(system, phone=number, email=f"sms-{uuid4()}@example.com")
    asked = [event("reply", {"from": number, "text": word}) for word in ("STOP", "Stop.", "HELP")]
    stop, again, help_ = (
        ids.answer_id(TENANT, each["event_id"], word, number)
        for each, word in zip(asked, ("STOP", "STOP", "HELP"), strict=True)
    )
    system.wait_until(
        lambda: of(system, lead_id, "messages", MessageQueued), "the lead is known", 30
    )
    for each, message_id in zip(asked, (stop, again, help_), strict=True):
        system.send(each)
        system.wait_until(
            lambda wanted=message_id: (
                accepted(system, wanted)
                or [
                    each
                    for each in of(system, lead_id, "message-events", MessageSuppressed)
                    if each.message_id == wanted
                ]
            ),
            "the word is answered, or it is told why not",
            30,
        )
    confirmed, helped = accepted(system, stop), accepted(system, help_)
    assert confirmed is not None
    assert "unsubscribed" in confirmed["text"]
    assert helped is not None
    assert "+1 512 555 0100" in helped["text"]
    assert accepted(system, again) is None
    [kept_back] = [
        each
        for each in of(system, lead_id, "message-events", MessageSuppressed)
        if each.message_id == again
    ]
    assert kept_back.rule == "stop_confirmed_before"
