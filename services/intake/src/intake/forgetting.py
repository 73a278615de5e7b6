"""Forgets whose messages were, once nobody is going to answer them any more.

An answer that comes later still finds its lead by the address of its sender.
"""

from __future__ import annotations

import asyncio
from datetime import timedelta

import structlog

from intake.store import Store
from leadflow.clock import Clock
from leadflow.errors import is_retryable, public_reason

log = structlog.get_logger()

EVERY_SECONDS = 600.0
BATCH = 5_000
"""Rows a transaction: a few milliseconds, beside the work of others."""


class Forgetting:
    """Looks every ten minutes, and at once again where there was more than a batch."""

    def __init__(self, store: Store, clock: Clock, *, days: int, batch: int = BATCH) -> None:
        self._store = store
        self._clock = clock
        self._keep = timedelta(days=days)
        self._batch = batch

    async def run(self, stop: asyncio.Event) -> None:
        """Until `stop` is set; a database that does not answer is asked again later."""
        while not stop.is_set():
            try:
                if await self.round() >= self._batch:
                    continue
            except Exception as error:
                if not is_retryable(error):
                    raise
                log.warning("will forget later", reason=public_reason(error))
            try:
                async with asyncio.timeout(EVERY_SECONDS):
                    await stop.wait()
            except TimeoutError:
                continue

    async def round(self) -> int:
        """Forget one batch; how many there were."""
        async with self._store.transaction() as transaction:
            return await transaction.forget_messages(self._clock.now() - self._keep, self._batch)
