"""POST /webhooks/inbound/mime: who may send mails, and what becomes of what cannot be taken."""

from __future__ import annotations

import asyncio
import json
from base64 import b64encode
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest
from fastapi import FastAPI

from leadflow.errors import BrokerError
from leadflow.records import RawEvent
from leadflow.tenants import Tenant
from leadflow.tokens import Sealer
from portal_api import problems
from portal_api.api import inbound
from portal_api.auth import Principal, Role
from portal_api.inbound import mime
from portal_api.inbound.mime import MOST_BYTES
from portal_api.webhooks.secrets import WebhookSecrets
from portal_api.webhooks.signatures import standard_key, standard_signature

NOW = datetime(2026, 11, 20, 15, 0, tzinfo=UTC)
SECRET = "whsec_" + b64encode(b"sixteen bytes or more").decode()
MAIL = b"From: ann@example.com\r\nMessage-ID: <1@example.com>\r\nSubject: Hi\r\n\r\nYes please\r\n"


class Clock:
    def now(self) -> datetime:
        return NOW


@dataclass
class Portal:
    """What the route uses of the portal's context."""

    published: list[RawEvent] = field(default_factory=list)
    broker: bool = True
    links: Sealer = field(default_factory=lambda: Sealer("a secret"))
    clock: Clock = field(default_factory=Clock)
    secret: str = "a secret of the sessions"
    tenants: dict[str, Tenant] = field(default_factory=dict)
    webhook_secrets: WebhookSecrets = field(
        default_factory=lambda: WebhookSecrets({("standard", "acme"): (SECRET,)})
    )

    async def publish_raw(self, events: list[RawEvent]) -> None:
        if not self.broker:
            raise BrokerError("no broker answers")
        self.published += events


@pytest.fixture
def portal() -> Portal:
    return Portal()


@pytest.fixture
async def client(portal: Portal) -> AsyncIterator[httpx.AsyncClient]:
    app = FastAPI()
    app.state.context = portal
    app.include_router(inbound.router)
    problems.install(app)
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://portal") as made:
        yield made


def signed(body: bytes, *, secret: str = SECRET, at: datetime = NOW) -> dict[str, str]:
    timestamp = str(int(at.timestamp()))
    signature = standard_signature(standard_key(secret), "msg-1", timestamp, body)
    return {
        "webhook-id": "msg-1",
        "webhook-timestamp": timestamp,
        "webhook-signature": signature,
    }


async def post(client: httpx.AsyncClient, body: bytes, **headers: Any) -> httpx.Response:
    return await client.post(
        headers.pop("path", "/webhooks/inbound/mime/acme"),
        content=body,
        headers=headers.pop("signature", signed(body)),
    )


async def test_a_signed_mail_is_in_the_log_when_it_is_answered(
    client: httpx.AsyncClient, portal: Portal
) -> None:
    answer = await post(client, MAIL)
    [event] = portal.published
    assert (answer.status_code, answer.json()) == (
        202,
        {"event_id": event.event_id, "kind": "reply"},
    )
    assert event.tenant_id == "acme"


OTHER = "whsec_" + b64encode(b"sixteen other bytes").decode()
FORGERIES = {
    "another secret": signed(MAIL, secret=OTHER),
    "another body": signed(MAIL + b"!"),
    "ten minutes ago": signed(MAIL, at=datetime(2026, 11, 20, 14, 50, tzinfo=UTC)),
    "half a signature": {"webhook-signature": "v1,AAAA"},
}


@pytest.mark.parametrize("name", FORGERIES)
async def test_a_signature_that_does_not_hold_is_refused(
    client: httpx.AsyncClient, portal: Portal, name: str
) -> None:
    answer = await post(client, MAIL, signature=FORGERIES[name])
    assert answer.status_code == 403
    assert portal.published == []


async def test_a_mail_with_a_key_makes_up_no_tenant(
    client: httpx.AsyncClient, portal: Portal, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def admin(_request: Any) -> Principal:
        return Principal(role=Role.ADMIN, tenant_id=None, subject="ada", credential_id="k")

    async def noted(*_said: Any) -> None:
        return

    monkeypatch.setattr(inbound, "allow", lambda _roles: admin)
    monkeypatch.setattr(inbound, "_audit", noted)
    portal.tenants["acme"] = Tenant(tenant_id="acme")
    answer = await client.post("/webhooks/inbound/mime/nobody", content=MAIL)
    assert (answer.status_code, answer.json()["detail"]) == (404, "There is no tenant nobody.")
    assert portal.published == []
    assert (await client.post("/webhooks/inbound/mime/acme", content=MAIL)).status_code == 202


async def test_a_tenants_secret_signs_for_no_other_tenant(
    client: httpx.AsyncClient, portal: Portal
) -> None:
    answer = await post(client, MAIL, path="/webhooks/inbound/mime/other")
    assert answer.status_code == 403
    assert portal.published == []


async def test_without_key_and_signature_nobody_sends_mails(
    client: httpx.AsyncClient, portal: Portal
) -> None:
    answer = await post(client, MAIL, signature={})
    assert (answer.status_code, portal.published) == (401, [])


@pytest.mark.parametrize(
    ("body", "status", "words"),
    [
        (b"hello", 422, "it has no header"),
        (b"", 422, "it has no header"),
        (b"Subject: x\n\nhello", 422, "this is no mail"),
        (b"x" * (MOST_BYTES + 1), 413, "10000000 bytes"),
    ],
)
async def test_what_cannot_be_taken_is_told_why(
    client: httpx.AsyncClient, portal: Portal, body: bytes, status: int, words: str
) -> None:
    answer = await post(client, body)
    assert answer.status_code == status
    assert words in answer.json()["detail"]
    assert portal.published == []


async def test_a_body_of_unknown_length_is_read_no_further_than_allowed(
    client: httpx.AsyncClient, portal: Portal
) -> None:
    sent = 0

    async def endless() -> AsyncIterator[bytes]:
        nonlocal sent
        while True:
            sent += 1_000_000
            yield b"x" * 1_000_000

    answer = await client.post(
        "/webhooks/inbound/mime/acme", content=endless(), headers=signed(MAIL)
    )
    assert answer.status_code == 413
    assert sent <= MOST_BYTES + 2_000_000


async def test_a_mail_that_could_not_be_written_down_is_asked_for_again(
    client: httpx.AsyncClient, portal: Portal
) -> None:
    portal.broker = False
    assert (await post(client, MAIL)).status_code == 503


async def test_what_says_nothing_is_taken_and_passed_over_with_a_reason(
    client: httpx.AsyncClient, portal: Portal
) -> None:
    receipt = (
        b"From: ann@example.com\nContent-Type: multipart/report; "
        b"report-type=disposition-notification; boundary=b\n\n--b\n\nRead.\n--b--\n"
    )
    answer = await post(client, receipt)
    assert (answer.status_code, answer.json()) == (202, {"ignored": "read_receipt"})
    assert portal.published == []


HOSTILE = {
    "half a character in UTF-7": (
        b"From: ann@example.com\nContent-Type: text/plain; charset=utf-7\n\n+2AA- please call\n"
    ),
    "half a character in a file's name": (
        b"From: ann@example.com\nContent-Type: multipart/mixed; boundary=b\n\n--b\n\nplease call\n"
        b"--b\nContent-Type: image/png; name*=utf-7''%2B2AA-\n\nx\n--b--\n"
    ),
    "a character of 5,000 digits": (
        b"From: ann@example.com\nContent-Type: text/html\n\n<p>&#" + b"9" * 5_000 + b"; please call"
    ),
}


@pytest.mark.parametrize("name", HOSTILE)
async def test_no_mail_is_a_failure_of_ours(
    client: httpx.AsyncClient, portal: Portal, name: str
) -> None:
    answer = await post(client, HOSTILE[name])
    assert answer.status_code == 202
    [event] = portal.published
    assert "please call" in event.payload
    assert event.payload.encode()


async def test_a_mail_at_which_the_parsers_fail_is_taken_as_text(
    client: httpx.AsyncClient, portal: Portal, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*_args: object, **_more: object) -> None:
        raise IndexError

    monkeypatch.setattr(mime, "message_from_bytes", fails)
    mail = (
        b"From: Ann\r\n <ann@example.com>\r\nTo: reply@example.com\r\nPrecedence: bulk\r\n"
        b"Message-ID: <1@example.com>\r\nIn-Reply-To: <2@example.com>\r\nSubject: Hi\r\n\r\n"
        b"Please call\xff\x00\r\nme\r\n"
    )
    assert (await post(client, mail)).json()["kind"] == "reply"
    [event] = portal.published
    assert json.loads(event.payload) == {
        "channel": "email",
        "from": "Ann <ann@example.com>",
        "subject": "Hi",
        "mail_id": "<1@example.com>",
        "in_reply_to": "<2@example.com>",
        "text": "Please call\ufffd\nme",
        "headers": {"precedence": "bulk"},
    }


async def test_strangers_who_send_slowly_keep_no_signed_mail_out(
    client: httpx.AsyncClient, portal: Portal
) -> None:
    come_in, waiting = asyncio.Event(), asyncio.Semaphore(0)

    async def slow() -> AsyncIterator[bytes]:
        yield b"From: "
        waiting.release()
        await come_in.wait()

    path = "/webhooks/inbound/mime/acme"
    strangers = [
        asyncio.create_task(client.post(path, content=slow(), headers=signed(b"else")))
        for _ in range(30)
    ]
    async with asyncio.timeout(10):
        for _ in strangers:
            await waiting.acquire()
    assert (await post(client, MAIL)).status_code == 202
    come_in.set()
    assert {(await each).status_code for each in strangers} == {403}
    assert len(portal.published) == 1
