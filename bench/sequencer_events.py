"""Events a second of one sequencer beside an empty Faust agent, and of two beside one.

    python bench/sequencer_events.py [--leads 5000] [--rounds 3]

Produces a mix to the topics of the catalogue: for each lead a LeadCreated that enrolls it and
sends its first message, a LeadQualified, a MessageSent, a MessageDelivered and, for one in ten,
a reply that stops it. Both programs then read the same records with groups of their own, each
as a process of its own; the sequencer has its effects acknowledged by all replicas, then its
row, then commits. Prints both rates and their ratio for each round. Then one worker, and two of
a group that share the partitions, wait idle until as many new records are there all at once.
Starts a Kafka of its own on free ports of 127.0.0.1; with --bootstrap it uses another, where
records and changelogs stay.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, NamedTuple
from uuid import uuid4

import confluent_kafka
import uvloop
from _figures import at_least, figure, shown
from _mix import definition, mix, produce

from leadflow import logs, topics
from leadflow.clock import SystemClock
from leadflow.codec import Codec
from leadflow.health import Health
from leadflow.kafka.admin import ensure_topics
from leadflow.kafka.confluent import ConfluentProducer
from leadflow_cli.embedded.kafka import KafkaServer
from leadflow_cli.processes import free_ports
from sequencer.app import Worker, WorkerSettings, make_app
from sequencer.lease import Lease, make_switch
from sequencer.main import spare_the_collector
from sequencer.member import LEASE_SECONDS, STREAM_TOPICS
from sequencer.model import Setting
from sequencer.pauses import AutomationPauses
from sequencer.sequences import PublishedSequences

AIM = 0.35
IDLE_SECONDS = 60.0
ROLES = ("empty", "worker")
SHARING = "sharing"
READY_SECONDS = 120.0
REPORT_SECONDS = 0.02


def settings(bootstrap: str, kind: str, group: str = "") -> WorkerSettings:
    return WorkerSettings(
        group=group or f"bench-{kind}-{uuid4().hex[:6]}",
        data_dir=Path(tempfile.mkdtemp(prefix="bench-sequencer-")),
        bootstrap=bootstrap,
        replication=1,
    )


class Pace(NamedTuple):
    """Events a second, and processor time of the process (all threads) an event."""

    rate: float
    microseconds: float


async def timed(counted: Any, total: int) -> Pace:
    """From the first to the last of `total`."""
    started = spent = 0.0
    first = 0
    deadline = time.perf_counter() + IDLE_SECONDS
    while (now := counted()) < total:
        if now and not started:
            started, spent, first = time.perf_counter(), time.process_time(), now
        if time.perf_counter() > deadline:
            raise SystemExit(f"only {now} of {total} records within {IDLE_SECONDS:.0f} s")
        await asyncio.sleep(0.01)
    events = total - first
    seconds, spent = time.perf_counter() - started, time.process_time() - spent
    return Pace(events / seconds, 1e6 * spent / events)


async def empty(bootstrap: str, total: int) -> Pace:
    """An agent that does nothing with the same records."""
    app = make_app(settings(bootstrap, "empty"))
    seen = 0

    async def nothing(stream: Any) -> None:
        nonlocal seen
        async for _event in stream.events():
            seen += 1

    app.agent(app.topic(*STREAM_TOPICS, key_type=bytes, value_type=bytes, value_serializer="raw"))(
        nothing
    )
    await app.start()
    return await timed(lambda: seen, total)


def make_worker(bootstrap: str, group: str, health: Health) -> Worker:
    """The sequencer, whole."""
    codec = Codec()
    sequences, pauses = PublishedSequences(codec), AutomationPauses(codec)
    sequences.apply(b"bench", codec.encode(definition()))
    return Worker(
        settings(bootstrap, "worker", group),
        codec=codec,
        producer=ConfluentProducer(bootstrap, "bench"),
        sequences=sequences,
        pauses=pauses,
        setting=Setting(sequences, pauses, {}),
        clock=SystemClock(),
        health=health,
        lease=Lease(LEASE_SECONDS, make_switch()),
    )


async def worker(bootstrap: str, total: int) -> Pace:
    """One sequencer alone."""
    made = make_worker(bootstrap, "", Health())
    running = asyncio.ensure_future(made.run(asyncio.Event()))
    rate = asyncio.ensure_future(timed(lambda: made.handled, total))
    await asyncio.wait([running, rate], return_when=asyncio.FIRST_COMPLETED)
    if running.done():
        running.result()
    return await rate


async def sharing(bootstrap: str, group: str) -> None:
    """One of a group: tells (partitions, time, handled) again and again, until it is ended."""
    health = Health(("events",))
    made = make_worker(bootstrap, group, health)
    running = asyncio.ensure_future(made.run(asyncio.Event()))
    told: tuple[int, int] | None = None
    while not running.done():
        state = (0 if health.waiting() else len(made.table.rows.owned), made.handled)
        if state != told:
            told = state
            print(state[0], time.monotonic(), state[1], flush=True)
        await asyncio.sleep(REPORT_SECONDS)
    running.result()


class Shared:
    """Workers of one group, each a process; the last word of each and when it was said."""

    def __init__(self, bootstrap: str, count: int) -> None:
        self.group = f"bench-sharing-{uuid4().hex[:6]}"
        self.first = self.last = 0.0
        self._owned = [0] * count
        self._handled = [0] * count
        command = [sys.executable, __file__, "--bootstrap", bootstrap]
        command += ["--role", SHARING, "--group", self.group]
        self._processes = [
            subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(count)
        ]
        for number in range(count):
            threading.Thread(target=self._listen, args=(number,), daemon=True).start()

    def _listen(self, number: int) -> None:
        for line in self._processes[number].stdout or ():
            owned, at, handled = line.split()
            self._owned[number] = int(owned)
            if int(handled) > self._handled[number]:
                self.first = self.first or float(at)
                self.last = max(self.last, float(at))
                self._handled[number] = int(handled)

    def handled(self) -> int:
        return sum(self._handled)

    def wait(self, done: Callable[[], bool], what: str) -> None:
        deadline = time.monotonic() + READY_SECONDS
        while not done():
            if time.monotonic() > deadline or any(p.poll() is not None for p in self._processes):
                raise SystemExit(f"not within {READY_SECONDS:.0f} s: {what}")
            time.sleep(0.05)

    def is_dealt(self) -> bool:
        """Whether every worker owns an equal part and has recovered it."""
        fair = topics.LEAD_EVENTS.partitions // len(self._owned)
        return all(each == fair for each in self._owned)

    def end(self) -> None:
        for process in self._processes:
            process.kill()
        for process in self._processes:
            process.wait()


def shared_rate(bootstrap: str, count: int, leads: int) -> float:
    """Events a second of so many workers of a group, from idle."""
    workers = Shared(bootstrap, count)
    try:
        skip_what_is_there(bootstrap, workers.group)
        batch = mix(leads)
        workers.wait(workers.is_dealt, "every worker has its partitions")
        before = workers.handled()
        workers.first = 0.0
        asyncio.run(produce(bootstrap, batch))
        workers.wait(lambda: workers.handled() - before >= len(batch), f"{len(batch)} records")
        return len(batch) / (workers.last - workers.first)
    finally:
        workers.end()


def skip_what_is_there(bootstrap: str, group: str) -> None:
    """The group begins at the ends of the topics: called before it has a member."""
    consumer: Any = confluent_kafka.Consumer({"bootstrap.servers": bootstrap, "group.id": group})
    ends = []
    for name in STREAM_TOPICS:
        for partition in consumer.list_topics(name, 10).topics[name].partitions:
            place = confluent_kafka.TopicPartition(name, partition)
            place.offset = consumer.get_watermark_offsets(place, 10)[1]
            ends.append(place)
    consumer.commit(offsets=ends, asynchronous=False)
    consumer.close()


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--bootstrap", help="a Kafka to use instead of one of its own")
    parser.add_argument("--leads", type=int, default=5_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--role", choices=(*ROLES, SHARING), help=argparse.SUPPRESS)
    parser.add_argument("--group", default="", help=argparse.SUPPRESS)
    parser.add_argument("--total", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    logs.configure("bench", "warning")
    if options.role:
        run = empty if options.role == "empty" else worker

        async def measure() -> None:
            spare_the_collector()  # as the sequencer does; the empty agent has it too
            if options.role == SHARING:
                await sharing(options.bootstrap, options.group)
            else:
                print(*await run(options.bootstrap, options.total), flush=True)
            os._exit(0)  # nothing of this run is worth a drain

        uvloop.run(measure())
    with ExitStack() as until_done:
        bootstrap = options.bootstrap or own_kafka(until_done)
        # Workers that are ended at once leave their rows behind: here, not in everybody's folder.
        os.environ["TMPDIR"] = until_done.enter_context(
            tempfile.TemporaryDirectory(prefix="bench-sequencer-", ignore_cleanup_errors=True)
        )
        ensure_topics(bootstrap)
        asyncio.run(produce(bootstrap, mix(options.leads)))
        total = existing(bootstrap)
        print(f"{total} records", flush=True)
        rates, ratios = [], []
        for number in range(1, options.rounds + 1):
            nothing, all_of_it = (in_a_process(bootstrap, role, total) for role in ROLES)
            rates.append(all_of_it.rate)
            ratios.append(all_of_it.rate / nothing.rate)
            print(
                f"round {number}: empty agent {nothing.rate:,.0f}/s, sequencer "
                f"{all_of_it.rate:,.0f}/s, ratio {ratios[-1]:.2f}; processor time an event "
                f"{nothing.microseconds:.0f} and {all_of_it.microseconds:.0f} µs",
                flush=True,
            )
        figure("sequencer, one worker", shown(rates, " events/s"))
        at_least("one worker beside an empty agent", ratios, AIM)
        pairs = []
        for number in range(1, options.rounds + 1):
            one, two = (shared_rate(bootstrap, count, options.leads) for count in (1, 2))
            pairs.append((one, two))
            print(
                f"round {number}: one worker {one:,.0f}/s, two workers {two:,.0f}/s, "
                f"ratio {two / one:.2f}",
                flush=True,
            )
        figure("sequencer, two workers", shown([two for _one, two in pairs], " events/s"))
        figure("two workers beside one", shown([two / one for one, two in pairs]))


def own_kafka(until_done: ExitStack) -> str:
    """The bootstrap address of a broker that ends with `until_done`."""
    folder = Path(until_done.enter_context(tempfile.TemporaryDirectory(prefix="bench-kafka-")))
    port, controller_port = free_ports(2)
    server = KafkaServer(folder, port=port, controller_port=controller_port)
    return until_done.enter_context(server).bootstrap


def in_a_process(bootstrap: str, role: str, total: int) -> Pace:
    """What one of the two programs reaches, started anew."""
    command = [sys.executable, __file__, "--bootstrap", bootstrap]
    command += ["--role", role, "--total", str(total)]
    said = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout
    return Pace(*map(float, said.split()[-2:]))


def existing(bootstrap: str) -> int:
    """All records that a new group will read, ticks not counted."""
    consumer = confluent_kafka.Consumer({"bootstrap.servers": bootstrap, "group.id": "bench"})
    total = 0
    for name in STREAM_TOPICS[:-1]:
        for partition in consumer.list_topics(name, 10).topics[name].partitions:
            low, high = consumer.get_watermark_offsets(
                confluent_kafka.TopicPartition(name, partition), 10
            )
            total += high - low
    consumer.close()
    return total


if __name__ == "__main__":
    main()
