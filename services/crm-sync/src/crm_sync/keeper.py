"""Looks after accounts beside the records: asks paused ones, and tells of what has changed."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta

import structlog

from crm_sync.account_store import ACTIVE, PAUSED, AccountStore, Registered
from crm_sync.crm.base import CrmError
from crm_sync.routing import CANARY, Connections, ask
from leadflow.errors import SettingError, is_retryable, public_reason

log = structlog.get_logger()

ROUND_SECONDS = 1.0


class Keeper:
    """Of several workers each has one; they share the work through the rows.

    `tell` returns when the event of an account's status is in its topic.
    """

    def __init__(
        self,
        accounts: AccountStore,
        connections: Connections,
        tell: Callable[[Registered], Awaitable[None]],
        canary_every: timedelta,
    ) -> None:
        self._accounts = accounts
        self._connections = connections
        self._tell = tell
        self._canary_every = canary_every

    async def run(self, stop: asyncio.Event) -> None:
        """Go round until `stop` is set."""
        while not stop.is_set():
            try:
                await self.round()
            except Exception as error:
                if not is_retryable(error):
                    raise
                log.warning("will look after accounts again", reason=public_reason(error))
            try:
                async with asyncio.timeout(ROUND_SECONDS):
                    await stop.wait()
            except TimeoutError:
                continue

    async def round(self) -> None:
        """Tell what is untold, and ask whoever is to be asked: a pause is told before its end."""
        await self._tell_changes()
        for row in await self._accounts.to_ask(CANARY, self._canary_every):
            if await self._refuses(row) is None and await self._accounts.change(
                row.account_id,
                ACTIVE,
                "the canary was accepted",
                CANARY,
                before=(PAUSED,),
                revision=row.revision,
            ):
                log.info("account resumed", account=row.account_id)
        await self._tell_changes()

    async def _tell_changes(self) -> None:
        for row in await self._accounts.untold():
            await self._tell(row)
            await self._accounts.told(row.account_id, row.revision)

    async def _refuses(self, row: Registered) -> CrmError | SettingError | None:
        try:
            async with self._connections.to(row) as crm:
                return await ask(crm)
        except SettingError as error:
            return error
