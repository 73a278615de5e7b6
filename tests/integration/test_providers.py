"""Each provider that speaks HTTP against the sandbox, which keeps to that provider's own rules."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import httpx
import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from dispatcher.calls import forget
from dispatcher.ledger import Ledger, arrive
from dispatcher.model import Accepted, Answer, Arrival, Content, Entry, Refused
from dispatcher.providers.base import Around, Provider, ProviderError
from dispatcher.providers.registry import PROVIDERS
from leadflow import database
from leadflow.clock import SystemClock
from leadflow.settings import Environment
from sandbox.http_resend import API_KEY
from sandbox.http_twilio import ACCOUNT_SID, AUTH_TOKEN
from sandbox.http_webhook import SECRET

from .dispatching import free_port, own_database

pytestmark = [pytest.mark.integration, pytest.mark.either_server]

NUMBER = "+15005550006"


@dataclass(frozen=True)
class Message:
    to: str = "ann@example.com"
    message_id: str = "m-1"
    text: str = "Hi"
    tenant_id: str = "acme"
    in_doubt: bool = False
    epoch: int = 1

    @property
    def content(self) -> Content:
        return Content(payload=send_to(self.to, self.message_id, self.text), sha256="")


def send_to(to: str, message_id: str, words: str) -> bytes:
    send: dict[str, Any] = {"to": to, "text": words}
    if "@" in to:
        send |= {"from": "Acme <acme@mail.example>", "subject": "Hello", "html": f"<p>{words}</p>"}
        send["headers"] = {"X-Leadflow-Message-Id": message_id, "Reply-To": "r@mail.example"}
    return json.dumps(send).encode()


class World:
    """A sandbox, and providers that are told of it."""

    def __init__(self, client: httpx.AsyncClient, stack: AsyncExitStack) -> None:
        self.client = client
        self.stack = stack

    def provider(
        self, channel: str, via: str, engine: AsyncEngine | None = None, **told: str
    ) -> Provider:
        url = str(self.client.base_url).rstrip("/")
        settings = {
            "PROVIDERS_URL": f"{url}/providers",
            "RESEND_URL": f"{url}/resend",
            "RESEND_API_KEY": API_KEY,
            "RESEND_CALLS_PER_SECOND": "1000",
            "TWILIO_URL": f"{url}/twilio",
            "TWILIO_ACCOUNT_SID": ACCOUNT_SID,
            "TWILIO_AUTH_TOKEN": AUTH_TOKEN,
            "TWILIO_SMS_FROM": NUMBER,
            "TWILIO_WHATSAPP_FROM": NUMBER,
            "WEBHOOK_URL": f"{url}/webhook",
            "WEBHOOK_SECRET": SECRET,
            **told,
        }
        env = Environment({f"LEADFLOW_{name}": value for name, value in settings.items()})
        around = Around(
            timeout_seconds=1.0,
            clock=SystemClock(),
            engine=engine or database.engine("postgresql://nobody@127.0.0.1:1/none", pool_size=1),
        )
        made = PROVIDERS[channel][via](env, channel).open(around)
        self.stack.push_async_callback(made.close)
        return made

    async def fault(self, **rule: Any) -> None:
        (await self.client.post("/faults", json=rule)).raise_for_status()

    async def accepted(self, channel: str) -> list[tuple[str, str | list[str]]]:
        page = await self.client.get("/accepted", params={"channel": channel})
        return [(item["key"], item["to"]) for item in page.json()["items"]]


@pytest.fixture(scope="module")
def sandbox_url() -> Iterator[str]:
    """One sandbox for all tests here: each begins by emptying it."""
    port = free_port()
    environ = {**os.environ, "LEADFLOW_SANDBOX_PORT": str(port), "LEADFLOW_SMTP_SINK_PORT": "0"}
    process = subprocess.Popen(
        [sys.executable, "-m", "sandbox"], env=environ, stderr=subprocess.PIPE
    )
    try:
        assert process.stderr is not None
        assert b"listening" in process.stderr.readline()
        yield f"http://127.0.0.1:{port}"
    finally:
        process.kill()
        process.communicate()


@pytest.fixture
async def world(sandbox_url: str) -> AsyncIterator[World]:
    async with AsyncExitStack() as stack:
        client = await stack.enter_async_context(
            httpx.AsyncClient(base_url=sandbox_url, trust_env=False)
        )
        (await client.delete("/accepted")).raise_for_status()
        yield World(client, stack)


async def refused(provider: Provider, message: Message) -> Refused:
    with pytest.raises(ProviderError) as caught:
        await provider.send([message])
    return caught.value.refused()


# --- those that need no ledger ----------------------------------------------------------------


@pytest.mark.parametrize(("channel", "prefix"), [("sms", ""), ("whatsapp", "whatsapp:")])
async def test_twilio_takes_a_message_each_time_and_its_id_is_in_the_callback(
    world: World, channel: str, prefix: str
) -> None:
    provider = world.provider(channel, "twilio")
    assert not provider.keyed
    message = Message(to="+15551234567", text="Grüße & mehr")
    for _ in range(2):
        (answer,) = await provider.send([message])
        assert isinstance(answer, Accepted)
        assert answer.provider_id is not None
        assert answer.provider_id.startswith("SM")
    assert await world.accepted("twilio") == [("m-1", f"{prefix}+15551234567")] * 2
    (listed, _) = (await world.client.get("/accepted")).json()["items"]
    whole = (await world.client.get(f"/accepted/{listed['id']}")).json()
    assert whole["form"]["Body"] == "Grüße & mehr"
    assert whole["form"]["From"] == f"{prefix}{NUMBER}"


@pytest.mark.parametrize(
    ("to", "error_class"),
    [
        ("+15005550001", "BadAddress"),
        ("+15005550002", "Rejected"),
        ("+15005550004", "OptedOut"),
        ("+15005550009", "BadAddress"),
    ],
)
async def test_twilio_refuses_its_published_test_numbers(
    world: World, to: str, error_class: str
) -> None:
    answer = await refused(world.provider("sms", "twilio"), Message(to=to))
    assert (answer.error_class, answer.retryable) == (error_class, False)
    assert await world.accepted("twilio") == []


async def test_twilio_says_what_is_wrong_with_us_and_what_is_only_for_now(world: World) -> None:
    sms = Message(to="+15551234567")
    wrong_token = world.provider("sms", "twilio", TWILIO_AUTH_TOKEN="wrong")
    wrong_sender = world.provider("sms", "twilio", TWILIO_SMS_FROM="+15005550007")
    full = world.provider("sms", "twilio", TWILIO_SMS_FROM="+15005550008")
    whatsapp = world.provider("whatsapp", "twilio")
    assert (await refused(wrong_token, sms)).error_class == "Unauthorized"
    assert (await refused(wrong_sender, sms)).error_class == "SenderRefused"
    assert (await refused(full, sms)).error_class == "Busy"
    late = await refused(whatsapp, Message(to="+15005550016"))
    assert late.error_class == "OutsideWindow"
    await world.fault(target="twilio", mode="rate_limit", retry_after_seconds=4, times=1)
    limited = await refused(world.provider("sms", "twilio"), sms)
    assert (limited.error_class, limited.wait_seconds) == ("Busy", 4.0)
    assert await world.accepted("twilio") == []


async def test_a_lost_answer_of_twilio_is_a_doubt(world: World) -> None:
    await world.fault(target="twilio", mode="drop_after_accept", times=1)
    answer = await refused(world.provider("sms", "twilio"), Message(to="+15551234567"))
    assert (answer.error_class, answer.maybe_accepted) == ("NoAnswer", True)
    assert await world.accepted("twilio") == [("m-1", "+15551234567")]


@pytest.mark.parametrize("channel", ["email", "sms", "whatsapp"])
async def test_a_webhook_is_signed_and_taken_once_by_its_id(world: World, channel: str) -> None:
    provider = world.provider(channel, "webhook")
    assert provider.keyed
    await world.fault(target="webhook", mode="drop_after_accept", times=1)
    message = Message(to="+15551234567")
    assert (await refused(provider, message)).maybe_accepted
    (answer,) = await provider.send([message])
    assert isinstance(answer, Accepted)
    assert await world.accepted("webhook") == [("m-1", "+15551234567")]


async def test_a_webhook_with_a_wrong_secret_or_that_is_gone_is_no_messages_fault(
    world: World,
) -> None:
    wrong = world.provider("sms", "webhook", WEBHOOK_SECRET="whsec_" + "A" * 43 + "=")
    assert (await refused(wrong, Message())).error_class == "Unauthorized"
    await world.fault(target="webhook", mode="fail", status=410)
    gone = await refused(world.provider("sms", "webhook"), Message())
    assert gone.error_class == "Unauthorized"
    assert await world.accepted("webhook") == []


# --- Resend, with the book of its calls in PostgreSQL -----------------------------------------


@pytest.fixture
async def engine(admin_url: str, secret: str) -> AsyncIterator[AsyncEngine]:
    async with own_database(admin_url, secret) as url:
        made = database.engine(url, pool_size=5)
        try:
            yield made
        finally:
            await made.dispose()


async def claimed(engine: AsyncEngine, *names: str, lease_seconds: float = 60) -> list[Entry]:
    """E-mails to these names, in the ledger, and claimed."""
    arrivals = []
    for name in names:
        message_id = f"m-{name}"
        payload = send_to(f"{name}@example.com", message_id, "Hi")
        arrivals.append(
            Arrival(
                message_id=message_id,
                tenant_id="acme",
                lead_id=str(uuid4()),
                owner=None,
                enrollment_id=None,
                sequence_id=None,
                step_id=None,
                channel="email",
                attempt=1,
                first_message_id=None,
                recipient=f"{name}@example.com",
                compliance_note="",
                enrolled_at=None,
                stop_on=(),
                due_at=datetime.now(UTC),
                content=Content(payload=payload, sha256=hashlib.sha256(payload).hexdigest()),
            )
        )
    async with engine.begin() as connection:
        assert await arrive(connection, [(arrival, None) for arrival in arrivals]) == len(names)
    return await claimed_again(engine, lease_seconds)


async def claimed_again(engine: AsyncEngine, lease_seconds: float = 60) -> list[Entry]:
    """Whatever is due, the claims that have run out included."""
    return await Ledger(engine, "test").claim(
        "email", "resend", limit=100, lease_seconds=lease_seconds
    )


def ids(answers: Sequence[Answer]) -> list[str | None]:
    assert all(isinstance(answer, Accepted) for answer in answers)
    return [answer.provider_id for answer in answers if isinstance(answer, Accepted)]


async def test_resend_takes_a_batch_and_each_message_hears_its_own_answer(
    world: World, engine: AsyncEngine
) -> None:
    provider = world.provider("email", "resend", engine)
    entries = await claimed(engine, "ann", "bob", "cid")
    broken = Content(payload=send_to("nobody @ nowhere", "m-bob", "Hi"), sha256="")
    entries[1] = replace(entries[1], content=broken)
    first, second, third = await provider.send(entries)
    assert len(set(ids([first, third]))) == 2
    assert isinstance(second, Refused)
    assert second.error_class == "Rejected"
    assert await world.accepted("resend") == [
        ("m-ann", ["ann@example.com"]),
        ("m-cid", ["cid@example.com"]),
    ]


async def test_a_batch_whose_answer_was_lost_is_found_by_the_next_claim(
    world: World, engine: AsyncEngine
) -> None:
    provider = world.provider("email", "resend", engine)
    await world.fault(target="resend", mode="drop_after_accept", times=1)
    with pytest.raises(ProviderError):
        await provider.send(await claimed(engine, "ann", "bob", "cid", lease_seconds=0))
    listed = (await world.client.get("/accepted")).json()["items"]
    later = await claimed_again(engine)
    assert [entry.in_doubt for entry in later] == [True] * 3
    answers = [(await provider.send([entry]))[0] for entry in reversed(later)]
    assert ids(answers) == [item["id"] for item in reversed(listed)]
    assert (await world.client.get("/accepted/counts")).json()["total"] == 3


async def test_a_batch_that_never_arrived_is_sent_to_those_alone_who_may_still_get_it(
    world: World, engine: AsyncEngine
) -> None:
    provider = world.provider("email", "resend", engine)
    await world.fault(target="resend", mode="fail", status=500, times=1)
    with pytest.raises(ProviderError):
        await provider.send(await claimed(engine, "ann", "bob", "cid", lease_seconds=0))
    ann, _, cid = await claimed_again(engine)  # bob has opted out
    ids([*await provider.send([ann]), *await provider.send([cid])])
    assert [key for key, _ in await world.accepted("resend")] == ["m-ann", "m-cid"]
    ids(await provider.send([ann]))
    assert (await world.client.get("/accepted/counts")).json()["duplicate_acceptances"] == 0


async def test_whoever_has_lost_a_claim_makes_no_call_with_it(
    world: World, engine: AsyncEngine
) -> None:
    provider = world.provider("email", "resend", engine)
    frozen = await claimed(engine, "ann", "bob", lease_seconds=0)
    ids([(await provider.send([entry]))[0] for entry in await claimed_again(engine)])
    answer = await refused_all(provider, frozen)
    assert (answer.error_class, answer.maybe_accepted) == ("NotCalled", False)
    assert (await world.client.get("/accepted/counts")).json()["total"] == 2


async def test_what_is_wrong_with_us_at_resend_and_what_is_only_for_now(
    world: World, engine: AsyncEngine
) -> None:
    entries = await claimed(engine, "ann", "bob")
    wrong = world.provider("email", "resend", engine, RESEND_API_KEY="re_wrong")
    assert (await refused_all(wrong, entries)).error_class == "Unauthorized"
    provider = world.provider("email", "resend", engine)
    await world.fault(target="resend", mode="rate_limit", retry_after_seconds=3, times=1)
    limited = await refused_all(provider, entries)
    assert (limited.error_class, limited.wait_seconds) == ("Busy", 3.0)
    await world.fault(target="resend", mode="stall", stall_seconds=600, times=1)
    assert (await refused_all(provider, entries)).error_class == "NoAnswer"
    doubtful = replace(entries[0], in_doubt=True)
    (busy,) = await provider.send([doubtful])  # asked alone while the batch is worked on
    assert isinstance(busy, Refused)
    assert busy.maybe_accepted
    assert busy.retryable


async def test_calls_are_forgotten_only_when_nobody_can_ask_about_them(
    world: World, engine: AsyncEngine
) -> None:
    provider = world.provider("email", "resend", engine)
    await provider.send(await claimed(engine, "ann", "bob"))
    async with engine.begin() as connection:
        await connection.execute(text("UPDATE calls SET made_at = now() - interval '3 days'"))
        await forget(connection, 10)
        assert await connection.scalar(text("SELECT count(*) FROM calls")) == 1
        await connection.execute(text("UPDATE ledger SET state = 'sent'"))
        await forget(connection, 10)
        assert await connection.scalar(text("SELECT count(*) FROM calls")) == 0
        assert await connection.scalar(text("SELECT count(*) FROM called")) == 0


async def refused_all(provider: Provider, entries: Sequence[Entry]) -> Refused:
    with pytest.raises(ProviderError) as caught:
        await provider.send(entries)
    return caught.value.refused()
