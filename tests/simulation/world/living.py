"""One seed: faults for a while, then calm until all time has run out, then the checks."""

from __future__ import annotations

import asyncio
from datetime import datetime, timedelta
from random import Random

from leadflow.kafka.port import TopicPartition
from sequencer.changelog import TOMBSTONES_KEPT
from sequencer.model import Setting

from . import elsewhere
from .afterwards import keep_the_crm
from .at_the_portal import shown_and_asked
from .batches import Reader
from .checks import Outcome
from .crew import Crew
from .crm import CrmSync, CrmTables, FakeCrm
from .disk import CHANGELOG
from .dispatcher import Dispatcher, FakeProvider
from .durable import PARTITIONS, Durable, note_owner
from .intake import Intake, IntakeTables
from .ledger import OPEN, Tables
from .loop import Loop
from .outside import Outside
from .people import PATIENCE
from .portal import Portal
from .portal_tables import PortalTables
from .sequencer import Parts
from .sequences import Features
from .story import SCOPES
from .watch import Watch

FAULTY_STEPS = 260
SILENT_STEPS = 120
LONG_JUMPS = (3_600, 86_400, 300_000, 1_000_000)
CALM_ROUNDS = 80
ROUNDS = 200
JUMPS = (1, 1, 5, 30, 90, 300, 3600, 14_400, 86_400, 200_000)  # seconds


class World:
    """Everything of one seed; the same seed does the same, effect by effect."""

    def __init__(self, seed: int, parts: Parts, *, tracing: bool) -> None:
        self.rng = rng = Random(seed)
        self.parts = parts
        self.durable = Durable(rng, tracing=tracing)
        self.features = features = Features.drawn(rng)
        self.watch = Watch()
        self.tables = Tables()
        self.provider = FakeProvider(self.durable, self.tables, keyed=rng.random() < 0.7)
        self.intake_tables, self.crm_tables = IntakeTables(), CrmTables()
        self.portal_tables = PortalTables()
        self.crm = FakeCrm(self.durable)
        self.outside = out = Outside(
            rng,
            self.durable,
            features,
            self.watch,
            self.tables,
            self.provider,
            self.intake_tables,
            self._pass_time,
        )
        self.setting = Setting(out.sequences, out.pauses, features.tenants())
        self.crew = Crew(self.durable, self.watch, self.setting, out.views, parts, self._settle)
        self.silent = False  # the story is over
        # Some seeds are calmer than others: what needs few faults in a row is found there.
        self._crashes = rng.choice((0.2, 1.0, 2.0))

    async def _pass_time(self, seconds: int) -> None:
        await self.crew.pass_time(seconds)

    async def run(self) -> Outcome:
        """Live through it; what is left when all is quiet."""
        loop = asyncio.get_running_loop()
        assert isinstance(loop, Loop)
        self._loop = loop
        loop.set_task_factory(note_owner)
        loop.clock = self.durable.clock.monotonic
        self.crew.begin()
        self.dispatcher = self._dispatcher()
        self.intake = self._intake()
        self.crm_sync = self._crm_sync()
        self._begin_portal()
        for _ in range(FAULTY_STEPS):
            await self._step()
        await self._calm()
        if self.features.silence:
            await self._silence()
        workers = [each.process for each in self.crew.workers]
        others = [self.dispatcher.process, self.intake.process, self.crm_sync.process]
        others.append(self.portal.process)
        for process in (*workers, *others):
            await self.durable.crash(process)
        if not self.features.crm:
            await keep_the_crm(self.durable, self.crm, self._crm_sync, loop.settle)
        return Outcome(
            features=self.features,
            definitions=self.outside.definitions,
            durable=self.durable,
            watch=self.watch,
            tables=self.tables,
            provider=self.provider,
        )

    def elsewhere(self) -> list[str]:
        """What is wrong at the two ends of the pipeline, as far as they took part."""
        wrong: list[str] = []
        if self.features.intake:
            wrong += elsewhere.told_by_intake(self.durable, self.intake_tables)
        wrong += elsewhere.kept_by_the_crm(self.durable, self.crm, self.crm_tables)
        if self.features.portal:
            people, rows = self.outside.people, self.crew.rows()
            wrong += shown_and_asked(self.durable, self.portal_tables, people.asked, rows)
        return wrong

    def _dispatcher(self) -> Dispatcher:
        controls, tenants = self.outside.controls, self.setting.tenants
        return Dispatcher(self.durable, self.tables, self.provider, controls, tenants)

    def _intake(self) -> Intake:
        tenants = self.setting.tenants
        return Intake(self.durable, self.intake_tables, tenants, self.parts.intake_store)

    def _begin_portal(self) -> None:
        self.portal = Portal(self.durable, self.portal_tables, self.parts.projection)
        self.outside.people.began_anew(self.portal)

    async def _restart_portal(self) -> None:
        await self.durable.crash(self.portal.process)
        self._begin_portal()

    def _crm_sync(self) -> CrmSync:
        return CrmSync(self.durable, self.crm_tables, self.crm, self.parts.synchronizer)

    async def _step(self, *, quiet: bool = False) -> None:
        """Something happens; if `quiet`, nothing from outside."""
        rng, durable = self.rng, self.durable
        chance = rng.random() * (100 + self._crashes + self.crew.freezes)
        if chance < 40:
            if gates := [each for each in durable.waiting if not each.process.frozen]:
                gate = rng.choice(gates)
                durable.release(gate, fail=gate.may_fail and rng.random() < 0.01)
        elif chance < 62:
            await self._read()
        elif chance < 68:
            for worker in self.crew.awake():
                worker.commit()
        elif chance < 74:
            for worker in self.crew.awake():
                worker.tick()
        elif chance < 81:
            if self.outside.story:
                await self.outside.tell()
        elif chance < 86:
            await self.crew.pass_time(rng.choice(JUMPS))
        elif chance < 88:
            if quiet:
                return
            self.outside.control(rng.choice(SCOPES), pause=rng.random() < 0.5)
        elif chance < 96:
            self.dispatcher.send(rng.choice(self.dispatcher.channels))
        elif chance < 97.5:
            self.dispatcher.publish()
        elif chance < 98.5:
            self.dispatcher.upkeep()
        elif chance < 100:
            await self._rare(quiet=quiet)
        elif chance < 100 + self._crashes:
            await self._crash()
        else:
            self.crew.freeze()
        if rng.random() < 0.1 and not self.crew.is_settled():
            await self.crew.pass_time(rng.choice((1, 3, 12)))
        self.crew.move()
        await self._settle()

    async def _rare(self, *, quiet: bool) -> None:
        if self.features.silence and self.rng.random() < 0.3:
            await self.outside.stop_what_silence_began()
        if quiet:
            return
        if self.features.portal and self.rng.random() < 0.4:
            self._at_the_portal()
        elif self.rng.random() < 0.5 and self.outside.publish_next():
            pass
        elif self.provider.accepted and self.rng.random() < 0.8:
            await self.outside.report()
        elif workers := self.crew.awake():
            self.crew.pass_over(self.rng.choice(workers))
        self.crm.carry_out_late_ones(0.5)

    def _at_the_portal(self) -> None:
        if self.rng.random() < 0.3:
            self.outside.people.start_job()
        elif self.rng.random() < 0.5:
            self.outside.people.ask_again()
        self.portal.work()

    async def _crash(self) -> None:
        chance = self.rng.random()
        if self.features.portal and self.rng.random() < 0.3:
            await self._restart_portal()
        elif self.features.intake and chance < 0.2:
            await self._restart_intake()
        elif self.features.crm and chance > 0.8:
            await self._restart_crm_sync()
        elif self.rng.random() < 0.7:
            if workers := self.crew.awake():
                await self.crew.end(self.rng.choice(workers))
        else:
            await self.durable.crash(self.dispatcher.process)
            self.dispatcher = self._dispatcher()

    async def _settle(self) -> None:
        """Let go on who can; a failed worker is ended and started again."""
        await self._loop.settle()
        await self.crew.end_failed()
        if self.intake.process.failed:
            await self._restart_intake()
        if self.crm_sync.process.failed:
            await self._restart_crm_sync()
        if self.portal.process.failed:
            await self._restart_portal()

    async def _restart_intake(self) -> None:
        await self.durable.crash(self.intake.process)
        self.intake = self._intake()

    async def _restart_crm_sync(self) -> None:
        await self.durable.crash(self.crm_sync.process)
        self.crm_sync = self._crm_sync()

    async def _read(self) -> None:
        ends = [(reader, number) for reader in self._readers() for number in reader.readable()]
        if ends and self.rng.random() < 0.3:
            reader, number = self.rng.choice(ends)
            reader.read(number)
            return
        ours = self.crew.readable()
        theirs = self.dispatcher.readable()
        if ours and (not theirs or self.rng.random() < 0.7):
            worker, place = self.rng.choice(ours)
            await worker.read(place)
        elif theirs:
            self.dispatcher.read(self.rng.choice(theirs))

    def _readers(self) -> list[Reader]:
        """Of those that take records in batches, as far as they take part."""
        return [
            *(self.intake.readers if self.features.intake else ()),
            *(self.crm_sync.readers if self.features.crm else ()),
            *(self.portal.readers if self.features.portal else ()),
        ]

    async def _calm(self) -> None:
        """No more faults; everything that waits for a person is let go; time runs out."""
        self.durable.note("CALM")
        self.provider.faulty = self.crm.faulty = False
        self.crew.freezes = 0
        await self._regroup()
        while self.outside.story:
            await self.outside.tell()
        for scope in SCOPES:
            self.outside.control(scope, pause=False)
        self.crm.carry_out_late_ones(1.0)
        await self._quiet()
        if self.features.portal:
            await self._answer_everybody()
        await self.crew.pass_time(1)
        self.outside.resume_enrollments()
        self.outside.done.clear()
        await self._run_out()

    async def _answer_everybody(self) -> None:
        """Whoever asks the portal asks until there is an answer; jobs come to their end."""
        for _ in range(4):
            await self.crew.pass_time(PATIENCE)
            self.outside.people.ask_again()
            self.portal.work()
            await self._quiet()

    async def _run_out(self) -> None:
        """Until nobody waits for any time."""
        await self._quiet()
        for _ in range(CALM_ROUNDS):
            self.outside.complete_tasks()
            await self._quiet()
            if (at := self._next_time()) is not None:
                self.crew.pass_until(at)
            elif not self.features.blocks or not self.outside.open_tasks():
                return

    async def _silence(self) -> None:
        """Nobody says anything any more, for months; workers go on dying. Then calm again."""
        self.crew.freezes = self.rng.choice((0, 1, 3))
        for _ in range(SILENT_STEPS):
            chance = self.rng.random()
            if chance < 0.1:
                await self.crew.pass_time(self.rng.choice(LONG_JUMPS))
            elif chance < 0.13:
                place = TopicPartition(CHANGELOG, self.rng.randrange(PARTITIONS))
                self.durable.compact(place, TOMBSTONES_KEPT)
            elif chance < 0.3:
                for worker in self.crew.awake():
                    worker.tick()
            else:
                await self._step(quiet=True)
        self.silent = True
        await self._regroup()
        self.outside.done.clear()
        await self._run_out()

    async def _regroup(self) -> None:
        """Everybody goes on or is ended, and the partitions are dealt."""
        for _ in range(200):
            self.crew.thaw_all()
            self.crew.move()
            await self._release_all()
            if self.crew.is_settled():
                return
            await self.crew.second()
        self.durable.errors.append("the group never came to rest")

    def _next_time(self) -> datetime | None:
        """When somebody will have something to do; None if nobody ever will by himself."""
        now = self.durable.clock.now()
        rows = [row for row in self.crew.rows() if row.live or self.silent]
        times = [at for row in rows if (at := row.next_due()) is not None]
        times += [line.ready_at for line in self.tables.lines.values() if line.state in OPEN]
        for reader in self._readers():
            times += reader.waits_until()
        if any(row.is_held() for row in rows):
            times.append(now + timedelta(minutes=1))
        return min((at for at in times if at > now), default=None)

    async def _quiet(self) -> None:
        """Until nothing happens any more without time going on."""
        for _ in range(ROUNDS):
            before = self.durable.count
            await self._regroup()
            for worker in self.crew.workers:
                worker.tick()
                if worker.has_passed_over():
                    worker.look_for_passed_over()
            for reader in self._readers():
                while numbers := reader.readable():
                    for number in numbers:
                        reader.read(number)
                    await self._release_all()
            while ours := self.crew.readable():
                for worker, place in ours:
                    await worker.read(place)
                    await self._release_all()
            while there := self.dispatcher.readable():
                for place in there:
                    self.dispatcher.read(place)
                await self._release_all()
            self.dispatcher.upkeep()
            open_before = self._open()
            for which in self.dispatcher.channels if open_before else ():
                self.dispatcher.send(which)
            for worker in self.crew.workers:
                worker.commit()
            self.dispatcher.publish()
            await self._release_all()
            claims = len(self.dispatcher.channels) * bool(open_before)
            still = before + claims >= self.durable.count and open_before == self._open()
            if still and self.crew.is_settled():
                return
        self.durable.errors.append("RESTLESS: something goes on and on")

    def _open(self) -> int:
        return sum(line.state in OPEN for line in self.tables.lines.values())

    async def _release_all(self) -> None:
        await self._settle()
        while self.durable.waiting:
            for gate in list(self.durable.waiting):
                if gate in self.durable.waiting:
                    self.durable.release(gate)
            await self._settle()
