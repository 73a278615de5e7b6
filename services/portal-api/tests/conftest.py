"""Records as the other services write them, with only what a test is about spelled out."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any, cast

import httpx
import pytest

from leadflow.codec import Codec
from leadflow.health import Health
from leadflow.kafka.loop import Received
from leadflow.kafka.port import Message, Outgoing
from leadflow.records import (
    CrmNoticed,
    RawEvent,
    Record,
    SequencePublished,
    SequenceStep,
    Trigger,
)
from portal_api.api.app import make_app
from portal_api.context import Context
from portal_api.webhooks.secrets import WebhookSecrets

T0 = datetime(2026, 11, 20, 9, 0, tzinfo=UTC)


@pytest.fixture
def t0() -> datetime:
    return T0


@pytest.fixture
def about() -> Callable[..., dict[str, Any]]:
    """The fields that every record about a lead has."""
    numbers = iter(range(1_000_000))

    def fields(minutes: float = 0, **more: Any) -> dict[str, Any]:
        at = T0 + timedelta(minutes=minutes)
        return {
            "event_id": f"event-{next(numbers)}",
            "tenant_id": "acme",
            "occurred_at": at,
            "recorded_at": at,
            "source": "web",
            "lead_id": "lead-1",
            "owner": "dana",
            **more,
        }

    return fields


@pytest.fixture
def received() -> Callable[..., Received]:
    """A record as it comes from a topic."""

    def make(topic: str, record: Record, milliseconds: int = 0) -> Received:
        stamp = int(T0.timestamp() * 1000) + milliseconds
        return Received(Message(topic, 0, 0, b"key", b"", (), stamp), record)

    return make


@pytest.fixture
def sequence() -> SequencePublished:
    """Two e-mails and a task of the tenant acme, complete enough to be active."""

    def step(step_id: str, channel: str, minutes: int) -> SequenceStep:
        return SequenceStep(
            step_id=step_id,
            channel=channel,
            delay_minutes=minutes,
            delay_from="enrollment",
            template_name=step_id,
            subject=f"About {step_id}",
            body=f"Text of {step_id}",
        )

    return SequencePublished(
        event_id="published",
        tenant_id="acme",
        occurred_at=T0,
        recorded_at=T0,
        source="library",
        owner="ops",
        sequence_id="acme.first-touch",
        version=3,
        name="First touch",
        description="",
        status="active",
        trigger=Trigger(kind="stage", value="new"),
        trigger_source="",
        consent_rule="not_opted_out",
        duplicate_rule="one_live_enrollment",
        rollback_path="Publish the version before.",
        incident_owner="ops-lead",
        response_window="5m",
        reentry_rule="never",
        reentry_days=0,
        priority=50,
        stop_on=("reply", "opt_out", "bounce", "complaint", "manual"),
        steps=(step("hello", "email", 0), step("call", "task", 1440), step("last", "email", 10080)),
    )


class Log:
    """A producer that keeps what webhooks told, once it `answers`, or fails with `error`."""

    def __init__(self) -> None:
        self.records: list[RawEvent | CrmNoticed] = []
        self.keys: list[bytes | None] = []
        self.error: Exception | None = None
        self.answers = asyncio.Event()
        self.answers.set()

    async def send(self, batch: Sequence[Outgoing]) -> None:
        await self.answers.wait()
        if self.error is not None:
            raise self.error
        for each in batch:
            record = Codec().decode(each.value or b"")
            assert isinstance(record, RawEvent | CrmNoticed)
            assert each.topic == ("raw-events" if isinstance(record, RawEvent) else "crm-notices")
            self.records.append(record)
            self.keys.append(each.key)


@pytest.fixture
def log() -> Log:
    return Log()


@pytest.fixture
def portal_outside(log: Log) -> Callable[..., AbstractAsyncContextManager[httpx.AsyncClient]]:
    """A client of a portal that has nothing but a log, a clock and the secrets of webhooks, and is
    called `public_url` outside."""

    @asynccontextmanager
    async def made(
        now: datetime, public_url: str, secrets: Mapping[tuple[str, str | None], tuple[str, ...]]
    ) -> AsyncIterator[httpx.AsyncClient]:
        nothing = cast(Any, None)
        context = Context(
            engine=nothing,
            client=nothing,
            producer=cast(Any, log),
            codec=Codec(),
            clock=cast(Any, SimpleNamespace(now=lambda: now)),
            health=Health(()),
            broadcaster=nothing,
            tenants={},
            secret="",
            links=nothing,
            stopping=asyncio.Event(),
            webhook_secrets=WebhookSecrets(secrets),
            public_url=public_url,
        )
        transport = httpx.ASGITransport(make_app(context))
        # As behind a proxy: inside the host is another.
        base_url = "http://10.0.0.7:8080"
        async with httpx.AsyncClient(transport=transport, base_url=base_url) as client:
            yield client

    return made
