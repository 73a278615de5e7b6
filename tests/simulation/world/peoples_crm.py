"""A CRM in which people work too, and crm-sync's own loop that looks at what it tells of."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

from crm_sync.account_store import Registered
from crm_sync.changes import CrmChange
from crm_sync.crm.base import CrmError, CrmUnavailable, Kept
from crm_sync.looking import Looker
from crm_sync.model import BOTH_WAYS, DEFAULT_ACCOUNT
from crm_sync.notice_store import Known, Notice
from crm_sync.notices import NoticeHandler
from crm_sync.reports import Reports
from leadflow import topics
from leadflow.errors import is_retryable
from leadflow.kafka.dead_letters import DeadLetters

from .batches import Reader
from .crm import CrmSync, CrmTables, FakeCrm, decode
from .durable import START, Durable, LogProducer, Process
from .story import CODEC

NOTICES = topics.CRM_NOTICES.name
WAIT = timedelta(seconds=2)


class PeoplesCrm(FakeCrm):
    """Has everything in our words, and can be read."""

    both_ways: Mapping[str, str] = dict(zip(BOTH_WAYS, BOTH_WAYS, strict=True))

    def edit(self, lead_id: str, name: str, value: str) -> None:
        """Somebody changes a field by hand."""
        history = self.history[lead_id]
        history.append({**history[-1], name: value})

    async def read(self, external_ids: Sequence[str]) -> dict[str, Kept]:
        def effect() -> dict[str, Kept] | CrmError:
            if self.faulty and self._durable.rng.random() < 0.1:
                return CrmUnavailable("no answer")
            return {each: self.history[each][-1] for each in external_ids if each in self.history}

        found: dict[str, Kept] | CrmError = await self._durable.gate(
            self.process, "reads the CRM", effect
        )
        if isinstance(found, CrmError):
            raise found
        return found

    async def whose(self, kind: str, crm_ids: Sequence[str]) -> dict[str, str]:
        return {each: each for each in crm_ids}

    def place(self, kind: str, name: str) -> str:
        return name

    def told(self, kept: Kept, place: str) -> tuple[str, ...]:
        return (str(kept[place]),)

    def kept(self, fields: Mapping[str, Any]) -> Kept:
        return fields


@dataclass
class _Row:
    notice: Notice
    due_at: datetime
    versions: list[int]  # of each change


@dataclass
class NoticeTables:
    """Notices, and what is settled of each lead: they survive every crash."""

    rows: dict[str, _Row] = field(default_factory=dict)
    heard: dict[str, dict[str, Any]] = field(default_factory=dict)


class _Notices:
    """What `crm_sync.notice_store.NoticeStore` promises: every method is one transaction."""

    def __init__(
        self, durable: Durable, process: Process, tables: NoticeTables, contacts: CrmTables
    ) -> None:
        self._durable = durable
        self._process = process
        self._tables = tables
        self._contacts = contacts

    async def fold(self, notices: Sequence[Notice], wait: timedelta) -> None:
        now = self._durable.clock.now()

        def effect() -> None:
            for each in notices:
                row = self._tables.rows.get(each.crm_id)
                if row is None:
                    versions = [1] * len(each.changes)
                    notice = replace(each, first_at=now)
                    self._tables.rows[each.crm_id] = _Row(notice, now + wait, versions)
                    continue
                row.notice = replace(
                    row.notice,
                    version=row.notice.version + 1,
                    noticed_at=max(row.notice.noticed_at, each.noticed_at),
                    changes=(*row.notice.changes, *each.changes),
                )
                row.versions += [row.notice.version] * len(each.changes)

        await self._durable.gate(self._process, "keeps notices", effect)

    async def take(self, most: int, lease: timedelta) -> list[Notice]:
        now = self._durable.clock.now()

        def effect() -> list[Notice]:
            due = [row for row in self._tables.rows.values() if row.due_at <= now]
            for row in due:
                row.due_at = now + lease
                row.notice = replace(row.notice, attempts=row.notice.attempts + 1)
            return [row.notice for row in due]

        found: list[Notice] = await self._durable.gate(self._process, "takes notices", effect)
        return found

    async def put_off(self, notice: Notice, wait: timedelta) -> None:
        at = self._durable.clock.now() + wait

        def effect() -> None:
            if (row := self._tables.rows.get(notice.crm_id)) is not None:
                row.due_at = at

        await self._durable.gate(self._process, "puts a notice off", effect)

    async def done(
        self, notices: Sequence[Notice], lead_id: str = "", heard: Mapping[str, Any] | None = None
    ) -> None:
        now = self._durable.clock.now()

        def effect() -> None:
            for notice in notices:
                row = self._tables.rows.get(notice.crm_id)
                if row is not None and row.notice.version == notice.version:
                    del self._tables.rows[notice.crm_id]
                elif row is not None:
                    pairs = zip(row.notice.changes, row.versions, strict=True)
                    new = [pair for pair in pairs if pair[1] > notice.version]
                    row.versions = [version for _, version in new]
                    changes = tuple(change for change, _ in new)
                    row.notice = replace(row.notice, changes=changes, attempts=0, first_at=now)
                    row.due_at = now
            self._tables.heard.setdefault(lead_id, {}).update(heard or {})

        await self._durable.gate(self._process, "is done with notices", effect)

    async def contacts(self, account_id: str, lead_ids: Sequence[str]) -> dict[str, Known]:
        there = self._contacts
        return {
            each: Known(
                there.contacts[each],
                dict(self._tables.heard.get(each, {})),
                there.begun_at.get(each, START),
                there.written_at[each],
            )
            for each in lead_ids
            if each in there.contacts
        }


class _Account:
    """Everybody's. Both what knows accounts and what connects to them."""

    def __init__(self, crm: PeoplesCrm) -> None:
        self._crm = crm
        self._row = Registered(
            account_id=DEFAULT_ACCOUNT.account_id,
            tenant_id="",
            provider=DEFAULT_ACCOUNT.provider,
            changed_at=START,
        )

    async def of(self, tenant_ids: object) -> list[Registered]:
        return [self._row]

    async def all(self) -> list[Registered]:
        return [self._row]

    @asynccontextmanager
    async def to(self, row: Registered) -> AsyncIterator[PeoplesCrm]:
        yield self._crm


class TwoWaySync(CrmSync):
    """One life of the process, with what it does about notices."""

    def __init__(
        self, durable: Durable, tables: CrmTables, noticed: NoticeTables, crm: PeoplesCrm
    ) -> None:
        super().__init__(durable, tables, crm)
        process, clock = self.process, durable.clock
        self._producer = LogProducer(durable, process)
        self._reports = Reports(CODEC, clock)
        notices: Any = _Notices(durable, process, noticed, tables)
        account: Any = _Account(crm)
        handler = NoticeHandler(notices, account, WAIT)
        letters = DeadLetters("crm-sync", self._producer, clock)
        self.readers.append(
            Reader(durable, process, "crm-sync-notices", [NOTICES], handler, decode, letters)
        )
        self._looker = Looker(notices, account, account, self._tell, clock)
        self._looking = False

    def look(self) -> bool:
        """Begin a round, unless one is under way."""
        if self._looking:
            return False
        self._looking = True
        self.process.start(self._round())
        return True

    async def _round(self) -> None:
        try:
            await self._looker.round()
        except Exception as error:
            if not is_retryable(error):
                raise
        self._looking = False

    async def _tell(self, changes: Sequence[CrmChange]) -> None:
        await self._producer.send([self._reports.of_change(each) for each in changes])
