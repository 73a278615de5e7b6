"""A consumer that passes over records, as Faust's does around a rebalance, on real Kafka."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from uuid import uuid4

import pytest

from leadflow import topics

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
    running,
    sequence,
    step,
    wait,
)

pytestmark = [pytest.mark.integration, pytest.mark.either_server]

LEADS = 1_000

# The sequencer as it is, but for a consumer that passes over records the first time that it has
# them: in some partitions over the first three, in others over all that there are.
FORGETFUL = """
import runpy
from collections import Counter
from leadflow.kafka.port import TopicPartition
from sequencer.app import Worker

arrived, had, passed_over = Worker._arrived, set(), Counter()

async def forgetful(self, raw):
    place = TopicPartition(raw.topic, raw.partition)
    begun = self._member.turns._offsets.next(place) is not None
    if begun and raw.topic == "lead-events" and (place, raw.offset) not in had:
        had.add((place, raw.offset))
        if place.partition % 2 or passed_over[place] < 3:
            passed_over[place] += 1
            return
    await arrived(self, raw)

Worker._arrived = forgetful
runpy.run_module("sequencer", run_name="__main__")
"""


@pytest.fixture
def tenant() -> str:
    return f"tenant-{uuid4().hex[:8]}"


def test_records_that_the_consumer_passed_over_are_gone_back_for(
    kafka_bootstrap: str, tenant: str, tmp_path: Path
) -> None:
    group = new_group(kafka_bootstrap, tenant)
    definition = sequence(tenant, step("hello"), step("far", minutes=99))
    published(kafka_bootstrap, definition)
    leads = [created(tenant, f"lead-{n}") for n in range(LEADS)]
    tail = Tail(kafka_bootstrap, [topics.MESSAGES.name], queued(tenant))
    publish(kafka_bootstrap, [of_lead(each) for each in leads])
    worker = Worker(kafka_bootstrap, group, tmp_path, program=("-c", FORGETFUL))
    with running([worker]):
        wait(worker.ready)
        tail.until(lambda seen: len(seen) >= LEADS)
        tail.close()
        log = worker.log.read_text()
        assert log.count("records were passed over: going back") >= topics.LEAD_EVENTS.partitions
        assert Counter(each.message_id for each in tail.kept) == Counter(
            message_id(lead, "hello") for lead in leads
        )
        rows = changelog(kafka_bootstrap, group, {each.lead_id for each in leads})
        assert rows == model(definition, leads)
        assert worker.stop() == 0
