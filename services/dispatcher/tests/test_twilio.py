"""Twilio: what it is sent, and what its errors mean."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from urllib.parse import parse_qs

import httpx
import pytest

from dispatcher.model import Accepted, Content, Entry
from dispatcher.providers.base import ProviderError
from dispatcher.providers.twilio import Twilio, TwilioAccount
from leadflow.errors import SettingError
from leadflow.settings import Environment

Make = Callable[..., Entry]
SID = "AC" + "0123456789abcdef" * 2
TOLD = {
    "LEADFLOW_TWILIO_ACCOUNT_SID": SID,
    "LEADFLOW_TWILIO_AUTH_TOKEN": "secret token",
    "LEADFLOW_TWILIO_SMS_FROM": "+15005550006",
    "LEADFLOW_TWILIO_WHATSAPP_FROM": "+15005550006",
    "LEADFLOW_PUBLIC_URL": "https://portal.example",
}


def account(channel: str = "sms", **told: str) -> TwilioAccount:
    return TwilioAccount.read(Environment({**TOLD, **told}), channel)


@pytest.fixture
def entry(make_entry: Make) -> Entry:
    payload = json.dumps({"to": "+15551234567", "text": "Grüße & mehr"}).encode()
    content = Content(payload=payload, sha256=hashlib.sha256(payload).hexdigest())
    return make_entry(channel="sms", content=content)


async def sent(
    account: TwilioAccount, entry: Entry, answer: httpx.Response
) -> tuple[httpx.Request, object]:
    seen: list[httpx.Request] = []

    def take(request: httpx.Request) -> httpx.Response:
        seen.append(request)
        return answer

    async with httpx.AsyncClient(transport=httpx.MockTransport(take)) as client:
        (answered,) = await Twilio(account, client, 1.0).send([entry])
    return seen[0], answered


async def test_a_message_is_a_form_signed_with_the_account(entry: Entry) -> None:
    resource = {"sid": "SM1", "status": "queued", "error_code": None, "to": "+15551234567"}
    queued = httpx.Response(201, json=resource)
    request, answered = await sent(account(), entry, queued)
    assert str(request.url) == (f"https://api.twilio.com/2010-04-01/Accounts/{SID}/Messages.json")
    assert request.headers["Content-Type"] == "application/x-www-form-urlencoded"
    assert request.headers["Authorization"] == httpx.BasicAuth(SID, "secret token")._auth_header
    assert parse_qs(request.content.decode()) == {
        "To": ["+15551234567"],
        "From": ["+15005550006"],
        "Body": ["Grüße & mehr"],
        "StatusCallback": ["https://portal.example/webhooks/providers/twilio/acme?message_id=m-1"],
    }
    assert isinstance(answered, Accepted)
    assert answered.provider_id == "SM1"
    assert "queued" in answered.response
    assert "555" not in answered.response


async def test_whatsapp_addresses_say_so_and_a_service_sends_in_its_own_name(entry: Entry) -> None:
    queued = httpx.Response(201, json={"sid": "SM1", "status": "accepted"})
    request, _ = await sent(
        account("whatsapp", LEADFLOW_TWILIO_STATUS_CALLBACK="off"), entry, queued
    )
    assert parse_qs(request.content.decode()) == {
        "To": ["whatsapp:+15551234567"],
        "From": ["whatsapp:+15005550006"],
        "Body": ["Grüße & mehr"],
    }
    service = "MG" + "0" * 32
    request, _ = await sent(account(LEADFLOW_TWILIO_SMS_FROM=service), entry, queued)
    form = parse_qs(request.content.decode())
    assert form["MessagingServiceSid"] == [service]
    assert "From" not in form


@pytest.mark.parametrize(
    ("status", "code", "error_class", "retryable", "maybe_accepted"),
    [
        (400, 21211, "BadAddress", False, False),
        (400, 21614, "BadAddress", False, False),
        (400, 21610, "OptedOut", False, False),
        (400, 63016, "OutsideWindow", False, False),
        (400, 21617, "Rejected", False, False),
        (400, 21603, "SenderRefused", False, False),
        (400, 21606, "SenderRefused", False, False),
        (400, 21659, "SenderRefused", False, False),
        (401, 20003, "Unauthorized", False, False),
        (429, 20429, "Busy", True, False),
        (400, 21611, "Busy", True, False),
        (500, 20500, "Broken", True, True),
        (503, None, "Broken", True, True),
    ],
)
async def test_an_error_is_told_by_its_code(
    entry: Entry, status: int, code: int, error_class: str, retryable: bool, maybe_accepted: bool
) -> None:
    body = {"code": code, "message": "+15551234567 is wrong", "status": status}
    answer = httpx.Response(status, json=body, headers={"Retry-After": "3"})
    with pytest.raises(ProviderError) as caught:
        await sent(account(), entry, answer)
    refused = caught.value.refused()
    assert refused.error_class == error_class
    assert (refused.retryable, refused.maybe_accepted) == (retryable, maybe_accepted)
    assert "555" not in refused.reason
    if error_class == "Busy":
        assert refused.wait_seconds == 3.0


async def test_a_message_that_is_made_and_failed_at_once_was_not_accepted(entry: Entry) -> None:
    failed = httpx.Response(201, json={"sid": "SM1", "status": "failed", "error_code": 21610})
    with pytest.raises(ProviderError) as caught:
        await sent(account(), entry, failed)
    assert caught.value.refused().error_class == "OptedOut"


def test_the_secret_is_in_no_repr() -> None:
    assert "secret token" not in repr(account())


@pytest.mark.parametrize("name", sorted(TOLD.keys() - {"LEADFLOW_PUBLIC_URL"}))
def test_a_setting_that_is_missing_names_itself(name: str) -> None:
    told = {key: value for key, value in TOLD.items() if key != name}
    channel = "whatsapp" if "WHATSAPP" in name else "sms"
    with pytest.raises(SettingError, match=name):
        TwilioAccount.read(Environment(told), channel)
