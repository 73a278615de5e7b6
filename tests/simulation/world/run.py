"""One seed: faults for a while, then calm until all time has run out, then the checks."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from datetime import datetime, timedelta
from random import Random

from dispatcher.controls import Controls
from dispatcher.facts import Suppression
from leadflow.kafka.port import Outgoing, TopicPartition
from leadflow.records import (
    AutomationPaused,
    EnrollmentPauseRequested,
    MessageQueued,
    SequencePublished,
)
from sequencer.changelog import TOMBSTONES_KEPT
from sequencer.model import Setting
from sequencer.pauses import AutomationPauses
from sequencer.sequences import PublishedSequences

from . import elsewhere
from .batches import Reader
from .checks import Outcome, check
from .crew import Crew
from .crm import CrmSync, CrmTables, FakeCrm
from .disk import CHANGELOG
from .dispatcher import OPEN, Dispatcher, FakeProvider, Tables
from .durable import PARTITIONS, Durable, note_owner
from .intake import Intake, IntakeTables
from .loop import Loop
from .sequencer import Parts, Views, Watch
from .sequences import Features, first_versions, key_of, second_version
from .story import (
    CODEC,
    COMMANDS,
    REPORTS,
    SCOPES,
    Happening,
    Story,
    email_of,
    make,
    report,
    told,
)
from .undisturbed import rows_of

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
        self.definitions = {key_of(each): each for each in first_versions(rng, features)}
        self._unpublished = [
            second_version(rng, each, features)
            for each in self.definitions.values()
            if features.versions and rng.random() < 0.8
        ]
        self.watch = Watch()
        self.told: list[Happening] = []
        self.tables = Tables()
        self.provider = FakeProvider(self.durable, self.tables, keyed=rng.random() < 0.7)
        self.intake_tables, self.crm_tables = IntakeTables(), CrmTables()
        self.crm = FakeCrm(self.durable)
        self.story = Story(rng, features, self._who, self._migratable, self._resendable)
        self.controls = Controls(CODEC)
        self.pauses = AutomationPauses(CODEC)
        self.sequences = PublishedSequences(CODEC)
        self.views = Views(self.sequences, self.pauses)
        for definition in list(self.definitions.values()):
            self._publish(definition)
        self.setting = Setting(self.sequences, self.pauses, features.tenants())
        self.crew = Crew(self.durable, self.watch, self.setting, self.views, parts, self._settle)
        self.silent = False  # the story is over
        self._refusals = rng.choice((0, 0, 1))
        # Some seeds are calmer than others: what needs few faults in a row is found there.
        self._crashes = rng.choice((0.2, 1.0, 2.0))

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
        features = self.features
        for _ in range(FAULTY_STEPS):
            await self._step()
        await self._calm()
        if features.silence:
            await self._silence()
        workers = [each.process for each in self.crew.workers]
        others = (self.dispatcher.process, self.intake.process, self.crm_sync.process)
        for process in (*workers, *others):
            await self.durable.crash(process)
        return Outcome(
            features=self.features,
            definitions=self.definitions,
            durable=self.durable,
            watch=self.watch,
            tables=self.tables,
            provider=self.provider,
        )

    def elsewhere(self) -> list[str]:
        """What is wrong at the two ends of the pipeline, where they took part."""
        wrong: list[str] = []
        if self.features.intake:
            wrong += elsewhere.told_by_intake(self.durable, self.intake_tables)
        if self.features.crm:
            wrong += elsewhere.kept_by_the_crm(self.durable, self.crm, self.crm_tables)
        return wrong

    def _dispatcher(self) -> Dispatcher:
        return Dispatcher(self.durable, self.tables, self.provider, self.controls)

    def _intake(self) -> Intake:
        tenants = self.setting.tenants
        return Intake(self.durable, self.intake_tables, tenants, self.parts.intake_store)

    def _crm_sync(self) -> CrmSync:
        return CrmSync(self.durable, self.crm_tables, self.crm, self.parts.synchronizer)

    def _who(self, number: int) -> str | None:
        """The lead that intake knows by that address."""
        for key, leads in self.intake_tables.identities.items():
            if key.kind == "email" and key.value == email_of(number):
                return leads[0]
        return None

    def _migratable(self) -> list[str]:
        return sorted(
            name.removesuffix(":2") for name in self.watch.published if name.endswith(":2")
        )

    def _resendable(self, lead: str) -> list[str]:
        return [
            each.record.message_id
            for each in self.watch.queued
            if each.record.lead_id == lead
            and each.record.first_message_id is None
            and ":" not in (each.record.step_id or "")
        ]

    def _publish(self, definition: SequencePublished) -> None:
        name = key_of(definition)
        self.durable.note("publishes", name)
        self.definitions[name] = definition
        self.watch.published |= {name}
        self.sequences.apply(name.encode(), CODEC.encode(definition))

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
            if self.story:
                await self._tell()
        elif chance < 86:
            await self.crew.pass_time(rng.choice(JUMPS))
        elif chance < 88:
            if quiet:
                return
            self._control(rng.choice(SCOPES), pause=rng.random() < 0.5)
        elif chance < 96:
            self.dispatcher.send(rng.choice(self.dispatcher.channels))
        elif chance < 97.5:
            self.dispatcher.publish()
        elif chance < 98.5:
            self.dispatcher.upkeep()
        elif chance < 100:
            if not quiet:
                await self._rare()
        elif chance < 100 + self._crashes:
            await self._crash()
        else:
            self.crew.freeze()
        if rng.random() < 0.1 and not self.crew.is_settled():
            await self.crew.pass_time(rng.choice((1, 3, 12)))
        self.crew.move()
        await self._settle()

    async def _rare(self) -> None:
        if self._unpublished and self.rng.random() < 0.5:
            self._publish(self._unpublished.pop())
        elif self.provider.accepted and self.rng.random() < 0.8:
            await self._report()
        elif workers := self.crew.awake():
            self.crew.pass_over(self.rng.choice(workers))
        self.crm.carry_out_late_ones(0.5)

    async def _crash(self) -> None:
        chance = self.rng.random()
        if self.features.intake and chance < 0.2:
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
        ]

    async def _tell(self) -> None:
        """A source record arrives, perhaps twice; or one from before arrives again."""
        await self.crew.pass_time(1)
        happening = self.story.next(self.durable.clock.now())
        if happening is not None:
            self._arrive(happening)
            if self.rng.random() < 0.15:
                self._append(happening)
        elif self.told:
            self._append(self.rng.choice(self.told))

    def _arrive(self, happening: Happening) -> None:
        self.told.append(happening)
        self._append(happening)

    def _append(self, happening: Happening) -> None:
        self.durable.note("arrives", happening.name, "of", happening.key[:8])
        self.durable.append(Outgoing(happening.topic, happening.key.encode(), happening.value))

    def _control(self, scope: str, *, pause: bool) -> None:
        self.durable.note("pauses" if pause else "resumes", scope)
        paused = self.watch.paused
        self.watch.paused = paused | {scope} if pause else paused - {scope}
        control = CODEC.encode(_pause(scope, self.durable)) if pause else None
        self.pauses.apply(scope.encode(), control)
        self.controls.apply(scope.encode(), control)

    async def _report(self) -> None:
        """A provider says what became of a message: one transaction, then the log."""
        taken = self.rng.choice(self.provider.accepted)
        await self.crew.pass_time(1)
        now = self.durable.clock.now()
        (what,) = self.rng.choices(list(REPORTS), list(REPORTS.values()))
        if what in ("hard", "complained"):
            if not self._refusals:
                return
            self._refusals -= 1
        record = report(what, taken.lead_id, taken.message_id, now)
        self.durable.count += 1
        self.durable.note("reports", record.event_id)
        if what in ("hard", "complained"):
            fact = Suppression(
                tenant_id=record.tenant_id,
                channel="email",
                address=self.tables.lines[taken.message_id].arrival.recipient.lower(),
                reason="bounce" if what == "hard" else "complaint",
                active=True,
                cause_id=record.event_id,
                at=now,
            )
            self.tables.remember(self.durable.count, [fact])
        self.tables.outbox.append((record.lead_id.encode(), CODEC.encode(record)))

    async def _calm(self) -> None:
        """No more faults; everything that waits for a person is let go; time runs out."""
        self.durable.note("CALM")
        self.provider.faulty = self.crm.faulty = False
        self.crew.freezes = 0
        await self._regroup()
        while self.story:
            await self._tell()
        for scope in SCOPES:
            self._control(scope, pause=False)
        self.crm.carry_out_late_ones(1.0)
        await self._quiet()
        await self.crew.pass_time(1)
        self._resume_enrollments()
        await self._run_out(set())

    async def _run_out(self, done: set[str]) -> None:
        """Until nobody waits for any time."""
        await self._quiet()
        for _ in range(CALM_ROUNDS):
            self._complete_tasks(done)
            await self._quiet()
            if (at := self._next_time()) is not None:
                self.crew.pass_until(at)
            elif not self.features.blocks or not self._open_tasks(done):
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
        await self._run_out(set())

    def _resume_enrollments(self) -> None:
        for happening in self.told:
            if happening.topic != COMMANDS:
                continue
            record = CODEC.decode(happening.value)
            if not isinstance(record, EnrollmentPauseRequested):
                continue
            now = self.durable.clock.now()
            fields = {"enrollment_id": record.enrollment_id, "requested_by": "ops"}
            name = f"calm-{record.event_id}"
            resume = make("EnrollmentResumeRequested", record.lead_id, name, now, **fields)
            self._append(told(COMMANDS, resume))

    def _open_tasks(self, done: set[str]) -> list[MessageQueued]:
        """Tasks and calls on somebody's list, each once: whoever did one does not do it again."""
        queued = [each.record for each in self.watch.queued if each.record.channel != "email"]
        return [each for each in queued if each.message_id not in done]

    def _complete_tasks(self, done: set[str]) -> None:
        for task in self._open_tasks(done) if self.features.blocks else ():
            if task.message_id not in done:
                done.add(task.message_id)
                fields = {"message_id": task.message_id, "completed_by": "dana"}
                name, now = f"done-{task.message_id}", self.durable.clock.now()
                made = make("TaskCompleted", task.lead_id, name, now, **fields)
                self._append(told(COMMANDS, made))

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


def _pause(scope: str, durable: Durable) -> AutomationPaused:
    now = durable.clock.now()
    return AutomationPaused(
        event_id=f"pause-{scope}",
        tenant_id="acme",
        occurred_at=now,
        recorded_at=now,
        source="portal-api",
        scope=scope,
        workflow="",
        reason="",
        rollback="",
        verification_status="open",
        paused_by="ops",
    )


def simulate(seed: int, parts: Parts | None = None, *, trace: bool = False) -> list[str]:
    """Run a seed; everything that is wrong with it, and before that its trace if asked for."""
    world = World(seed, parts or Parts(), tracing=trace)
    with asyncio.Runner(loop_factory=Loop) as runner:
        outcome = runner.run(world.run())
        wanted = runner.run(rows_of(outcome))
    found = outcome.rows()
    wrong = check(outcome) + world.elsewhere()
    wrong += [
        f"ROW of {key.decode()[:8]} is not that of an undisturbed run"
        for key in sorted(wanted.keys() | found.keys())
        if wanted.get(key) != found.get(key)
    ]
    return [*world.durable.trace, *wrong]


def first_seed(seeds: Iterable[int], words: tuple[str, ...], parts: Parts) -> int | None:
    """The first seed in which something is wrong that begins with one of these words."""
    for seed in seeds:
        wrong = [each for each in simulate(seed, parts) if each.startswith(words)]
        if wrong:
            print(f"found at seed {seed}: {wrong[0]}")
            return seed
    return None
