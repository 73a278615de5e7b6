"""What has to be looked at again and again: ended pauses, late consents, early callbacks, what
people said about providers, and what nobody will ask about any more."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from datetime import datetime

import structlog
from sqlalchemy.ext.asyncio import AsyncEngine

from dispatcher import calls, engagement_store, halt_store, suppress
from dispatcher.breaker_news import PREFIX
from dispatcher.controls import Controls
from dispatcher.credentials import Credentials
from dispatcher.engagement_apply import CallbackApplier
from dispatcher.ledger import Ledger
from dispatcher.pace import Wakeup
from dispatcher.releases import Releases
from dispatcher.shared_gate import SharedGate
from leadflow.clock import Clock
from leadflow.codec import Codec
from leadflow.errors import is_retryable, public_reason
from leadflow.health import Health
from leadflow.tenants import Tenant

log = structlog.get_logger()

EVERY_SECONDS = 1.0
BATCH = 1_000
OLD_CALLS = 100
# Looking for reports that are old enough to go costs a probe for each tenant.
FORGET_SECONDS = 60.0


class Upkeep:
    """Goes round once a second, and at once again where a batch was full."""

    def __init__(
        self,
        engine: AsyncEngine,
        ledger: Ledger,
        controls: Controls,
        applier: CallbackApplier,
        releases: Releases,
        *,
        gate: SharedGate,
        credentials: Credentials,
        codec: Codec,
        clock: Clock,
        health: Health,
        to_send: Wakeup,
        tenants: Mapping[str, Tenant],
    ) -> None:
        self._releases = releases
        self._kept_days = engagement_store.kept_days(tenants)
        self._forgot_at: float | None = None
        self._gate = gate
        self._credentials = credentials
        self._heard: dict[str, datetime] = {}
        self._engine = engine
        self._ledger = ledger
        self._controls = controls
        self._applier = applier
        self._codec = codec
        self._clock = clock
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
        await self._obey_words()
        released = await self._ledger.release(self._controls.paused)
        released += await self._ledger.release_refused(self._credentials)
        released += await self._releases.consented(limit=BATCH)
        released += await self._releases.resumed(limit=BATCH)
        released += await self._releases.addressed()
        postponed = await self._releases.postponed()
        if released:
            self._to_send.set()
        async with self._engine.begin() as connection:
            applied = await self._applier.apply(connection, limit=BATCH)
            told = await suppress.tell(connection, self._codec, self._clock.now(), limit=BATCH)
            await calls.forget(connection, limit=OLD_CALLS)
        await self._gate.forget(limit=OLD_CALLS)
        await self._forget()
        if applied or told:
            self._applier.to_publish.set()
        return max(released, postponed, applied, told) >= BATCH

    async def _forget(self) -> None:
        """Drop reports that are older than their tenant wants to remember, and old halts."""
        now = self._clock.monotonic()
        if self._forgot_at is not None and now - self._forgot_at < FORGET_SECONDS:
            return
        async with self._engine.begin() as connection:
            gone = max(
                await engagement_store.forget(connection, self._kept_days, limit=BATCH),
                await halt_store.forget(connection, limit=BATCH),
            )
        if gone < BATCH:
            self._forgot_at = now

    async def _obey_words(self) -> None:
        """Close the breaker of a provider of which somebody said that it works again."""
        for scope, said_at in self._controls.words.items():
            if scope.startswith(PREFIX) and self._heard.get(scope) != said_at:
                await self._gate.reset(scope.removeprefix(PREFIX), said_at)
                self._heard[scope] = said_at

    async def _wait(self, stop: asyncio.Event) -> None:
        try:
            async with asyncio.timeout(EVERY_SECONDS):
                await stop.wait()
        except TimeoutError:
            return
