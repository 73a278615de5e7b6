"""Holds log and CRM together, account by account, and writes again what differs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta

from crm_sync.account_store import PAUSED, Registered
from crm_sync.crm.base import (
    Crm,
    CrmError,
    CrmLimited,
    CrmNoRoom,
    CrmUnavailable,
    CrmUnreadable,
    Kept,
)
from crm_sync.model import Contact, Item
from crm_sync.notice_store import Notice, NoticeStore
from crm_sync.routing import Connections, Router
from crm_sync.store import ContactTaken, Leads, Store
from crm_sync.verify import (
    DIFFERS,
    NOTICED,
    OLDER,
    REPAIRED_BY_A_WRITE,
    UNDER_WAY,
    Finding,
    Folded,
    Seen,
    judge,
    repair_of,
)
from crm_sync.verify_store import VerifyStore
from leadflow.clock import Clock
from leadflow.errors import SettingError, is_retryable

BATCH = 100
# How often leads are looked at that change meanwhile, and how often a CRM is asked that fails.
LOOKS, READS = 5, 3
PAUSE_SECONDS = 1.0
LONGEST_WAIT = timedelta(seconds=60)


@dataclass(frozen=True, slots=True)
class Options:
    """`rate` is in contacts a second. A pending write older than `settled_after` was left behind
    by whoever began it. `account_id` None: every account. `take`: fields that people can change
    are looked at as if the CRM had told of them, and not written over."""

    account_id: str | None = None
    repair: bool = False
    take: bool = False
    rate: float = 10.0
    settled_after: timedelta = timedelta(seconds=60)


@dataclass(slots=True)
class Tally:
    """`compared` leads; findings by kind, those that were `repaired` apart; by account why its
    leads, or the rest of them, could not be compared; and what could not be repaired."""

    compared: int = 0
    kinds: Counter[str] = field(default_factory=Counter)
    repaired: Counter[str] = field(default_factory=Counter)
    drift: int = 0
    trouble: dict[str, str] = field(default_factory=dict)
    unreadable: set[str] = field(default_factory=set)


# Told of each finding, whether it was repaired, and why not where that was tried.
Tell = Callable[[Finding, bool, str | None], None]


class Verifier:
    """Compares one partition after the other; `tally` is how it stands."""

    def __init__(
        self,
        store: Store,
        writes: VerifyStore,
        notices: NoticeStore,
        connections: Connections,
        router: Router,
        clock: Clock,
        options: Options,
        tell: Tell,
    ) -> None:
        self._store = store
        self._writes = writes
        self._notices = notices
        self._connections = connections
        self._router = router
        self._clock = clock
        self._options = options
        self._tell = tell
        self.tally = Tally()

    async def compare(self, leads: Mapping[str, Folded]) -> None:
        """Every lead of a partition with its contact."""
        accounts = await self._router.of({lead.tenant_id for lead in leads.values()})
        by_account: dict[str, list[str]] = {}
        for lead_id, lead in leads.items():
            account_id = accounts[lead.tenant_id].account_id
            if self._options.account_id in (None, account_id):
                by_account.setdefault(account_id, []).append(lead_id)
        for account_id, lead_ids in by_account.items():
            row = self._router.row(account_id)
            if row.status == PAUSED:
                self.tally.trouble[account_id] = "it is paused"
            for start in range(0, len(lead_ids), BATCH):
                if account_id in self.tally.trouble:
                    break
                chunk = {lead_id: leads[lead_id] for lead_id in lead_ids[start : start + BATCH]}
                try:
                    async with self._connections.to(row) as crm:
                        await self._compare(row, crm, chunk)
                except (CrmError, SettingError) as error:
                    self.tally.trouble[account_id] = str(error)
                except Exception as error:
                    if is_retryable(error):
                        raise
                    # What the CRM has is not what it should be: no reason to end with it.
                    reason = type(error).__name__
                    self.tally.trouble[account_id] = f"what it has cannot be compared: {reason}"

    async def _compare(self, row: Registered, crm: Crm, leads: Mapping[str, Folded]) -> None:
        left = dict(leads)
        for look in range(LOOKS):
            if look:
                await self._clock.sleep(PAUSE_SECONDS)
            found, contacts = await self._look(row, crm, left)
            wrong = {lead_id: each for lead_id, each in found.items() if each is not None}
            if self._options.take:
                wrong |= await self._taken(row, crm, wrong, contacts)
            repairs = {}
            if self._options.repair:
                repairs = {k: v for k, v in wrong.items() if v.kind in REPAIRED_BY_A_WRITE}
            moved = await self._repair(repairs, left, contacts)
            last = look + 1 == LOOKS
            for lead_id in found:
                if lead_id in moved or (_is_under_way(wrong.get(lead_id)) and not last):
                    continue
                if lead_id not in repairs and lead_id in wrong:
                    self._count(wrong[lead_id], repaired=False)
                self.tally.compared += 1
                del left[lead_id]
            if not left:
                return
        for lead_id, lead in left.items():
            self.tally.compared += 1
            finding = Finding(UNDER_WAY, lead.tenant_id, row.account_id, lead_id)
            self._count(finding, repaired=False)

    async def _look(
        self, row: Registered, crm: Crm, leads: Mapping[str, Folded]
    ) -> tuple[dict[str, Finding | None], Mapping[str, Contact]]:
        """What is wrong with each lead whose row was the same before and after its contact was
        read, and those rows."""
        places = dict.fromkeys(leads, row.account_id)
        before = await self._store.load(places)
        has = await self._read(crm, [each for each in leads if each not in before.queues])
        if has is None:
            self.tally.unreadable.add(row.account_id)
        after = await self._store.load(places)
        old = self._clock.now() - self._options.settled_after
        left_behind = await self._writes.left_behind(row.account_id, list(leads), old)
        found: dict[str, Finding | None] = {}
        for lead_id, lead in leads.items():
            contact = after.contacts.get(lead_id)
            if not _is_the_same(lead_id, before, after):
                continue
            kept = None if has is None else has.get(lead_id)
            seen = Seen(contact, lead_id in after.queues, lead_id in left_behind, kept)
            found[lead_id] = judge(
                lead_id, lead, row.account_id, seen, crm.kept, readable=has is not None
            )
        return await self._without_noticed(row, crm, found), after.contacts

    async def _without_noticed(
        self, row: Registered, crm: Crm, found: Mapping[str, Finding | None]
    ) -> dict[str, Finding | None]:
        """What people have changed is theirs until somebody has looked at what the CRM told."""
        changed = {k for k, v in found.items() if v is not None and v.kind in (DIFFERS, OLDER)}
        told: set[str] = set()
        if changed:
            for kind, crm_ids in (await self._writes.noticed(row.account_id)).items():
                told.update((await crm.whose(kind, crm_ids)).values())
        return {
            lead_id: replace(each, kind=NOTICED)
            if each is not None and lead_id in changed & told
            else each
            for lead_id, each in found.items()
        }

    async def _taken(
        self,
        row: Registered,
        crm: Crm,
        findings: Mapping[str, Finding],
        contacts: Mapping[str, Contact],
    ) -> dict[str, Finding]:
        """Those that people may have made different, left to `Looker` as if the CRM had told."""
        now = self._clock.now()
        theirs = {
            lead_id: finding
            for lead_id, finding in findings.items()
            if finding.kind == DIFFERS and finding.fields.keys() & crm.both_ways.keys()
        }
        await self._notices.fold(
            [
                Notice(
                    account_id=row.account_id,
                    tenant_id=findings[lead_id].tenant_id,
                    object="contact",
                    crm_id=contacts[lead_id].crm_id or lead_id,
                    noticed_at=now,
                )
                for lead_id in theirs
            ],
            timedelta(0),
        )
        return {lead_id: replace(finding, kind=NOTICED) for lead_id, finding in theirs.items()}

    async def _read(self, crm: Crm, lead_ids: Sequence[str]) -> dict[str, Kept] | None:
        """None where the CRM cannot be read."""
        for read in range(READS):
            try:
                return await crm.read(lead_ids)
            except CrmUnreadable:
                return None
            except (CrmLimited, CrmNoRoom, CrmUnavailable) as error:
                if read + 1 == READS:
                    raise
                wait = min(max(error.retry_after, timedelta(seconds=PAUSE_SECONDS)), LONGEST_WAIT)
                await self._clock.sleep(wait.total_seconds())
        raise AssertionError("the last read returns or raises")

    async def _repair(
        self,
        findings: Mapping[str, Finding],
        leads: Mapping[str, Folded],
        contacts: Mapping[str, Contact],
    ) -> set[str]:
        """Write these leads again, at most `rate` a second; those that somebody else changed
        meanwhile are returned, to be looked at again."""
        moved: set[str] = set()
        wanted = list(findings)
        size = max(1, min(BATCH, int(self._options.rate)))
        for start in range(0, len(wanted), size):
            chunk = wanted[start : start + size]
            began = self._clock.monotonic()
            try:
                await self._write_again({each: findings[each] for each in chunk}, leads, contacts)
            except ContactTaken:
                moved.update(chunk)
            spent = self._clock.monotonic() - began
            await self._clock.sleep(max(0.0, len(chunk) / self._options.rate - spent))
        return moved

    async def _write_again(
        self,
        findings: Mapping[str, Finding],
        leads: Mapping[str, Folded],
        contacts: Mapping[str, Contact],
    ) -> None:
        items: dict[str, list[Item]] = {}
        for lead_id, finding in findings.items():
            account = self._router.row(finding.account_id).account
            contact = contacts.get(lead_id)
            items[lead_id] = [repair_of(finding, leads[lead_id], contact, account)]
        mine = {lead_id: contacts[lead_id] for lead_id in items if lead_id in contacts}
        for work in await self._router.run(mine, items):
            finding = findings[work.contact.lead_id]
            if work.written:
                self._count(finding, repaired=True)
            else:
                errors = [work.error, *(error for _, error in work.refused)]
                why_not = next((str(error) for error in errors if error is not None), "no call")
                self._count(finding, repaired=False, why_not=why_not)

    def _count(self, finding: Finding, *, repaired: bool, why_not: str | None = None) -> None:
        self.tally.kinds[finding.kind] += 1
        if repaired:
            self.tally.repaired[finding.kind] += 1
        elif finding.is_drift:
            self.tally.drift += 1
        self._tell(finding, repaired, why_not)


def _is_under_way(finding: Finding | None) -> bool:
    return finding is not None and finding.kind == UNDER_WAY


def _is_the_same(lead_id: str, before: Leads, after: Leads) -> bool:
    if (lead_id in before.queues) != (lead_id in after.queues):
        return False
    first, second = before.contacts.get(lead_id), after.contacts.get(lead_id)
    return (first and first.version) == (second and second.version)
