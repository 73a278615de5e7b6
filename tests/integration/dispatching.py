"""A dispatcher as a process, its ledger and a sandbox of its own: what its tests stand on."""

from __future__ import annotations

import asyncio
import json
import os
import socket
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
from sqlalchemy import make_url, text
from sqlalchemy.ext.asyncio import AsyncEngine

from leadflow import database, ids, topics
from leadflow.codec import Codec
from leadflow.kafka.confluent import ConfluentProducer
from leadflow.kafka.port import Outgoing
from leadflow.records import (
    AutomationPaused,
    AutomationResumed,
    LeadRecord,
    MessageQueued,
    Record,
    SuppressionChanged,
)

from .reading import Reader, start_at_the_end

SOURCES = (topics.LEAD_EVENTS, topics.MESSAGES, topics.MESSAGE_REVIEWS)
FINAL = {"MessageSent", "MessageRecorded", "MessageFailed", "MessageSuppressed", "MessageUnknown"}
TOPIC_OF = {
    record_type: topic.name
    for topic in (
        *SOURCES,
        topics.ENROLLMENT_EVENTS,
        topics.ENROLLMENT_COMMANDS,
        topics.AUTOMATION_CONTROLS,
        topics.SUPPRESSIONS,
    )
    for record_type in topic.records
}
DEADLINE_SECONDS = 90


async def until(condition: Callable[[], Awaitable[Any]], what: str) -> Any:
    """The condition's first truthy answer."""
    try:
        async with asyncio.timeout(DEADLINE_SECONDS):
            while True:
                if answer := await condition():
                    return answer
                await asyncio.sleep(0.1)
    except TimeoutError:
        raise AssertionError(f"within {DEADLINE_SECONDS} s: {what}") from None


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


# --- messages, and what people and providers say --------------------------------------------


def queued(tenant_id: str, number: int | str = 0, **changes: Any) -> MessageQueued:
    """A step's e-mail to a lead of its own."""
    now = datetime.now(UTC)
    lead_id = changes.pop("lead_id", None) or ids.lead_id(tenant_id, "test", str(number))
    step_id = changes.pop("step_id", "hello")
    enrollment_id = ids.enrollment_id(lead_id, "first-touch", 1)
    message_id = ids.message_id(enrollment_id, step_id)
    fields: dict[str, Any] = {
        "event_id": ids.derived_id("MessageQueued", message_id),
        "tenant_id": tenant_id,
        "occurred_at": now,
        "recorded_at": now,
        "source": "sequencer",
        "lead_id": lead_id,
        "owner": "dana",
        "message_id": message_id,
        "enrollment_id": enrollment_id,
        "sequence_id": f"{tenant_id}.first-touch",
        "step_id": step_id,
        "channel": "email",
        "attempt": 1,
        "recipient": f"{number}@{tenant_id}.example",
        "template_name": "hello",
        "subject": "Hello {{ first_name }}",
        "body": "Hi {{ first_name }},\n\nStop these: {{ unsubscribe_url }}",
        "variables": {
            # A name with five digits would be a number to call, and count as missing.
            "first_name": f"Ann {str(number)[-4:]}",
            "postal_address": "Acme, 400 Congress Ave, Austin, TX 78701",
        },
        "compliance_note": "no refusal recorded",
        "send_state": "queued",
        "enrolled_at": now - timedelta(minutes=1),
        "stop_on": ("reply", "booking"),
        "due_at": now,
    }
    return MessageQueued(**{**fields, **changes})


def said(message: MessageQueued, record_type: type[Record], **fields: Any) -> Any:
    """A record of lead-events about the lead of a message, recorded now."""
    now = datetime.now(UTC)
    return record_type(
        event_id=str(uuid4()),
        tenant_id=message.tenant_id,
        occurred_at=now,
        recorded_at=now,
        source="test",
        lead_id=message.lead_id,  # type: ignore[call-arg]
        cause_id=str(uuid4()),
        **fields,
    )


def callback(message: MessageQueued, kind: str, **payload: Any) -> dict[str, Any]:
    """A raw event as a provider's webhook would bring it."""
    return {
        "event_id": str(uuid4()),
        "tenant_id": message.tenant_id,
        "source": "email-api",
        "kind": kind,
        "external_id": str(uuid4()),
        "occurred_at": datetime.now(UTC).isoformat(),
        "payload": payload,
    }


# --- the world around the dispatcher --------------------------------------------------------


@dataclass
class World:
    bootstrap: str
    sandbox: httpx.AsyncClient
    smtp_port: int
    engine: AsyncEngine
    database_url: str
    group: str
    producer: ConfluentProducer
    logs: Path
    told_here: Reader
    tenant: str = field(default_factory=lambda: f"t-{uuid4()}")
    codec: Codec = field(default_factory=Codec)

    async def publish(self, *records: Record) -> None:
        await self.producer.send(
            [
                Outgoing(TOPIC_OF[type(record)], key_of(record), self.codec.encode(record))
                for record in records
            ]
        )

    async def report(self, *events: Mapping[str, Any]) -> None:
        """Raw events, as JSON."""
        await self.producer.send(
            [
                Outgoing(topics.RAW_EVENTS.name, event["external_id"].encode(), as_json(event))
                for event in events
            ]
        )

    async def fault(self, **rule: Any) -> None:
        (await self.sandbox.post("/faults", json=rule)).raise_for_status()

    async def no_faults(self) -> None:
        (await self.sandbox.delete("/faults")).raise_for_status()

    async def accepted(self, channel: str = "email") -> list[dict[str, Any]]:
        page = await self.sandbox.get("/accepted", params={"channel": channel, "limit": 10_000})
        items: list[dict[str, Any]] = page.raise_for_status().json()["items"]
        return items

    def events(self) -> dict[str, list[LeadRecord]]:
        """Records of message-events by message, each event_id once, in their order."""
        found: dict[str, dict[str, LeadRecord]] = {}
        for message in self.told_here.read():
            record = self.codec.decode(message.value())
            if isinstance(record, LeadRecord) and record.tenant_id == self.tenant:
                about = found.setdefault(record.to_avro()["message_id"], {})
                about.setdefault(record.event_id, record)
        return {message_id: list(records.values()) for message_id, records in found.items()}

    async def told(self, message: MessageQueued) -> list[str]:
        """The types of the events about a message, in their order."""
        events = await asyncio.to_thread(self.events)
        return [record.TYPE for record in events.get(message.message_id, [])]

    async def becomes(self, message: MessageQueued, record_type: str) -> Any:
        """Wait for a type of event about a message, and return the event."""

        async def there() -> Any:
            events = (await asyncio.to_thread(self.events)).get(message.message_id, [])
            return next((record for record in events if record_type == record.TYPE), None)

        return await until(there, f"a {record_type} is published")

    async def all_final(self, messages: Sequence[MessageQueued]) -> dict[str, list[LeadRecord]]:
        """Wait until every message has a final event; return all events."""
        wanted = {message.message_id for message in messages}

        async def done() -> bool:
            async with self.engine.connect() as connection:
                open_states = "('queued', 'claimed', 'held')"
                known = await connection.scalar(text("SELECT count(*) FROM ledger"))
                left = await connection.scalar(
                    text(f"SELECT count(*) FROM ledger WHERE state IN {open_states}")
                )
                unsent = await connection.scalar(text("SELECT count(*) FROM outbox"))
            return (known, left, unsent) == (len(wanted), 0, 0)

        await until(done, "every message has come to its end")
        events = await asyncio.to_thread(self.events)
        assert events.keys() == wanted
        return events

    @asynccontextmanager
    async def running(self, **settings: str) -> AsyncIterator[asyncio.subprocess.Process]:
        """The dispatcher as a process; ended with SIGTERM unless it is dead by then."""
        tenants = self.logs / "tenants.toml"
        # A text message goes out at whatever hour the tests run.
        tenants.write_text(f"[tenants.{self.tenant}]\nsend_hours = {{}}\n")
        environ = {
            "LEADFLOW_TENANTS_FILE": str(tenants),
            **os.environ,
            "LEADFLOW_KAFKA_BOOTSTRAP": self.bootstrap,
            "LEADFLOW_DATABASE_URL": self.database_url,
            "LEADFLOW_PROVIDERS_URL": f"{str(self.sandbox.base_url).rstrip('/')}/providers",
            "LEADFLOW_SMTP_URL": f"smtp://127.0.0.1:{self.smtp_port}",
            "LEADFLOW_GROUP": self.group,
            "LEADFLOW_LINK_SECRET": "only for tests",
            "LEADFLOW_HEALTH_PORT": "0",
            "LEADFLOW_RETRY_FIRST_SECONDS": "0.2",
            "LEADFLOW_PROVIDER_TIMEOUT_SECONDS": "1",
            "LEADFLOW_LEASE_SECONDS": "2",
            **settings,
        }
        path = self.logs / f"dispatcher-{uuid4()}.log"
        with path.open("wb") as log:
            process = await asyncio.create_subprocess_exec(
                sys.executable, "-m", "dispatcher", env=environ, stderr=log
            )
            try:
                yield process
                if process.returncode is None:
                    # Before that a SIGTERM would just end it.
                    await until(partial(has_begun, path), "the dispatcher has begun")
                    process.terminate()
                    assert await asyncio.wait_for(process.wait(), 30) == 0
            finally:
                if process.returncode is None:
                    process.kill()
                    await process.wait()


async def has_begun(log: Path) -> bool:
    return b'"event": "started"' in await asyncio.to_thread(log.read_bytes)


def key_of(record: Record) -> bytes:
    if isinstance(record, (AutomationPaused, AutomationResumed)):
        return record.scope.encode()
    if isinstance(record, SuppressionChanged):
        return record.suppression_id.encode()
    assert isinstance(record, LeadRecord)
    return record.lead_id.encode()


def as_json(event: Mapping[str, Any]) -> bytes:
    return json.dumps(event).encode()


# A ledger that nobody has used, to be copied: migrating one takes many times as long.
_TEMPLATE = f"dispatcher_template_{uuid4().hex}"
_templates: set[str] = set()


@asynccontextmanager
async def own_database(admin_url: str, secret: str) -> AsyncIterator[str]:
    """A ledger of one's own: any dispatcher sends what is due in the ledger that it sees."""
    name = f"dispatcher_{uuid4().hex}"
    admin = database.engine(admin_url, pool_size=1).execution_options(isolation_level="AUTOCOMMIT")
    try:
        async with admin.connect() as connection:
            if admin_url not in _templates:
                await connection.execute(text(f"CREATE DATABASE {_TEMPLATE}"))
                own = _of_database(admin_url, _TEMPLATE)
                await asyncio.to_thread(database.provision, own, secret)
                url = database.role_url(own, "dispatcher", secret)
                await asyncio.to_thread(database.migrate, "dispatcher", url)
                _templates.add(admin_url)
            await connection.execute(text(f"CREATE DATABASE {name} TEMPLATE {_TEMPLATE}"))
        yield database.role_url(_of_database(admin_url, name), "dispatcher", secret)
        async with admin.connect() as connection:
            await connection.execute(text(f"DROP DATABASE {name} WITH (FORCE)"))
    finally:
        await admin.dispose()


async def drop_template(admin_url: str) -> None:
    """What the first `own_database` left: a server that runs on is to be as it was."""
    if admin_url in _templates:
        _templates.remove(admin_url)
        admin = database.engine(admin_url, pool_size=1)
        try:
            async with admin.connect() as connection:
                autocommit = await connection.execution_options(isolation_level="AUTOCOMMIT")
                await autocommit.execute(text(f"DROP DATABASE {_TEMPLATE}"))
        finally:
            await admin.dispose()


def _of_database(admin_url: str, name: str) -> str:
    return make_url(admin_url).set(database=name).render_as_string(hide_password=False)


@asynccontextmanager
async def a_world(
    kafka_bootstrap: str, admin_url: str, secret: str, tmp_path: Path
) -> AsyncIterator[World]:
    """A ledger, a sandbox and readers of one's own, on shared Kafka."""
    group = f"dispatcher-{uuid4()}"
    start_at_the_end(kafka_bootstrap, group, [topic.name for topic in SOURCES])
    start_at_the_end(kafka_bootstrap, f"{group}-callbacks", [topics.RAW_EVENTS.name])
    start_at_the_end(kafka_bootstrap, f"{group}-lists", [topics.SUPPRESSIONS.name])
    start_at_the_end(kafka_bootstrap, f"{group}-enrollments", [topics.ENROLLMENT_EVENTS.name])
    async with AsyncExitStack() as stack:
        database_url = await stack.enter_async_context(own_database(admin_url, secret))
        engine = database.engine(database_url, pool_size=2)
        stack.push_async_callback(engine.dispose)
        producer = ConfluentProducer(kafka_bootstrap, "test")
        stack.push_async_callback(producer.close)
        port, smtp_port = free_port(), free_port()
        environ = {
            **os.environ,
            "LEADFLOW_SANDBOX_PORT": str(port),
            "LEADFLOW_SMTP_SINK_PORT": str(smtp_port),
        }
        sandbox = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "sandbox", env=environ, stderr=asyncio.subprocess.PIPE
        )
        stack.push_async_callback(sandbox.communicate)
        stack.callback(sandbox.kill)
        assert sandbox.stderr is not None
        async with asyncio.timeout(20):
            assert b"listening" in await sandbox.stderr.readline()
        http = await stack.enter_async_context(
            httpx.AsyncClient(
                base_url=f"http://127.0.0.1:{port}",
                trust_env=False,
                timeout=30,
                # For less long than servers do (uvicorn: 5 s).
                limits=httpx.Limits(keepalive_expiry=3),
            )
        )
        told_here = Reader(kafka_bootstrap, topics.MESSAGE_EVENTS.name)
        stack.callback(told_here.close)
        yield World(
            kafka_bootstrap,
            http,
            smtp_port,
            engine,
            database_url,
            group,
            producer,
            tmp_path,
            told_here,
        )
