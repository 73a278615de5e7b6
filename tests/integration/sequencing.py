"""Sequencers as processes of their own on real Kafka, what they are given and what they leave."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import confluent_kafka

from leadflow import ids, topics
from leadflow.codec import Codec
from leadflow.kafka.confluent import ConfluentProducer
from leadflow.kafka.port import Outgoing
from leadflow.records import (
    LeadCreated,
    LeadRecord,
    MessageQueued,
    ReplyReceived,
    SequencePublished,
)
from leadflow.records.common import SequenceStep, Trigger
from sequencer import rowcodec
from sequencer.decide import decide, fire
from sequencer.member import STREAM_TOPICS
from sequencer.model import LeadRow, Setting
from sequencer.pauses import AutomationPauses
from sequencer.sequences import PublishedSequences

from .reading import fetch, start_at_the_end

CODEC = Codec()
READY_SECONDS = 60.0
DONE_SECONDS = 90.0


def new_group(bootstrap: str, tenant: str) -> str:
    """A group of sequencers that reads what is written from now on: the topics are shared, and
    what others left in them would be worked through again by every group."""
    group = f"seq-{tenant}"
    start_at_the_end(bootstrap, group, STREAM_TOPICS)
    return group


class Worker:
    """One `python -m sequencer`."""

    def __init__(
        self,
        bootstrap: str,
        group: str,
        folder: Path,
        data_dir: Path | None = None,
        program: Sequence[str] = ("-m", "sequencer"),
    ) -> None:
        self.data_dir = data_dir or folder / uuid4().hex[:8]
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self.log = folder / f"{uuid4().hex[:8]}.log"
        environment = {
            **os.environ,
            "LEADFLOW_KAFKA_BOOTSTRAP": bootstrap,
            "LEADFLOW_GROUP": group,
            "LEADFLOW_DATA_DIR": str(self.data_dir),
            "LEADFLOW_HEALTH_PORT": str(self.port),
        }
        with self.log.open("w") as log:
            self.process = subprocess.Popen(
                [sys.executable, *program], env=environment, stdout=log, stderr=log
            )

    def ready(self) -> bool:
        if self.process.poll() is not None:
            raise AssertionError(f"the worker ended:\n{self.log.read_text()[-3000:]}")
        with suppress(OSError):
            url = f"http://127.0.0.1:{self.port}/readyz"
            with urllib.request.urlopen(url, timeout=1) as answer:
                return bool(answer.status == 200)
        return False

    def kill(self) -> None:
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    def stop(self) -> int:
        if self.process.poll() is None:
            self.process.terminate()
        return self.process.wait(30)


@contextmanager
def running(workers: Sequence[Worker]) -> Iterator[None]:
    try:
        yield
    except AssertionError as error:
        for worker in workers:
            state = f"ended with {worker.process.poll()}, ready: "
            state += str(worker.process.poll() is None and worker.ready())
            error.add_note(f"{worker.log.name}: {state}\n{worker.log.read_text()[-1500:]}")
        raise
    finally:
        for worker in workers:
            if worker.process.poll() is None:
                worker.kill()


class Tail:
    """Reads topics from where they end when it is made; keeps what `keep` makes of a message."""

    def __init__(
        self,
        bootstrap: str,
        names: Sequence[str],
        keep: Callable[[Any], Any],
        *,
        from_start: bool = False,
    ) -> None:
        self.consumer = confluent_kafka.Consumer(
            {
                "bootstrap.servers": bootstrap,
                "group.id": f"tail-{uuid4()}",
                "enable.auto.commit": False,
            }
        )
        places = []
        for name in names:
            for number in self.consumer.list_topics(name, 10).topics[name].partitions:
                place = confluent_kafka.TopicPartition(name, number)
                low, high = self.consumer.get_watermark_offsets(place, 10)
                place.offset = low if from_start else high
                places.append(place)
        self.consumer.assign(places)
        self.keep = keep
        self.kept: list[Any] = []

    def until(self, enough: Callable[[list[Any]], bool], seconds: float = DONE_SECONDS) -> None:
        """Read until `enough(kept)`; fails after `seconds`."""
        deadline = time.monotonic() + seconds
        while not enough(self.kept):
            found = (self.keep(m) for m in fetch(self.consumer, 0.2) if m.error() is None)
            self.kept += [each for each in found if each is not None]
            assert time.monotonic() < deadline, f"not within {seconds} s: {len(self.kept)} found"

    def close(self) -> None:
        self.consumer.close()


def wait(condition: Callable[[], bool], seconds: float = READY_SECONDS) -> None:
    deadline = time.monotonic() + seconds
    poll = threading.Event()
    while not condition():
        assert time.monotonic() < deadline, f"not within {seconds} s"
        poll.wait(0.1)


def publish(bootstrap: str, batch: Sequence[Outgoing]) -> None:
    async def send() -> None:
        producer = ConfluentProducer(bootstrap, "test")
        await producer.send(batch)
        await producer.close()

    asyncio.run(send())


def of_lead(event: LeadRecord) -> Outgoing:
    return Outgoing(topics.LEAD_EVENTS.name, event.lead_id.encode(), CODEC.encode(event))


def step(name: str, channel: str = "email", minutes: int = 0) -> SequenceStep:
    return SequenceStep(
        step_id=name,
        channel=channel,
        delay_minutes=minutes,
        delay_from="enrollment",
        template_name=name,
        subject=f"About {name}",
        body="Hello {{ first_name }}",
    )


def sequence(tenant: str, *steps: SequenceStep) -> SequencePublished:
    now = datetime.now(UTC)
    return SequencePublished(
        event_id=str(uuid4()),
        tenant_id=tenant,
        occurred_at=now,
        recorded_at=now,
        source="portal-api",
        sequence_id=f"{tenant}.first-touch",
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
        stop_on=("reply",),
        steps=steps,
    )


def published(bootstrap: str, definition: SequencePublished) -> None:
    key = f"{definition.sequence_id}:{definition.version}".encode()
    publish(bootstrap, [Outgoing(topics.SEQUENCE_DEFINITIONS.name, key, CODEC.encode(definition))])


def created(tenant: str, name: str, at: datetime | None = None) -> LeadCreated:
    at = at or datetime.now(UTC)
    return LeadCreated(
        event_id=str(uuid4()),
        tenant_id=tenant,
        occurred_at=at,
        recorded_at=at,
        source="website-form",
        lead_id=ids.lead_id(tenant, "website-form", name),
        cause_id=str(uuid4()),
        revision=1,
        external_id=name,
        status="active",
        first_name="Ada",
        email=f"{name}@example.com",
        urgency="normal",
        timezone="UTC",
        timezone_from="default",
        stage="new",
        received="{}",
        extra="{}",
    )


def replied(lead: LeadCreated) -> ReplyReceived:
    at = lead.recorded_at
    return ReplyReceived(
        event_id=str(uuid4()),
        tenant_id=lead.tenant_id,
        occurred_at=at,
        recorded_at=at,
        source=lead.source,
        lead_id=lead.lead_id,
        cause_id=str(uuid4()),
        channel="email",
        automatic=False,
    )


def queued(tenant: str) -> Callable[[Any], MessageQueued | None]:
    """Keeps the tenant's queued messages: the topic is shared with other tests."""

    def keep(message: Any) -> MessageQueued | None:
        record = CODEC.decode(message.value()) if tenant.encode() in message.value() else None
        return record if isinstance(record, MessageQueued) else None

    return keep


def message_id(lead: LeadCreated, step_id: str) -> str:
    enrollment = ids.enrollment_id(lead.lead_id, f"{lead.tenant_id}.first-touch", 1)
    return ids.message_id(enrollment, step_id)


RowInShort = tuple[str, tuple[tuple[str, int], ...], tuple[tuple[str, int, str], ...], int]


def in_short(row: LeadRow) -> RowInShort:
    """What of a row does not depend on when a worker came to it."""
    return (
        row.stage,
        tuple((each.sequence_id, each.step_index) for each in row.live),
        tuple((each.sequence_id, each.entries, each.outcome) for each in row.finished),
        len(row.applied),
    )


def changelog(bootstrap: str, group: str, leads: set[str]) -> dict[str, RowInShort]:
    """The rows of these leads as a worker with an empty folder would recover them."""
    rows: dict[str, RowInShort] = {}

    def keep(message: Any) -> None:
        if (lead_id := message.key().decode()) in leads:
            rows[lead_id] = in_short(rowcodec.decode(message.key(), message.value()))

    tail = Tail(bootstrap, [f"{group}-leads-changelog"], keep, from_start=True)

    def at_the_end() -> bool:
        ends = (
            (place, tail.consumer.get_watermark_offsets(place, 10)[1])
            for place in tail.consumer.assignment()
        )
        return all(end == 0 or tail.consumer.position([p])[0].offset >= end for p, end in ends)

    tail.until(lambda _none: rows.keys() == leads and at_the_end())
    tail.close()
    return rows


def model(definition: SequencePublished, events: Sequence[LeadRecord]) -> dict[str, RowInShort]:
    """The rows after these events and a minute more, by the same decisions without a broker."""
    sequences = PublishedSequences(CODEC)
    sequences.apply(b"the one", CODEC.encode(definition))
    setting = Setting(sequences, AutomationPauses(CODEC), {})
    rows: dict[str, LeadRow] = {}
    for event in events:
        decision = decide(rows.get(event.lead_id), event, event.recorded_at, setting)
        rows[event.lead_id] = decision.row
    later = max(each.recorded_at for each in events) + timedelta(minutes=5)
    return {key: in_short(fire(row, later, setting).row) for key, row in rows.items()}
