"""What readers of e-mails did, on its way to the log. A reader never waits for it.

Kafka may be away for a while: so many sightings are kept, and what is more is lost and counted.
Opens and clicks are for rates, and no message waits for one.
"""

from __future__ import annotations

import asyncio
import json
from collections import OrderedDict, deque
from datetime import datetime
from typing import TYPE_CHECKING

import structlog
from prometheus_client import Counter

from leadflow import ids
from leadflow.errors import BrokerError, public_reason
from leadflow.records import RawEvent

if TYPE_CHECKING:
    from portal_api.context import Context

log = structlog.get_logger()

LOST = Counter("portal_sightings_lost_total", "Opens and clicks that there was no room for")

MOST_WAITING = 10_000
MOST_REMEMBERED = 10_000
BATCH = 500
AGAIN_SECONDS = 2.0
# A mail program that fetches a picture twice, or a hand that clicks twice, did it once.
SAME_SECONDS = 60
LONGEST_AGENT_CHARS = 500


def sighting(
    kind: str,
    *,
    tenant_id: str,
    message_id: str,
    url: str,
    user_agent: str,
    ip: str,
    now: datetime,
) -> RawEvent:
    """A raw event of kind `opened` or `clicked`. The same within a minute has the same id; by
    another program or from elsewhere it is another, for a machine may have looked first."""
    agent = user_agent[:LONGEST_AGENT_CHARS]
    payload = {"message_id": message_id, "user_agent": agent, "ip": ip, "at": now.isoformat()}
    if url:
        payload["url"] = url
    return RawEvent(
        event_id=ids.derived_id(
            kind, message_id, url, agent, ip, int(now.timestamp()) // SAME_SECONDS
        ),
        tenant_id=tenant_id,
        occurred_at=now,
        recorded_at=now,
        source="portal",
        kind=kind,
        external_id=message_id,
        payload=json.dumps(payload),
    )


class Sightings:
    """A queue without end for nobody: `note` never waits, and never fails."""

    def __init__(self, most: int = MOST_WAITING) -> None:
        self._most = most
        self._waiting: deque[RawEvent] = deque()
        self._noted: OrderedDict[str, None] = OrderedDict()
        self._there = asyncio.Event()

    def __len__(self) -> int:
        return len(self._waiting)

    def note(self, event: RawEvent) -> None:
        """Take an event that is not known yet; lose it where there is no room."""
        if event.event_id in self._noted:
            return
        if len(self._waiting) >= self._most:
            LOST.inc()
            return
        self._noted[event.event_id] = None
        if len(self._noted) > MOST_REMEMBERED:
            self._noted.popitem(last=False)
        self._waiting.append(event)
        self._there.set()

    async def take(self) -> list[RawEvent]:
        """The oldest events, once there are some; they stay until `done`."""
        await self._there.wait()
        return [self._waiting[place] for place in range(min(BATCH, len(self._waiting)))]

    def done(self, count: int) -> None:
        for _ in range(count):
            self._waiting.popleft()
        if not self._waiting:
            self._there.clear()


async def publish(context: Context, stop: asyncio.Event) -> None:
    """Write sightings into the log until `stop`; again and again while the broker is away."""
    stopping = asyncio.ensure_future(stop.wait())
    while not stop.is_set():
        taking = asyncio.ensure_future(context.sightings.take())
        await asyncio.wait({taking, stopping}, return_when=asyncio.FIRST_COMPLETED)
        if not taking.done():
            taking.cancel()
            break
        events = taking.result()
        try:
            await context.publish_raw(events)
        except BrokerError as error:
            log.warning(
                "opens and clicks wait", waiting=len(context.sightings), reason=public_reason(error)
            )
            await asyncio.wait({stopping}, timeout=AGAIN_SECONDS)
            continue
        context.sightings.done(len(events))
    stopping.cancel()
