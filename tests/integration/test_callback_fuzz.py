"""Signed reports over the portal's HTTP, Kafka and PostgreSQL: true, forged, replayed, reordered.

What truly happened to each message is known; of everything else that is reported nothing may be
seen in the log, in the list of suppressions or among the stops. In the middle of it another
dispatcher takes over, and reads every report from the first on once more.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import sys
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlencode
from uuid import uuid4

import confluent_kafka
import httpx
import pytest
from sqlalchemy import text

from leadflow import topics
from leadflow.database import role_url
from leadflow.records import (
    ConsentChanged,
    MessageBounced,
    MessageClicked,
    MessageOpened,
    MessageQueued,
    ReplyReceived,
)
from portal_api.webhooks.signatures import standard_key, standard_signature, twilio_signature
from sandbox.http_resend import API_KEY
from sandbox.http_twilio import ACCOUNT_SID, AUTH_TOKEN

from .dispatching import World, a_world, free_port, queued, said, until
from .reading import ends_of, new_consumer

pytestmark = [pytest.mark.integration, pytest.mark.either_server]

SECRETS = {
    "own": "whsec_" + "A" * 32,
    "rival": "whsec_" + "B" * 32,
    "standard": "whsec_" + "C" * 32,
}
PERSON = "Mozilla/5.0 (X11; Linux x86_64; rv:145.0) Gecko/20100101 Firefox/145.0"
FORM = "application/x-www-form-urlencoded"


@dataclass
class Truth:
    """What happened to one message, as it is to be seen in the log."""

    message: MessageQueued
    provider_id: str = ""
    events: Counter[str] = field(default_factory=Counter)
    suppressed: set[str] = field(default_factory=set)


@dataclass(frozen=True)
class Request:
    path: str
    body: bytes
    headers: dict[str, str]
    answer: int = 204


class Reporter:
    """Makes requests as the providers of a tenant would, and as forgers would."""

    def __init__(self, chance: random.Random, portal: str, tenant: str, rival: str) -> None:
        self._chance = chance
        self._portal = portal
        self.tenant = tenant
        self.rival = rival

    def resend(
        self, event: str, email_id: str, at: datetime, *, tenant: str = "", **data: Any
    ) -> Request:
        tenant = tenant or self.tenant
        told = {
            "type": f"email.{event}",
            "created_at": at.isoformat(),
            "data": {"email_id": email_id, "to": ["x@example.com"], **data},
        }
        secret = SECRETS["rival" if tenant == self.rival else "own"]
        return self._signed(f"/webhooks/providers/resend/{tenant}", told, secret, "svix")

    def standard(self, kind: str, at: datetime, **data: Any) -> Request:
        told = {"type": f"message.{kind}", "timestamp": at.isoformat(), "data": data}
        path = f"/webhooks/providers/standard/{self.tenant}"
        return self._signed(path, told, SECRETS["standard"], "webhook")

    def twilio(self, sid: str, status: str, *, message_id: str = "", code: str = "") -> Request:
        path = f"/webhooks/providers/twilio/{self.tenant}"
        if message_id:
            path += f"?message_id={message_id}"
        form = {"MessageSid": sid, "MessageStatus": status, "To": "+15005550006"}
        if code:
            form["ErrorCode"] = code
        signature = twilio_signature(AUTH_TOKEN, self._portal + path, form.items())
        headers = {"content-type": FORM, "x-twilio-signature": signature}
        return Request(path, urlencode(form).encode(), headers)

    def anew(self, request: Request) -> Request:
        """The same report under another id."""
        if "svix-id" not in request.headers:
            return request
        return self._signed(request.path, json.loads(request.body), SECRETS["own"], "svix")

    def stale(self, request: Request) -> Request:
        """The same report, signed well with a timestamp of more than five minutes ago or ahead."""
        told, path = json.loads(request.body), request.path
        away = self._chance.choice((-301, -3_600, 310, 3_600))
        if path.startswith("/webhooks/providers/standard/"):
            late = self._signed(path, told, SECRETS["standard"], "webhook", away)
        else:
            whose = "rival" if path.endswith(self.rival) else "own"
            late = self._signed(path, told, SECRETS[whose], "svix", away)
        return replace(late, answer=403)

    def _signed(
        self, path: str, told: dict[str, Any], secret: str, name: str, away: int = 0
    ) -> Request:
        body = json.dumps(told).encode()
        webhook_id = f"msg_{self._chance.getrandbits(64):x}"
        timestamp = str(int(datetime.now(UTC).timestamp()) + away)
        signature = standard_signature(standard_key(secret), webhook_id, timestamp, body)
        headers = {"id": webhook_id, "timestamp": timestamp, "signature": signature}
        return Request(path, body, {f"{name}-{part}": each for part, each in headers.items()})

    def broken(self, request: Request) -> Request:
        """The same with a signature that does not hold."""
        headers, body, path = dict(request.headers), request.body, request.path
        match self._chance.randrange(4):
            case 0:
                body = body.replace(b"delivered", b"bounced  ").replace(b"5", b"6")
                body = body if body != request.body else body + b" "
            case 1:
                for name in headers:
                    if name.endswith("signature"):
                        headers[name] = "v1," + "A" * 43 + "="
            case 2 if path.startswith(f"/webhooks/providers/resend/{self.tenant}"):
                path = path.replace(self.tenant, self.rival)
            case _:
                late = [name for name in headers if name.endswith("timestamp")]
                for name in late:
                    headers[name] = str(int(headers[name]) - 301)
                if not late:
                    headers.pop("x-twilio-signature")
        return Request(path, body, headers, 403)


@pytest.fixture
async def world(
    kafka_bootstrap: str, admin_url: str, secret: str, tmp_path: Path
) -> AsyncIterator[World]:
    async with a_world(kafka_bootstrap, admin_url, secret, tmp_path) as made:
        yield made


@asynccontextmanager
async def a_portal(
    world: World, admin_url: str, secret: str, rival: str
) -> AsyncIterator[httpx.AsyncClient]:
    """A portal that knows the secrets of two tenants."""
    tenants = world.logs / "portal-tenants.toml"
    tenants.write_text(
        f'[tenants.{world.tenant}]\nname = "Acme"\n'
        f'[tenants.{rival}]\nwebhook_secrets = {{ resend = "LEADFLOW_RIVALS_RESEND" }}\n'
    )
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    environ = {
        **os.environ,
        "LEADFLOW_KAFKA_BOOTSTRAP": world.bootstrap,
        "LEADFLOW_DATABASE_URL": role_url(admin_url, "portal", secret),
        "LEADFLOW_SECRET": secret,
        "LEADFLOW_LINK_SECRET": "only for tests",
        "LEADFLOW_PORTAL_PORT": str(port),
        "LEADFLOW_TENANTS_FILE": str(tenants),
        "LEADFLOW_GROUP": f"portal-{uuid4()}",
        "LEADFLOW_WEBHOOK_SECRET_RESEND": SECRETS["own"],
        "LEADFLOW_WEBHOOK_SECRET_STANDARD": SECRETS["standard"],
        "LEADFLOW_WEBHOOK_SECRET_TWILIO": f"an old token,{AUTH_TOKEN}",
        "LEADFLOW_RIVALS_RESEND": SECRETS["rival"],
    }
    with (world.logs / "portal.log").open("wb") as log:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "portal_api", env=environ, stderr=log
        )
    try:
        # Connections are kept for less long than servers do (uvicorn: 5 s).
        kept = httpx.Limits(keepalive_expiry=3)
        async with httpx.AsyncClient(
            base_url=url, trust_env=False, timeout=30, limits=kept
        ) as client:

            async def listens() -> bool:
                assert process.returncode is None, (world.logs / "portal.log").read_text()
                try:
                    return (await client.get("/healthz")).is_success
                except httpx.TransportError:
                    return False

            await until(listens, "the portal listens")
            yield client
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


async def sent(world: World, number: int) -> tuple[list[Truth], list[Truth], list[MessageQueued]]:
    """E-mails and texts that went out, and messages that did not and never will yet."""
    e_mails = [Truth(queued(world.tenant, n)) for n in range(number)]
    texts = [
        Truth(
            queued(world.tenant, f"t{n}", channel="sms", recipient=f"+1512555{n:04d}", subject="")
        )
        for n in range(number // 3)
    ]
    held = queued(world.tenant, "held", variables={})
    stopped = queued(world.tenant, "stopped")
    await world.publish(
        said(
            stopped, ReplyReceived, channel="email", message_id=None, from_address="x@example.com",
            text="No", automatic=False, returns_on=None,
        ),
        *(
            said(each.message, ConsentChanged, channel="sms", granted=True, basis="opt-in",
                 address=each.message.recipient, keyword="START", evidence="")
            for each in texts
        ),
    )  # fmt: skip
    await world.publish(held, stopped, *(each.message for each in (*e_mails, *texts)))
    wanted = {each.message.message_id: "MessageSent" for each in (*e_mails, *texts)}
    wanted |= {held.message_id: "MessageHeld", stopped.message_id: "MessageSuppressed"}

    async def as_wanted() -> dict[str, list[Any]] | None:
        events = await asyncio.to_thread(world.events)
        told = {message_id: found[-1].TYPE for message_id, found in events.items()}
        return events if told == wanted else None

    events = await until(as_wanted, "every message is sent, held or suppressed")
    for each in (*e_mails, *texts):
        each.provider_id = events[each.message.message_id][-1].provider_id
        assert each.provider_id
    return e_mails, texts, [held, stopped]


def true_reports(
    reporter: Reporter, e_mails: Sequence[Truth], texts: Sequence[Truth]
) -> list[Request]:
    now = datetime.now(UTC)
    reports: list[Request] = []
    for number, each in enumerate(e_mails):
        email_id, path = each.provider_id, number % 6
        if path in (0, 1, 2, 3):
            at = now - timedelta(seconds=2.5)
            reports.append(reporter.resend("delivered", email_id, at))
            each.events["MessageDelivered"] += 1
        if path == 0:
            opened = {"userAgent": PERSON, "ipAddress": "203.0.113.9"}
            reports.append(reporter.resend("opened", email_id, now, open=opened))
            each.events["MessageOpened:person"] += 1
            click = {**opened, "link": "https://a.example", "timestamp": now.isoformat()}
            reports.append(reporter.resend("clicked", email_id, now, click=click))
            each.events["MessageClicked:person"] += 1
        if path == 1:
            for link in range(3):
                click = {
                    "link": f"https://{link}.example",
                    "timestamp": (now + timedelta(seconds=0.1 * link)).isoformat(),
                }
                reports.append(reporter.resend("clicked", email_id, now, click=click))
                each.events["MessageClicked:machine"] += 1
            proxy = {"userAgent": "GoogleImageProxy", "ipAddress": "66.249.84.1"}
            reports.append(reporter.resend("opened", email_id, now, open=proxy))
            each.events["MessageOpened:machine"] += 1
        if path == 2:
            reports.append(reporter.resend("complained", email_id, now))
            each.events["MessageComplained"] += 1
            each.suppressed.add("complaint")
        if path == 4:
            bounce = {"type": "Permanent", "subType": "General", "message": "550 5.1.1"}
            reports.append(reporter.resend("bounced", email_id, now, bounce=bounce))
            each.events["MessageBounced:hard"] += 1
            each.suppressed.add("hard_bounce")
        if path == 5:
            tags = {"message_id": each.message.message_id}
            reports.append(reporter.resend("delivery_delayed", email_id, now, tags=tags))
            each.events["MessageBounced:soft"] += 1
    for number, each in enumerate(texts):
        named = each.message.message_id if number % 2 else ""
        reports += [
            reporter.twilio(each.provider_id, status, message_id=named)
            for status in ("queued", "sent")
        ]
        if number % 3:
            reports.append(reporter.twilio(each.provider_id, "delivered", message_id=named))
            each.events["MessageDelivered"] += 1
        else:
            reports.append(
                reporter.twilio(each.provider_id, "undelivered", message_id=named, code="30005")
            )
            each.events["MessageBounced:hard"] += 1
            each.suppressed.add("hard_bounce")
    return reports


def false_reports(
    chance: random.Random,
    reporter: Reporter,
    e_mails: Sequence[Truth],
    texts: Sequence[Truth],
    unsent: Sequence[MessageQueued],
) -> list[Request]:
    """Signed well, and about no message that the signer may speak for."""
    now = datetime.now(UTC)
    bounce = {"type": "Permanent", "subType": "General", "message": "forged"}
    reports: list[Request] = []
    for each in e_mails:
        kind = chance.choice(("delivered", "opened", "clicked", "bounced", "complained"))
        message_id, email_id = each.message.message_id, each.provider_id
        details: dict[str, Any] = {"bounce": bounce, "click": {"link": "https://forged.example"}}
        reports += [
            reporter.resend(kind, email_id, now, tenant=reporter.rival, **details),
            reporter.standard(kind, now, message_id=message_id, bounce_type="hard"),
            reporter.standard(kind, now, provider_id=email_id, bounce_type="hard"),
            reporter.twilio(email_id, "undelivered", message_id=message_id, code="30005"),
            reporter.resend(kind, f"guess-{chance.random()}", now, **details),
            reporter.resend(kind, email_id, now - timedelta(days=3), **details),
        ]
    for each in texts:
        tags = {"message_id": each.message.message_id}
        reports += [
            reporter.resend("bounced", each.provider_id, now, bounce=bounce),
            reporter.resend("complained", "x", now, tags=tags),
        ]
    for message in unsent:
        tags = {"message_id": message.message_id}
        reports += [
            reporter.resend("bounced", "x", now, bounce=bounce, tags=tags),
            reporter.resend("clicked", "x", now, tags=tags),
            reporter.twilio("SMx", "undelivered", message_id=message.message_id, code="30005"),
        ]
    return reports


async def post(client: httpx.AsyncClient, requests: Sequence[Request]) -> None:
    """All of them, sixteen at a time; each answered as it must be."""
    at_once = asyncio.Semaphore(16)

    async def one(request: Request) -> None:
        async with at_once:
            answer = await client.post(request.path, content=request.body, headers=request.headers)
        assert answer.status_code == request.answer, (request, answer.text)

    await asyncio.gather(*map(one, requests))


def kind_of(event: Any) -> str:
    if isinstance(event, MessageBounced):
        return f"{event.TYPE}:{event.bounce_type}"
    if isinstance(event, (MessageOpened, MessageClicked)):
        return f"{event.TYPE}:{'machine' if event.automated else 'person'}"
    return str(event.TYPE)


def event_of(request: Request) -> str | None:
    """By what a report is the same event as another; None for a refused one, and for no news."""
    if request.answer != 204 or any(word in request.body for word in (b"=queued", b"=sent")):
        return None
    return (
        request.headers.get("svix-id")
        or request.headers.get("webhook-id")
        or request.body.decode().partition("&To=")[0]
    )


async def report_by_itself(world: World, portal: str, truth: Truth) -> None:
    """The sandbox reports, with signatures of its own making; each report twice."""
    (entry,) = (
        item for item in await world.accepted("resend") if item["key"] == truth.message.message_id
    )
    for event in ("delivered", "complained") * 2:
        asked = {
            "id": entry["id"],
            "event": event,
            "event_id": f"msg_{event}",
            "secret": SECRETS["own"],
            "url": f"{portal}/webhooks/providers/resend/{world.tenant}",
        }
        answer = await world.sandbox.post("/callbacks", json=asked)
        assert answer.json() == {"event_id": f"msg_{event}", "status": 204}
    truth.events += Counter(["MessageDelivered", "MessageComplained"])
    truth.suppressed.add("complaint")


async def all_judged(
    world: World, requests: Sequence[Request], waiting: set[str], *, more: int
) -> None:
    """Every report is kept, each event once, and settled but for those that wait: for a message
    that nobody knows, or that may go out yet. `more` were made by others."""
    known = {event for request in requests if (event := event_of(request)) is not None}

    async def done() -> bool:
        async with world.engine.connect() as connection:
            found = (
                await connection.execute(
                    text("SELECT message_id, provider_id, applied_at, tenant_id FROM callbacks")
                )
            ).all()
        left = [
            row
            for row in found
            if row.applied_at is None
            and row.tenant_id == world.tenant
            and row.message_id not in waiting
            and (row.message_id is not None or not row.provider_id.startswith("guess"))
        ]
        assert len(found) <= len(known) + more
        return len(found) == len(known) + more and not left

    await until(done, f"{len(known) + more} reports are kept and judged")


def ends(world: World) -> list[confluent_kafka.TopicPartition]:
    """Where the next reports will lie in the log."""
    consumer = new_consumer(world.bootstrap, f"{world.group}-callbacks")
    try:
        return ends_of(consumer, [topics.RAW_EVENTS.name])
    finally:
        consumer.close()


def go_back(world: World, places: list[confluent_kafka.TopicPartition]) -> None:
    """Let the dispatcher that comes next read from there."""
    consumer = new_consumer(world.bootstrap, f"{world.group}-callbacks")
    try:
        consumer.commit(offsets=places, asynchronous=False)
    finally:
        consumer.close()


async def test_nothing_changes_but_by_what_truly_happened(
    world: World, admin_url: str, secret: str
) -> None:
    chance = random.Random(23)
    rival = f"rival-{uuid4()}"
    sandbox = str(world.sandbox.base_url).rstrip("/")
    providers = {
        "LEADFLOW_EMAIL_VIA": "resend",
        "LEADFLOW_SMS_VIA": "twilio",
        "LEADFLOW_RESEND_URL": f"{sandbox}/resend",
        "LEADFLOW_RESEND_API_KEY": API_KEY,
        "LEADFLOW_TWILIO_URL": f"{sandbox}/twilio",
        "LEADFLOW_TWILIO_ACCOUNT_SID": ACCOUNT_SID,
        "LEADFLOW_TWILIO_AUTH_TOKEN": AUTH_TOKEN,
        "LEADFLOW_TWILIO_SMS_FROM": "+15005550006",
    }
    async with a_portal(world, admin_url, secret, rival) as portal:
        first = await asyncio.to_thread(ends, world)
        async with world.running(**providers):
            e_mails, texts, unsent = await sent(world, 25)
            spare = e_mails.pop()
            last_sent = datetime.now(UTC)

            async def time_to_read() -> bool:
                return datetime.now(UTC) > last_sent + timedelta(seconds=3)

            # Nobody reads at once; the deliveries are said to be some seconds old.
            await until(time_to_read, "somebody has had the time to read")
            reporter = Reporter(chance, str(portal.base_url).rstrip("/"), world.tenant, rival)
            true = true_reports(reporter, e_mails, texts)
            false = false_reports(chance, reporter, e_mails, texts, unsent)
            forged = [reporter.broken(chance.choice((*true, *false))) for _ in range(60)]
            # Some come twice, some are reported anew under another id.
            again = [*chance.sample(true, len(true) // 2), *map(reporter.anew, true)]
            requests = [*true, *false, *forged, *again]
            chance.shuffle(requests)
            by_time = [each for each in (*true, *false) if "x-twilio-signature" not in each.headers]
            for _ in range(30):
                stale = reporter.stale(chance.choice(by_time))
                requests.insert(chance.randrange(len(requests)), stale)
            half = len(requests) // 2
            await post(portal, requests[:half])
            await report_by_itself(world, str(portal.base_url).rstrip("/"), spare)
        await asyncio.to_thread(go_back, world, first)
        async with world.running(**providers):
            await post(portal, requests[half:])
            await all_judged(world, requests, {each.message_id for each in unsent}, more=2)

            async def published() -> bool:
                async with world.engine.connect() as connection:
                    return not await connection.scalar(text("SELECT count(*) FROM outbox"))

            await until(published, "every event is published")
            events = await asyncio.to_thread(world.events)
        truths = {each.message.message_id: each for each in (*e_mails, *texts, spare)}
        for message_id, truth in truths.items():
            told = Counter(map(kind_of, events[message_id]))
            assert told - Counter(["MessageSent"]) == truth.events, message_id
        for message in unsent:
            told = Counter(map(kind_of, events[message.message_id]))
            assert set(told) <= {"MessageHeld", "MessageSuppressed"}
        async with world.engine.connect() as connection:
            rows = await connection.execute(
                text("SELECT address, reason FROM suppressions WHERE active AND tenant_id = :t"),
                {"t": world.tenant},
            )
            listed: dict[str, set[str]] = defaultdict(set)
            for row in rows:
                listed[row.address].add(row.reason)
            stops = await connection.execute(
                text("SELECT lead_id, stop FROM stops WHERE stop IN ('bounce', 'complaint')")
            )
            stopped = {row.lead_id for row in stops}
            rows = await connection.execute(text("SELECT DISTINCT outcome FROM callbacks"))
            outcomes = set(rows.scalars())
        assert listed == {
            truth.message.recipient: truth.suppressed
            for truth in truths.values()
            if truth.suppressed
        }
        assert stopped == {truth.message.lead_id for truth in truths.values() if truth.suppressed}
        assert {"other_provider", "never_sent", "before_the_message", "repeat"} <= outcomes
