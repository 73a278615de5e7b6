"""Looks at what CRMs say was changed there, and tells the log what people have changed (ADR 29)."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime, timedelta

import structlog

from crm_sync.account_store import ACTIVE, PAUSED, AccountStore, Registered
from crm_sync.changes import CrmChange, changes_of, look_at
from crm_sync.compare import compare
from crm_sync.crm.base import Crm, CrmError, CrmNever, CrmOdd, CrmSignIn, CrmUnreadable, Kept
from crm_sync.metrics import NOTICES
from crm_sync.notice_store import Known, Notice, NoticeStore
from crm_sync.routing import CANARY, Connections, ask
from crm_sync.together import together
from leadflow.clock import Clock
from leadflow.errors import LeadflowError, SettingError, is_retryable, public_reason

log = structlog.get_logger()

ROUND_SECONDS = 0.5
MOST = 100
# A look takes a few calls; whoever holds rows for longer than this has gone.
LEASE = timedelta(minutes=2)
FIRST_WAIT, LONGEST_WAIT = timedelta(seconds=5), timedelta(minutes=15)
GIVEN_UP_AFTER = timedelta(days=3)
# A contact that we are writing just now is looked at again at once, so often, and then later.
TRIES = 3
SOON = timedelta(seconds=1)
# For so long what was noticed may be missing in the CRM because the CRM is behind itself.
BEHIND = timedelta(minutes=1)


class Looker:
    """Of several workers each has one; they share the work through the rows.

    `tell` returns when the changes are in raw-events.
    """

    def __init__(
        self,
        notices: NoticeStore,
        accounts: AccountStore,
        connections: Connections,
        tell: Callable[[Sequence[CrmChange]], Awaitable[None]],
        clock: Clock,
    ) -> None:
        self._notices = notices
        self._accounts = accounts
        self._connections = connections
        self._tell = tell
        self._clock = clock

    async def run(self, stop: asyncio.Event) -> None:
        """Go round until `stop` is set."""
        while not stop.is_set():
            taken = 0
            try:
                taken = await self.round()
            except Exception as error:
                if not is_retryable(error):
                    raise
                log.warning("will look at changes in CRMs again", reason=public_reason(error))
            if taken < MOST:
                try:
                    async with asyncio.timeout(ROUND_SECONDS):
                        await stop.wait()
                except TimeoutError:
                    continue

    async def round(self) -> int:
        """Look at what is due; how many rows that were."""
        taken = await self._notices.take(MOST, LEASE)
        if not taken:
            return 0
        rows = {row.account_id: row for row in await self._accounts.all()}
        by_account: dict[str, list[Notice]] = {}
        for notice in taken:
            by_account.setdefault(notice.account_id, []).append(notice)
        await together(
            self._look(rows[account_id], mine) for account_id, mine in by_account.items()
        )
        return len(taken)

    async def _look(self, row: Registered, notices: Sequence[Notice]) -> None:
        """One account's trouble is not another's."""
        try:
            async with self._connections.to(row) as crm:
                try:
                    await self._try(crm, row, notices)
                except CrmError as error:
                    await self._failed(crm, row, notices, error)
        except SettingError as error:
            await self._pause(row, str(error))
            await self._put_off(notices, FIRST_WAIT)

    async def _failed(
        self, crm: Crm, row: Registered, notices: Sequence[Notice], error: CrmError
    ) -> None:
        if isinstance(error, CrmSignIn) and (answer := await ask(crm)) is not None:
            refused = answer if isinstance(answer, CrmSignIn) else error
            await self._pause(row, str(refused))
        elif len(notices) > 1 and (isinstance(error, CrmOdd) or not error.retryable):
            # One of them may be to blame for all.
            for notice in notices:
                try:
                    await self._try(crm, row, [notice])
                except CrmError as again:
                    await self._try_later([notice], again)
            return
        await self._try_later(notices, error)

    async def _try(self, crm: Crm, row: Registered, notices: Sequence[Notice]) -> None:
        """Raises CrmError, and errors of our own side."""
        try:
            await self._look_into(crm, row, notices)
        except CrmError:
            raise
        except Exception as error:
            if isinstance(error, LeadflowError) or is_retryable(error):
                raise
            # An answer that is not what it should be: no reason for others to wait.
            reason = type(error).__name__
            log.error("an answer of a CRM cannot be read", reason=reason)
            raise CrmNever(f"not to be read: {reason}") from error

    async def _pause(self, row: Registered, reason: str) -> None:
        if await self._accounts.change(
            row.account_id, PAUSED, reason, CANARY, before=(ACTIVE,), revision=row.revision
        ):
            log.warning("account paused", account=row.account_id, reason=reason)

    async def _try_later(self, notices: Sequence[Notice], error: CrmError) -> None:
        now = self._clock.now()
        for notice in notices:
            if notice.first_at is not None and now - notice.first_at > GIVEN_UP_AFTER:
                log.error("a change in a CRM was not looked at", reason=public_reason(error))
                NOTICES.labels("given_up").inc()
                await self._notices.done([notice])
            else:
                NOTICES.labels(error.KIND).inc()
                await self._notices.put_off(notice, _later(notice, error.retry_after))

    async def _put_off(self, notices: Sequence[Notice], wait: timedelta) -> None:
        for notice in notices:
            await self._notices.put_off(notice, wait)

    async def _look_into(self, crm: Crm, row: Registered, notices: Sequence[Notice]) -> None:
        """Raises CrmError."""
        leads, nobodys = await _by_lead(crm, notices)
        for _ in range(TRIES):
            # What we have written is read before and after: what the CRM has lies in between.
            before = await self._notices.contacts(row.account_id, list(leads))
            leads, strangers = _of_their_tenants(leads, before)
            nobodys += strangers
            looked_at = self._clock.now()
            theirs = await _read(crm, [lead_id for lead_id in leads if _has(before[lead_id])])
            after = await self._notices.contacts(row.account_id, list(leads))
            calm = [
                lead_id
                for lead_id in leads
                if lead_id in after
                and after[lead_id].contact.version == before[lead_id].contact.version
            ]
            mine = {lead_id: leads.pop(lead_id) for lead_id in calm}
            await self._settle(crm, row, before, theirs, mine, looked_at)
            if not leads:
                break
        await self._put_off([n for mine in leads.values() for n in mine], SOON)
        if nobodys:
            NOTICES.labels("nobody").inc(len(nobodys))
            await self._notices.done(nobodys)

    async def _settle(
        self,
        crm: Crm,
        row: Registered,
        known: dict[str, Known],
        theirs: dict[str, Kept] | None,
        leads: dict[str, list[Notice]],
        looked_at: datetime,
    ) -> None:
        told: list[CrmChange] = []
        over: list[tuple[list[Notice], str, list[CrmChange]]] = []
        for lead_id, notices in leads.items():
            mine = known[lead_id]
            if not _has(mine):
                # Our first write is not through: what is there is not known to be ours.
                for notice in notices:
                    await self._notices.put_off(notice, _later(notice))
                continue
            if theirs is not None and lead_id not in theirs:
                # Somebody has deleted it since.
                over.append((notices, lead_id, []))
                continue
            look = look_at(crm, mine, theirs and theirs[lead_id], notices, looked_at)
            found = compare(look)
            changes = changes_of(crm, row, mine, found.changes, theirs and theirs[lead_id])
            told += changes
            if found.unsure and (look.pending or looked_at - look.noticed_at < BEHIND):
                await self._put_off(notices, FIRST_WAIT)
                continue
            over.append((notices, lead_id, changes))
        if told:
            await self._tell(told)
        for notices, lead_id, changes in over:
            heard = {each.place: each.heard for each in changes}
            await self._notices.done(notices, lead_id, heard)
            NOTICES.labels("changed" if changes else "unchanged").inc(len(notices))


async def _by_lead(
    crm: Crm, notices: Sequence[Notice]
) -> tuple[dict[str, list[Notice]], list[Notice]]:
    """The notices of each lead, and those that are about nobody's object."""
    leads: dict[str, list[Notice]] = {}
    nobodys: list[Notice] = []
    for kind in sorted({notice.object for notice in notices}):
        mine = [notice for notice in notices if notice.object == kind]
        whose = await crm.whose(kind, [notice.crm_id for notice in mine])
        for notice in mine:
            lead_id = whose.get(notice.crm_id)
            (nobodys if lead_id is None else leads.setdefault(lead_id, [])).append(notice)
    return leads, nobodys


def _of_their_tenants(
    leads: dict[str, list[Notice]], known: dict[str, Known]
) -> tuple[dict[str, list[Notice]], list[Notice]]:
    """The notices of leads that we have, by lead, and those about nobody, or somebody else's: in
    an account that tenants share, each tells of its own leads only."""
    mine: dict[str, list[Notice]] = {}
    strangers: list[Notice] = []
    for lead_id, notices in leads.items():
        for notice in notices:
            if lead_id in known and known[lead_id].contact.tenant_id == notice.tenant_id:
                mine.setdefault(lead_id, []).append(notice)
            else:
                strangers.append(notice)
    return mine, strangers


async def _read(crm: Crm, lead_ids: Sequence[str]) -> dict[str, Kept] | None:
    """None where the CRM cannot be read."""
    try:
        return await crm.read(lead_ids) if lead_ids else {}
    except CrmUnreadable:
        return None


def _has(known: Known) -> bool:
    return known.contact.crm_id is not None


def _later(notice: Notice, at_least: timedelta = timedelta(0)) -> timedelta:
    waited: timedelta = FIRST_WAIT * 2 ** min(notice.attempts - 1, 20)
    return max(at_least, min(LONGEST_WAIT, waited))
