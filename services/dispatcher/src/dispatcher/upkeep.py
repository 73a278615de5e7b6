"""What has to be looked at again and again: ended pauses, late consents, early callbacks."""

from __future__ import annotations

import asyncio

import structlog
from sqlalchemy.ext.asyncio import AsyncEngine

from dispatcher.controls import Controls
from dispatcher.engagement_apply import CallbackApplier
from dispatcher.ledger import Ledger
from dispatcher.pace import Wakeup
from leadflow.errors import is_retryable, public_reason
from leadflow.health import Health

log = structlog.get_logger()

EVERY_SECONDS = 1.0
BATCH = 1_000


class Upkeep:
    """Goes round once a second, and at once again where a batch was full."""

    def __init__(
        self,
        engine: AsyncEngine,
        ledger: Ledger,
        controls: Controls,
        applier: CallbackApplier,
        *,
        health: Health,
        to_send: Wakeup,
    ) -> None:
        self._engine = engine
        self._ledger = ledger
        self._controls = controls
        self._applier = applier
        self._health = health
        self._to_send = to_send

    async def run(self, stop: asyncio.Event) -> None:
        while not stop.is_set():
            try:
                full = await self.round()
                self._health.ready("upkeep")
                self._health.progress("upkeep")
            except Exception as error:
                if not is_retryable(error):
                    raise
                self._health.not_ready("upkeep", public_reason(error))
                log.warning("will look again", reason=public_reason(error))
                full = False
            if not full:
                await self._wait(stop)

    async def round(self) -> bool:
        """Whether there may be more to do at once."""
        released = await self._ledger.release(self._controls.paused, limit=BATCH)
        if released:
            self._to_send.set()
        async with self._engine.begin() as connection:
            applied = await self._applier.apply(connection, limit=BATCH)
        if applied:
            self._applier.to_publish.set()
        return released >= BATCH or applied >= BATCH

    async def _wait(self, stop: asyncio.Event) -> None:
        try:
            async with asyncio.timeout(EVERY_SECONDS):
                await stop.wait()
        except TimeoutError:
            return
