"""What Twilio, Resend and Standard Webhooks say, as the raw events that it is."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from leadflow.tokens import Sealer
from portal_api.inbound.events import completed
from portal_api.webhooks import resend, standard, twilio
from portal_api.webhooks.said import Unreadable, raw_event

NOW = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
SID = "SM1234567890abcdef1234567890abcdef"
EMAIL_ID = "56761188-7520-42d8-8898-ff6fc54ce618"


def status(status: str, code: str = "", **more: str) -> dict[str, str]:
    """A status callback as Twilio's guide shows it."""
    form = {
        "SmsSid": SID,
        "SmsStatus": status,
        "MessageStatus": status,
        "To": "+15558675310",
        "MessageSid": SID,
        "AccountSid": "AC123",
        "From": "+15017122661",
        "ApiVersion": "2010-04-01",
        **more,
    }
    return {**form, "ErrorCode": code} if code else form


def incoming(body: str, **more: str) -> dict[str, str]:
    return {
        "MessageSid": SID,
        "SmsStatus": "received",
        "From": "+15558675310",
        "To": "+15017122661",
        "Body": body,
        "NumMedia": "0",
        **more,
    }


def event(event_type: str, **data: Any) -> bytes:
    """A webhook as Resend's documentation shows it."""
    return json.dumps(
        {
            "type": event_type,
            "created_at": "2026-11-22T23:41:12.126Z",
            "data": {
                "created_at": "2026-11-22T23:41:11.894719+00:00",
                "email_id": EMAIL_ID,
                "message_id": "<0102019a@eu-west-1.amazonses.com>",
                "from": "Acme <onboarding@resend.dev>",
                "to": ["delivered@resend.dev"],
                "subject": "Sending this example",
                "tags": {"message_id": "m-1"},
                **data,
            },
        }
    ).encode()


# --- Twilio ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "word", ["accepted", "scheduled", "queued", "sending", "sent", "canceled", "SENT"]
)
def test_a_message_on_its_way_is_no_news(word: str) -> None:
    assert twilio.read(status(word), NOW) == []


def test_a_delivery_names_the_message_by_its_sid() -> None:
    (said,) = twilio.read(status("delivered"), NOW)
    assert (said.kind, said.external_id, said.at) == ("delivered", SID, NOW)
    payload = json.loads(raw_event("twilio", "acme", said, NOW).payload)
    assert payload == {"provider_id": SID}
    (named,) = twilio.read(status("delivered"), NOW, "m-1")
    assert named.payload == {"provider_id": SID, "message_id": "m-1"}


def test_a_read_receipt_is_an_open() -> None:
    (said,) = twilio.read(status("read", To="whatsapp:+15558675310"), NOW)
    assert said.kind == "opened"


@pytest.mark.parametrize(
    ("code", "bounce_type"),
    [
        ("30005", "hard"),  # unknown destination handset
        ("30006", "hard"),  # landline
        ("21211", "hard"),
        ("21614", "hard"),
        ("63024", "hard"),
        ("30003", "soft"),  # unreachable: "a transient delivery failure" may pass
        ("30007", "soft"),  # filtered for its text
        ("30008", "soft"),
        ("30034", "soft"),  # the sender is not registered
        ("", "soft"),
        ("99999", "soft"),
    ],
)
@pytest.mark.parametrize("word", ["undelivered", "failed"])
def test_a_number_is_given_up_only_for_what_the_number_is(
    word: str, code: str, bounce_type: str
) -> None:
    (said,) = twilio.read(status(word, code), NOW)
    assert (said.kind, said.payload["bounce_type"]) == ("bounced", bounce_type)
    assert said.payload["diagnostic"] == f"{word} {code}".strip()


def test_who_has_sent_stop_to_twilio_is_opted_out_and_the_number_is_not_dead() -> None:
    bounced, opted = twilio.read(status("failed", "21610"), NOW)
    assert (bounced.kind, bounced.payload["bounce_type"]) == ("bounced", "soft")
    assert (opted.kind, opted.payload["phone"], opted.payload["channel"]) == (
        "opt_out",
        "+15558675310",
        "sms",
    )


def test_a_message_that_comes_in_is_a_reply() -> None:
    (said,) = twilio.read(incoming(" Yes, Tuesday  works "), NOW)
    assert (said.kind, said.external_id) == ("reply", SID)
    assert said.payload["from"] == "+15558675310"
    assert (said.payload["channel"], said.payload["text"]) == ("sms", "Yes, Tuesday  works")


def test_whatsapps_numbers_lose_their_prefix_and_tell_the_channel() -> None:
    form = incoming("hi", From="whatsapp:+15558675310", MediaUrl0="https://api.twilio.com/m/1")
    (said,) = twilio.read(form, NOW)
    assert (said.payload["from"], said.payload["channel"]) == ("+15558675310", "whatsapp")
    assert said.payload["media"] == ["https://api.twilio.com/m/1"]


@pytest.mark.parametrize("word", ["STOP", "START", "HELP", "stop please"])
def test_a_keyword_that_twilio_did_not_take_for_one_is_intakes_to_read(word: str) -> None:
    (said,) = twilio.read(incoming(word), NOW)
    assert (said.kind, said.payload["text"]) == ("reply", word)


def test_a_word_of_the_accounts_own_is_what_twilio_says_that_it_is() -> None:
    (stop,) = twilio.read(incoming("ARRET", OptOutType="STOP"), NOW)
    assert (stop.kind, stop.payload["channel"], stop.payload["keyword"]) == (
        "opt_out",
        "all",
        "ARRET",
    )
    (start,) = twilio.read(incoming("JOIN", OptOutType="START"), NOW)
    assert (start.kind, start.payload["channel"], start.payload["phone"]) == (
        "opt_in",
        "sms",
        "+15558675310",
    )
    (answered,) = twilio.read(incoming("HELP", OptOutType="HELP"), NOW)
    assert (answered.kind, answered.payload["opt_out_type"]) == ("reply", "HELP")


@pytest.mark.parametrize(
    "form",
    [{}, {"MessageStatus": "delivered"}, status("exploded"), {"MessageSid": SID, "Body": "hi"}],
)
def test_what_twilio_never_sends_is_refused(form: dict[str, str]) -> None:
    with pytest.raises(Unreadable):
        twilio.read(form, NOW)


# --- Resend ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("event_type", "kind"),
    [
        ("email.delivered", "delivered"),
        ("email.complained", "complained"),
        ("email.opened", "opened"),
        ("email.clicked", "clicked"),
        ("email.bounced", "bounced"),
        ("email.delivery_delayed", "bounced"),
        ("email.failed", "bounced"),
        ("email.suppressed", "bounced"),
    ],
)
def test_an_event_of_resend_is_one_of_ours(event_type: str, kind: str) -> None:
    (said,) = resend.read("msg_1", event(event_type), NOW)
    assert (said.kind, said.event, said.external_id) == (kind, "msg_1", EMAIL_ID)
    assert said.at == datetime(2026, 11, 22, 23, 41, 12, 126_000, tzinfo=UTC)
    assert (said.payload["provider_id"], said.payload["message_id"]) == (EMAIL_ID, "m-1")
    assert said.payload["mail_id"] == "<0102019a@eu-west-1.amazonses.com>"


@pytest.mark.parametrize(
    "event_type",
    ["email.sent", "email.scheduled", "contact.created", "domain.updated", ""],
)
def test_other_events_of_resend_are_no_news(event_type: str) -> None:
    assert resend.read("msg_1", event(event_type), NOW) == []


def test_a_mail_that_resend_received_is_a_reply_to_the_message_in_its_address() -> None:
    links, message_id = Sealer("a secret"), "15536a5b-7d7e-52e3-b8fb-d332e1b3acc7"
    address = f"reply+{links.seal_id('reply', 'acme', message_id)}@mail.example.com"
    body = {
        "type": "email.received",
        "created_at": "2026-11-22T23:41:12.126Z",
        "data": {
            "email_id": EMAIL_ID,
            "message_id": "<1@example.com>",
            "from": "Ann <ann@example.com>",
            "to": ["other@example.com", address],
            "subject": "Re: Your roof",
            "attachments": [{"id": "a", "filename": "plan.pdf", "content_type": "application/pdf"}],
        },
    }
    (said,) = resend.read("msg_1", json.dumps(body).encode(), NOW)
    payload = completed(said.payload, tenant_id="acme", links=links)
    assert (said.kind, said.external_id) == ("reply", EMAIL_ID)
    assert {name: payload[name] for name in ("message_id", "from", "mail_id", "channel")} == {
        "message_id": message_id,
        "from": "Ann <ann@example.com>",
        "mail_id": "<1@example.com>",
        "channel": "email",
    }
    assert payload["attachments"] == [{"name": "plan.pdf", "type": "application/pdf"}]


def test_a_reply_that_has_html_alone_gets_its_text() -> None:
    payload = completed(
        {"html": "<p>Yes &amp; no</p>", "message_id": "m-1"}, tenant_id="acme", links=Sealer("s")
    )
    assert payload == {"message_id": "m-1", "text": "Yes & no"}


def test_a_permanent_bounce_is_hard_and_says_why() -> None:
    bounce = {"message": "on the suppression list", "subType": "Suppressed", "type": "Permanent"}
    (said,) = resend.read("msg_1", event("email.bounced", bounce=bounce), NOW)
    assert said.payload["bounce_type"] == "hard"
    assert said.payload["diagnostic"] == "Suppressed: on the suppression list"


@pytest.mark.parametrize("bounce_type", ["Transient", "Temporary", "Undetermined"])
def test_a_bounce_that_may_pass_is_soft(bounce_type: str) -> None:
    (said,) = resend.read("msg_1", event("email.bounced", bounce={"type": bounce_type}), NOW)
    assert said.payload["bounce_type"] == "soft"


@pytest.mark.parametrize("event_type", ["email.delivery_delayed", "email.failed"])
def test_what_is_late_or_our_own_fault_is_soft(event_type: str) -> None:
    data = {"failed": {"reason": "reached_daily_quota"}}
    (said,) = resend.read("msg_1", event(event_type, **data), NOW)
    assert said.payload["bounce_type"] == "soft"


def test_a_click_says_where_when_and_by_what() -> None:
    click = {
        "ipAddress": "122.115.53.11",
        "link": "https://resend.com",
        "timestamp": "2026-11-24T05:00:57.163Z",
        "userAgent": "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15",
    }
    (said,) = resend.read("msg_1", event("email.clicked", click=click), NOW)
    assert said.at == datetime(2026, 11, 24, 5, 0, 57, 163_000, tzinfo=UTC)
    assert (said.payload["url"], said.payload["ip"]) == ("https://resend.com", "122.115.53.11")
    assert said.payload["user_agent"] == click["userAgent"]


@pytest.mark.parametrize("tags", [[{"name": "message_id", "value": "m-1"}], {"message_id": "m-1"}])
def test_tags_are_read_in_both_of_their_forms(tags: Any) -> None:
    (said,) = resend.read("msg_1", event("email.delivered", tags=tags), NOW)
    assert said.payload["message_id"] == "m-1"


@pytest.mark.parametrize(
    "body",
    [
        b"", b"nonsense", b"[]", b"7", b'"\\ud800"', b"[" * 100_000,
        event("email.delivered", email_id=None), event("email.delivered", email_id={"a": 1}),
    ],
)  # fmt: skip
def test_what_resend_never_sends_is_refused(body: bytes) -> None:
    with pytest.raises(Unreadable):
        resend.read("msg_1", body, NOW)


def test_odd_members_do_not_matter() -> None:
    odd = event("email.clicked", click=["x"], tags=7, bounce=None)
    (said,) = resend.read("msg_1", odd, NOW)
    assert said.kind == "clicked"


# --- Standard Webhooks -----------------------------------------------------------------------


@pytest.mark.parametrize("name", ["delivered", "message.delivered", "acme.mail.delivered"])
def test_a_standard_webhook_is_the_kind_at_the_end_of_its_type(name: str) -> None:
    body = {"type": name, "timestamp": "2026-11-23T11:59:00Z", "data": {"message_id": "m-1"}}
    (said,) = standard.read("msg_1", json.dumps(body).encode(), NOW)
    assert (said.kind, said.event, said.external_id) == ("delivered", "msg_1", "m-1")
    assert said.at == datetime(2026, 11, 23, 11, 59, tzinfo=UTC)
    assert said.payload == {"message_id": "m-1"}


def test_leads_do_not_come_in_by_this_way() -> None:
    body = {"type": "lead", "data": {"email": "a@b.example"}}
    assert standard.read("msg_1", json.dumps(body).encode(), NOW) == []


# --- raw events ------------------------------------------------------------------------------


def test_a_repeat_is_the_same_event_and_anybody_elses_is_not() -> None:
    (said,) = twilio.read(status("delivered"), NOW)
    first = raw_event("twilio", "acme", said, NOW)
    assert raw_event("twilio", "acme", said, NOW) == first
    assert raw_event("twilio", "north", said, NOW).event_id != first.event_id
    assert raw_event("standard", "acme", said, NOW).event_id != first.event_id


def test_the_two_events_of_one_callback_have_ids_of_their_own() -> None:
    said = twilio.read(status("failed", "21610"), NOW)
    made = [raw_event("twilio", "acme", each, NOW) for each in said]
    assert len({each.event_id for each in made}) == 2


def test_what_is_empty_is_left_out() -> None:
    (said,) = twilio.read(incoming("hi"), NOW)
    payload = json.loads(raw_event("twilio", "acme", said, NOW).payload)
    assert payload == {
        "from": "+15558675310",
        "to": "+15017122661",
        "channel": "sms",
        "text": "hi",
    }


@pytest.mark.parametrize("source", ["standard", "resend"])
def test_one_id_with_another_body_is_no_second_event(source: str) -> None:
    def event_id(kind: str) -> str:
        body = {"type": f"email.{kind}", "data": {"email_id": "p", "provider_id": "p"}}
        reader = resend.read if source == "resend" else standard.read
        (said,) = reader("msg_1", json.dumps(body).encode(), NOW)
        assert said.kind == kind
        return raw_event(source, "acme", said, NOW).event_id

    assert event_id("bounced") == event_id("complained")


@pytest.mark.parametrize("time", ["0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00"])
def test_a_time_that_cannot_be_is_not_taken_for_now(time: str) -> None:
    told = {"type": "email.bounced", "created_at": time, "data": {"email_id": "p"}}
    with pytest.raises(Unreadable):
        resend.read("msg_1", json.dumps(told).encode(), NOW)
    told = {"type": "bounced", "timestamp": time, "data": {"message_id": "m"}}
    with pytest.raises(Unreadable):
        standard.read("msg_1", json.dumps(told).encode(), NOW)
