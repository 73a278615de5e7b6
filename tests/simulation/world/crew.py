"""The workers of the sequencer's group: started, frozen, ended, and how time goes on for them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta

from leadflow.kafka.port import TopicPartition
from sequencer import rowcodec
from sequencer.model import LeadRow, Setting

from .durable import Durable
from .group import Coordinator
from .sequencer import Machine, Parts, Sequencer, Views
from .watch import Watch

MOMENTS = 30
MACHINES = 3


class Crew:
    """`let_go_on` lets everybody go on who can."""

    def __init__(
        self,
        durable: Durable,
        watch: Watch,
        setting: Setting,
        views: Views,
        parts: Parts,
        let_go_on: Callable[[], Awaitable[None]],
    ) -> None:
        self.durable = durable
        self.rng = rng = durable.rng
        self.watch = watch
        self.setting = setting
        self.views = views
        self.parts = parts
        self.group = Coordinator(durable)
        self.workers: list[Sequencer] = []
        self.freezes = rng.choice((0, 0, 1, 3))
        self._let_go_on = let_go_on
        self._machines = [Machine(number) for number in range(MACHINES)]
        self._wanted = rng.choice((1, 1, 2))
        self._thaws = 0.0

    def begin(self) -> None:
        for _ in range(self._wanted):
            self.start()

    async def end_failed(self) -> None:
        for worker in [each for each in self.workers if each.failed()]:
            await self.end(worker)

    def thaw_all(self) -> None:
        for worker in self.workers:
            if worker.process.frozen:
                self._thaw(worker)

    def readable(self) -> list[tuple[Sequencer, TopicPartition]]:
        return [(each, place) for each in self.awake() for place in each.readable()]

    def start(self) -> None:
        """On a machine where none is."""
        taken = [each.machine for each in self.workers]
        machine = next(each for each in self._machines if each not in taken)
        worker = Sequencer(
            self.durable,
            self.watch,
            self.group,
            self.setting,
            self.views,
            self.parts,
            machine,
        )
        self.workers.append(worker)
        worker.join()

    def awake(self) -> list[Sequencer]:
        return [each for each in self.workers if each.awake]

    def pass_over(self, worker: Sequencer) -> None:
        """Its consumer jumps over records, as Faust's does around a rebalance."""
        if places := worker.readable():
            place = self.rng.choice(places)
            self.durable.note(worker.process.name, "passes over records of", *place)
            end = self.durable.end(place)
            to = worker.consumer.positions[place] + self.rng.randint(1, 3)
            worker.consumer.positions[place] = min(end, to)
            worker.consumer.jumped = True

    async def end(self, worker: Sequencer) -> None:
        """It is dead; another one is started, unless there are enough."""
        self.workers.remove(worker)
        await self.durable.crash(worker.process)
        self.group.leave(worker.process)
        if len(self.awake()) < self._wanted:
            self.start()

    def freeze(self) -> None:
        """A worker stops, wherever it is, and perhaps another one is started in its place."""
        frozen = [each for each in self.workers if not each.awake]
        if frozen or not self.workers:
            return
        worker = self.rng.choice(self.workers)
        self.durable.freeze(worker.process)
        self._thaws = self.rng.choice((0.02, 0.2))
        if len(self.workers) < len(self._machines) and self.rng.random() < 0.7:
            self.start()

    def _thaw(self, worker: Sequencer) -> None:
        self.durable.note("THAW", worker.process.name)
        worker.process.thaw()

    def move(self) -> None:
        """Whoever hears that partitions are dealt out anew gives back what it has."""
        for worker in self.workers:
            if worker.awake and worker.has_passed_over() and self.rng.random() < 0.1:
                worker.look_for_passed_over()
            if worker.process.frozen:
                if self.rng.random() < self._thaws:
                    self._thaw(worker)
            elif self.group.wants(worker.process):
                if self.rng.random() < 0.4:
                    worker.join()
            elif not self.group.knows(worker.process):
                worker.beat()
        self.group.deal()

    def is_settled(self) -> bool:
        """Whether time alone changes nothing: nobody's membership is in danger, nobody has yet
        to learn that it is over, and nobody is about to be ended."""
        return not self.group.dealing and all(
            self.group.knows(each.process) if each.awake else not self._is_running_out(each)
            for each in self.workers
        )

    def _is_running_out(self, frozen: Sequencer) -> bool:
        return self.group.knows(frozen.process) or frozen.switch.is_set()

    async def pass_time(self, seconds: int) -> None:
        """Let time go on; second by second while it matters to the group, and no further than
        processes have been able to follow."""
        for _ in range(min(seconds, MOMENTS)):
            if self.is_settled():
                break
            seconds -= 1
            await self.second()
        if seconds and self.is_settled():
            self.pass_until(self.durable.clock.now() + timedelta(seconds=seconds))

    def pass_until(self, at: datetime) -> None:
        """Heartbeats are answered all the time."""
        self.durable.clock.time = at
        for worker in self.awake():
            worker.lease.confirmed(worker.switch.now())
            self.group.hear(worker.process)

    async def second(self) -> None:
        self.durable.clock.advance(1)
        for worker in [each for each in self.workers if each.switch.is_over()]:
            self.durable.note("the kernel ends", worker.process.name)
            await self.end(worker)
        for worker in self.awake():
            worker.beat()
            worker.commit()
        await self._let_go_on()
        for gate in [each for each in self.durable.waiting if each.label == "beats"]:
            heard = gate in self.durable.waiting and not gate.process.frozen
            if heard and self.rng.random() < 0.7:
                self.durable.release(gate)
        await self._let_go_on()
        self.group.expire()
        self.move()
        await self._let_go_on()

    def rows(self) -> list[LeadRow]:
        return [
            rowcodec.decode(key, row)
            for worker in self.workers
            for partition in sorted(worker.rows.owned)
            for key, row in worker.machine.disk.rows(partition)
        ]
