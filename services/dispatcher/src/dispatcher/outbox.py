"""Events go from the outbox to message-events: written with their change, sent, removed.

A crash in between sends some again, with the same ids and bytes.
"""

from __future__ import annotations

import asyncio

import structlog
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from dispatcher.pace import Wakeup, backoff
from leadflow.clock import Clock
from leadflow.errors import is_retryable, public_reason
from leadflow.health import Health
from leadflow.kafka.port import Outgoing, Producer

log = structlog.get_logger()

# One publisher at a time over all workers, so that a lead's events keep their order.
LOCK = text("SELECT pg_try_advisory_xact_lock(7320)")
NEXT = text("SELECT position, topic, key, value FROM outbox ORDER BY position LIMIT :limit")
REMOVE = text("DELETE FROM outbox WHERE position = ANY (CAST(:positions AS bigint[]))")

BATCH = 2_000
# Events that come within so long go out together: four statements for all, not for each.
GATHER_SECONDS = 0.02


class Publisher:
    """Sends what is in the outbox until it is told to stop."""

    def __init__(
        self, engine: AsyncEngine, producer: Producer, clock: Clock, health: Health, wakeup: Wakeup
    ) -> None:
        self._engine = engine
        self._producer = producer
        self._clock = clock
        self._health = health
        self._wakeup = wakeup

    async def run(self, stop: asyncio.Event) -> None:
        failures = 0
        while True:
            stopping, ticket = stop.is_set(), self._wakeup.ticket()
            try:
                sent = await self.publish()
            except Exception as error:
                if not is_retryable(error) or stopping:
                    raise
                failures += 1
                self._health.not_ready("publisher", public_reason(error))
                log.warning("will publish again", reason=public_reason(error))
                await self._clock.sleep(backoff(failures))
                continue
            failures = 0
            self._health.ready("publisher")
            self._health.progress("publisher")
            if sent == BATCH:
                continue
            if stopping:
                return
            await self._wakeup.wait(ticket, 0.5)
            await self._clock.sleep(GATHER_SECONDS)

    async def publish(self) -> int:
        """Send one batch; returns its size, 0 also where another worker is publishing."""
        async with self._engine.begin() as connection:
            if not await connection.scalar(LOCK):
                return 0
            rows = (await connection.execute(NEXT, {"limit": BATCH})).all()
            if not rows:
                return 0
            await self._producer.send(
                [Outgoing(row.topic, row.key.encode(), row.value) for row in rows]
            )
            await connection.execute(REMOVE, {"positions": [row.position for row in rows]})
        return len(rows)
