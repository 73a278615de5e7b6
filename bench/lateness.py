"""How late a sequencer's steps go out: under a steady load, and in a burst.

    python bench/lateness.py [--rate 100] [--seconds 40] [--burst 100000] [--minutes 3]

Late is from when a step was due to when its message was decided. Steady: leads come at `--rate` a
second, each with a message at once and one that a timer brings. Burst: so many steps are due at
one moment, while leads of another sequence, one in 20 ms, want their first message at once. What
these wait, until it is decided and until it is read from `messages`, in the burst and, as the
baseline of the same run, just before it, says whether the burst blocks anybody (aim: never for
more than 2 s). Starts a
Kafka and one sequencer of its own, as processes on free ports of 127.0.0.1, and ends them.
"""

from __future__ import annotations

import argparse
import asyncio
import math
import os
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import confluent_kafka
from _figures import figure, percentiles

from leadflow import ids, records, topics
from leadflow.codec import Codec
from leadflow.kafka.admin import ensure_topics
from leadflow.kafka.confluent import ConfluentProducer
from leadflow.kafka.port import Outgoing
from leadflow.records.common import SequenceStep, Trigger
from leadflow_cli.embedded.kafka import KafkaServer
from leadflow_cli.processes import free_ports

TENANT = "bench"
# Sequences by the source of their leads: minutes of their steps after the enrollment.
STEADY, BURST, PROBE = "steady", "burst", "probe"
PROBE_SECONDS = 0.02
BASELINE_SECONDS = 15.0
BLOCKED_SECONDS = 2.0
TIMER_SECONDS = 10.0
CODEC = Codec()


def definition(source: str, minutes: Sequence[int]) -> records.SequencePublished:
    now = datetime.now(UTC)
    return records.SequencePublished(
        event_id=str(uuid4()),
        tenant_id=TENANT,
        occurred_at=now,
        recorded_at=now,
        source="bench",
        sequence_id=f"{TENANT}.{source}",
        version=1,
        name=source,
        description="",
        status="active",
        trigger=Trigger(kind="stage", value="new"),
        trigger_source=source,
        consent_rule="not_opted_out",
        duplicate_rule="one_live_enrollment",
        rollback_path="",
        incident_owner="",
        response_window="5m",
        reentry_rule="never",
        reentry_days=0,
        priority=50,
        stop_on=("reply", "booking"),
        steps=tuple(
            SequenceStep(
                step_id=f"minute-{minute}",
                channel="email",
                delay_minutes=minute,
                delay_from="enrollment",
                template_name="hello",
                subject="About {{ service }}",
                body="Hello {{ first_name }}, " + "we read what you wrote. " * 20,
            )
            for minute in minutes
        ),
    )


def created(source: str, at: datetime) -> Outgoing:
    """A lead of one of the sequences, recorded at `at`."""
    name = uuid4().hex
    lead_id = ids.lead_id(TENANT, source, name)
    record = records.LeadCreated(
        event_id=name,
        tenant_id=TENANT,
        occurred_at=at,
        recorded_at=at,
        source=source,
        lead_id=lead_id,
        cause_id=name,
        revision=1,
        external_id=name,
        status="active",
        first_name="Ada",
        email=f"{name}@example.com",
        service="roof-repair",
        urgency="normal",
        timezone="UTC",
        timezone_from="default",
        stage="new",
        received="{}",
        extra="{}",
    )
    return Outgoing(topics.LEAD_EVENTS.name, lead_id.encode(), CODEC.encode(record))


class Bench:
    """Produces leads and reads what becomes of them, on one thread."""

    def __init__(self, bootstrap: str) -> None:
        self.late: dict[str, list[float]] = defaultdict(list)
        """Seconds from due to decided, by SEQUENCE:STEP."""
        self.waited: list[tuple[float, float, float]] = []
        """Of each probe: when it was produced (epoch seconds), how long until its message was
        decided, and until that was read."""
        self.waiting: dict[str, float] = {}
        self._producer: Any = confluent_kafka.Producer(
            {
                "bootstrap.servers": bootstrap,
                "acks": "all",
                "enable.idempotence": True,
                "partitioner": "murmur2_random",
                "linger.ms": 2,
                "log_level": 0,
            }
        )
        self._tail: Any = confluent_kafka.Consumer(
            {
                "bootstrap.servers": bootstrap,
                "group.id": "tail",
                "enable.auto.commit": False,
                "log_level": 0,
            }
        )
        self._tail.assign(
            [
                confluent_kafka.TopicPartition(topics.MESSAGES.name, number, 0)
                for number in range(topics.MESSAGES.partitions)
            ]
        )
        self._next_probe = math.inf

    def produce(self, lead: Outgoing) -> None:
        while True:
            try:
                self._producer.produce(lead.topic, lead.value, lead.key)
                return
            except BufferError:
                self._producer.poll(0.1)

    def probe(self, on: bool) -> None:
        """Whether leads of the probing sequence keep coming."""
        self._next_probe = time.time() if on else math.inf

    def turn(self) -> None:
        """Produce probes that are due to be produced, read what there is."""
        while self._next_probe <= time.time():
            at = self._next_probe
            lead = created(PROBE, datetime.fromtimestamp(at, UTC))
            self.waiting[(lead.key or b"").decode()] = at
            self.produce(lead)
            self._next_probe = at + PROBE_SECONDS
        self._producer.poll(0)
        for message in self._tail.consume(500, 0.005):
            if message.error() is not None:
                continue
            record = CODEC.decode(message.value())
            assert isinstance(record, records.MessageQueued)
            sequence = (record.sequence_id or "").removeprefix(f"{TENANT}.")
            kind = f"{sequence}:{record.step_id}"
            self.late[kind].append((record.recorded_at - record.due_at).total_seconds())
            if (at_ := self.waiting.pop(record.lead_id, None)) is not None:
                decided = record.recorded_at.timestamp() - at_
                self.waited.append((at_, decided, time.time() - at_))

    def close(self) -> None:
        self._producer.flush(10)
        self._tail.close()

    def until(self, kind: str, count: int, seconds: float) -> None:
        """Read on until so many messages of a kind are there."""
        deadline = time.monotonic() + seconds
        while len(self.late[kind]) < count or (self.waiting and self._next_probe == math.inf):
            self.turn()
            if time.monotonic() > deadline:
                raise SystemExit(f"{len(self.late[kind])} of {count} {kind} in {seconds:.0f} s")


def tell_late(load: str, late: Sequence[float]) -> None:
    """How late, and that nothing was early."""
    early = sum(each < 0 for each in late)
    print(f"  late: {percentiles(late)}; early: {early}", flush=True)
    figure(f"late, {load}", f"{percentiles(late)}; early {early}", "early 0", not early)


def steady(bench: Bench, rate: int, seconds: int) -> None:
    """Leads at a rate, each enrolled a while ago, so that its timer is due in TIMER_SECONDS."""
    began = time.time()
    for number in range(rate * seconds):
        while time.time() < began + number / rate:
            bench.turn()
        at = datetime.fromtimestamp(began + number / rate, UTC)
        bench.produce(created(STEADY, at - timedelta(seconds=60 - TIMER_SECONDS)))
    bench.until(f"{STEADY}:minute-1", rate * seconds, 120)
    late = bench.late[f"{STEADY}:minute-1"]
    print(f"steady, {rate} leads/s for {seconds} s: {len(late)} steps brought by a timer")
    tell_late(f"{rate} leads/s for {seconds} s", late)


def burst(bench: Bench, bootstrap: str, group: str, count: int, minutes: int) -> None:
    """All enrolled at one moment, so all due at one moment, `minutes` later."""
    enrolled_at = datetime.now(UTC)
    due = (enrolled_at + timedelta(minutes=minutes)).timestamp()
    for _ in range(count):
        bench.produce(created(BURST, enrolled_at))
    commits = confluent_kafka.Consumer({"bootstrap.servers": bootstrap, "group.id": group})
    places = [
        confluent_kafka.TopicPartition(topics.LEAD_EVENTS.name, number)
        for number in range(topics.LEAD_EVENTS.partitions)
    ]

    def enrolled() -> bool:
        ends = (commits.get_watermark_offsets(place, 10)[1] for place in places)
        return all(
            each.offset == end or (each.offset < 0 and end == 0)
            for each, end in zip(commits.committed(places, 10), ends, strict=True)
        )

    while not enrolled():
        if time.time() > due - BASELINE_SECONDS:
            raise SystemExit(f"{count} leads are not enrolled in time: give more --minutes")
        for _ in range(20):
            bench.turn()
    commits.close()
    print(f"burst: {count} steps due at one moment, {due - time.time():.0f} s after their leads")
    while time.time() < due - BASELINE_SECONDS:
        bench.turn()
    bench.probe(True)
    kind = f"{BURST}:minute-{minutes}"
    bench.until(kind, count, due - time.time() + 600)
    over = time.time()
    bench.probe(False)
    bench.until(kind, count, 60)
    late = bench.late[kind]
    before = [each for each in bench.waited if each[0] < due - 1]
    during = [each for each in bench.waited if due <= each[0] <= over]
    blocked = sum(read > BLOCKED_SECONDS for _at, _decided, read in during)
    print(f"  all out {over - due:.1f} s after: {count / (over - due):,.0f} steps/s")
    tell_late(f"burst of {count:,}", late)
    for when, found in (("before it", before), ("in it", during)):
        _at, decided, read = zip(*found, strict=True)
        print(f"  events of {len(found)} other leads {when}: decided {percentiles(decided)}")
        print(f"    their messages read {percentiles(read)}")
    print(f"  blocked for more than {BLOCKED_SECONDS:.0f} s: {blocked}", flush=True)
    figure(
        "events of other leads in the burst, until their message is read",
        percentiles([read for _at, _decided, read in during]),
        f"at most {BLOCKED_SECONDS:.0f} s",
        not blocked,
    )


@contextmanager
def sequencer(bootstrap: str, group: str, folder: Path) -> Iterator[None]:
    """One `python -m sequencer`, ready."""
    (port,) = free_ports(1)
    environment = {
        **os.environ,
        "LEADFLOW_KAFKA_BOOTSTRAP": bootstrap,
        "LEADFLOW_GROUP": group,
        "LEADFLOW_DATA_DIR": str(folder / "data"),
        "LEADFLOW_HEALTH_PORT": str(port),
        "LEADFLOW_LOG_LEVEL": "warning",
    }
    process = subprocess.Popen([sys.executable, "-m", "sequencer"], env=environment)
    try:
        deadline = time.monotonic() + 120
        while not is_ready(port):
            if process.poll() is not None or time.monotonic() > deadline:
                raise SystemExit("the sequencer did not become ready")
            time.sleep(0.2)
        yield
    finally:
        process.terminate()
        process.wait(60)


def is_ready(port: int) -> bool:
    url = f"http://127.0.0.1:{port}/readyz"
    with suppress(OSError), urllib.request.urlopen(url, timeout=2) as answer:
        return bool(answer.status == 200)
    return False


async def publish(bootstrap: str, minutes: int) -> None:
    producer = ConfluentProducer(bootstrap, "bench")
    sequences = {STEADY: (0, 1), BURST: (minutes,), PROBE: (0,)}
    await producer.send(
        [
            Outgoing(
                topics.SEQUENCE_DEFINITIONS.name,
                f"{TENANT}.{source}:1".encode(),
                CODEC.encode(definition(source, steps)),
            )
            for source, steps in sequences.items()
        ]
    )
    await producer.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--rate", type=int, default=100, help="leads a second")
    parser.add_argument("--seconds", type=int, default=40, help="of the steady load")
    parser.add_argument("--burst", type=int, default=100_000, help="steps due at one moment")
    parser.add_argument("--minutes", type=int, default=3, help="to enroll them before that")
    options = parser.parse_args()
    group = f"bench-{uuid4().hex[:6]}"
    with ExitStack() as until_done:
        folder = Path(until_done.enter_context(tempfile.TemporaryDirectory(prefix="bench-late-")))
        port, controller = free_ports(2)
        kafka = until_done.enter_context(
            KafkaServer(folder / "kafka", port=port, controller_port=controller)
        )
        ensure_topics(kafka.bootstrap)
        asyncio.run(publish(kafka.bootstrap, options.minutes))
        until_done.enter_context(sequencer(kafka.bootstrap, group, folder))
        bench = Bench(kafka.bootstrap)
        until_done.callback(bench.close)
        steady(bench, options.rate, options.seconds)
        burst(bench, kafka.bootstrap, group, options.burst, options.minutes)


if __name__ == "__main__":
    main()
