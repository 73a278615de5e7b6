"""Events a second of one sequencer worker, beside an empty Faust agent in the same run.

    python bench/sequencer_events.py [--leads 5000] [--rounds 3]

Produces a mix to the topics of the catalogue: for each lead a LeadCreated that enrolls it and
sends its first message, a LeadQualified, a MessageSent, a MessageDelivered and, for one in ten,
a reply that stops it. Both programs then read the same records with groups of their own, each
as a process of its own; the sequencer has its effects acknowledged by all replicas, then its
row, then commits. Prints both rates and their ratio for each round. Starts a Kafka of its own on
free ports of 127.0.0.1; with --bootstrap it uses another, where records and changelogs stay.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import uuid4

import uvloop

from leadflow import ids, logs, records, topics
from leadflow.clock import SystemClock
from leadflow.codec import Codec
from leadflow.health import Health
from leadflow.kafka.admin import ensure_topics
from leadflow.kafka.confluent import ConfluentProducer
from leadflow.kafka.port import Outgoing
from leadflow.records.common import SequenceStep, Trigger
from leadflow_cli.embedded.kafka import KafkaServer
from leadflow_cli.processes import free_ports
from sequencer.app import STREAM_TOPICS, Worker, WorkerSettings, make_app
from sequencer.main import spare_the_collector
from sequencer.model import Setting
from sequencer.pauses import AutomationPauses
from sequencer.sequences import PublishedSequences

TENANT = "bench"
SEQUENCE = f"{TENANT}.first-touch"
IDLE_SECONDS = 60.0
ROLES = ("empty", "worker")


def definition() -> records.SequencePublished:
    now = datetime.now(UTC)
    return records.SequencePublished(
        event_id=str(uuid4()),
        tenant_id=TENANT,
        occurred_at=now,
        recorded_at=now,
        source="bench",
        sequence_id=SEQUENCE,
        version=1,
        name="First touch",
        description="",
        status="active",
        trigger=Trigger(kind="stage", value="new"),
        trigger_source="any",
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
                step_id=f"step-{day}",
                channel="email",
                delay_minutes=day * 1440,
                delay_from="enrollment",
                template_name="hello",
                subject="About {{ service }}",
                body="Hello {{ first_name }}, " + "we read what you wrote. " * 20,
            )
            for day in (0, 1, 3, 7)
        ),
    )


def of_one_lead(name: str, number: int) -> Iterator[tuple[str, records.LeadRecord]]:
    now = datetime.now(UTC)
    lead_id = ids.lead_id(TENANT, "website-form", name)
    message_id = ids.message_id(ids.enrollment_id(lead_id, SEQUENCE, 1), "step-0")

    def base() -> dict[str, Any]:
        return {
            "event_id": str(uuid4()),
            "tenant_id": TENANT,
            "occurred_at": now,
            "recorded_at": now,
            "source": "website-form",
            "lead_id": lead_id,
            "owner": "dana.whitfield",
        }

    cause = str(uuid4())
    yield (
        topics.LEAD_EVENTS.name,
        records.LeadCreated(
            **base(),
            cause_id=cause,
            revision=1,
            external_id=name,
            status="active",
            first_name="Ada",
            last_name="Lovelace",
            email=f"{name}@example.com",
            phone="+15125550100",
            service="roof-repair",
            message="It drips.",
            urgency="high",
            timezone="America/Chicago",
            timezone_from="given",
            stage="new",
            received='{"name": "Ada Lovelace"}',
            extra="{}",
        ),
    )
    yield (
        topics.LEAD_EVENTS.name,
        records.LeadQualified(
            **base(),
            cause_id=cause,
            fit=70,
            intent=60,
            temperature="warm",
            next_action="call",
            decided_by="rules",
        ),
    )
    about: dict[str, Any] = {
        "message_id": message_id,
        "sequence_id": SEQUENCE,
        "step_id": "step-0",
        "channel": "email",
        "provider": "sandbox",
    }
    yield (
        topics.MESSAGE_EVENTS.name,
        records.MessageSent(**base(), **about, body_hash="0" * 64, accepted_at=now, epoch=1),
    )
    yield (
        topics.MESSAGE_EVENTS.name,
        records.MessageDelivered(**base(), **about, cause_id=cause),
    )
    if number % 10 == 0:
        yield (
            topics.LEAD_EVENTS.name,
            records.ReplyReceived(**base(), cause_id=cause, channel="email", automatic=False),
        )


async def produce(bootstrap: str, leads: int) -> int:
    """Produce the mix; how many records that were."""
    codec = Codec()
    producer = ConfluentProducer(bootstrap, "bench")
    run = uuid4().hex[:6]
    batch = [
        Outgoing(topic, record.lead_id.encode(), codec.encode(record))
        for number in range(leads)
        for topic, record in of_one_lead(f"{run}-{number}", number)
    ]
    await producer.send(batch)
    await producer.close()
    return len(batch)


def settings(bootstrap: str, kind: str) -> WorkerSettings:
    return WorkerSettings(
        group=f"bench-{kind}-{uuid4().hex[:6]}",
        data_dir=Path(tempfile.mkdtemp(prefix="bench-sequencer-")),
        bootstrap=bootstrap,
        replication=1,
    )


async def timed(counted: Any, total: int) -> float:
    """Events a second from the first to the last of `total`."""
    started = 0.0
    first = 0
    deadline = time.perf_counter() + IDLE_SECONDS
    while (now := counted()) < total:
        if now and not started:
            started, first = time.perf_counter(), now
        if time.perf_counter() > deadline:
            raise SystemExit(f"only {now} of {total} records within {IDLE_SECONDS:.0f} s")
        await asyncio.sleep(0.01)
    return (total - first) / (time.perf_counter() - started)


async def empty(bootstrap: str, total: int) -> float:
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


async def worker(bootstrap: str, total: int) -> float:
    """The sequencer, whole."""
    codec = Codec()
    sequences, pauses = PublishedSequences(codec), AutomationPauses(codec)
    sequences.apply(b"bench", codec.encode(definition()))
    producer = ConfluentProducer(bootstrap, "bench")
    made = Worker(
        settings(bootstrap, "worker"),
        codec=codec,
        producer=producer,
        sequences=sequences,
        pauses=pauses,
        setting=Setting(sequences, pauses, {}),
        clock=SystemClock(),
        health=Health(),
    )
    running = asyncio.ensure_future(made.run(asyncio.Event()))
    rate = asyncio.ensure_future(timed(lambda: made.handled, total))
    await asyncio.wait([running, rate], return_when=asyncio.FIRST_COMPLETED)
    if running.done():
        running.result()
    return await rate


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--bootstrap", help="a Kafka to use instead of one of its own")
    parser.add_argument("--leads", type=int, default=5_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--role", choices=ROLES, help=argparse.SUPPRESS)
    parser.add_argument("--total", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    logs.configure("bench", "warning")
    if options.role:
        run = empty if options.role == "empty" else worker

        async def measure() -> None:
            spare_the_collector()  # as the sequencer does; the empty agent has it too
            print(await run(options.bootstrap, options.total), flush=True)
            os._exit(0)  # nothing of this run is worth a drain

        uvloop.run(measure())
    with ExitStack() as until_done:
        bootstrap = options.bootstrap or own_kafka(until_done)
        ensure_topics(bootstrap)
        asyncio.run(produce(bootstrap, options.leads))
        total = existing(bootstrap)
        print(f"{total} records", flush=True)
        for number in range(1, options.rounds + 1):
            empty_rate, rate = (in_a_process(bootstrap, role, total) for role in ROLES)
            print(
                f"round {number}: empty agent {empty_rate:,.0f}/s, sequencer {rate:,.0f}/s, "
                f"ratio {rate / empty_rate:.2f}",
                flush=True,
            )


def own_kafka(until_done: ExitStack) -> str:
    """The bootstrap address of a broker that ends with `until_done`."""
    folder = Path(until_done.enter_context(tempfile.TemporaryDirectory(prefix="bench-kafka-")))
    port, controller_port = free_ports(2)
    server = KafkaServer(folder, port=port, controller_port=controller_port)
    return until_done.enter_context(server).bootstrap


def in_a_process(bootstrap: str, role: str, total: int) -> float:
    """What one of the two programs reaches, started anew."""
    command = [sys.executable, __file__, "--bootstrap", bootstrap]
    command += ["--role", role, "--total", str(total)]
    return float(subprocess.run(command, stdout=subprocess.PIPE, check=True).stdout.split()[-1])


def existing(bootstrap: str) -> int:
    """All records that a new group will read, ticks not counted."""
    import confluent_kafka

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
