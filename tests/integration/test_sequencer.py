"""The sequencer as processes of their own, on real Kafka."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import uuid4

import pytest

from leadflow import topics
from leadflow.kafka.port import Outgoing
from leadflow.records import LeadCreated, LeadRecord

from .sequencing import (
    Tail,
    Worker,
    changelog,
    created,
    message_id,
    model,
    new_group,
    of_lead,
    publish,
    published,
    queued,
    replied,
    running,
    sequence,
    step,
    wait,
)

pytestmark = pytest.mark.integration


@pytest.fixture
def tenant() -> str:
    return f"tenant-{uuid4().hex[:8]}"


def test_a_new_lead_gets_its_first_message_and_the_next_when_it_is_due(
    kafka_bootstrap: str, tenant: str, tmp_path: Path
) -> None:
    definition = sequence(
        tenant, step("hello"), step("later", minutes=1), step("day1", minutes=1440)
    )
    published(kafka_bootstrap, definition)
    worker = Worker(kafka_bootstrap, new_group(kafka_bootstrap, tenant), tmp_path)
    with running([worker]):
        wait(worker.ready)
        tail = Tail(kafka_bootstrap, [topics.MESSAGES.name], queued(tenant))
        # Enrolled 57 seconds ago by its own record: the step of minute 1 is due in three.
        lead = created(tenant, "ada", datetime.now(UTC) - timedelta(seconds=57))
        publish(kafka_bootstrap, [of_lead(lead)])
        tail.until(lambda seen: len(seen) == 2)
        tail.close()
        first, later = tail.kept
        assert first.message_id == message_id(lead, "hello")
        assert first.recipient == "ada@example.com"
        assert first.variables == {"first_name": "Ada", "email": "ada@example.com"}
        assert later.message_id == message_id(lead, "later")
        assert later.recorded_at >= lead.recorded_at + timedelta(minutes=1)
        assert worker.stop() == 0


def test_a_killed_worker_loses_and_doubles_nothing(
    kafka_bootstrap: str, tenant: str, tmp_path: Path
) -> None:
    """Two workers, kills at three moments, each followed by a new worker with the folder of the
    dead one or with an empty one. Every expected message is there, under the ids that follow
    from its lead; the rows in the changelog are those that a model computes from the events
    alone."""
    group = new_group(kafka_bootstrap, tenant)
    definition = sequence(
        tenant,
        step("hello"),
        step("task", "task"),
        step("soon", minutes=1),
        step("far", minutes=99),
    )
    published(kafka_bootstrap, definition)
    tail = Tail(kafka_bootstrap, [topics.MESSAGES.name], queued(tenant))
    workers = [Worker(kafka_bootstrap, group, tmp_path) for _ in range(2)]
    events: list[LeadRecord] = []
    leads: list[LeadCreated] = []
    with running(workers):
        for worker in workers:
            wait(worker.ready)
        # Enrolled 45 seconds ago: "soon" is due while workers come and go.
        for wave in range(4):
            at = datetime.now(UTC) - timedelta(seconds=45)
            fresh = [created(tenant, f"lead-{wave}-{n}", at) for n in range(500)]
            batch: list[LeadRecord] = []
            for number, lead in enumerate(fresh):
                batch.append(lead)
                if number % 5 == 0:
                    batch.append(replied(lead))
            leads += fresh
            events += batch
            publish(kafka_bootstrap, [of_lead(each) for each in batch])
            least = len(tail.kept) + 50
            if wave < 3:
                # Killed while it works on the wave, not before and not after.
                tail.until(lambda seen, least=least: len(seen) >= least)  # type: ignore[misc]
                killed = workers.pop(wave % 2)
                killed.kill()
                folder = killed.data_dir if wave == 1 else None
                workers.append(Worker(kafka_bootstrap, group, tmp_path, folder))
        expected = {
            message_id(lead, name)
            for number, lead in enumerate(leads)
            for name in (("hello", "task") if number % 5 == 0 else ("hello", "task", "soon"))
        }
        tail.until(lambda seen: {each.message_id for each in seen} >= expected)
        for worker in workers:
            wait(worker.ready)
        rows = changelog(kafka_bootstrap, group, {each.lead_id for each in leads})
        for worker in workers:
            assert worker.stop() == 0
    tail.close()
    # A reply that was handled late, while workers were missing, found "soon" gone out in time.
    late = {message_id(lead, "soon") for lead in leads[::5]}
    assert {each.message_id for each in tail.kept} - late == expected
    assert rows == model(definition, events)


def test_a_poison_record_goes_to_the_dead_letters_whole_and_traffic_moves_on(
    kafka_bootstrap: str, tenant: str, tmp_path: Path
) -> None:
    published(kafka_bootstrap, sequence(tenant, step("hello")))
    worker = Worker(kafka_bootstrap, new_group(kafka_bootstrap, tenant), tmp_path)
    with running([worker]):
        wait(worker.ready)
        lead = created(tenant, "ada")
        poison = b"\xc3\x01" + tenant.encode()
        key = lead.lead_id.encode()
        # Other groups may bury it too: the topic is shared. One of ours is enough.
        letters = Tail(
            kafka_bootstrap,
            [topics.SEQUENCER_DLQ.name],
            lambda message: message if message.value() == poison else None,
        )
        messages = Tail(kafka_bootstrap, [topics.MESSAGES.name], queued(tenant))
        publish(kafka_bootstrap, [Outgoing(topics.LEAD_EVENTS.name, key, poison), of_lead(lead)])
        letters.until(bool)
        messages.until(bool)
        letter = letters.kept[0]
        letters.close()
        messages.close()
        assert letter.key() == key
        headers = dict(letter.headers())
        assert headers["dlq-topic"] == b"lead-events"
        assert headers["dlq-error"] == b"UnknownSchema"
        assert worker.stop() == 0


def test_keys_meet_in_the_partition_that_java_and_aiokafka_give_them(kafka_bootstrap: str) -> None:
    """Messages have the partition number of the lead's events, whoever produced these."""
    from aiokafka.partitioner import DefaultPartitioner

    keys = [str(uuid4()).encode() for _ in range(100)]
    tail = Tail(kafka_bootstrap, [topics.CRM_SYNC_RETRY_1H.name], lambda message: message)
    publish(kafka_bootstrap, [Outgoing(topics.CRM_SYNC_RETRY_1H.name, key, b"") for key in keys])
    tail.until(lambda seen: {m.key() for m in seen} >= set(keys))
    tail.close()
    partitions = list(range(topics.CRM_SYNC_RETRY_1H.partitions))
    for message in tail.kept:
        if message.key() in keys:
            assert message.partition() == DefaultPartitioner()(
                message.key(), partitions, partitions
            )
