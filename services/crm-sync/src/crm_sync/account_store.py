"""SQL of accounts: who they are, how they stand, and which changes are still to be told."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import orjson
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncEngine

from crm_sync.budget import Budget
from crm_sync.model import DEFAULT_ACCOUNT, Account
from leadflow.clock import Clock
from leadflow.errors import SettingError

ACTIVE, PAUSED, REMOVED = "active", "paused", "removed"

_COLUMNS = """
    account_id, tenant_id, provider, url, mapping::text, sealed_secret, budget_calls,
    budget_seconds, status, reason, changed_by, changed_at, revision
"""
OF_TENANTS = text(
    f"""
    SELECT {_COLUMNS} FROM integration_accounts
    WHERE status <> 'removed' AND (tenant_id = ANY(:tenants) OR account_id = :default)
    """  # noqa: S608
)
ALL = text(f"SELECT {_COLUMNS} FROM integration_accounts ORDER BY tenant_id, changed_at")  # noqa: S608
UNTOLD = text(
    f"SELECT {_COLUMNS} FROM integration_accounts WHERE told < revision ORDER BY account_id"  # noqa: S608
)
TOLD = text(
    "UPDATE integration_accounts SET told = :revision"
    " WHERE account_id = :account_id AND told < :revision"
)
ADD = text(
    """
    INSERT INTO integration_accounts
        (account_id, tenant_id, provider, url, mapping, sealed_secret, budget_calls,
         budget_seconds, reason, changed_by, changed_at)
    VALUES (:account_id, :tenant_id, :provider, :url, CAST(:mapping AS jsonb), :sealed_secret,
        :budget_calls, :budget_seconds, 'added', :changed_by, :changed_at)
    """
)
CHANGE = text(
    """
    UPDATE integration_accounts SET status = CAST(:status AS text), reason = :reason,
        changed_by = :changed_by, changed_at = :changed_at,
        revision = revision + 1, asked_at = NULL,
        sealed_secret = CASE WHEN CAST(:status AS text) = 'removed' THEN '' ELSE sealed_secret END
    WHERE account_id = :account_id AND status = ANY(:before)
        AND revision = coalesce(CAST(:revision AS integer), revision)
    """
)
# A paused account is asked at once whether it takes the new secret.
SET_SECRET = text(
    """
    UPDATE integration_accounts SET sealed_secret = :sealed_secret, asked_at = 'epoch'
    WHERE account_id = :account_id AND status <> 'removed' AND tenant_id <> ''
    """
)
SET_BUDGET = text(
    """
    UPDATE integration_accounts SET budget_calls = :calls, budget_seconds = :seconds
    WHERE account_id = :account_id AND status <> 'removed'
    """
)
# Whoever gets a row asks: of several workers one, and none before `every` is over.
ASK = text(
    f"""
    UPDATE integration_accounts SET asked_at = CAST(:now AS timestamptz)
    WHERE status = 'paused' AND changed_by = :changed_by AND account_id = ANY(
        SELECT account_id FROM integration_accounts
        WHERE status = 'paused' AND coalesce(asked_at, changed_at) + CAST(:every AS interval)
            <= CAST(:now AS timestamptz)
        FOR UPDATE SKIP LOCKED)
    RETURNING {_COLUMNS}
    """  # noqa: S608
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Registered:
    """A row of integration_accounts. `mapping` is JSON. `revision` counts changes of status."""

    account_id: str
    tenant_id: str
    provider: str
    url: str = ""
    mapping: str = "{}"
    sealed_secret: bytes = field(default=b"", repr=False)
    budget: Budget | None = None
    status: str = ACTIVE
    reason: str = ""
    changed_by: str = ""
    changed_at: datetime
    revision: int = 1

    @property
    def account(self) -> Account:
        return Account(self.account_id, self.provider, paused=self.status == PAUSED)

    @property
    def access(self) -> tuple[Any, ...]:
        """What a connection to it is made of."""
        return (self.provider, self.url, self.mapping, self.sealed_secret, self.budget)


class AccountStore:
    """Every method is one transaction."""

    def __init__(self, engine: AsyncEngine, clock: Clock) -> None:
        self._engine = engine
        self._clock = clock

    async def of(self, tenant_ids: Collection[str]) -> list[Registered]:
        """The accounts of these tenants, and the one of those who have none."""
        values = {"tenants": sorted(tenant_ids), "default": DEFAULT_ACCOUNT.account_id}
        return await self._rows(OF_TENANTS, values)

    async def all(self) -> list[Registered]:
        return await self._rows(ALL, {})

    async def untold(self) -> list[Registered]:
        """Those whose newest status no event tells of yet."""
        return await self._rows(UNTOLD, {})

    async def told(self, account_id: str, revision: int) -> None:
        async with self._engine.begin() as connection:
            await connection.execute(TOLD, {"account_id": account_id, "revision": revision})

    async def add(self, new: Registered) -> None:
        """Raises SettingError if the tenant has an account."""
        values = {
            "account_id": new.account_id,
            "tenant_id": new.tenant_id,
            "provider": new.provider,
            "url": new.url,
            "mapping": new.mapping,
            "sealed_secret": new.sealed_secret,
            "budget_calls": new.budget.calls if new.budget else None,
            "budget_seconds": new.budget.seconds if new.budget else None,
            "changed_by": new.changed_by,
            "changed_at": new.changed_at,
        }
        try:
            async with self._engine.begin() as connection:
                await connection.execute(ADD, values)
        except IntegrityError:
            raise SettingError(f"tenant {new.tenant_id} has an account: remove it first") from None

    async def change(
        self,
        account_id: str,
        status: str,
        reason: str,
        by: str,
        before: Sequence[str],
        revision: int | None = None,
    ) -> bool:
        """Whether the account was in one of the states `before`, and as it was at `revision` if
        one is given; it is in `status` now."""
        values: Mapping[str, Any] = {
            "account_id": account_id,
            "status": status,
            "reason": reason,
            "changed_by": by,
            "changed_at": self._clock.now(),
            "before": list(before),
            "revision": revision,
        }
        async with self._engine.begin() as connection:
            return (await connection.execute(CHANGE, values)).rowcount == 1

    async def set_secret(self, account_id: str, sealed_secret: bytes) -> bool:
        """Whether there is such an account; it has the new secret now."""
        values = {"account_id": account_id, "sealed_secret": sealed_secret}
        async with self._engine.begin() as connection:
            return (await connection.execute(SET_SECRET, values)).rowcount == 1

    async def set_budget(self, account_id: str, budget: Budget | None) -> bool:
        """Whether there is such an account; it has the budget from its next batch on."""
        values = {
            "account_id": account_id,
            "calls": budget.calls if budget else None,
            "seconds": budget.seconds if budget else None,
        }
        async with self._engine.begin() as connection:
            return (await connection.execute(SET_BUDGET, values)).rowcount == 1

    async def to_ask(self, paused_by: str, every: timedelta) -> list[Registered]:
        """Those that `paused_by` paused and that are to be asked now; nobody else asks them
        before `every` is over."""
        values = {"changed_by": paused_by, "every": every, "now": self._clock.now()}
        async with self._engine.begin() as connection:
            return [_registered(row) for row in await connection.execute(ASK, values)]

    async def _rows(self, statement: Any, values: Mapping[str, Any]) -> list[Registered]:
        async with self._engine.connect() as connection:
            return [_registered(row) for row in await connection.execute(statement, values)]


def as_json(mapping: Mapping[str, Any]) -> str:
    return orjson.dumps(dict(mapping), option=orjson.OPT_SORT_KEYS).decode()


def _registered(row: Any) -> Registered:
    budget = None
    if row.budget_calls is not None and row.budget_seconds is not None:
        budget = Budget(row.budget_calls, row.budget_seconds)
    return Registered(
        account_id=row.account_id,
        tenant_id=row.tenant_id,
        provider=row.provider,
        url=row.url,
        mapping=row.mapping,
        sealed_secret=bytes(row.sealed_secret),
        budget=budget,
        status=row.status,
        reason=row.reason,
        changed_by=row.changed_by,
        changed_at=row.changed_at,
        revision=row.revision,
    )
