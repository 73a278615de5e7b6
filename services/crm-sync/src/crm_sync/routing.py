"""Each tenant's leads go to the CRM account of the tenant."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Collection, Coroutine, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import orjson
import structlog

from crm_sync.account_store import ACTIVE, PAUSED, AccountStore, Registered
from crm_sync.breaker import Breaker
from crm_sync.crm.base import (
    Crm,
    CrmError,
    CrmNoRoom,
    CrmPaused,
    CrmSignIn,
    CrmUnavailable,
)
from crm_sync.crm.guarded import GuardedCrm, guarded
from crm_sync.crm.providers import Access, open_crm
from crm_sync.gates import Gates
from crm_sync.model import DEFAULT_ACCOUNT, Account, Contact, Item
from crm_sync.sealing import Sealer
from crm_sync.store import Store
from crm_sync.sync import Synchronizer, work_of
from crm_sync.together import together
from crm_sync.work import LeadWork
from leadflow.clock import Clock
from leadflow.errors import SettingError, is_retryable, public_reason

log = structlog.get_logger()

# Whose pauses a canary may end; what a person paused, a person resumes.
CANARY = "canary"


@dataclass(slots=True)
class Opened:
    """A CRM with its connections; `uses` counts the batches that are under way in it."""

    access: tuple[Any, ...]
    crm: Crm
    uses: int = 0
    outdated: bool = False


class Connections:
    """The CRMs of accounts, each opened once and again when its access has changed.

    `default` is where tenants without an account go; its address is the settings'. `gates` count
    the calls of accounts that have a budget. What is asked beside the records ends with them.
    """

    def __init__(
        self,
        default: Access,
        sealer: Sealer | None,
        clock: Clock,
        timeout_seconds: float,
        gates: Gates,
    ) -> None:
        self._default = default
        self._sealer = sealer
        self._gates = gates
        self._opened: dict[str, Opened] = {}
        self._beside: set[asyncio.Task[None]] = set()
        self.clock = clock
        self.timeout_seconds = timeout_seconds

    @asynccontextmanager
    async def to(self, row: Registered) -> AsyncIterator[Crm]:
        """The account's CRM, open until the block ends at least.

        Raises SettingError where the account is not set up as its provider wants it.
        """
        opened = self._opened.get(row.account_id)
        if opened is None or opened.access != row.access:
            new = Opened(row.access, GuardedCrm(self._open(row)))
            self._opened[row.account_id] = new
            if opened is not None:
                opened.outdated = True
                await self._close_unused(opened)
            opened = new
        opened.uses += 1
        try:
            yield opened.crm
        finally:
            opened.uses -= 1
            await self._close_unused(opened)

    def beside(self, work: Coroutine[Any, Any, None]) -> None:
        """Do this too, until it is done or the connections close."""
        task = asyncio.create_task(work)
        self._beside.add(task)
        task.add_done_callback(self._beside.discard)

    async def close(self) -> None:
        beside = list(self._beside)
        for task in beside:
            task.cancel()
        await asyncio.gather(*beside, return_exceptions=True)
        for opened in self._opened.values():
            await opened.crm.close()

    async def _close_unused(self, opened: Opened) -> None:
        if opened.outdated and not opened.uses:
            await opened.crm.close()

    def _open(self, row: Registered) -> Crm:
        gate = guarded(self._gates.of(row.account_id, row.budget))
        if row.account_id == DEFAULT_ACCOUNT.account_id:
            return open_crm(row.provider, self._default, self.clock, gate)
        if self._sealer is None:
            raise SettingError("LEADFLOW_ACCOUNT_SECRET is not set, and a secret is to be opened")
        access = Access(
            secret=self._sealer.open(row.sealed_secret, row.account_id),
            url=row.url,
            mapping=orjson.loads(row.mapping),
            timeout_seconds=self.timeout_seconds,
        )
        return open_crm(row.provider, access, self.clock, gate)


class Router:
    """Runs the work of leads as `Synchronizer` does, each lead's in its account."""

    def __init__(self, store: Store, accounts: AccountStore, connections: Connections) -> None:
        self._store = store
        self._accounts = accounts
        self._connections = connections
        self._clock = connections.clock
        self._breaker = Breaker(connections.clock, connections.timeout_seconds)
        self._rows: dict[str, Registered] = {}

    async def of(self, tenant_ids: Collection[str]) -> Mapping[str, Account]:
        """The account of each tenant."""
        rows = await self._accounts.of(tenant_ids)
        self._rows.update({row.account_id: row for row in rows})
        own = {row.tenant_id: row.account for row in rows}
        default = self._rows[DEFAULT_ACCOUNT.account_id].account
        return {tenant_id: own.get(tenant_id, default) for tenant_id in tenant_ids}

    def row(self, account_id: str) -> Registered:
        """The account as `of` found it last."""
        return self._rows[account_id]

    async def run(
        self, contacts: dict[str, Contact], items: dict[str, list[Item]]
    ) -> list[LeadWork]:
        """See `Synchronizer.run`. One account's trouble is not another's."""
        by_account: dict[Account, dict[str, list[Item]]] = {}
        for lead_id, mine in items.items():
            by_account.setdefault(mine[0].account, {})[lead_id] = mine
        ended = await together(
            self._run(account, contacts, mine) for account, mine in by_account.items()
        )
        return [work for works in ended for work in works]

    async def _run(
        self, account: Account, contacts: dict[str, Contact], items: dict[str, list[Item]]
    ) -> list[LeadWork]:
        row = self._rows[account.account_id]
        if account.paused:
            return held(contacts, items, CrmPaused(f"account {account.account_id} is paused"))
        if (silent := self._breaker.refusal(account.account_id)) is not None:
            return held(contacts, items, silent)
        try:
            async with self._connections.to(row) as crm:
                began = self._clock.monotonic()
                works = await Synchronizer(self._store, crm).run(contacts, items)
                lasted = self._clock.monotonic() - began
                if self._breaker.ended(account.account_id, works, lasted):
                    log.warning("account does not answer", account=account.account_id)
                    self._connections.beside(self._probe(account.account_id))
                refused = next((w.error for w in works if isinstance(w.error, CrmSignIn)), None)
                if refused is not None and (answer := await ask(crm)) is None:
                    blame_the_lead(works)
                elif refused is not None:
                    await self._pause(row, answer if isinstance(answer, CrmSignIn) else refused)
                return works
        except SettingError as error:
            refused = CrmSignIn(str(error))
            await self._pause(row, refused)
            return held(contacts, items, refused)

    async def _probe(self, account_id: str) -> None:
        """Ask the account until it says something, whatever it is, or is nobody's any more."""
        tenant_id = self._rows[account_id].tenant_id
        wait = self._breaker.probe_in(account_id).total_seconds()
        try:
            while True:
                await self._clock.sleep(wait)
                try:
                    account = (await self.of({tenant_id}))[tenant_id]
                    if account.account_id != account_id or account.paused:
                        return
                    async with self._connections.to(self._rows[account_id]) as crm:
                        if not isinstance(await ask(crm), CrmUnavailable | CrmNoRoom):
                            return
                except SettingError:
                    return  # the next lead finds out why
                except Exception as error:
                    if not is_retryable(error):
                        raise
        finally:
            self._breaker.probe_answered(account_id)
            log.info("account is called again", account=account_id)

    async def _pause(self, row: Registered, error: CrmSignIn) -> None:
        """At once, and for everybody. Whoever changed it meanwhile knows better."""
        if await self._accounts.change(
            row.account_id, PAUSED, str(error), CANARY, before=(ACTIVE,), revision=row.revision
        ):
            log.warning("account paused", account=row.account_id, reason=public_reason(error))


async def ask(crm: Crm) -> CrmError | None:
    """What the canary was answered; None where the account takes calls."""
    try:
        await crm.canary()
    except CrmError as error:
        return error
    return None


def blame_the_lead(works: Sequence[LeadWork]) -> None:
    """The account takes calls, so it was not to blame (ADR 28): the attempt counts."""
    for work in works:
        if isinstance(work.error, CrmSignIn):
            work.error = CrmUnavailable(str(work.error))


def held(
    contacts: Mapping[str, Contact],
    items: Mapping[str, list[Item]],
    error: CrmError,
) -> list[LeadWork]:
    """The work of leads for whom no call is made."""
    works = [work_of(contacts.get(lead_id), mine) for lead_id, mine in items.items()]
    for work in works:
        work.hold(error)
    return works
