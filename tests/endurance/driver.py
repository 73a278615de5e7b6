"""The run itself: publishes leads in waves, answers messages as a dispatcher and as people would,
and kills a worker somewhere in each wave."""

from __future__ import annotations

import heapq
import time
from collections.abc import Callable, Sequence
from itertools import count
from random import Random
from typing import Any

import confluent_kafka
from tests.endurance import stories
from tests.endurance.model import must
from tests.endurance.reading import Commits, Place, partitions, reader
from tests.endurance.stories import Lead
from tests.endurance.workers import Workers

from leadflow import topics
from leadflow.codec import Codec
from leadflow.records import LeadRecord, MessageQueued

CHUNK = 200
WAVE_SECONDS = 45.0
QUIET_SECONDS = 10.0
COMMAND_TYPES = (
    "EnrollmentStopRequested",
    "EnrollmentPauseRequested",
    "EnrollmentResumeRequested",
)


def topic_of(record: LeadRecord) -> str:
    if record.TYPE in COMMAND_TYPES:
        return topics.ENROLLMENT_COMMANDS.name
    if record.TYPE.startswith("Message"):
        return topics.MESSAGE_EVENTS.name
    return topics.LEAD_EVENTS.name


class Driver:
    """One thread does it all. `published` and `places` are what the model works from: when each
    lead was enrolled by its own record, and where what happened to it lies in the log."""

    def __init__(
        self, bootstrap: str, leads: Sequence[Lead], workers: Workers, commits: Commits, seed: int
    ) -> None:
        self.published: dict[str, Any] = {}
        self.places: dict[tuple[str, str], tuple[Place, int]] = {}
        self.unexpected: list[str] = []
        self.kills = 0
        self._leads = leads
        self._workers = workers
        self._commits = commits
        self._random = Random(f"kills {seed}")
        self._repeats = Random(f"repeats {seed}")
        self._codec = Codec()
        self._producer: Any = confluent_kafka.Producer(
            {
                "bootstrap.servers": bootstrap,
                "acks": "all",
                "enable.idempotence": True,
                "partitioner": "murmur2_random",
                "compression.type": "lz4",
                "linger.ms": 5,
                "log_level": 3,
            }
        )
        self._tail = reader(bootstrap, "endurance-tail")
        self._tail.assign(
            [
                confluent_kafka.TopicPartition(topics.MESSAGES.name, number, 0)
                for number in partitions(self._tail, topics.MESSAGES.name)
            ]
        )
        self._steps = {
            lead.message_id(index): (lead, index)
            for lead in leads
            for index in range(len(lead.sequence.steps))
        }
        self._wanted = {lead.message_id(index) for lead in leads for index in must(lead)}
        self._seen: set[str] = set()
        self._firsts = 0
        self._later: list[tuple[float, int, Callable[[], None]]] = []
        self._ties = count()
        self._last_message = time.monotonic()
        self._looked = self._told = 0.0
        self._began = time.monotonic()

    def run(self, kills: int, deadline: float) -> bool:
        """Publish everything with `kills` kills meanwhile, then wait until all is quiet.
        False if it was not by `deadline` (monotonic)."""
        waves = kills + 1
        size = len(self._leads) / waves
        at = 0
        for wave in range(waves):
            end = round((wave + 1) * size)
            firsts = at + self._random.uniform(0.02, 0.98) * (end - at)
            latest = time.monotonic() + WAVE_SECONDS
            while at < end or (wave < kills and self._firsts < firsts):
                if time.monotonic() > deadline:
                    return False
                # The kill does not wait for the wave to be published, nor for ever.
                if wave < kills and (self._firsts >= firsts or time.monotonic() > latest):
                    break
                chunk = self._leads[at : min(end, at + CHUNK)]
                for lead in chunk:
                    self._publish(lead)
                at += len(chunk)
                self._turn()
            if wave < kills:
                self._kill()
        return self._settle(deadline)

    def _settle(self, deadline: float) -> bool:
        latest_due = time.monotonic() + 125.0
        while time.monotonic() < deadline:
            self._turn()
            if (
                time.monotonic() > latest_due
                and not self._later
                and self._wanted <= self._seen
                and time.monotonic() - self._last_message > QUIET_SECONDS
                and self._commits.lag() == 0
            ):
                return True
        return False

    def _kill(self) -> None:
        random = self._random
        while not self._workers.alive():
            self._turn()
        worker = random.choice(self._workers.alive())
        self.kills += 1
        wipe, pause = random.random() < 0.25, random.uniform(0, 8)
        self._workers.kill(worker, wipe=wipe, restart_after=pause)
        self._tell(f"kill {self.kills}: worker {worker}{', its rows too' if wipe else ''}")

    def _turn(self) -> None:
        for message in self._tail.consume(2_000, 0.05):
            if message.error() is None:
                record = self._codec.decode(message.value())
                if isinstance(record, MessageQueued) and record.tenant_id == stories.TENANT:
                    self._saw(record.message_id)
        while self._later and self._later[0][0] <= time.monotonic():
            heapq.heappop(self._later)[2]()
        self._producer.poll(0)
        self._workers.tend()
        now = time.monotonic()
        if now - self._looked > 1.0:
            self._looked = now
            self._commits.look(time.time)
        if now - self._told > 15.0:
            self._tell("")

    def _tell(self, what: str) -> None:
        self._told = time.monotonic()
        print(
            f"{self._told - self._began:6.0f} s  {len(self.published):7} leads  "
            f"{len(self._seen):7} messages  {len(self._wanted - self._seen):6} awaited  {what}",
            flush=True,
        )

    def _saw(self, message_id: str) -> None:
        if message_id in self._seen:
            return
        self._seen.add(message_id)
        self._last_message = time.monotonic()
        if message_id not in self._steps:
            self.unexpected.append(message_id)
            return
        lead, index = self._steps[message_id]
        self._firsts += index == 0
        self._produce(lead, "sent", stories.sent(lead, index, stories.now()))
        for after, what in lead.story.happens:
            if after != index + 1:
                continue
            if what == "resume":
                self._in(lead.resume_seconds, lambda: self._happen(lead, "resume"))
            else:
                self._happen(lead, what)

    def _publish(self, lead: Lead) -> None:
        at = stories.now()
        self.published[lead.lead_id] = at
        self._produce(lead, "created", stories.created(lead, at))
        for after, what in lead.story.happens:
            if after == 0:
                self._happen(lead, what)

    def _happen(self, lead: Lead, what: str) -> None:
        self._produce(lead, what, stories.happening(lead, what, stories.now()))

    def _produce(self, lead: Lead, what: str, record: LeadRecord) -> None:
        topic, value = topic_of(record), self._codec.encode(record)

        def delivered(error: Any, message: Any) -> None:
            if error is not None:
                raise RuntimeError(f"not produced: {error.str()}")
            place = (message.topic(), message.partition())
            self.places.setdefault((lead.lead_id, what), (place, message.offset()))

        self._send(topic, lead, value, delivered)
        if lead.duplicated:
            # The same bytes once more: at once, or when much has happened since.
            pause = self._repeats.choice((0.0, self._repeats.uniform(0, 60)))
            self._in(pause, lambda: self._send(topic, lead, value, delivered))

    def _send(self, topic: str, lead: Lead, value: bytes, delivered: Any) -> None:
        while True:
            try:
                self._producer.produce(topic, value, lead.lead_id, on_delivery=delivered)
                return
            except BufferError:
                self._producer.poll(0.1)

    def _in(self, seconds: float, do: Callable[[], None]) -> None:
        heapq.heappush(self._later, (time.monotonic() + seconds, next(self._ties), do))

    def close(self) -> None:
        self._producer.flush(30)
        self._tail.close()
