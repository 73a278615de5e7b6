"""A worker that is frozen (SIGSTOP) while it works, and goes on later, on real Kafka."""

from __future__ import annotations

import signal
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from time import monotonic
from typing import Any
from uuid import uuid4

import pytest

from leadflow import topics
from leadflow.records import LeadCreated, LeadRecord, MessageQueued

from .sequencing import (
    CODEC,
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
    replied,
    running,
    sequence,
    step,
    wait,
)

pytestmark = [pytest.mark.integration, pytest.mark.either_server]

SESSION_SECONDS = 10.0
LEADS = 2_000


@pytest.fixture
def tenant() -> str:
    return f"tenant-{uuid4().hex[:8]}"


class Written:
    """Everything that sequencers of a group write about a tenant from now on, in order."""

    def __init__(self, bootstrap: str, group: str, tenant: str) -> None:
        self._tenant = tenant.encode()
        self._rows = f"{group}-leads-changelog"
        names = [topics.MESSAGES.name, topics.ENROLLMENT_EVENTS.name, self._rows]
        self.tail = Tail(bootstrap, names, self._keep)

    def _keep(self, message: Any) -> Any:
        if message.topic() == self._rows:
            return f"the row of {message.key().decode()}"
        return CODEC.decode(message.value()) if self._tenant in message.value() else None

    def messages(self) -> Counter[str]:
        """How often each message id was queued."""
        return Counter(
            each.message_id for each in self.tail.kept if isinstance(each, MessageQueued)
        )

    def until_queued(self, count: int) -> None:
        self.tail.until(lambda _kept: len(self.messages()) >= count)

    def during(self, seconds: float) -> list[Any]:
        """What is written in the next `seconds`."""
        before, until = len(self.tail.kept), monotonic() + seconds
        self.tail.until(lambda _kept: monotonic() > until)
        return self.tail.kept[before:]

    def until_quiet(self) -> None:
        while self.during(2.0):
            pass

    def close(self) -> None:
        self.tail.close()


@pytest.fixture
def frozen() -> Iterator[list[Worker]]:
    """Workers to be set going again when a test fails."""
    workers: list[Worker] = []
    yield workers
    for worker in workers:
        worker.process.send_signal(signal.SIGCONT)


def test_a_frozen_worker_writes_nothing_once_its_leads_are_anothers(
    kafka_bootstrap: str, tenant: str, tmp_path: Path, frozen: list[Worker]
) -> None:
    """One of two workers is frozen in the middle of a burst, with decisions on their way, for
    twice the session timeout. Meanwhile every fifth lead replies, which the other worker is told
    of, and a step comes due. Continued, the frozen one would finish its decisions over the
    other's rows and fire steps of leads that have replied."""
    group = new_group(kafka_bootstrap, tenant)
    definition = sequence(
        tenant,
        step("hello"),
        step("task", "task"),
        step("soon", minutes=1),
        step("far", minutes=99),
    )
    published(kafka_bootstrap, definition)
    workers = [Worker(kafka_bootstrap, group, tmp_path) for _ in range(2)]
    with running(workers):
        for worker in workers:
            wait(worker.ready)
        written = Written(kafka_bootstrap, group, tenant)
        soon = datetime.now(UTC) + timedelta(seconds=26)
        leads = [created(tenant, f"lead-{n}", soon - timedelta(minutes=1)) for n in range(LEADS)]
        publish(kafka_bootstrap, [of_lead(each) for each in leads])
        written.until_queued(50)
        workers[0].process.send_signal(signal.SIGSTOP)
        frozen_at = monotonic()
        frozen.append(workers[0])
        replies = [replied(lead) for lead in leads[::5]]
        publish(kafka_bootstrap, [of_lead(each) for each in replies])
        expected = {message_id(lead, name) for lead in leads for name in ("hello", "task")}
        expected |= {message_id(lead, "soon") for n, lead in enumerate(leads) if n % 5}
        written.until_queued(len(expected))
        wait(lambda: monotonic() > frozen_at + 2 * SESSION_SECONDS and datetime.now(UTC) > soon)
        written.until_quiet()
        # The successor leaves out what the other had queued and not written down.
        assert written.messages() == Counter(expected)
        workers[0].process.send_signal(signal.SIGCONT)
        assert written.during(6.0) == []
        # Nothing was written because nobody was there to write.
        assert workers[0].process.poll() == -signal.SIGKILL
        events: list[LeadRecord] = [*leads, *replies]
        rows = changelog(kafka_bootstrap, group, {each.lead_id for each in leads})
        assert rows == model(definition, events)
        assert workers[1].stop() == 0
        written.close()


def test_a_worker_frozen_for_less_than_its_session_goes_on_where_it_was(
    kafka_bootstrap: str, tenant: str, tmp_path: Path, frozen: list[Worker]
) -> None:
    group = new_group(kafka_bootstrap, tenant)
    definition = sequence(tenant, step("hello"), step("task", "task"), step("far", minutes=99))
    published(kafka_bootstrap, definition)
    workers = [Worker(kafka_bootstrap, group, tmp_path) for _ in range(2)]
    with running(workers):
        for worker in workers:
            wait(worker.ready)
        written = Written(kafka_bootstrap, group, tenant)
        leads: list[LeadCreated] = []
        for wave in range(2):
            fresh = [created(tenant, f"lead-{wave}-{n}") for n in range(LEADS // 2)]
            leads += fresh
            publish(kafka_bootstrap, [of_lead(each) for each in fresh])
            written.until_queued(len(leads) * 2 - 1_900)
            workers[wave].process.send_signal(signal.SIGSTOP)
            frozen.append(workers[wave])
            written.during(4.0)
            workers[wave].process.send_signal(signal.SIGCONT)
        written.until_queued(2 * len(leads))
        # Nobody died and no partition changed hands: nothing is repeated either.
        assert set(written.messages().values()) == {1}
        assert [worker.stop() for worker in workers] == [0, 0]
        written.close()
        rows = changelog(kafka_bootstrap, group, {each.lead_id for each in leads})
        assert rows == model(definition, leads)
