"""Intake, crm-sync and a CRM in which people work, under faults, until both have the same.

Everybody else is left out: few happenings are enough to make what both sides change meet.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta
from random import Random
from typing import Any

from crm_sync.model import BOTH_WAYS
from leadflow import ids
from leadflow.kafka.port import Message, Outgoing
from leadflow.records import CrmChangeSettled, CrmNoticed
from leadflow.records.common import CrmField
from leadflow.tenants import Tenant

from .batches import Reader
from .crm import CrmTables
from .durable import Durable, note_owner
from .elsewhere import told_by_intake
from .intake import Intake, IntakeTables, MemoryStore
from .loop import Loop
from .peoples_crm import NOTICES, NoticeTables, PeoplesCrm, TwoWaySync
from .sequences import TENANT
from .story import CODEC, LEAD_EVENTS, RAW_EVENTS, raw_event

STEPS = 240
MOST_HAPPENINGS = 14
MOST_CRASHES = 3
ROUNDS = 5_000  # a look that is put off by seconds may wait for a write that is by hours
JUMPS = (1, 5, 40, 400, 4000)
APART = timedelta(seconds=10)  # more than clocks may differ
STAGES = ("contacted", "qualified", "won", "lost")  # not every one leads to every other
FREE = ("phone", "company", "title", "owner")


class BothWays:
    """One seed."""

    def __init__(self, seed: int) -> None:
        self.rng = rng = Random(seed)
        self.durable = Durable(rng, tracing=False)
        self.tables, self.crm_tables, self.noticed = IntakeTables(), CrmTables(), NoticeTables()
        self.crm = PeoplesCrm(self.durable)
        self.edits: set[tuple[str, str, str]] = set()  # lead, field and value
        self.leads = [ids.lead_id(TENANT, "sim", str(n)) for n in range(rng.randint(1, 2))]
        self._untold: list[Outgoing] = []
        self._happened = self._said = self._given = 0
        self._crashes = 0

    async def run(self) -> list[str]:
        """Live through it; what is wrong in the end."""
        loop = asyncio.get_running_loop()
        assert isinstance(loop, Loop)
        self._settle = loop.settle
        loop.set_task_factory(note_owner)
        loop.clock = self.durable.clock.monotonic
        self._begin_intake()
        self._begin_sync()
        for number, lead_id in enumerate(self.leads):
            given = {"first_name": "Ada", "email": f"lead{number}@example.com"}
            self._in_log(lead_id, given | {name: self._value(name) for name in FREE})
        for _ in range(STEPS):
            await self._step()
        await self._calm()
        for process in (self.intake.process, self.sync.process):
            await self.durable.crash(process)
        return [*self.durable.errors, *self._wrong()]

    def _begin_intake(self) -> None:
        tenants = {TENANT: Tenant(tenant_id=TENANT)}
        self.intake = Intake(self.durable, self.tables, tenants, MemoryStore)

    def _begin_sync(self) -> None:
        self.sync = TwoWaySync(self.durable, self.crm_tables, self.noticed, self.crm)

    async def _step(self) -> None:
        rng, durable = self.rng, self.durable
        chance = rng.random()
        if chance < 0.45 and durable.waiting:
            gate = rng.choice(durable.waiting)
            durable.release(gate, fail=gate.may_fail and rng.random() < 0.02)
        elif chance < 0.72:
            self._read()
        elif chance < 0.80:
            self.sync.look()
        elif chance < 0.88 and self._happened < MOST_HAPPENINGS:
            durable.clock.time += APART
            self._happen()
        elif chance < 0.94 and self._untold:
            self._notify()
        elif chance < 0.97:
            durable.clock.advance(rng.choice(JUMPS))
        elif chance < 0.985:
            self.crm.carry_out_late_ones(0.5)
        elif self._crashes < MOST_CRASHES:
            self._crashes += 1
            await durable.crash(rng.choice((self.intake, self.sync)).process)
        await self._settle()
        await self._restart()

    async def _restart(self) -> None:
        for each in (self.intake, self.sync):
            if each.process.failed:
                await self.durable.crash(each.process)
        if not self.intake.process.alive:
            self._begin_intake()
        if not self.sync.process.alive:
            self._begin_sync()

    def _readers(self) -> list[Reader]:
        return [*self.intake.readers, *self.sync.readers]

    def _read(self) -> bool:
        ends = [(each, number) for each in self._readers() for number in each.readable()]
        if ends:
            reader, number = self.rng.choice(ends)
            reader.read(number)
        return bool(ends)

    def _happen(self) -> None:
        """Somebody changes a field, here or there."""
        self._happened += 1
        lead_id = self.rng.choice(self.leads)
        name = self.rng.choice((*FREE, "stage"))
        if lead_id in self.crm.history and self.rng.random() < 0.6:
            self._in_crm(lead_id, name)
        elif name == "stage":
            to = {"lead": lead_id, "to": self._value(name), "reason": "too dear"}
            self._say("stage_change", lead_id, to)
        else:
            self._in_log(lead_id, {name: self._value(name)})

    def _value(self, name: str) -> str:
        """One that nobody had before; but stages are few."""
        if name == "stage":
            return self.rng.choice(STAGES)
        self._given += 1
        number = self._given + 100
        return f"+1212555{number:04}" if name == "phone" else f"{name}-{number}"

    def _in_log(self, lead_id: str, given: dict[str, str]) -> None:
        self._say("lead", lead_id, given)

    def _say(self, kind: str, lead_id: str, payload: dict[str, str]) -> None:
        at = self.durable.clock.now().isoformat()
        external_id = str(self.leads.index(lead_id))
        about = {"tenant_id": TENANT, "source": "sim", "external_id": external_id}
        self._said += 1
        raw = about | {"event_id": f"{kind}-{self._said}", "kind": kind, "occurred_at": at}
        value = json.dumps({**raw, "payload": payload}).encode()
        for _ in range(self.rng.choice((1, 1, 1, 2))):
            key = f"{TENANT}:sim:{external_id}".encode()
            self.durable.append(Outgoing(RAW_EVENTS, key, value))

    def _in_crm(self, lead_id: str, name: str) -> None:
        now, value = self.durable.clock.now(), self._value(name)
        if self.crm.history[lead_id][-1].get(name) == value:
            return
        self.crm.edit(lead_id, name, value)
        self.edits.add((lead_id, name, value))
        named = (CrmField(name=name, value=value, at=now),)
        if self.rng.random() < 0.7:  # or it is lost
            self._untold.append(self._notice(lead_id, self.rng.choice((named, ()))))

    def _notice(self, lead_id: str, named: tuple[CrmField, ...]) -> Outgoing:
        now = self.durable.clock.now()
        record = CrmNoticed(
            event_id=f"notice-{self._given}-{lead_id}",
            tenant_id=TENANT,
            occurred_at=now,
            recorded_at=now,
            source="sandbox",
            provider="sandbox",
            object="contact",
            crm_id=lead_id,
            changes=named,
        )
        return Outgoing(NOTICES, f"{TENANT}:sandbox:{lead_id}".encode(), CODEC.encode(record))

    def _notify(self) -> None:
        """In any order, and sometimes not for the last time."""
        notice = self.rng.choice(self._untold)
        self.durable.append(notice)
        if self.rng.random() < 0.8:
            self._untold.remove(notice)

    async def _calm(self) -> None:
        """No more faults. Each lead is edited a last time, and one more notice comes of it, so that
        the CRM is looked at."""
        self.crm.faulty = False
        self.crm.carry_out_late_ones(1.0)
        await self._quiet()
        self.durable.clock.time += APART
        for lead_id in self.leads:
            self._in_crm(lead_id, self.rng.choice((*FREE, "stage")))
        for notice in self._untold:
            self.durable.append(notice)
        for lead_id in self.leads:
            self.durable.append(self._notice(lead_id, ()))
        await self._quiet()

    async def _quiet(self) -> None:
        for _ in range(ROUNDS):
            await self._release_all()
            while self._read():
                await self._release_all()
            now = self.durable.clock.now()
            due = [row.due_at for row in self.noticed.rows.values()]
            if any(at <= now for at in due):
                self.sync.look()
                await self._release_all()
            elif times := due + [at for each in self._readers() for at in each.waits_until()]:
                self.durable.clock.time = max(now, min(times)) + timedelta(milliseconds=1)
            elif not self._waits():
                return
        self.durable.errors.append("RESTLESS: something goes on and on")

    def _waits(self) -> bool:
        return any(each.readable() for each in self._readers())

    async def _release_all(self) -> None:
        await self._settle()
        while self.durable.waiting:
            self.durable.release(self.durable.waiting[0])
            await self._settle()
        await self._restart()

    def _wrong(self) -> Iterator[str]:
        for lead_id in self.leads:
            row = self.tables.leads.get(lead_id)
            if row is None or lead_id not in self.crm.history:
                yield f"MISSING: lead {lead_id[:8]}"
                continue
            lead: Any = CODEC.decode(row.snapshot)
            for name in BOTH_WAYS:
                mine, theirs = getattr(lead, name), self.crm.history[lead_id][-1].get(name)
                if mine != theirs:
                    yield f"UNEQUAL: {name} of {lead_id[:8]} is {mine} here and {theirs} there"
        yield from told_by_intake(self.durable, self.tables)
        yield from self._wrongly_told()
        yield from self._wrongly_settled()

    def _wrongly_told(self) -> Iterator[str]:
        """People have set whatever a crm_change says."""
        for message in _log(self.durable, RAW_EVENTS):
            raw = raw_event(message)
            if raw.kind == "crm_change":
                payload = json.loads(raw.payload)
                for name, told in payload["fields"].items():
                    if (payload["lead"], name, told["value"]) not in self.edits:
                        yield f"NOBODY SAID {name} {told['value']} of {payload['lead'][:8]}"

    def _wrongly_settled(self) -> Iterator[str]:
        """Whatever the order in which things come: the CRM has the say about owners, but for what
        it has said another thing of since; nothing newer gives way; and when is known."""
        told: dict[str, datetime] = {}
        for message in _log(self.durable, LEAD_EVENTS):
            record: Any = CODEC.decode(message.value)
            for each in record.fields if isinstance(record, CrmChangeSettled) else ():
                what = f"{each.field} of {record.lead_id[:8]}"
                if each.log_at is None or each.crm_at is None:
                    yield f"FORGOTTEN when {what} was set"
                elif each.field == "owner":
                    since = told.get(record.lead_id, each.crm_at)
                    if each.outcome == "kept" and since <= each.crm_at:
                        yield f"OVERRULED: the CRM's {what}"
                    told[record.lead_id] = max(since, each.crm_at)
                elif each.outcome == "taken" and each.crm_at < each.log_at:
                    yield f"OLDER: {what} was set here at {each.log_at}"


def _log(durable: Durable, topic: str) -> Iterable[Message]:
    return [
        message for place, log in durable.logs.items() if place.topic == topic for message in log
    ]


def both_ways(seed: int) -> list[str]:
    """Run a seed; everything that is wrong with it."""
    with asyncio.Runner(loop_factory=Loop) as runner:
        return runner.run(BothWays(seed).run())
