"""The room for calls of an account, shared between workers through one row."""

from __future__ import annotations

from datetime import timedelta

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from crm_sync.budget import Bucket, Budget, take
from crm_sync.crm.base import CrmNoRoom
from crm_sync.crm.http import Gate, open_gate
from leadflow.clock import Clock

# Times are the database's: workers need not agree on theirs.
LOCK = text(
    """
    INSERT INTO call_budgets (account_id, calls_left, counted_at)
    VALUES (:account_id, :most, clock_timestamp())
    ON CONFLICT (account_id) DO UPDATE SET account_id = excluded.account_id
    RETURNING calls_left, counted_at, clock_timestamp() AS now
    """
)
KEEP = text(
    "UPDATE call_budgets SET calls_left = :calls_left, counted_at = :counted_at"
    " WHERE account_id = :account_id"
)


class Gates:
    """`patience` is how long a call waits for room before it is not made."""

    def __init__(self, engine: AsyncEngine, clock: Clock, patience: timedelta) -> None:
        self._engine = engine
        self._clock = clock
        self._patience = patience

    def of(self, account_id: str, budget: Budget | None) -> Gate:
        """Asked before each call to the account; raises CrmNoRoom."""
        if budget is None:
            return open_gate

        async def gate() -> None:
            waited = timedelta(0)
            while wait := await self._take(account_id, budget):
                waited += wait
                if waited > self._patience:
                    raise CrmNoRoom(f"account {account_id} has no calls left for now", wait)
                await self._clock.sleep(wait.total_seconds())

        return gate

    async def _take(self, account_id: str, budget: Budget) -> timedelta:
        async with self._engine.begin() as connection:
            found = await connection.execute(LOCK, {"account_id": account_id, "most": budget.most})
            row = found.one()
            bucket, wait = take(Bucket(row.calls_left, row.counted_at), budget, row.now)
            await connection.execute(
                KEEP,
                {
                    "account_id": account_id,
                    "calls_left": bucket.calls_left,
                    "counted_at": bucket.counted_at,
                },
            )
        return wait
