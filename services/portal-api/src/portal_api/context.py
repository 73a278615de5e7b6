"""What the routes work with, made once in main.py."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

from sqlalchemy.ext.asyncio import AsyncEngine

from leadflow import topics
from leadflow.clock import Clock
from leadflow.codec import Codec
from leadflow.health import Health
from leadflow.kafka.port import Outgoing, Producer
from leadflow.records import RawEvent, Record
from leadflow.tenants import Tenant
from leadflow.tokens import Sealer
from leadflow.topic import Topic
from portal_api.client import ClientReader
from portal_api.letters.source import Letters, NoLetters
from portal_api.live import Broadcaster
from portal_api.sightings import Sightings
from portal_api.webhooks.secrets import WebhookSecrets

NEVER = datetime.min.replace(tzinfo=UTC)
LOOK_AGAIN_SECONDS = 0.25


@dataclass(frozen=True, slots=True)
class Context:
    engine: AsyncEngine
    client: ClientReader
    producer: Producer
    codec: Codec
    clock: Clock
    health: Health
    broadcaster: Broadcaster
    tenants: Mapping[str, Tenant]
    secret: str
    links: Sealer
    stopping: asyncio.Event
    webhook_secrets: WebhookSecrets = field(default_factory=WebhookSecrets)
    public_url: str = ""
    bare_links_before: datetime = NEVER
    bulk_waits: asyncio.Event = field(default_factory=asyncio.Event)
    sightings: Sightings = field(default_factory=Sightings)
    import_waits: asyncio.Event = field(default_factory=asyncio.Event)
    letters: Letters = field(default_factory=NoLetters)
    letters_wait: asyncio.Event = field(default_factory=asyncio.Event)

    def tenant(self, tenant_id: str) -> Tenant:
        """What the tenant decided; the defaults where the file does not name it."""
        return self.tenants.get(tenant_id) or Tenant(tenant_id=tenant_id, name=tenant_id)

    async def publish(self, topic: Topic, records: Sequence[tuple[str, Record]]) -> None:
        """Return once the broker has every (key, record). Raises BrokerError if it has not."""
        await self.producer.send(
            [
                Outgoing(topic.name, key.encode(), self.codec.encode(record))
                for key, record in records
            ]
        )

    async def publish_raw(self, events: Sequence[RawEvent]) -> None:
        """`publish` to raw-events, under the key that its catalogue entry says."""
        await self.publish(
            topics.RAW_EVENTS,
            [(f"{each.tenant_id}:{each.source}:{each.external_id}", each) for each in events],
        )

    async def until(self, holds: Callable[[], Awaitable[bool]], seconds: float) -> bool:
        """Wait for the projection to make `holds` true; False if it did not within `seconds`."""
        deadline = self.clock.monotonic() + seconds
        with self.broadcaster.subscription(None) as changes:
            while not await holds():
                left = deadline - self.clock.monotonic()
                if left <= 0:
                    return False
                await changes.take(min(left, LOOK_AGAIN_SECONDS))
        return True
