"""One seed: faults for a while, then calm until all time has run out, then the checks."""

from __future__ import annotations

import asyncio
from random import Random

from dispatcher.controls import Controls
from dispatcher.facts import Suppression
from leadflow.kafka.port import Outgoing
from leadflow.records import AutomationPaused, LeadRecord
from sequencer.model import Setting
from sequencer.pauses import AutomationPauses
from sequencer.sequences import PublishedSequences

from .checks import Outcome, check
from .dispatcher import Dispatcher, FakeProvider, Tables
from .durable import Durable, note_owner
from .sequencer import Parts, Sequencer, Watch
from .story import (
    CODEC,
    COMMANDS,
    LEAD_EVENTS,
    MESSAGE_EVENTS,
    SCOPES,
    TENANTS,
    Story,
    bounce,
    definitions,
    email_of,
    make,
)
from .undisturbed import rows_of

FAULTY_STEPS = 260
CALM_ROUNDS = 12
CALM_SECONDS = 24 * 3600
JUMPS = (1, 1, 5, 30, 90, 300, 3600, 14_400, 86_400, 200_000)  # seconds


class World:
    """Everything of one seed; the same seed does the same, effect by effect."""

    def __init__(self, seed: int, parts: Parts, *, tracing: bool) -> None:
        self.rng = rng = Random(seed)
        self.parts = parts
        self.durable = Durable(rng, tracing=tracing)
        self.definitions = definitions(rng)
        self.story = Story(rng)
        self.watch = Watch()
        self.told: list[LeadRecord] = []
        self.tables = Tables()
        self.provider = FakeProvider(self.durable, self.tables, keyed=rng.random() < 0.7)
        self.controls = Controls(CODEC)
        self.pauses = AutomationPauses(CODEC)
        sequences = PublishedSequences(CODEC)
        for name, definition in self.definitions.items():
            sequences.apply(f"{name}:1".encode(), CODEC.encode(definition))
        self.setting = Setting(sequences, self.pauses, TENANTS)
        self._bounces = rng.choice((0, 0, 1))
        # Some seeds are calmer than others: what needs few faults in a row is found there.
        self._crashes = rng.choice((0.2, 1.0, 2.0))

    async def run(self) -> Outcome:
        """Live through it; what is left when all is quiet."""
        asyncio.get_running_loop().set_task_factory(note_owner)
        self.sequencer = self._sequencer()
        self.dispatcher = self._dispatcher()
        for _ in range(FAULTY_STEPS):
            await self._step()
        await self._calm()
        await self.durable.crash(self.sequencer.process)
        await self.durable.crash(self.dispatcher.process)
        return Outcome(
            definitions=self.definitions,
            leads=self.story.leads,
            told=self.told,
            durable=self.durable,
            watch=self.watch,
            tables=self.tables,
            provider=self.provider,
        )

    def _sequencer(self) -> Sequencer:
        return Sequencer(self.durable, self.watch, self.setting, self.pauses, self.parts)

    def _dispatcher(self) -> Dispatcher:
        return Dispatcher(self.durable, self.tables, self.provider, self.controls)

    async def _step(self) -> None:
        """Something happens."""
        rng, durable = self.rng, self.durable
        chance = rng.random() * (100 + self._crashes)
        if chance < 40:
            if durable.waiting:
                gate = rng.choice(durable.waiting)
                fails = gate.process is self.sequencer.process and rng.random() < 0.01
                durable.release(gate, fail=fails)
        elif chance < 62:
            await self._read()
        elif chance < 68:
            self.sequencer.commit()
        elif chance < 74:
            self.sequencer.tick()
        elif chance < 81:
            if self.story:
                self._tell()
        elif chance < 86:
            durable.clock.advance(rng.choice(JUMPS))
        elif chance < 88:
            self._control(rng.choice(SCOPES), pause=rng.random() < 0.5)
        elif chance < 96:
            self.dispatcher.send(rng.randrange(2))
        elif chance < 97.5:
            self.dispatcher.publish()
        elif chance < 99:
            self.dispatcher.upkeep()
        elif chance < 100:
            self._bounce()
        elif rng.random() < 0.7:
            await self._restart_sequencer()
        else:
            await durable.crash(self.dispatcher.process)
            self.dispatcher = self._dispatcher()
        await self._settle()

    async def _settle(self) -> None:
        """Let go on who can; a failed worker is ended and started again."""
        for _ in range(3):
            await asyncio.sleep(0)
        if self.sequencer.failed():
            await self._restart_sequencer()

    async def _restart_sequencer(self) -> None:
        await self.durable.crash(self.sequencer.process)
        self.sequencer = self._sequencer()

    async def _read(self) -> None:
        ours, theirs = self.sequencer.readable(), self.dispatcher.readable()
        if ours and (not theirs or self.rng.random() < 0.7):
            await self.sequencer.read(self.rng.choice(ours))
        elif theirs:
            self.dispatcher.read(self.rng.choice(theirs))

    def _tell(self) -> None:
        """A source record arrives, perhaps twice; or one from before arrives again."""
        self.durable.clock.advance(1)
        happening = self.story.next(self.durable.clock.now())
        if happening is not None:
            topic, record = happening
            self.told.append(record)
            self._append(topic, record)
            if self.rng.random() < 0.15:
                self._append(topic, record)
        elif self.told:
            record = self.rng.choice(self.told)
            self._append(COMMANDS if record.TYPE.startswith("Enroll") else _home(record), record)

    def _append(self, topic: str, record: LeadRecord) -> None:
        self.durable.note("arrives", record.event_id, "of", record.lead_id[:8])
        self.durable.append(Outgoing(topic, record.lead_id.encode(), CODEC.encode(record)))

    def _control(self, scope: str, *, pause: bool) -> None:
        self.durable.note("pauses" if pause else "resumes", scope)
        paused = self.watch.paused
        self.watch.paused = paused | {scope} if pause else paused - {scope}
        control = CODEC.encode(_pause(scope, self.durable)) if pause else None
        self.pauses.apply(scope.encode(), control)
        self.controls.apply(scope.encode(), control)

    def _bounce(self) -> None:
        """A provider reports that an address does not exist: one transaction, then the log."""
        if not self._bounces or not self.provider.accepted:
            return
        self._bounces -= 1
        taken = self.rng.choice(self.provider.accepted)
        self.durable.clock.advance(1)
        now = self.durable.clock.now()
        record = bounce(taken.lead_id, taken.message_id, now)
        self.told.append(record)
        self.durable.count += 1
        self.durable.note("bounces", record.lead_id[:8])
        fact = Suppression(
            tenant_id=record.tenant_id,
            channel="email",
            address=email_of(record.lead_id),
            reason="bounce",
            active=True,
            cause_id=record.event_id,
            at=now,
        )
        self.tables.remember(self.durable.count, [fact])
        self.tables.outbox.append((record.lead_id.encode(), CODEC.encode(record)))

    async def _calm(self) -> None:
        """No more faults; everything that waits for a person is let go; time runs out."""
        self.durable.note("CALM")
        self.provider.faulty = False
        while self.story:
            self._tell()
        for scope in SCOPES:
            self._control(scope, pause=False)
        await self._quiet()
        self.durable.clock.advance(1)
        for record in [each for each in self.told if each.TYPE == "EnrollmentPauseRequested"]:
            resume = make(
                "EnrollmentResumeRequested",
                record.lead_id,
                f"calm-{record.event_id}",
                self.durable.clock.now(),
                enrollment_id=getattr(record, "enrollment_id", ""),
                requested_by="ops",
            )
            self.told.append(resume)
            self._append(COMMANDS, resume)
        for _ in range(CALM_ROUNDS):
            await self._quiet()
            self.durable.clock.advance(CALM_SECONDS)
        await self._quiet()

    async def _quiet(self) -> None:
        """Until nothing happens any more without time going on."""
        before = -1
        while before != self.durable.count:
            before = self.durable.count
            self.sequencer.tick()
            while places := self.sequencer.readable():
                for place in places:
                    await self.sequencer.read(place)
                    await self._release_all()
            while there := self.dispatcher.readable():
                for place in there:
                    self.dispatcher.read(place)
                await self._release_all()
            self.dispatcher.upkeep()
            open_before = self._open()
            for which in (0, 1) if open_before else ():
                self.dispatcher.send(which)
            self.sequencer.commit()
            self.dispatcher.publish()
            await self._release_all()
            if before + 2 * bool(open_before) >= self.durable.count and open_before == self._open():
                return

    def _open(self) -> int:
        return sum(line.state.value in ("queued", "claimed") for line in self.tables.lines.values())

    async def _release_all(self) -> None:
        await self._settle()
        while self.durable.waiting:
            for gate in list(self.durable.waiting):
                self.durable.release(gate)
            await self._settle()


def _home(record: LeadRecord) -> str:
    return MESSAGE_EVENTS if record.TYPE.startswith("Message") else LEAD_EVENTS


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
    with asyncio.Runner() as runner:
        outcome = runner.run(world.run())
        wanted = runner.run(rows_of(outcome))
    found = outcome.rows()
    wrong = check(outcome)
    wrong += [
        f"ROW of {key.decode()[:8]} is not that of an undisturbed run"
        for key in sorted(wanted.keys() | found.keys())
        if wanted.get(key) != found.get(key)
    ]
    return [*world.durable.trace, *wrong]
